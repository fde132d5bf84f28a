"""Forked children, threads, engines and sources that misbehave: what runs does it right or says in one line why not."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtface.analyzer import Analyzer
from rtface.errors import EngineError, RtfaceError
from rtface.outputs.sink import RunInfo, Sink
from rtface.stream import Stream
from rtface.testing import FakeCamera, FakeDetector, FakeEngine, Painted
from rtface.types import FrameResult

ROOT = Path(__file__).parents[2]
FACE = Painted(320, 240)

FORKED = """
import atexit, os, signal, sys
import numpy as np
import rtface
picture = np.zeros((200, 200, 3), np.uint8)
analyzer = rtface.Analyzer(rtface.Options(threads=2))
analyzer.image(picture)
analyzer._lock.acquire()  # as another thread may hold it at the fork
rtface.analyze(picture)
stream = rtface.live("demo", tasks="pose").__enter__()
next(stream)
if (child := os.fork()) == 0:
    signal.alarm(100)  # whatever waits for ever ends as -SIGALRM
    for use in (lambda: analyzer.image(picture), lambda: next(stream)):
        try:
            use()
        except rtface.RtfaceError as error:
            print(error, flush=True)
    analyzer.close()
    stream.__exit__(None, None, None)
    print("analyze", len(rtface.analyze(picture)), flush=True)
    print("run", rtface.run("demo", max_frames=2, tasks="pose")["frames"], flush=True)
    atexit.register(print, "atexit", flush=True)
    if sys.argv[1] == "os._exit":
        os._exit(7)
    sys.exit(7)  # in which ONNX Runtime 1.32 by itself waits for ever
print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
analyzer._lock.release()
print("parent", len(analyzer.image(picture)), len(next(stream)), flush=True)
stream.__exit__(None, None, None)
analyzer.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("way", ["sys.exit", "os._exit"])
def test_a_forked_child_opens_its_own_and_ends(way: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FORKED, way]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, check=False)
    assert done.stdout.splitlines() == [
        "Analyzer: it was opened before this process was forked. "
        "Open an Analyzer in the child process, or start it with spawn",
        "stream: it was opened before this process was forked. "
        "Open a stream in the child process, or start it with spawn",
        "analyze 0",
        "run 2",
        *(["atexit"] if way == "sys.exit" else []),
        "ended 7",
        "parent 0 1",
    ], done.stderr


def rig(engine: Any, detector: Any = None) -> Analyzer:
    return Analyzer(detector=detector or FakeDetector([FACE]), engine=engine)


class Bad(FakeEngine):
    """Answers with NaN, raises, or gives arrays of other shapes."""

    def __init__(self, how: Any) -> None:
        super().__init__()
        self.how = how

    def run(self, batch: np.ndarray, names: Any) -> dict[str, np.ndarray]:
        answers = super().run(batch, names)
        if isinstance(self.how, BaseException):
            raise self.how
        return {name: self.how(value) for name, value in answers.items()}


def nan(values: np.ndarray) -> np.ndarray:
    return np.full_like(values, np.nan) if values.dtype.kind == "f" else values


def test_an_engine_that_answers_nan_gives_no_face_with_nan() -> None:
    """A face with a number that is none would spoil every output, window and average behind it."""
    with rig(Bad(nan)) as analyzer, Stream(FakeCamera([FACE], frames=20), live=False, analyzer=analyzer) as stream:
        results = list(stream)
    with rig(Bad(nan)) as analyzer:
        results.append(analyzer.image(FakeCamera([FACE]).read().image))  # type: ignore[union-attr]
    assert len(results) == 21
    for result in results:
        for face in result:
            assert np.isfinite(face.box_xyxy).all() and np.isfinite(face.score)
            assert face.landmarks is None or np.isfinite(face.landmarks.points).all()
            assert face.pose is None or np.isfinite((face.pose.yaw, face.pose.pitch, face.pose.roll)).all()
            assert face.emotion is None or np.isfinite(face.emotion.probabilities).all()


@pytest.mark.parametrize(
    "how", [RuntimeError("broken\ndriver"), EngineError("gpu", "fell off", "Look"), MemoryError(), KeyError("pose")]
)
def test_an_engine_that_raises_ends_the_run_with_whole_outputs(tmp_path: Path, how: Exception) -> None:
    lines = tmp_path / "a.jsonl"
    engine = FakeEngine()
    with rig(engine) as analyzer:
        stream = Stream(FakeCamera([FACE], frames=30), live=False, analyzer=analyzer, outputs=[lines])
        with pytest.raises(type(how)), stream:
            for at, _ in enumerate(stream):
                if at == 4:
                    engine.run = Bad(how).run  # type: ignore[method-assign]
    rows = lines.read_text().splitlines()
    assert len(rows) == 7 and '"kind":"summary"' in rows[-1].replace(" ", "") and '"error"' in rows[-1]


def test_an_engine_that_blocks_does_not_stop_another_thread_from_ending_the_run() -> None:
    held, go = threading.Event(), threading.Event()

    class Blocked(FakeEngine):
        def run(self, batch: np.ndarray, names: Any) -> dict[str, np.ndarray]:
            held.set()
            assert go.wait(60)
            return super().run(batch, names)

    with rig(Blocked()) as analyzer, Stream(FakeCamera([FACE]), live=True, analyzer=analyzer) as stream:
        seen: list[FrameResult] = []
        thread = threading.Thread(target=lambda: seen.extend(stream))
        thread.start()
        assert held.wait(60)
        stream.stop()  # returns at once
        go.set()
        thread.join(60)
        assert not thread.is_alive() and len(seen) <= 1


class Sunk(Sink):
    """Raises at a step."""

    name = "sunk"

    def __init__(self, step: str, own_thread: bool) -> None:
        self.step, self.own_thread = step, own_thread

    def _at(self, step: str) -> None:
        if step == self.step:
            raise ValueError(f"no\n{step}")

    def open(self, info: RunInfo) -> None:
        self._at("open")

    def write(self, result: FrameResult) -> None:
        self._at("write")

    def finish(self, summary: dict[str, Any]) -> None:
        self._at("finish")

    def close(self) -> None:
        self._at("close")


@pytest.mark.parametrize("own_thread", [True, False])
@pytest.mark.parametrize("step", ["open", "write", "finish", "close"])
def test_a_sink_that_raises_is_one_error_and_the_others_are_whole(tmp_path: Path, step: str, own_thread: bool) -> None:
    lines = tmp_path / "a.jsonl"
    with rig(FakeEngine()) as analyzer:
        sink = Sunk(step, own_thread)
        stream = Stream(FakeCamera([FACE], frames=9), live=False, analyzer=analyzer, outputs=[lines, sink])
        with pytest.raises(RtfaceError, match=f"sunk: failed with ValueError: no {step}") as caught, stream:
            list(stream)
    assert "\n" not in str(caught.value)
    if step != "open":
        assert '"kind":"summary"' in lines.read_text().splitlines()[-1].replace(" ", "")


def test_two_streams_in_two_threads_do_not_mix() -> None:
    faces = {"left": Painted(150, 200), "right": Painted(450, 260)}
    found: dict[str, list[float]] = {}

    def follow(name: str) -> None:
        detector = FakeDetector([faces[name]])
        with (
            rig(FakeEngine(), detector) as analyzer,
            Stream(FakeCamera([faces[name]], frames=40), live=False, analyzer=analyzer) as stream,
        ):
            found[name] = [float(face.points5[2, 0]) for result in stream for face in result]

    threads = [threading.Thread(target=follow, args=(name,)) for name in faces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for name, face in faces.items():
        assert len(found[name]) == 40 and found[name] == pytest.approx([face.x] * 40, abs=2)
