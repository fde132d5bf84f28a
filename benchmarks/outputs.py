"""What outputs to receivers that are dead or stuck cost a live run: CPU time and age, beside runs without them.

    python benchmarks/outputs.py --rounds 4 --frames 50
    python benchmarks/outputs.py --rounds 12 --only osc,vmc       # some of them, and as often without

Each round runs the demo clip as a camera (25 frames a second) with no output, with each one to a port where nobody
listens, with each one to a receiver that accepts and then says and reads nothing, and with all of those at once, one
after the other in an order drawn anew, with another run without outputs after every fourth. Those that listen
themselves (ws, sse, ifacialmocap) have no client instead, or one that asks and never reads. Each kind is run once
before, so that no figure has the import of its library in it. Figures are over the frames of all rounds together: CPU
time a frame of the output's own threads, beside that of a run without outputs (5 % at most), and the 95th percentile of
age against that without (1 ms more at most, all at once 2 ms). The whole process' CPU time is told too, but of runs as
short as these it differs by more than outputs cost, as the row "none, again" and pairs that do the same show. A machine
that has other work makes ages worthless; what an output itself costs can be told all the same: ``--alone`` hands each
one made-up results of one face, one after the other, and counts the CPU time. ``--rate 60`` hands each of those that
send a packet a frame so many results a second and counts what arrives, and how evenly. Prints a table, then one JSON
line.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.analyzer.analyzer import Analyzer
from rtface.options import Options
from rtface.outputs.ifacialmocap import GREETING
from rtface.stream import Stream
from rtface.system.machine import facts
from rtface.types import FrameResult

#: More CPU time, and ms more of age, that one output may cost, and all at once.
CPU_SHARE, AGE_MS, ALL_AGE_MS = 0.05, 1.0, 2.0
#: Threads that a run without outputs has, and those of this benchmark.
OTHER_THREADS = ("MainThread", "rtface-capture", "bench")
#: After so many runs with outputs one without.
BETWEEN = 4


class Kind(NamedTuple):
    """An output: its address with {port} and {folder}, and who speaks first: a "udp" or "tcp" receiver waits for it, or
    it waits for a client that says `hello`."""

    address: str
    transport: str = "tcp"
    hello: bytes = b""


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
OUTPUTS = {
    "opentrack": Kind("opentrack://127.0.0.1:{port}", "udp"),
    "openseeface": Kind("openseeface://127.0.0.1:{port}", "udp"),
    "osc": Kind("osc://127.0.0.1:{port}?blend=1&landmarks=1", "udp"),
    "vmc": Kind("vmc://127.0.0.1:{port}?clips=vrm0,arkit", "udp"),
    "mqtt": Kind("mqtt://127.0.0.1:{port}/bench?what=state,events,results"),
    "webhook": Kind("http://127.0.0.1:{port}/?what=events&spool={folder}"),
    "vts": Kind("vts://127.0.0.1:{port}"),
    "ifacialmocap": Kind("ifacialmocap://127.0.0.1:{port}?reply=0", "udp", GREETING),
    "ws": Kind("ws://127.0.0.1:{port}", "tcp", UPGRADE),
    "sse": Kind("sse://127.0.0.1:{port}", "tcp", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
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
            threading.Thread(target=self._accept, args=(one,), name="bench", daemon=True).start()
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


@dataclass(frozen=True)
class Case:
    """Outputs of a run, and clients that ask at ports and never read."""

    outputs: tuple[str, ...] = ()
    clients: tuple[tuple[int, Kind], ...] = ()


@contextmanager
def asking(clients: tuple[tuple[int, Kind], ...]) -> Iterator[None]:
    """Clients that ask as soon as somebody listens, for the time of a with statement."""
    over = threading.Event()
    threads = [threading.Thread(target=_ask, args=(*client, over), name="bench", daemon=True) for client in clients]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        over.set()
        for one in threads:
            one.join()


def _ask(port: int, kind: Kind, over: threading.Event) -> None:
    if kind.transport == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            while not over.wait(0.5):
                with suppress(OSError):
                    one.sendto(kind.hello, ("127.0.0.1", port))
        return
    while not over.wait(0.1):
        with suppress(OSError), socket.socket() as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.connect(("127.0.0.1", port))
            one.sendall(kind.hello)
            over.wait()


@dataclass
class Cost:
    """Of runs: CPU seconds of the whole process and of the outputs' threads, and each frame's age in ms."""

    cpu_s: float = 0.0
    own_s: float = 0.0
    ages_ms: list[float] = field(default_factory=list)

    @property
    def cpu_ms(self) -> float:
        """A frame."""
        return 1000.0 * self.cpu_s / len(self.ages_ms)

    @property
    def own_ms(self) -> float:
        """A frame, of the outputs' threads."""
        return 1000.0 * self.own_s / len(self.ages_ms)

    @property
    def age_p95_ms(self) -> float:
        return float(np.percentile(self.ages_ms, 95))


def run(analyzer: Analyzer, case: Case, frames: int, cost: Cost) -> None:
    """One run of the demo clip as a camera."""
    settings: dict[str, Any] = {"analyzer": analyzer, "options": analyzer.options, "max_frames": frames}
    with asking(case.clients):
        before = time.process_time()
        with Stream("demo", live=True, outputs=case.outputs, **settings) as stream:
            ages = [result.timing.age_ms for result in stream]
            cost.cpu_s += time.process_time() - before
            cost.own_s += own_threads_s()
    cost.ages_ms += ages


def own_threads_s() -> float:
    """CPU seconds of the threads that outputs have: all of Python's that a run without outputs has not."""
    return sum(
        time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        for thread in threading.enumerate()
        if thread.ident is not None and not thread.name.startswith(OTHER_THREADS)
    )


def cases(folder: Path, stuck: Stuck, only: Sequence[str]) -> dict[str, Case]:
    """By name."""
    made: dict[str, Case] = {}
    for state in ("dead", "stuck"):
        for name, kind in ((name, kind) for name, kind in OUTPUTS.items() if name in only):
            udp = kind.transport == "udp"
            port = stuck.port(udp) if state == "stuck" and not kind.hello else dead_port(udp)
            address = kind.address.format(port=port, folder=folder / f"{name}-{state}")
            made[f"{name}, {state}"] = Case((address,), ((port, kind),) if kind.hello and state == "stuck" else ())
    every = [case for name, case in made.items() if name.endswith("stuck")]
    if len(only) == len(OUTPUTS):
        made["all at once"] = Case(
            tuple(one for case in every for one in case.outputs), tuple(one for case in every for one in case.clients)
        )
    made["none, again"] = Case()
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
        waiting_ms = _spent_ms(results, lambda _: None)
        rows = {}
        for name, kind in OUTPUTS.items():
            udp = kind.transport == "udp"
            port = dead_port(udp) if kind.hello else stuck.port(udp)
            (sink,) = choose([kind.address.format(port=port, folder=folder)], source="demo")
            with sink, asking(((port, kind),) if kind.hello else ()):
                sink.open(info)
                time.sleep(1.0 if kind.hello else 0.1)
                rows[name] = round(_spent_ms(results, sink.write) - waiting_ms, 3)
            print(f"{name:<14}{rows[name]:>8.3f} ms CPU a frame")
        stuck.close()
    print(json.dumps({"frames": frames, "machine": facts(), "alone_cpu_ms": rows}))


def rate(fps: float, seconds: float = 10.0) -> None:
    """Packets a second that arrive of results at `fps`, and the 95th percentile of the time between two."""
    from rtface.outputs.open import choose
    from rtface.outputs.sink import RunInfo

    info = RunInfo("demo", True, False, fps, None, {"version": "0"})
    rows: dict[str, dict[str, float]] = {}
    with (
        Analyzer(Options(tasks=("landmarks", "emotion", "pose"))) as one,
        Stream("demo", live=False, analyzer=one, options=one.options, max_frames=100) as stream,
    ):
        results = list(stream)
    for name, kind in OUTPUTS.items():
        if kind.transport != "udp":
            continue
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(0.5)
            port = dead_port(True) if kind.hello else receiver.getsockname()[1]
            (sink,) = choose([kind.address.format(port=port, folder="")], source="demo")
            arrived: list[float] = []
            hearing = threading.Thread(target=_hear, args=(receiver, arrived), daemon=True)
            with sink:
                sink.open(info)
                time.sleep(0.3)
                if kind.hello:
                    receiver.sendto(kind.hello, ("127.0.0.1", port))
                    time.sleep(0.3)
                hearing.start()
                began = time.monotonic()
                for index in range(int(seconds * fps)):
                    time.sleep(max(0.0, began + index / fps - time.monotonic()))
                    sink.write(_at(results[index % len(results)], index))
                time.sleep(0.1)
                count = len(arrived)
            hearing.join()
        gaps = np.diff(arrived[:count]) * 1e3
        a_second = (count - 1) / (arrived[count - 1] - arrived[0])
        rows[name] = {"a_second": round(a_second, 2), "gap_p95_ms": round(float(np.percentile(gaps, 95)), 1)}
        print(f"{name:<14}{count:>6} packets of {int(seconds * fps)}, {a_second:>6.2f} a second, ", end="")
        print(f"{rows[name]['gap_p95_ms']} ms between two (p95)")
    print(json.dumps({"rate": fps, "machine": facts(), "rows": rows}))


def _hear(receiver: socket.socket, arrived: list[float]) -> None:
    with suppress(OSError):  # nothing comes any more
        while True:
            receiver.recv(65536)
            arrived.append(time.monotonic())


def _at(result: FrameResult, index: int) -> FrameResult:
    return replace(result, frame=replace(result.frame, index=index, captured_at=time.monotonic()))


def _spent_ms(results: list[FrameResult], take: Callable[[FrameResult], None]) -> float:
    """CPU ms a result of the whole process."""
    before = time.process_time()
    for result in results:
        take(result)
        time.sleep(0.005)  # the output's thread takes each one
    return 1000.0 * (time.process_time() - before) / len(results)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--tasks", default="landmarks,emotion,pose")
    parser.add_argument("--only", default=",".join(OUTPUTS), help="some of them, with commas between")
    parser.add_argument("--rate", type=float, help="results a second for those that send a packet a frame")
    parser.add_argument("--alone", action="store_true", help="each output by itself, without networks")
    given = parser.parse_args()
    if given.rate:
        rate(given.rate)
        return
    if given.alone:
        alone(given.frames)
        return
    chance = random.Random(0)
    stuck = Stuck()
    began = facts()
    with (
        tempfile.TemporaryDirectory() as folder,
        Analyzer(Options(tasks=tuple(given.tasks.split(",")), threads=1)) as one,
    ):
        made = cases(Path(folder), stuck, given.only.split(","))
        none, costs = Cost(), {name: Cost() for name in made}
        for case in made.values():
            run(one, case, 10, Cost())
        for number in range(given.rounds):
            names = list(made)
            chance.shuffle(names)
            for place, name in enumerate(names):
                if place % BETWEEN == 0:
                    run(one, Case(), given.frames, none)
                run(one, made[name], given.frames, costs[name])
            print(f"round {number + 1} of {given.rounds}", file=sys.stderr, flush=True)
    stuck.close()
    _report(none, costs, {**vars(given), "machine": began})


def _report(none: Cost, costs: dict[str, Cost], given: dict[str, Any]) -> None:
    print(f"{'outputs':<22}{'own CPU':>9}{'process':>10}{'age p95':>12}")
    rows: dict[str, Any] = {}
    for name, cost in costs.items():
        own, cpu = cost.own_ms / none.cpu_ms, cost.cpu_ms / none.cpu_ms - 1.0
        age = cost.age_p95_ms - none.age_p95_ms
        rows[name] = {"own_share": round(own, 4), "process_share": round(cpu, 4), "age_p95_ms": round(age, 2)}
        limit_ms = ALL_AGE_MS if name == "all at once" else AGE_MS
        is_over = age > limit_ms or (own > CPU_SHARE and name != "all at once")
        print(f"{name:<22}{own:>+9.1%}{cpu:>+10.1%}{age:>+9.2f} ms{'  over' if is_over else ''}")
    print(f"\nwithout outputs: {none.cpu_ms:.2f} ms CPU a frame, age p95 {none.age_p95_ms:.2f} ms")
    plain = {"cpu_ms": round(none.cpu_ms, 3), "age_p95_ms": round(none.age_p95_ms, 2), "frames": len(none.ages_ms)}
    print(json.dumps({**given, "none": plain, "rows": rows}))


if __name__ == "__main__":
    main()
