"""What a camera costs, and so what a thousand of them need: the figures of docs/scale.md.

    python benchmarks/scale.py                      # about a minute
    python benchmarks/scale.py --cameras 300 --load 0.6
    python benchmarks/scale.py --gpu 16:4.0         # a batch of 16 faces in 4 ms, by rtface bench --engine trt

CPU time of all threads of this process, medians over parts of a run. The networks have one thread: it is the time of
one core. A machine that others use says some 10 to 20 % more.

- `decode`: H.264 (x264, veryfast, the demo clip) of 640×480 and of 1920×1080, read as a file is.
- `analyse`: 640×480 with one face and with none, at 5, 10 and 25 frames a second of the clip's time: the detector looks
  by the clock, so that a frame costs more where frames are rare.
- `result`: what a result costs the machine that gathers those of a cluster (unpickled, by its clock, on the page, in
  the audience's visits), and its size, without and with the parsing's map.

Prints a table of costs, a table of cores and network for `--cameras`, and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import math
import pickle
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.analyzer import Analyzer
from rtface.bench.scene import Scene, scene_of
from rtface.capture.open import open_source
from rtface.cluster.group import Batch, at_head
from rtface.options import Options
from rtface.serve.hub import Hub
from rtface.system import machine
from rtface.system.opencv import cv2
from rtface.testing import FakeClock
from rtface.types import Frame, FrameResult

SCHEMA = "rtface.scale/1"
SIZES = {"640x480": (640, 480), "1920x1080": (1920, 1080)}
RATES = (5.0, 10.0, 25.0)
PARTS = 5
"""A run is measured in so many parts, of which the median counts."""


def cpu_ms(work: Callable[[], int]) -> float:
    """CPU time in ms of each of the things that `work` says it has done; the median of its parts."""
    parts = []
    for _ in range(PARTS):
        began = time.process_time()
        count = work()
        parts.append(1e3 * (time.process_time() - began) / max(count, 1))
    return round(median(parts), 3)


def decoding(scene: Scene, frames: int) -> dict[str, float]:
    """ms of CPU for each size of picture."""
    import av

    found = {}
    with tempfile.TemporaryDirectory(prefix="rtface-scale-") as folder:
        for name, (width, height) in SIZES.items():
            path = Path(folder) / f"{name}.mp4"
            with av.open(str(path), "w") as output:
                stream = output.add_stream("libx264", rate=Fraction(25), options={"preset": "veryfast"})
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                for number in range(frames):
                    image = np.asarray(cv2.resize(scene.frame(number, 1), (width, height)), np.uint8)
                    output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="bgr24")))
                output.mux(stream.encode(None))

            def read(path: Path = path) -> int:
                with open_source(str(path)) as source:
                    return sum(1 for _ in iter(source.read, None))

            found[name] = cpu_ms(read)
    return found


def analysing(scene: Scene, seconds: float, options: Options) -> dict[str, dict[str, float]]:
    """ms of CPU for a frame, by faces and by frames a second."""
    found: dict[str, dict[str, float]] = {}
    for faces in (1, 0):
        images = [scene.frame(number, faces) for number in range(100)]
        found[f"{faces} faces"] = {f"{fps:g} fps": _analysing(images, fps, seconds, options) for fps in RATES}
    return found


def _analysing(images: Sequence[Any], fps: float, seconds: float, options: Options) -> float:
    """ms of CPU for a frame."""
    clock, count = FakeClock(), max(round(seconds * fps), 5)
    with Analyzer(options, clock=clock) as analyzer:

        def some() -> int:
            for number in range(count):
                at = clock.time
                analyzer.process(Frame(images[number % len(images)], number, captured_at=at), at=at)
                clock.time += 1.0 / fps
            return count

        some()  # tracks begin, tuners try
        return cpu_ms(some)


def gathering(scene: Scene, options: Options, count: int) -> dict[str, dict[str, float]]:
    """ms of CPU and bytes of a result at the machine that gathers them, without and with the parsing."""
    found = {}
    for name, tasks in (("without parsing", ("landmarks", "emotion", "pose")), ("with parsing", options.tasks)):
        with Analyzer(replace(options, tasks=tasks)) as analyzer:
            began = time.monotonic()
            frames = [Frame(scene.frame(number, 1), number, captured_at=began) for number in range(30)]
            results = [replace(analyzer.process(frame, at=began), camera="a") for frame in frames]
        sent = [pickle.dumps(_batch(result)) for result in results[-10:]]
        hub = Hub()
        hub.add("a")

        def gather(sent: Sequence[bytes] = sent, hub: Hub = hub) -> int:
            for number in range(count):
                (result,), _ = at_head(batch := pickle.loads(sent[number % len(sent)]), time.monotonic() - batch.now)
                hub.put("a", result)
            while hub.cameras["a"].sequence == 0 or hub._inbox:
                time.sleep(0.01)
            return count

        hub_s = cpu_ms(gather)
        hub.close()
        found[name] = {"cpu_ms": hub_s, "bytes": round(median(map(len, sent)))}
    return found


def _batch(result: FrameResult) -> Batch:
    shape = result.frame.image.shape[:2]
    small = replace(result, frame=replace(result.frame, image=np.zeros((0, 0, 3), np.uint8)))
    return Batch([(small, shape)], [], time.monotonic(), "node")


def needs(costs: dict[str, Any], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Cores and network of so many cameras, for each kind of stream."""
    decode, one_face = costs["decode_ms"], costs["analyse_ms"]["1 faces"]
    streams = [(f"640x480 at {fps:g} fps", decode["640x480"] * fps, fps) for fps in RATES[:2]]
    streams.append(("1920x1080 at 25 fps, analysed at 5", decode["1920x1080"] * 25, 5.0))
    rows = []
    for name, decode_ms, fps in streams:
        cores = (decode_ms + one_face[f"{fps:g} fps"] * fps) / 1e3
        head = {what: one["cpu_ms"] * fps / 1e3 for what, one in costs["result"].items()}
        rows.append(
            {
                "stream": name,
                "cores_a_camera": round(cores, 4),
                "cores": math.ceil(args.cameras * cores / args.load),
                "of_these_decode_pct": round(100 * decode_ms / 1e3 / cores),
                "head_cores": {what: round(args.cameras * one, 1) for what, one in head.items()},
                "to_head_mb_s": {
                    what: round(args.cameras * fps * one["bytes"] / 1e6, 1) for what, one in costs["result"].items()
                },
            }
        )
    return rows


def main(given: Sequence[str] | None = None) -> int:
    """Print the tables and the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cameras", type=int, default=1000, help="(default: %(default)s)")
    parser.add_argument("--load", type=float, default=0.7, help="of a core, as planned (default: %(default)s)")
    parser.add_argument("--gpu", metavar="FACES:MS", help="a batch of so many faces takes so long on a GPU")
    parser.add_argument("--seconds", type=float, default=4.0, help="of the clip in a part (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=100, help="decoded in a part (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="append the record to this file too")
    args = parser.parse_args(given)
    scene, options = scene_of("demo"), Options.load(env={}, threads=1)
    options = replace(options, budget_ms=None)
    costs: dict[str, Any] = {
        "decode_ms": decoding(scene, args.frames),
        "analyse_ms": analysing(scene, args.seconds, options),
        "result": gathering(scene, options, 200),
    }
    for name, ms in costs["decode_ms"].items():
        print(f"decode H.264, {name:<12} {ms:>8.2f} ms of CPU a frame")
    for faces, rates in costs["analyse_ms"].items():
        print(f"analyse, {faces:<17} " + ", ".join(f"{ms:.2f} ms at {fps}" for fps, ms in rates.items()))
    for name, one in costs["result"].items():
        print(f"a result, {name:<16} {one['cpu_ms']:>8.3f} ms of the head's CPU, {one['bytes'] / 1e3:.1f} kB")
    rows = needs(costs, args)
    print(f"\n{args.cameras} cameras, cores loaded to {100 * args.load:.0f} %:")
    for row in rows:
        print(
            f"{row['stream']:<36} {row['cores_a_camera']:.3f} cores a camera, {row['cores']} cores "
            f"({row['of_these_decode_pct']} % of that decodes); head, without and with parsing: "
            + ", ".join(f"{cores} cores, {row['to_head_mb_s'][name]} MB/s" for name, cores in row["head_cores"].items())
        )
    record: dict[str, Any] = {"schema": SCHEMA, "machine": machine.facts(), "cameras": args.cameras, "load": args.load}
    record |= {"costs": costs, "needs": rows}
    if args.gpu:
        faces, _, ms = args.gpu.partition(":")
        a_second = float(faces) * 1e3 / float(ms) * args.load
        record["gpu"] = {"batch": float(faces), "ms": float(ms), "faces_a_second": round(a_second)}
        print(f"GPU: {a_second:.0f} faces a second; {args.cameras} cameras of one face at 5 fps take", end=" ")
        print(f"{math.ceil(args.cameras * 5 / a_second)} of it for the engine, and decode as above")
    line = json.dumps(record)
    print(line)
    if args.json is not None:
        with args.json.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
