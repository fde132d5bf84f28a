"""Cameras on a simulated box of two cores: what the turns, the gathering and the ladder make of it, in simulated time.

Costs are those measured on two cores (2.2 ms for one face or two, 5.9 ms for one detection or two, 0.9 ms of Python a
frame), so that these tests say the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import rtface
from rtface.analyzer.together import StreamFrame
from rtface.budget import turns
from rtface.budget.turns import Waiting, whose_turn, worth_waiting_s
from rtface.testing import FakeClock, FakeDetector, FakeEngine, Painted, paint

FACES = [Painted(320, 240, 40)]
PICTURE = paint(FACES)


class TimedEngine(FakeEngine):
    """Two lanes; every crop is the same face, looked at once."""

    def __init__(self, clock: FakeClock, slower: float) -> None:
        super().__init__()
        self._clock, self._slower = clock, slower
        self._seen: dict[str, Any] = {}

    def run(self, batch: Any, names: Sequence[str]) -> dict[str, Any]:
        if not self._seen:
            self._seen = super().run(batch[:1], self.outputs)
        self.batches.append(len(batch))
        share = 1.0 if "parsing" in names else 0.5
        self._clock.time += self._slower * share * 0.0022 * math.ceil(len(batch) / 2)
        return {name: np.repeat(self._seen[name], len(batch), axis=0) for name in names}


class TimedDetector(FakeDetector):
    def __init__(self, clock: FakeClock, slower: float) -> None:
        super().__init__(FACES)
        self._clock, self._slower = clock, slower

    def detect(self, image: Any, *, still: bool = False) -> Any:
        self._clock.time += self._slower * 0.0059
        return super().detect(image)

    def detect_batch(self, images: Sequence[Any]) -> list[Any]:
        self._clock.time += self._slower * 0.0059 * math.ceil(len(images) / 2)
        return [super(TimedDetector, self).detect(image) for image in images]


class Box:
    """`count` cameras at 30 fps for `seconds`, as `Cameras` runs them."""

    def __init__(self, count: int, budget_s: float, seconds: float, slower: float = 1.0) -> None:
        self.clock = clock = FakeClock()
        self.engine = TimedEngine(clock, slower)
        options = rtface.Options(budget_ms=1e3 * budget_s)
        networks: Any = {"detector": TimedDetector(clock, slower), "engine": self.engine, "clock": clock}
        with rtface.Analyzer(options, **networks) as analyzer:
            self.together = analyzer.together()
            self._streams = [self.together.stream(options) for _ in range(count)]
            self._budget_s, self._slower, self._wanted = budget_s, slower, options.tasks
            self._due = [clock.time + one for one in np.random.default_rng(7).uniform(0, 1 / 30, count)]
            self._newest: list[float | None] = [None] * count
            self._served, self.longest_s = [clock.time] * count, 0.0
            self.ages_ms: list[float] = []
            self.late = self.without_landmarks = 0
            began = clock.time
            while clock.time - began < seconds:
                self._step(counts=clock.time - began > 1.0)

    def _step(self, *, counts: bool) -> None:
        clock = self.clock
        for row, due in enumerate(self._due):
            while due <= clock.time:
                self._newest[row], due = due, due + 1 / 30
            self._due[row] = due
        there = [(row, at) for row, at in enumerate(self._newest) if at is not None]
        waiting = [
            Waiting(at + self._budget_s, self._streams[row].usual_s, self._served[row], 0, at) for row, at in there
        ]
        others = [self._due[row] for row, at in enumerate(self._newest) if at is None]
        if not there:
            clock.time = min(self._due)
        elif (wait_s := worth_waiting_s(waiting, others, clock.time)) > 0.0:
            clock.time += wait_s
        else:
            self._analyse([there[row] for row in whose_turn(waiting, clock.time)], counts)

    def _analyse(self, turn: Sequence[tuple[int, float]], counts: bool) -> None:
        frames = []
        for row, at in turn:
            self.longest_s = max(self.longest_s, self.clock.time - self._served[row])
            self._served[row], self._newest[row] = self.clock.time, None
            frame = rtface.Frame(PICTURE, captured_at=at)
            frames.append(StreamFrame(self._streams[row], frame, at, at + self._budget_s, self._wanted))
        for one, result in self.together.process(frames):
            assert isinstance(result, rtface.FrameResult)
            self.clock.time += self._slower * 0.0009
            if counts:
                assert one.deadline is not None
                self.ages_ms.append(1e3 * (self.clock.time - one.at))
                self.late += self.clock.time > one.deadline
                self.without_landmarks += not result.faces or result.faces[0].landmarks is None


def test_four_cameras_are_at_full_level_and_in_time() -> None:
    box = Box(4, 0.033, 4.0)
    assert box.together.level == 0 and box.late == 0
    assert float(np.percentile(box.ages_ms, 95)) < 27.0


def test_eight_cameras_have_landmarks_for_everybody() -> None:
    box = Box(8, 0.066, 3.0)
    assert box.without_landmarks == 0 and box.together.moves == 0
    assert float(np.percentile(box.ages_ms, 95)) < 40.0


def test_frames_that_wait_for_each_other_take_fewer_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    gathered = Box(4, 0.066, 2.0)
    monkeypatch.setattr(turns, "GATHER_S", 0.0)
    at_once = Box(4, 0.066, 2.0)
    assert len(gathered.engine.batches) < 0.85 * len(at_once.engine.batches)
    assert gathered.late == at_once.late == 0


def test_on_a_box_that_is_four_times_too_slow_nobody_starves() -> None:
    box = Box(8, 0.066, 4.0, slower=4.0)
    assert box.longest_s < 0.5
    assert box.together.level > 0
    assert box.without_landmarks < 0.05 * len(box.ages_ms)
