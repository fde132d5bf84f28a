"""`Options.enhance` in the pipeline: off by default, small faces only, timed, and left out when there is no time."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from rtface.analyzer import Analyzer
from rtface.options import Options
from tests.fakes import FakeClock, FakeDetector, FakeEngine, Painted, paint

SMALL, OTHER, LARGE = Painted(200, 180, 3), Painted(60, 60, 2.8), Painted(450, 250, 30)


class FakeEnhancer:
    """Enlarges four times and takes `costs` seconds of the clock."""

    outputs = ("enhanced",)

    def __init__(self, clock: FakeClock, costs: float = 0.0) -> None:
        self.clock, self.costs = clock, costs
        self.batches: list[int] = []
        self.closed = False

    def run(self, batch: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        self.clock.time += self.costs
        self.batches.append(len(batch))
        return {names[0]: np.stack([cv2.resize(one, None, fx=4, fy=4) for one in batch]).astype(np.float32)}

    def describe(self) -> dict[str, str | int]:
        return {"engine": "fake"}

    def close(self) -> None:
        self.closed = True


class Rig:
    def __init__(self, *faces: Painted, costs: float = 0.0, **options: object) -> None:
        self.clock = FakeClock()
        self.enhancer = FakeEnhancer(self.clock, costs)
        self.image = paint(faces)
        self.analyzer = Analyzer(
            Options(**{"still_looks": 1, "still_passes": 1, **options}),  # type: ignore[arg-type]
            detector=FakeDetector(faces),
            engine=FakeEngine(),
            enhancer=self.enhancer,
            clock=self.clock,
        )


def test_it_is_off_unless_asked_for() -> None:
    assert not Options().enhance
    plain = Analyzer(Options(), detector=FakeDetector(), engine=FakeEngine())
    assert plain.enhancer is None
    plain.close()


def test_all_small_faces_of_a_still_go_in_one_call_and_stay_where_they_are() -> None:
    rig = Rig(SMALL, LARGE, OTHER, costs=0.004)
    result = rig.analyzer.image(rig.image)
    assert rig.enhancer.batches == [2]
    assert result.timing.enhance_ms == pytest.approx(4.0) and result.timing.total_ms == pytest.approx(4.0)
    for face, truth in zip(result.faces, (SMALL, LARGE, OTHER), strict=True):
        assert face.points5 == pytest.approx(truth.points5, abs=0.5)
    rig.analyzer.close()
    assert rig.enhancer.closed


def test_large_faces_cost_nothing() -> None:
    rig = Rig(LARGE, costs=0.004)
    assert rig.analyzer.image(rig.image).timing.enhance_ms == 0
    assert rig.enhancer.batches == []


def test_a_stream_leaves_it_out_when_time_is_short() -> None:
    rig = Rig(SMALL, costs=0.020)

    def frame(at: float, deadline: float | None) -> dict[str, str]:
        rig.clock.time = at
        due = None if deadline is None else at + deadline
        return rig.analyzer.video(rig.image, at=at, deadline=due).skipped

    assert frame(100.0, None) == {}  # learns what it costs
    skipped = frame(100.04, 0.010)
    assert list(skipped) == ["enhance"] and "needs 20.0 ms, 10.0 ms left" in skipped["enhance"]
    assert frame(100.08, 0.050) == {}
    assert rig.enhancer.batches == [1, 1]
