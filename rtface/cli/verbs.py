"""Which verbs there are; needs nothing, so that ``rtface --help`` is quick."""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """Where a verb's Typer app is, and what it does in a line."""

    module: str
    name: str
    about: str


VERBS = {
    "run": Verb(
        "rtface.cli.run", "run", "Every frame of a video, picture or folder into JSON lines and annotated video"
    ),
    "live": Verb("rtface.cli.live", "live", "A camera or stream as it comes, in a window; the newest frame wins"),
    "bench": Verb("rtface.cli.bench", "bench", "How long each stage takes on this machine"),
    "eval": Verb("rtface.cli.evaluate", "evaluate", "Accuracy on a labelled data set"),
    "build": Verb("rtface.cli.build", "build", "Get TensorRT plans and --engine auto ready for this machine"),
    "calibrate": Verb("rtface.cli.calibrate", "calibrate", "INT8 ranges from your own pictures, and accuracy gates"),
    "import": Verb("rtface.cli.import_", "importing", "A public data set's own layout into a corpus file"),
    "serve": Verb("rtface.cli.serve", "serve", "A local page with picture, events and audience; HTTP API, metrics"),
    "service": Verb("rtface.cli.service", "service", "A systemd unit that keeps serve or live running"),
    "report": Verb("rtface.cli.report", "report", "What a database of visits tells: a page, a picture or a table"),
    "models": Verb("rtface.cli.models", "models", "The networks: list, show, verify"),
    "cameras": Verb("rtface.cli.cameras", "cameras", "The cameras that can be opened"),
    "outputs": Verb("rtface.cli.outputs", "outputs", "The outputs that -o takes, and whether each can be used here"),
    "licenses": Verb("rtface.cli.licences", "licences", "What a product that contains rtface must carry"),
    "completion": Verb("rtface.cli.completion", "completion", "The script that completes rtface's words in your shell"),
    "doctor": Verb("rtface.cli.doctor", "doctor", "What is installed, and whether it is in order"),
    "train": Verb("rtface.cli.train", "train", "Train a network (needs rtface[train])"),
    "label": Verb("rtface.cli.label", "label", "Label pictures by the own networks, to train on"),
    "export": Verb("rtface.cli.export", "export", "Write a trained network as ONNX (needs rtface[train])"),
}
