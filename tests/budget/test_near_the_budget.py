"""Simulated minutes of one face whose stages cost about what there is: few moves of the ladder, few frames lost."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest

from rtface.budget import FrameScheduler, ladder_levels
from rtface.labels import TASKS
from rtface.testing import FakeClock

FRAME_S, DETECT_EVERY_S = 1 / 30, 0.3
DETECT, LOOK, PARSE = 3.6, 2.0, 1.2  # ms, as measured on 2 quiet cores
MINUTES = 2
"""That count; a minute goes before, in which it is learned what is too much."""


class Run(NamedTuple):
    moves_per_minute: float
    looked: float  # share of the frames
    levels: set[int]


class Camera:
    """Frames, a detector and an engine that take a fake clock's time, with noise and a hiccup in fifty."""

    def __init__(self, scale: float, slow: float, seed: int, budget_ms: float = 8.0) -> None:
        self.scale, self.slow, self.random, self.budget = scale, slow, random.Random(seed), budget_ms / 1e3
        self.clock = FakeClock()
        self.clock.time = 0.0
        self.scheduler = FrameScheduler(self.clock, ladder_levels(TASKS))
        self.detected = -1.0

    def spend(self, ms: float) -> None:
        busy = self.slow if self.clock.time % 10 < 5 else 1.0  # something else runs, five seconds on and off
        hiccup = self.random.uniform(1.5, 4.0) if self.random.random() < 0.02 else 1.0
        self.clock.time += ms / 1e3 * self.scale * busy * hiccup * self.random.lognormvariate(0, 0.12)

    def frame(self, due: float) -> bool:
        """One frame; whether the face was looked at."""
        scheduler, looked = self.scheduler, False
        scheduler.begin(due + self.budget, due)
        rest = scheduler.frame_skip_reason()
        if rest is None:
            if due - self.detected >= DETECT_EVERY_S and scheduler.detector_skip_reason() is None:
                self.spend(DETECT)
                scheduler.budget.stop_stage("detect", stage="detect")
                self.detected = due
            since = scheduler.budget.last_stop
            plan = scheduler.schedule([1], [100.0], due, parsing=True)
            if plan.skip is None:
                looked = True
                self.spend(LOOK + PARSE * plan.parsed)
                scheduler.budget.stop_stage("engine")
                scheduler.record([1], plan.parsed, due, since)
        scheduler.keep([1])
        scheduler.finish(rested=rest is not None)
        return looked

    def run(self) -> Run:
        """Every frame that is not lost as the one before took too long."""
        a_minute = round(60 / FRAME_S)
        looked, levels, before = 0, set(), 0
        for index in range((1 + MINUTES) * a_minute):
            if index == a_minute:
                looked, levels, before = 0, set(), self.scheduler.ladder.moves
            due = index * FRAME_S
            if self.clock.time > due + FRAME_S:
                continue
            self.clock.time = max(self.clock.time, due)
            looked += self.frame(due)
            levels.add(self.scheduler.ladder.level)
        return Run((self.scheduler.ladder.moves - before) / MINUTES, looked / MINUTES / a_minute, levels)


@pytest.mark.parametrize("slow", [1.0, 1.6, 3.0])
@pytest.mark.parametrize("scale", [0.6, 0.9, 1.0, 1.2, 1.6])
def test_the_level_settles(scale: float, slow: float) -> None:
    runs = [Camera(scale, slow, seed).run() for seed in range(2)]
    assert max(run.moves_per_minute for run in runs) <= 6


@pytest.mark.parametrize("scale", [1.2, 1.6, 2.0])
def test_frames_that_do_not_hold_each_other_up_are_not_rested(scale: float) -> None:
    run = Camera(scale, 1.0, 1).run()
    assert run.looked > 0.85 and run.levels and max(run.levels) < len(ladder_levels(TASKS)) - 1
    assert max(run.levels) > 0  # it is not that nothing had to be given up


def test_frames_that_do_are() -> None:
    camera = Camera(12.0, 1.0, 1, budget_ms=33.0)  # 24 ms at least, of 33 between frames
    assert len(ladder_levels(TASKS)) - 1 in camera.run().levels
