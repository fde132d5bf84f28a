"""rtface's whole job against MediaPipe's FaceMesh alone, in turns on the same frames.

    python benchmarks/peers.py                              # one face, the demo clip
    python benchmarks/peers.py --faces 3                    # three: the demo clip three times in a frame
    python benchmarks/peers.py --faces 3 --clip three.mp4
    python benchmarks/peers.py --teacher face_landmarker.task   # also all tasks, against FaceLandmarker

Both read the same decoded 640x480 frames. Each is a process of its own that stays alive and idles while the other
works; they take turns block by block within one run, so that a machine that heats up or gets busy hits both. Only
FaceMesh's `process` and rtface's `Analyzer.video` are timed (find or follow, landmarks, 19-class parsing, emotion,
pose); their CPU time is that of all threads of the process, also between two calls. The first block of each is
warm-up. With --teacher there are two more: rtface with mesh, expression and gaze too, and MediaPipe's FaceLandmarker,
which answers the same (478 points, 52 blend shapes). FaceMesh with refined irises and lips stands there for reference;
the ratio is to the default, which does less.
Prints a table, what was asked for, then one JSON line.
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
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.contestant import Contestant
from benchmarks.peer_venv import MEDIAPIPE, peer_python
from benchmarks.worker import environment
from rtface.bench.report import table
from rtface.capture.open import open_source
from rtface.system import machine

SCHEMA = "rtface.peers/1"
WIDTH, HEIGHT = 640, 480
#: What is promised: the ratio, for one face and for three; likewise of the CPU time; three faces over one; memory;
#: `rtface --help`; start to first result.
RATIO, CPU_RATIO, THREE_TO_ONE, RESIDENT_MB, HELP_S, FIRST_S = 1.0, 1.0, 2.0, 250.0, 0.3, 1.5

#: And with all tasks: to FaceMesh, and to FaceLandmarker.
ALL_RATIO, ALL_TO_LANDMARKER = 0.75, 0.25

#: A ratio counts where rtface found at least this share of the faces.
FOUND = 0.95

HELP = "from rtface.cli.app import main; main(['--help'])"
FIRST = "import sys, rtface; print(len(rtface.analyze(sys.argv[1]).faces), flush=True)"

Array = NDArray[Any]


def decode(clip: str, limit: int) -> tuple[list[Array], float]:
    """The first frames of a clip, each (480, 640, 3) uint8 BGR, and its frames a second."""
    frames: list[Array] = []
    with open_source(clip) as source:
        while len(frames) < limit and (frame := source.read()) is not None:
            frames.append(np.asarray(cv2.resize(frame.image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)))
        return frames, source.fps or 25.0


def three_of(frames: Sequence[Array]) -> list[Array]:
    """Frames with three of the clip's in their quarters, a third of the clip apart, and the last quarter grey."""
    quarters = [cv2.resize(frame, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA) for frame in frames]
    count, rest = len(frames), np.full((HEIGHT // 2, WIDTH // 2, 3), 128, np.uint8)
    tiled = []
    for at in range(count):
        first, second, third = (quarters[(at + turn * count // 3) % count] for turn in range(3))
        tiled.append(np.vstack([np.hstack([first, second]), np.hstack([third, rest])]))
    return tiled


def contestants(args: argparse.Namespace, frames: Sequence[Array], fps: float, raw: Path) -> list[Contestant]:
    """Who takes part, each to read the frames from the file ``raw``, which is written here."""
    with raw.open("wb") as file:
        for frame in frames:
            file.write(frame.tobytes())
    size = {"count": len(frames), "height": HEIGHT, "width": WIDTH}
    common = {"frames": str(raw), **size, "fps": fps, "faces": args.faces}
    mesh = {**common, "kind": "facemesh", "refine": False}
    ours = {**common, "kind": "rtface", "options": args.options}
    peer = args.peer_python or peer_python()
    some = [
        Contestant("FaceMesh", peer, mesh),
        Contestant("FaceMesh, refined", peer, {**mesh, "refine": True}),
        Contestant("rtface", sys.executable, ours),
    ]
    if args.teacher is not None:
        everything = {**ours, "options": {**args.options, "tasks": "all"}}
        some.append(Contestant("rtface, all tasks", sys.executable, everything))
        landmarker = {**common, "kind": "landmarker", "model": str(args.teacher)}
        some.append(Contestant("FaceLandmarker", peer, landmarker))
    if args.faces > 1:
        some.append(Contestant("rtface, one face", sys.executable, {**ours, "faces": 1}))
    return some


def take_turns(some: Sequence[Contestant], blocks: int, size: int) -> None:
    """A warm-up block for each, then ``blocks`` that count; who goes first changes with every block."""
    for block in range(blocks + 1):
        for contestant in some if block % 2 else reversed(some):
            contestant.block(block * size, size)
        print(f"\r{block}/{blocks} blocks of {size} frames", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for contestant in some:
        contestant.finish()


def seconds_until_output(code: str, *arguments: str, repeats: int = 5) -> float:
    """Median wall time in s from the start of a Python process to its first line on stdout; one run goes before.

    Raises:
        SystemExit: It prints nothing.
    """
    times = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        command = [sys.executable, "-c", code, *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            times.append(time.perf_counter() - began)
            process.stdout.read()
        if not line:
            raise SystemExit(f"python -c {code!r} printed nothing")
    return float(np.median(times[1:]))


def race(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run everything; the JSON record."""
    facts = machine.facts()  # before anything runs: the load is the others'
    frames, fps = decode(args.clip, args.clip_frames)
    first = folder / "first.png"
    cv2.imwrite(str(first), frames[0])
    tiled = args.faces == 3 and args.clip == "demo"
    with ExitStack() as stack:
        shown = three_of(frames) if tiled else frames
        some = [stack.enter_context(one) for one in contestants(args, shown, fps, folder / "frames.raw")]
        take_turns(some, args.blocks, args.block)
    runs = {contestant.name: contestant.record() for contestant in some}
    record = {
        "schema": SCHEMA,
        "clip": f"{args.clip} x 3" if tiled else args.clip,
        "faces": args.faces,
        "mediapipe": MEDIAPIPE,
        "options": args.options,
        "runs": runs,
        "ratio": ratio(runs, "rtface", "FaceMesh"),
        "ratio_to_refined": ratio(runs, "rtface", "FaceMesh, refined"),
        "cpu_ratio": ratio(runs, "rtface", "FaceMesh", "cpu_ms_per_frame"),
        "three_to_one": ratio(runs, "rtface", "rtface, one face"),
        "all_ratio": ratio(runs, "rtface, all tasks", "FaceMesh"),
        "all_cpu_ratio": ratio(runs, "rtface, all tasks", "FaceMesh", "cpu_ms_per_frame"),
        "all_to_landmarker": ratio(runs, "rtface, all tasks", "FaceLandmarker"),
        "all_to_landmarker_cpu": ratio(runs, "rtface, all tasks", "FaceLandmarker", "cpu_ms_per_frame"),
        "help_s": round(seconds_until_output(HELP), 3),
        "first_result_s": round(seconds_until_output(FIRST, str(first)), 3),
        "machine": facts,
    }
    return {**record, "comparable": comparable(record)}


def ratio(runs: dict[str, Any], ours: str, theirs: str, figure: str = "median_ms") -> float | None:
    """Of a figure, the medians unless another is named; None where one did not run."""
    if ours not in runs or theirs not in runs:
        return None
    return round(float(runs[ours][figure] / runs[theirs][figure]), 3)


def comparable(record: dict[str, Any]) -> bool:
    """Whether rtface worked on all the faces that there were: one that finds none is quick, and no use."""
    runs = record["runs"]
    asked = {"rtface": record["faces"], "rtface, all tasks": record["faces"], "rtface, one face": 1}
    return all(runs[name]["faces_per_frame"] >= FOUND * faces for name, faces in asked.items() if name in runs)


def text(record: dict[str, Any]) -> str:
    """The record for people."""
    columns = {
        "median ms": "median_ms",
        "p95 ms": "p95_ms",
        "CPU ms": "cpu_ms_per_frame",
        "faces": "faces_per_frame",
        "RSS MB": "rss_mb",
    }
    rows = [(name, *(_number(run[key]) for key in columns.values())) for name, run in record["runs"].items()]
    fair = comparable(record)
    targets = [
        ("rtface / FaceMesh, medians", record["ratio"], RATIO if fair else None),
        ("rtface / FaceMesh, CPU time", record["cpu_ratio"], CPU_RATIO if fair else None),
        ("rtface / FaceMesh refined", record["ratio_to_refined"], None),
        ("rtface, all tasks / FaceMesh", record.get("all_ratio"), ALL_RATIO if fair else None),
        ("the same, CPU time", record.get("all_cpu_ratio"), ALL_RATIO if fair else None),
        ("rtface, all / FaceLandmarker", record.get("all_to_landmarker"), ALL_TO_LANDMARKER if fair else None),
        ("the same, CPU time", record.get("all_to_landmarker_cpu"), ALL_TO_LANDMARKER if fair else None),
        ("rtface, three faces / one", record["three_to_one"], THREE_TO_ONE if fair else None),
        ("rtface resident memory, MB", record["runs"]["rtface"]["rss_mb"], RESIDENT_MB),
        ("rtface --help, s", record["help_s"], HELP_S),
        ("process start to first result, s", record["first_result_s"], FIRST_S),
    ]
    lines = [_target(name, value, most) for name, value, most in targets if value is not None]
    if not fair:
        lines.insert(0, "the ratios say nothing: rtface did not find all the faces")
    facts = record["machine"]
    where = f"{record['clip']}, {WIDTH}x{HEIGHT}; {facts['cpu']}, {facts['cores']} cores, load {facts['load_1min']}"
    return "\n".join([where, table(("", *columns), rows), "", *lines])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _target(name: str, value: float, most: float | None) -> str:
    asked = "" if most is None else f"   at most {most:g}: {'ok' if value <= most else 'NO'}"
    return f"{name:<34} {value:>8.2f}{asked}"


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's, by default the process's own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", default="demo", help="a video; default: the demo clip")
    parser.add_argument("--faces", type=int, choices=(1, 3), default=1, help="most faces both look for")
    parser.add_argument("--blocks", type=int, default=12, help="blocks that count (default: %(default)s)")
    parser.add_argument("--block", type=int, default=25, help="frames a block (default: %(default)s)")
    parser.add_argument("--clip-frames", type=int, default=300, help="most frames to decode (default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of rtface's")
    parser.add_argument("--peer-python", type=Path, help=f"a Python that has mediapipe {MEDIAPIPE} already")
    parser.add_argument("--teacher", type=Path, metavar="TASK", help="face_landmarker.task: race all tasks against it")
    parser.add_argument("--json", type=Path, help="append the JSON line to this file too")
    args = parser.parse_args(given)
    args.options = dict(setting.partition("=")[::2] for setting in args.set)
    return args


def main() -> None:
    args = arguments()
    with tempfile.TemporaryDirectory() as folder:
        record = race(args, Path(folder))
    line = json.dumps(record)
    print(text(record))
    print(line)
    if args.json:
        with args.json.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
