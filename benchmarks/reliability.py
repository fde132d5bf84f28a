"""Faults by the hundred: runs that are killed, recordings cut at any byte, damaged videos, a full disk.

    python benchmarks/reliability.py                             # all, a quarter of an hour
    python benchmarks/reliability.py --only kills --count 200
    python benchmarks/reliability.py --only videos --count 10000 --seed 7

- `kills`: an unpaced run into JSON lines and an mp4 gets SIGKILL at a random moment: at most the last 2 s of the
  video and the last line are lost.
- `signals`: the same with SIGTERM, SIGHUP and SIGINT: every line has its frame in the video, the exit code is that of
  the signal.
- `cuts`: a recording that was not finished, cut at a random byte: every fragment before the cut plays.
- `videos`: videos of eight kinds with bytes changed, cut out, doubled or zeroed: read or refused in one line, no crash,
  nothing over ten seconds, no peak over 500 MB.
- `pictures`: pictures of eight kinds, damaged likewise.
- `files`: corpus parquet, .mat, label CSV, ONNX, registry, gates, options: damaged likewise.
- `soak`: a looped clip played live into JSON lines for `--minutes`: nothing has grown.
- `losses`: a camera that is lost so many times: back within the pause and a second, nothing has grown.
- `visitors`: so many people, one after the other: what a thousand ids leave in memory.
- `servers`: web servers that die, hang, drip, redirect to files, lie about lengths: one error each, no secret in it.
- `disk`: a run onto a file system of 300 kB (needs root and Linux): one line, at once, and what was written plays.

Prints a table, then one JSON line a case; `--json` appends those to a file. Exit code 1 where a figure is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.capture.open import open_source
from rtface.errors import RtfaceError
from rtface.outputs.mp4 import Mp4Writer
from rtface.outputs.open import check_writable
from rtface.system import machine
from rtface.system.files import PartFile

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = "rtface.reliability/1"
LOST_S = 2.0
SLOW_S, PEAK_MB = 10.0, 500.0
#: Videos that one worker process reads before the next is started.
BATCH = 50
#: Kinds of video: ending, encoder, options of the container.
KINDS: tuple[tuple[str, str, dict[str, str]], ...] = (
    (".mp4", "libx264", {}),
    (".mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
    (".mkv", "libx264", {}),
    (".webm", "libvpx", {"live": "1"}),
    (".ts", "mpeg2video", {}),
    (".flv", "flv", {}),
    (".avi", "mjpeg", {}),
    (".mov", "mpeg4", {}),
)


def kills(count: int, rng: random.Random, folder: Path) -> dict[str, Any]:
    """Runs that are killed."""
    from tests.reliability.kills import end_a_run

    lost, unreadable, broken, index = [], 0, 0, -1
    for index in _until_interrupted(count):
        ended = end_a_run(_fresh(folder, index), signal.SIGKILL, rng)
        broken += ended.broken_lines
        if ended.shown is None:
            unreadable += 1
        else:
            lost.append(ended.lost_s)
    worst = max(lost, default=0.0)
    return {
        "runs": index + 1,
        "unreadable": unreadable,
        "broken_lines": broken,
        "lost_s_worst": round(worst, 3),
        "lost_s_mean": round(sum(lost) / max(len(lost), 1), 3),
        "ok": not unreadable and not broken and worst <= LOST_S,
    }


def _until_interrupted(count: int) -> Iterator[int]:
    """0 to count - 1; Ctrl-C ends it after the one that is under way, with what was found so far."""
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    before = signal.signal(signal.SIGINT, stop)
    try:
        for index in range(count):
            if stopped:
                return
            yield index
    finally:
        signal.signal(signal.SIGINT, before)


def signals(count: int, rng: random.Random, folder: Path) -> dict[str, Any]:
    """Runs that are told to end."""
    from tests.reliability.kills import end_a_run

    wrong: Counter[str] = Counter()
    for index in range(count):
        number = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)[index % 3]
        ended = end_a_run(_fresh(folder, index), number, rng)
        wrong["code"] += ended.code != 128 + number
        wrong["frames"] += not ended.whole or ended.shown_frames != ended.told_frames
        wrong["lines"] += ended.broken_lines > 0
        wrong["said"] += ended.said.count("\n") != 1
    return {"runs": count, **{f"wrong_{name}": wrong[name] for name in ("code", "frames", "lines", "said")}} | {
        "ok": not sum(wrong.values())
    }


def cuts(count: int, rng: random.Random, folder: Path) -> dict[str, Any]:
    """Copies of an unfinished recording."""
    from tests.media import sliding
    from tests.reliability.kills import readable

    part = PartFile(folder / "recording.mp4", overwrite=True)
    writer = Mp4Writer(part, (160, 120), 25.0, None)
    ends: list[tuple[int, int]] = []
    for index, image in enumerate(sliding(250)):
        before = part.whole
        writer.write(image, index / 25)
        if part.whole > before:
            ends.append((part.whole, index))
    data, copy = part.path.read_bytes(), folder / "copy.mp4"
    writer.close()
    part.keep()
    lacking = 0
    for _ in range(count):
        size = rng.randrange(1, len(data))
        copy.write_bytes(data[:size])
        held = max((frames for end, frames in ends if end <= size), default=0)
        lacking += len(readable(copy)) < held
    return {"cuts": count, "lacking_frames": lacking, "ok": not lacking}


def videos(count: int, rng: random.Random, folder: Path) -> dict[str, Any]:
    """Damaged videos, read by worker processes."""
    from tests.media import encode, sliding

    made = [
        encode(folder / f"whole{index}{ending}", sliding(40), codec, container=options, pix_fmt=_pix_fmt(codec))
        for index, (ending, codec, options) in enumerate(KINDS)
    ]
    found: Counter[str] = Counter()
    slowest = peak = 0.0
    examples: list[str] = []
    for start in range(0, count, BATCH):
        seeds = [rng.randrange(1 << 30) for _ in range(min(BATCH, count - start))]
        for record in _work([str(path) for path in made], seeds, folder):
            found[record["end"]] += 1
            slowest, peak = max(slowest, record.get("seconds", 0.0)), max(peak, record.get("peak_mb", 0.0))
            if record["end"] in ("crash", "traceback", "hang"):
                examples.append(json.dumps(record))
    bad = found["crash"] + found["traceback"] + found["hang"]
    return {
        "inputs": count,
        **{name: found[name] for name in ("read", "refused", "crash", "traceback", "hang")},
        "slowest_s": round(slowest, 2),
        "peak_mb": round(peak, 1),
        "examples": examples[:5],
        "ok": not bad and slowest <= SLOW_S and peak <= PEAK_MB,
    }


def _pix_fmt(codec: str) -> str:
    return "yuvj420p" if codec == "mjpeg" else "yuv420p"


def _work(paths: list[str], seeds: list[int], folder: Path) -> Iterator[dict[str, Any]]:
    command = [sys.executable, __file__, "--worker", str(folder / "damaged"), *paths]
    done = 0
    while done < len(seeds):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdin is not None and worker.stdout is not None
            worker.stdin.write("".join(f"{seed}\n" for seed in seeds[done:]))
            worker.stdin.close()
            for line in worker.stdout:
                yield json.loads(line)
                done += 1
            code = worker.wait()
        if done < len(seeds):  # it died at this one
            kind = "hang" if code == -signal.SIGALRM else "crash"
            yield {"end": kind, "seed": seeds[done], "code": code}
            done += 1


def worker(copy: str, paths: list[str]) -> None:
    """Reads a damaged video a seed on stdin, and prints what came of it."""

    for line in sys.stdin:
        seed = int(line)
        rng = random.Random(seed)
        source = Path(rng.choice(paths))
        target = Path(copy + source.suffix)
        target.write_bytes(damaged(source.read_bytes(), rng))
        signal.alarm(60)  # ends the process: a hang
        began = time.monotonic()
        record: dict[str, Any] = {"seed": seed, "kind": source.suffix, "end": "read"}
        try:
            with open_source(target) as video:
                while video.read() is not None:
                    pass
        except RtfaceError as error:
            record["end"] = "refused" if "\n" not in str(error) else "traceback"
        except Exception as error:
            record |= {"end": "traceback", "error": f"{type(error).__name__}: {error}"}
        signal.alarm(0)
        record["seconds"] = time.monotonic() - began
        record["peak_mb"] = machine.peak_resident_mb() or 0.0
        print(json.dumps(record), flush=True)


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one to three places changed, zeroed, cut out, doubled, or all from one on gone."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(out)) if rng.random() < 0.6 else rng.randrange(min(len(out), 600))
        length = min(rng.choice((1, 4, 16, 200, 3000)), len(out) - at)
        how = rng.choice(("change", "flip", "zero", "drop", "double", "cut"))
        if how == "change":
            out[at : at + length] = rng.randbytes(length)
        elif how == "flip":
            out[at] ^= 1 << rng.randrange(8)
        elif how == "zero":
            out[at : at + length] = bytes(length)
        elif how == "drop":
            del out[at : at + length]
        elif how == "double":
            out[at:at] = out[at : at + length]
        elif len(out) - at > 64:
            del out[max(at, 64) :]
        if len(out) < 64:
            return bytes(out)
    return bytes(out)


def disk(count: int, rng: random.Random, folder: Path) -> dict[str, Any]:
    """Runs onto a file system that fills."""
    from tests.reliability.kills import readable

    if sys.platform != "linux" or os.geteuid() != 0:
        return {"left_out": "needs root and Linux", "ok": True}
    small = folder / "small"
    small.mkdir()
    wrong, played = 0, []
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for _ in range(count):
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={rng.choice((200, 300, 400))}k", "tmpfs", small], check=True
        )
        try:
            command = [sys.executable, "-m", "tests.reliability.slow_run", "run", "demo", "-o", str(small / "out.mp4")]
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
            wrong += done.returncode != 1 or done.stderr.count("\n") != 1 or "No space left" not in done.stderr
            played += [len(readable(path)) for path in small.glob("*.mp4")]
        finally:
            subprocess.run(["umount", small], check=True)
    return {"runs": count, "wrong": wrong, "frames_kept": played, "ok": not wrong and all(played)}


def pictures(count: int, rng: random.Random, folder: Path) -> dict[str, Any]:
    """Damaged pictures."""

    from tests.reliability.inputs import read_damaged_picture, summarised, whole_pictures

    made, ends, slowest = whole_pictures(), Counter[str](), 0.0
    for _ in range(count):
        data, began = damaged(rng.choice(made), rng), time.monotonic()
        ends[read_damaged_picture(data)] += 1
        slowest = max(slowest, time.monotonic() - began)
    peak = machine.peak_resident_mb() or 0.0
    figures = summarised(ends)
    ok = not figures["traceback"] and slowest <= SLOW_S and peak <= PEAK_MB
    return {"inputs": count, **figures, "slowest_s": round(slowest, 2), "peak_mb": round(peak, 1), "ok": ok}


def files(count: int, rng: random.Random, folder: Path) -> dict[str, Any]:
    """Damaged files of labels, networks and settings."""
    from tests.reliability.inputs import read_damaged_file, summarised, whole_files

    made, ends, slowest = whole_files(folder), Counter[str](), 0.0
    examples: list[str] = []
    for _ in range(count):
        path = rng.choice(made)
        whole, began = path.read_bytes(), time.monotonic()
        path.write_bytes(damaged(whole, rng))
        try:
            end = read_damaged_file(path)
        finally:
            path.write_bytes(whole)
        ends[end] += 1
        if end.startswith("traceback") and len(examples) < 5:
            examples.append(f"{path.name}: {end}")
        slowest = max(slowest, time.monotonic() - began)
    peak = machine.peak_resident_mb() or 0.0
    figures = summarised(ends)
    ok = not figures["traceback"] and slowest <= SLOW_S and peak <= PEAK_MB
    more = {"slowest_s": round(slowest, 2), "peak_mb": round(peak, 1), "examples": examples}
    return {"inputs": count, **figures, **more, "ok": ok}


def soak(count: int, rng: random.Random, folder: Path, minutes: float = 10.0) -> dict[str, Any]:
    """The demo, played again and again as if it were a camera, with the shipped networks."""
    import rtface
    from tests.reliability.inputs import held

    began, last, frames = time.monotonic(), 0.0, 0
    seen: list[tuple[int, int]] = []
    resident: list[float] = []
    with rtface.live("demo", options=rtface.Options(loop=True), outputs=[folder / "soak.jsonl"]) as stream:
        for _ in stream:
            frames, now = frames + 1, time.monotonic() - began
            if now - last >= 5.0:
                last = now
                resident.append(machine.resident_mb() or 0.0)
                seen.append(held())
            if now >= 60.0 * minutes:
                break
    fifth = max(1, len(seen) // 5)
    settled = resident[fifth:] or [0.0]
    grown = settled[-1] - settled[0]
    # The most of the first fifth and of the last: while a clip begins again, its old reader may still be closing.
    threads, descriptors = (max(s[at] for s in seen[-fifth:]) - max(s[at] for s in seen[:fifth]) for at in (0, 1))
    figures = {"minutes": minutes, "frames": frames, "resident_mb": round(settled[-1], 1), "grown_mb": round(grown, 1)}
    figures |= {"threads_more": threads, "descriptors_more": descriptors}
    return {**figures, "ok": frames > 0 and grown < 20.0 and threads <= 0 and descriptors <= 0}


def losses(count: int, rng: random.Random, folder: Path) -> dict[str, Any]:
    """A camera that is lost again and again."""
    from tests.reliability.inputs import lose_often

    return lose_often(count, rng)


def visitors(count: int, rng: random.Random, folder: Path) -> dict[str, Any]:
    """Many people, one after the other."""
    from tests.reliability.inputs import crowd

    return crowd(count)


def servers(count: int, rng: random.Random, folder: Path) -> dict[str, Any]:
    """Web servers that misbehave."""
    from tests.reliability.inputs import SERVERS, ask_a_server

    ends: Counter[str] = Counter()
    slowest = 0.0
    for _ in range(count):
        for serve in SERVERS.values():
            end, seconds = ask_a_server(serve)
            ends[end] += 1
            slowest = max(slowest, seconds)
    return {**ends, "slowest_s": round(slowest, 1), "ok": set(ends) == {"refused"} and slowest < 60.0}


CASES: dict[str, tuple[Callable[..., dict[str, Any]], int]] = {
    "kills": (kills, 50),
    "signals": (signals, 30),
    "cuts": (cuts, 500),
    "videos": (videos, 2000),
    "pictures": (pictures, 5000),
    "files": (files, 2000),
    "losses": (losses, 1000),
    "visitors": (visitors, 2000),
    "servers": (servers, 1),
    "disk": (disk, 3),
    "soak": (soak, 1),
}


def _fresh(folder: Path, index: int) -> Path:
    path = folder / f"run{index}"
    path.mkdir()
    return path


def main() -> int:
    """Runs the cases; 1 where a figure is missed."""
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], sys.argv[3:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=CASES, action="append", help="a case; repeatable")
    parser.add_argument("--count", type=int, help="how many of each; default a few minutes' worth")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the soak is; default 10")
    parser.add_argument("--json", type=Path, help="append the JSON lines to this file")
    args = parser.parse_args()
    if args.json is not None:
        check_writable(args.json, overwrite=True)
    records = []
    for name in args.only or CASES:
        case, usual = CASES[name]
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            more = {"minutes": args.minutes} if case is soak else {}
            figures = case(args.count or usual, random.Random(args.seed), Path(folder), **more)
        print(f"{name:<8} {'ok' if figures['ok'] else 'MISSED'}  {time.monotonic() - began:5.0f} s  ", end="")
        print(
            ", ".join(f"{key} {value}" for key, value in figures.items() if key not in ("ok", "examples")), flush=True
        )
        records.append({"schema": SCHEMA, "case": name, "seed": args.seed, "machine": machine.facts(), **figures})
    lines = "".join(json.dumps(record) + "\n" for record in records)
    print(lines, end="")
    if args.json is not None:
        with args.json.open("a", encoding="utf-8") as file:
            file.write(lines)
    return 0 if all(record["ok"] for record in records) else 1


if __name__ == "__main__":
    sys.exit(main())
