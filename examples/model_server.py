r"""A model repository of rtface's networks for Triton or OpenVINO Model Server, both by the KServe v2 protocol.

python examples/model_server.py models/
docker run -p8000:8000 -v $PWD/models:/models nvcr.io/nvidia/tritonserver:25.10-py3 \
    tritonserver --model-repository=/models
docker run -p8000:8000 -v $PWD/models:/models openvino/model_server \
    --config_path /models/config.json --rest_port 8000
curl http://127.0.0.1:8000/v2/models/engine-iter0
"""

import json
import sys
from pathlib import Path

import onnxruntime

from rtface.models import entry, load

NAMES = ("detector", "engine-iter0")
TYPES = {"tensor(uint8)": "TYPE_UINT8", "tensor(float)": "TYPE_FP32"}
SIDES = {"detector": [-1, 18], "engine-iter0": None}  # of the outputs that the file leaves open: a row a cell


def tensors(kind: str, values: list, open_sides: list[int] | None) -> str:
    """The inputs or outputs, without their first side: that is the batch."""
    blocks = []
    for value in values:
        sides = [side if isinstance(side, int) else -1 for side in value.shape[1:]]
        sides = open_sides if open_sides and -1 in sides else sides
        # A scalar a face: the protocol has no tensor without sides, the file's has none beside the batch.
        shape = "dims: [ 1 ] reshape { shape: [ ] }" if not sides else f"dims: {sides}"
        blocks.append(f'  {{ name: "{value.name}" data_type: {TYPES[value.type]} {shape} }}')
    return f"{kind} [\n" + ",\n".join(blocks) + "\n]\n"


def config(name: str, session: onnxruntime.InferenceSession) -> str:
    """Triton's config.pbtxt: requests of several clients meet in one batch, and wait 2 ms for each other at most."""
    return (
        f'name: "{name}"\nbackend: "onnxruntime"\nmax_batch_size: 32\n'
        + tensors("input", session.get_inputs(), None)
        + tensors("output", session.get_outputs(), SIDES[name])
        + "dynamic_batching { preferred_batch_size: [ 8, 16, 32 ] max_queue_delay_microseconds: 2000 }\n"
        + "instance_group [ { count: 1 kind: KIND_AUTO } ]\n"
    )


def main(folder: Path) -> None:
    for name in NAMES:
        data = load(entry(name))
        (folder / name / "1").mkdir(parents=True, exist_ok=True)
        (folder / name / "1" / "model.onnx").write_bytes(data)
        (folder / name / "config.pbtxt").write_text(config(name, onnxruntime.InferenceSession(data)))
    served = [{"config": {"name": name, "base_path": f"/models/{name}"}} for name in NAMES]
    (folder / "config.json").write_text(json.dumps({"model_config_list": served}, indent=2))
    print(f"{folder}: {', '.join(NAMES)}")


main(Path(sys.argv[1] if len(sys.argv) > 1 else "models"))
