"""Whether a server that runs for long keeps its memory: 300,000 frames of people who come, look and go.

    python benchmarks/serve_memory.py                     # 2.8 hours at 30 frames a second, in some minutes
    python benchmarks/serve_memory.py --frames 60000 --viewers 0

All of `rtface serve` but the networks, which are fakes: the live stream with its threads and tracker, the hub with the
audience and the metrics, `-o visits.db`, and the server, whose viewers in another process ask for pictures and results
as fast as ten a second. Simulated time, as fast as it goes. Prints resident memory after each tenth of the frames, and
the slope of a line through all samples after the first tenth, in MB over the whole run (5 at most); the last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.analyzer import Analyzer
from rtface.bench.camera import LockstepCamera, SteppedClock
from rtface.bench.scene import Bursts, Scene
from rtface.geometry.crop import crop_from_points5, frame_to_crop_matrix, map_points, warp_crops
from rtface.options import Options
from rtface.outputs.private import private_jpeg
from rtface.serve.analyze import Analyze
from rtface.serve.app import BODIES, Server
from rtface.serve.control import Control
from rtface.serve.hub import Hub, HubSink
from rtface.serve.pictures import Pictures
from rtface.stream import Stream
from rtface.system import machine
from rtface.system.http_access import access_to
from rtface.system.http_server import HttpServer, listen
from rtface.testing import FakeDetector, FakeEngine, Painted, paint

FRAMES, FPS, LIMIT_MB = 300_000, 30.0, 5.0
PLACES = (Painted(160, 160), Painted(480, 160, 22), Painted(320, 350, 36))
#: How many are there, for seven seconds each, so that whoever comes is another visitor.
COMINGS = Bursts((0, 1, 2, 3, 1, 0, 2), 7.0)
SAMPLES = 100


class Passers(FakeDetector):
    """A scene, and the detector that knows its pictures: the first pixel says how many are there."""

    def __init__(self) -> None:
        super().__init__(lambda image: PLACES[: image[0, 0, 0]])
        self.pictures = [paint(PLACES[:count]) for count in range(len(PLACES) + 1)]
        for count, picture in enumerate(self.pictures):
            picture[0, 0] = count

    def frame(self, index: int, faces: int) -> NDArray[np.uint8]:
        """The picture of so many."""
        return self.pictures[faces]


class QuickEngine(FakeEngine):
    """Sees a well-placed face in every crop that is not black, now turned to the camera and now away."""

    def __init__(self) -> None:
        super().__init__()
        crop = crop_from_points5(PLACES[0].points5)
        self._one = super().run(warp_crops(paint(PLACES[:1]), [crop]), self.outputs)
        # Where the crop wants them to be, to a hair: else each frame's crop would be a little beside the last one's.
        points5 = map_points(frame_to_crop_matrix(crop), PLACES[0].points5)
        landmarks = self._one["landmarks"][0]
        landmarks[36:42], landmarks[42:48] = points5[0], points5[1]
        landmarks[[30, 48, 54]] = points5[2:]
        self._calls = 0

    def run(self, batch: NDArray[np.uint8], names: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Answers by name."""
        self._calls += 1
        answers = {name: np.repeat(self._one[name], len(batch), axis=0) for name in names}
        middle = batch.shape[1] // 2
        if "face" in answers:
            answers["face"] = (batch[:, middle, middle].max(axis=1) > 0).astype(np.float32)
        if "pose" in answers and self._calls // 60 % 2:
            answers["pose"][:, 0] = 50.0
        return answers


def main() -> None:
    """Run, sample, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--viewers", type=int, default=1)
    given = parser.parse_args()
    with ExitStack() as stack:
        hub = Hub()
        port = serve(hub, stack)
        if given.viewers:
            script = Path(__file__).with_name("serve_viewers.py")
            command = [sys.executable, str(script), "--view", str(port), "--viewers", str(given.viewers)]
            viewers = stack.enter_context(subprocess.Popen(command))
            stack.callback(viewers.kill)
        samples = run(hub, given.frames, stack)
        events, visits = hub.metrics.registry, len(hub._visits)
        seen = events.get_sample_value("rtface_viewers") or 0
    memory = np.array(samples)
    after = memory[len(memory) // 10 :]
    slope = float(np.polyfit(np.linspace(0.1, 1.0, len(after)), after, 1)[0])
    tenths = [float(one[-1]) for one in np.array_split(memory, 10)]
    print("resident, MB, after each tenth: " + " ".join(f"{one:.1f}" for one in tenths))
    print(f"{given.frames} frames, {visits} visits, {seen:.0f} viewers: slope {slope:+.2f} MB ({LIMIT_MB:g} at most)")
    record = {"frames": given.frames, "visits": visits, "viewers": seen, "slope_mb": round(slope, 2), "tenths": tenths}
    print(json.dumps({"benchmark": "serve_memory", "machine": machine.facts(), **record}))


def serve(hub: Hub, stack: ExitStack) -> int:
    """The server around the hub, on a free port; stopped by the stack."""
    listening = listen("127.0.0.1", 0, "")
    port = int(listening.getsockname()[1])
    pictures, analyze = Pictures(lambda result: private_jpeg(result, "full")), Analyze(Options())
    control = Control(Options(), hub, lambda changes: Options(**changes))
    app = Server(hub, control, pictures, analyze).app(access_to("127.0.0.1", port, body_bytes=BODIES))
    server = HttpServer(app, listening)
    for close in (analyze.close, pictures.close, server.close, hub.close):
        stack.callback(close)
    return port


def run(hub: Hub, frames: int, stack: ExitStack) -> list[float]:
    """Resident memory, MB, `SAMPLES` times."""
    every = max(frames // SAMPLES, 1)
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    clock, scene = SteppedClock(), Passers()
    clock.step(time.monotonic())
    camera = LockstepCamera(cast(Scene, scene), COMINGS, FPS, frames, clock)
    options = Options(audience=True, tasks=("landmarks", "emotion", "pose"))
    samples: list[float] = []
    with (
        Analyzer(options, detector=scene, engine=QuickEngine(), clock=clock) as analyzer,
        Stream(
            camera,
            live=True,
            options=options,
            analyzer=analyzer,
            clock=clock,
            outputs=[HubSink(hub, "made"), f"{folder}/visits.db"],
        ) as stream,
    ):
        for count, _ in enumerate(stream, 1):
            if count % every == 0:
                samples.append(machine.resident_mb() or 0.0)
                print(f"{count} of {frames}: {samples[-1]:.1f} MB", file=sys.stderr, flush=True)
            while len(hub._inbox) > 1:  # else results would be left out
                time.sleep(0.0005)
            camera.release()
    return samples


if __name__ == "__main__":
    main()
