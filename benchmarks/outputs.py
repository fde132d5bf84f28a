"""What outputs to receivers that are dead or stuck cost a live run: CPU time and age, beside runs without them.

    python benchmarks/outputs.py --rounds 5

Each round runs the demo clip as a camera (25 frames a second) with no output, with each one to a port where nobody
listens, with each one to a receiver that accepts and then says nothing, and with all at once, one after the other in an
order drawn anew. A machine that has other work makes these figures worthless; what an output itself costs can be told
all the same: ``--alone`` hands each one made-up results of one face, one after the other, and counts the CPU time.
Prints a table of the medians over rounds of differences and ratios within a round, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import statistics
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.analyzer.analyzer import Analyzer
from rtface.options import Options
from rtface.stream import Stream
from rtface.system.machine import facts

#: Address with {port}; whether it is UDP.
OUTPUTS = {
    "opentrack": ("opentrack://127.0.0.1:{port}", True),
    "openseeface": ("openseeface://127.0.0.1:{port}", True),
    "osc": ("osc://127.0.0.1:{port}?blend=1&landmarks=1", True),
    "vmc": ("vmc://127.0.0.1:{port}?clips=vrm0,arkit", True),
    "mqtt": ("mqtt://127.0.0.1:{port}/bench?what=state,events,results", False),
    "webhook": ("http://127.0.0.1:{port}/?what=events&spool={folder}", False),
    "vts": ("vts://127.0.0.1:{port}", False),
}


class Stuck:
    """Ports that take what comes and never answer or read."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def port(self, udp: bool) -> int:
        kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
        one = self._stack.enter_context(socket.socket(socket.AF_INET, kind))
        one.bind(("127.0.0.1", 0))
        if not udp:
            one.listen(16)
            threading.Thread(target=self._accept, args=(one,), daemon=True).start()
        found: int = one.getsockname()[1]
        return found

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            self._stack.enter_context(accepted)

    def close(self) -> None:
        self._stack.close()


def dead_port(udp: bool) -> int:
    """A port where nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as one:
        one.bind(("127.0.0.1", 0))
        found: int = one.getsockname()[1]
        return found


class Cost(NamedTuple):
    """Of one run: CPU ms a frame of the whole process, and the 95th percentile of age in ms."""

    cpu_ms: float
    age_p95_ms: float


def run(analyzer: Analyzer, outputs: list[str], frames: int) -> Cost:
    """One run of the demo clip as a camera."""
    before = time.process_time()
    stream = Stream("demo", live=True, analyzer=analyzer, options=analyzer.options, outputs=outputs, max_frames=frames)
    with stream:
        for _ in stream:
            pass
        spent = time.process_time() - before
        summary = stream.summary
    return Cost(1000.0 * spent / summary["frames"], float(summary["age_ms"]["p95"]))


def cases(folder: Path, stuck: Stuck) -> dict[str, list[str]]:
    """Name → outputs."""
    made: dict[str, list[str]] = {"none": []}
    for state in ("dead", "stuck"):
        for name, (address, udp) in OUTPUTS.items():
            port = stuck.port(udp) if state == "stuck" else dead_port(udp)
            made[f"{name}, {state}"] = [address.format(port=port, folder=folder / f"{name}-{state}")]
    made["all at once"] = [output for name, one in made.items() if name.endswith("stuck") for output in one]
    return made


def alone(frames: int) -> None:
    """CPU ms a frame of each output with a receiver that never reads, all its threads together."""
    from rtface.outputs.open import choose
    from rtface.outputs.sink import RunInfo

    with tempfile.TemporaryDirectory() as folder, Analyzer(Options(tasks=("landmarks", "emotion", "pose"))) as one:
        with Stream("demo", live=False, analyzer=one, options=one.options, max_frames=frames) as stream:
            results = list(stream)
        stuck = Stuck()
        info = RunInfo("demo", True, False, 25.0, None, {"version": "0"})
        rows = {}
        for name, (address, udp) in OUTPUTS.items():
            (sink,) = choose([address.format(port=stuck.port(udp), folder=folder)], source="demo")
            with sink:
                sink.open(info)
                time.sleep(0.1)
                before = time.process_time()
                for result in results:
                    sink.write(result)
                    time.sleep(0.005)  # its thread takes each one
                rows[name] = round(1000.0 * (time.process_time() - before) / len(results), 3)
            print(f"{name:<14}{rows[name]:>8.3f} ms CPU a frame")
        stuck.close()
    print(json.dumps({"frames": frames, "machine": facts(), "alone_cpu_ms": rows}))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=75)
    parser.add_argument("--tasks", default="landmarks,emotion,pose")
    parser.add_argument("--alone", action="store_true", help="each output by itself, without networks")
    given = parser.parse_args()
    if given.alone:
        alone(given.frames)
        return
    rounds: list[dict[str, Cost]] = []
    chance = random.Random(0)
    stuck = Stuck()
    with (
        tempfile.TemporaryDirectory() as folder,
        Analyzer(Options(tasks=tuple(given.tasks.split(",")), threads=1)) as one,
    ):
        made = cases(Path(folder), stuck)
        run(one, [], 25)
        for number in range(given.rounds):
            names = list(made)
            chance.shuffle(names)
            rounds.append({name: run(one, made[name], given.frames) for name in names})
            print(f"round {number + 1} of {given.rounds}", flush=True)
    stuck.close()
    _report(rounds, given)


def _report(rounds: list[dict[str, Cost]], given: argparse.Namespace) -> None:
    plain = [each["none"] for each in rounds]
    print(f"\n{'outputs':<22}{'CPU':>9}{'age p95':>12}")
    rows: dict[str, Any] = {}
    for name in rounds[0]:
        pairs = [(each[name], before) for each, before in zip(rounds, plain, strict=True)]
        cpu = statistics.median(cost.cpu_ms / before.cpu_ms for cost, before in pairs) - 1.0
        age = statistics.median(cost.age_p95_ms - before.age_p95_ms for cost, before in pairs)
        rows[name] = {"cpu_share": round(cpu, 4), "age_p95_ms": round(age, 2)}
        print(f"{name:<22}{cpu:>+9.1%}{age:>+9.2f} ms")
    none = {
        "cpu_ms": round(statistics.median(cost.cpu_ms for cost in plain), 2),
        "age_p95_ms": round(statistics.median(cost.age_p95_ms for cost in plain), 2),
    }
    print(f"\nwithout outputs: {none['cpu_ms']:.1f} ms CPU a frame, age p95 {none['age_p95_ms']:.1f} ms")
    print(json.dumps({**vars(given), "machine": facts(), "none": none, "rows": rows}))


if __name__ == "__main__":
    main()
