"""Archives on one box: a folder of pictures against its pictures one by one, and videos by one process and by several.

    python benchmarks/archive.py                                    # about 4 minutes on two quiet cores
    python benchmarks/archive.py --pictures 40 --minutes 0.5 --rounds 1
    python benchmarks/archive.py --only pictures --folder holiday/
    python benchmarks/archive.py --only videos --resume rounds.jsonl --seconds 100  # again until it is whole

- `pictures`: 200 JPEGs of 640×480, one face each (frames of the demo clip). "one by one" is ``rtface.analyze`` in a
  loop, its networks open before it begins; "folder" is ``rtface run FOLDER``'s stream, from before its networks are
  opened to its last line. Both write every result as a JSON line. Asked: at least 1.6 times as fast.
- `videos`: 5 minutes of 640×480 at 30 fps in ten files (the demo clip, again and again), JSON lines, nothing drawn:
  ``rtface run FOLDER -o 'out/{stem}.jsonl' --jobs N``, start-up included. Asked: 2 jobs 1.4 times as fast as 1.

Arms take turns, each in a process of its own; the figures are medians over the rounds. Prints a table, then one JSON
line. With ``--resume`` each time is kept in a file as soon as it is there, and a next run goes on from it: parts of a
long run, each when the machine is quiet. ``--seconds`` ends a run after the arm in which they are over (exit code 3).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import partial
from itertools import repeat
from math import inf
from pathlib import Path
from statistics import median
from typing import Any

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import rtface
from rtface.capture.open import open_source
from rtface.outputs.records import to_line
from rtface.system import machine
from rtface.system.opencv import cv2
from rtface.types import Frame

SCHEMA = "rtface.archive-benchmark/1"
FILES, FPS = 10, 30
ASKED = {"pictures": 1.6, "videos": 1.4}


def demo_frames() -> Iterator[Frame]:
    """The demo clip's, without an end."""
    for name in repeat("demo"):
        with open_source(name) as source:
            yield from iter(source.read, None)


def make_pictures(folder: Path, count: int) -> None:
    """JPEGs of the demo clip's frames."""
    for number, frame in zip(range(count), demo_frames(), strict=False):
        cv2.imwrite(str(folder / f"{number:04}.jpg"), frame.image)


def make_videos(folder: Path, seconds: float) -> None:
    """H.264 files of as many seconds together."""
    import av

    path = folder / "0.mp4"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=Fraction(FPS), options={"preset": "veryfast"})
        count = max(round(seconds * FPS / FILES), 1)
        for number, frame in zip(range(count), demo_frames(), strict=False):
            if not number:
                stream.height, stream.width = frame.image.shape[:2]
                stream.pix_fmt = "yuv420p"
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="bgr24")))
        output.mux(stream.encode(None))
    for number in range(1, FILES):
        shutil.copy(path, folder / f"{number}.mp4")


def one_by_one(folder: Path, out: Path) -> float:
    """Seconds for a loop over the pictures."""
    paths = sorted(folder.iterdir())
    rtface.analyze(paths[0])
    began = time.perf_counter()
    with out.open("w") as file:
        for path in paths:
            file.write(to_line(rtface.analyze(path).to_dict()))
    return time.perf_counter() - began


def as_folder(folder: Path, out: Path) -> float:
    """Seconds for the pictures as one source."""
    began = time.perf_counter()
    rtface.run(folder, [out])
    return time.perf_counter() - began


PICTURE_ARMS = {"one by one": one_by_one, "folder": as_folder}


def in_a_process(arm: str, folder: Path, scratch: Path) -> float:
    """Seconds of one of `PICTURE_ARMS`, in a process of its own."""
    command = [sys.executable, __file__, "--arm", arm, "--folder", str(folder), "--out", str(scratch / "out.jsonl")]
    (scratch / "out.jsonl").unlink(missing_ok=True)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout.split()[-1])


def by_jobs(jobs: int, folder: Path, scratch: Path) -> float:
    """Seconds of the command line."""
    shutil.rmtree(scratch / "out", ignore_errors=True)
    command = [sys.executable, "-m", "rtface", "run", str(folder), "-o", str(scratch / "out/{stem}.jsonl")]
    began = time.perf_counter()
    root = Path(__file__).resolve().parents[1]
    subprocess.run([*command, "--jobs", str(jobs)], check=True, capture_output=True, cwd=root)
    return time.perf_counter() - began


class Enough(Exception):
    """The time that this run may take is over."""


class Rounds:
    """Seconds of each arm by round: those of runs before, and those that are taken now.

    Args:
        args: The command line's.
        case, items: What is measured, on how many pictures or frames.
    """

    def __init__(self, args: argparse.Namespace, case: str, items: int) -> None:
        self._args, self._what = args, {"case": case, "items": items, "cpu": machine.facts()["cpu"]}
        self.found: dict[str, list[float]] = {}
        if args.resume is not None and args.resume.exists():
            for line in map(json.loads, args.resume.read_text().splitlines()):
                if line.items() >= self._what.items():
                    self.found.setdefault(line["arm"], []).append(line["seconds"])

    def take(self, arms: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
        """Run what is missing, the arms by turns.

        Raises:
            Enough: The time is over.
        """
        for number in range(self._args.rounds):
            for arm, measure in arms.items():
                times = self.found.setdefault(arm, [])
                if len(times) > number:
                    continue
                if time.monotonic() > self._args.until:
                    raise Enough
                times.append(measure())
                if self._args.resume is not None:
                    with self._args.resume.open("a") as file:
                        file.write(json.dumps({**self._what, "arm": arm, "seconds": round(times[-1], 3)}) + "\n")
        return {arm: self.found[arm][: self._args.rounds] for arm in arms}


def pictures(args: argparse.Namespace, scratch: Path) -> tuple[dict[str, list[float]], int]:
    """Seconds of each arm by round, and how many pictures there are."""
    folder = args.folder
    if folder is None:
        folder = scratch / "pictures"
        folder.mkdir()
        make_pictures(folder, args.pictures)
    count = len(list(folder.iterdir()))
    arms = {arm: partial(in_a_process, arm, folder, scratch) for arm in PICTURE_ARMS}
    return Rounds(args, "pictures", count).take(arms), count


def videos(args: argparse.Namespace, scratch: Path) -> tuple[dict[str, list[float]], int]:
    """Seconds of each arm by round, and how many frames there are."""
    folder = scratch / "videos"
    folder.mkdir()
    make_videos(folder, 60 * args.minutes)
    count = FILES * max(round(60 * args.minutes * FPS / FILES), 1)
    arms = {f"{jobs} jobs": partial(by_jobs, jobs, folder, scratch) for jobs in args.jobs}
    return Rounds(args, "videos", count).take(arms), count


CASES = {"pictures": pictures, "videos": videos}


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's, by default the process's own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=CASES, help="this one; repeatable (default: both)")
    parser.add_argument("--pictures", type=int, default=200, help="how many (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="pictures of your own")
    parser.add_argument("--minutes", type=float, default=5.0, help="of video (default: %(default)s)")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2], help="processes (default: 1 2)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="keep each time in FILE, and go on from it")
    parser.add_argument("--seconds", type=float, default=inf, help="begin no arm after so long (default: no end)")
    parser.add_argument("--arm", choices=PICTURE_ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(given)
    args.until = time.monotonic() + args.seconds
    return args


def main(given: Sequence[str] | None = None) -> int:
    """Print the table and the record; 0 where what was asked for is reached."""
    args = arguments(given)
    if args.arm:
        print(PICTURE_ARMS[args.arm](args.folder, args.out))
        return 0
    record: dict[str, Any] = {"schema": SCHEMA, "machine": machine.facts(), "rounds": args.rounds, "cases": {}}
    print(f"{'case':<10}{'arm':<12}{'seconds':>9}{'per s':>9}{'times':>8}")
    for case in args.only or CASES:
        with tempfile.TemporaryDirectory(prefix="rtface-archive-") as scratch:
            try:
                found, count = CASES[case](args, Path(scratch))
            except Enough:
                print(f"{case}: not all rounds are there yet; the same command goes on", flush=True)
                return 3
        medians = {arm: median(times) for arm, times in found.items()}
        first = next(iter(medians.values()))
        for arm, seconds in medians.items():
            print(f"{case:<10}{arm:<12}{seconds:>9.1f}{count / seconds:>9.1f}{first / seconds:>8.2f}", flush=True)
        last = list(medians.values())[-1]
        record["cases"][case] = {"items": count, "seconds": found, "times": round(first / last, 3)}
    met = {case: figures["times"] >= ASKED[case] for case, figures in record["cases"].items()}
    for case, figures in record["cases"].items():
        print(f"{case}: {figures['times']:.2f} times, asked for {ASKED[case]}: {'ok' if met[case] else 'NO'}")
    print(json.dumps(record))
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
