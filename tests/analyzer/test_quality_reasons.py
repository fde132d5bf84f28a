"""Why a face is of low quality, in streams and stills: told of low ones alone, and no longer than it is true."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.analyzer import Analyzer, crops
from rtface.options import Options
from rtface.tasks.quality import LOW_QUALITY
from rtface.testing import FakeDetector, FakeEngine, Painted, paint
from rtface.types import Face

FACE = Painted(110, 120, 30)
IMAGE = paint([FACE])


class Judging(FakeEngine):
    """Its faces are as good as it is told, and look up, which a mirror leaves as it is."""

    quality = 0.8

    def run(self, batch: NDArray[np.uint8], names: Sequence[str]) -> dict[str, Any]:
        """As a FakeEngine, but for quality and pose."""
        answers = super().run(batch, names)
        changed = {
            "quality": np.full(len(batch), self.quality, np.float32),
            "pose": np.tile(np.array([0, 50, 0], np.float32), (len(batch), 1)),
        }
        return {name: changed.get(name, value) for name, value in answers.items()}


def opened(engine: Judging, **options: Any) -> Analyzer:
    return Analyzer(Options(tasks=("pose",), **options), detector=FakeDetector([FACE]), engine=engine)


def faces(analyzer: Analyzer, at: float) -> tuple[Face, ...]:
    return analyzer.video(IMAGE, at=at).faces


def test_a_stream_says_why_while_the_quality_is_low() -> None:
    engine = Judging()
    analyzer = opened(engine)
    for frame in range(6):
        found = faces(analyzer, frame / 25)
    assert [face.quality_reasons for face in found] == [()] and found[0].to_dict()["quality_reasons"] == []
    engine.quality = LOW_QUALITY - 0.05
    (low,) = faces(analyzer, 6 / 25)
    assert "turned" in low.quality_reasons
    assert low.to_dict(("pose",))["quality_reasons"] == list(low.quality_reasons)
    engine.quality = 0.8
    (good,) = faces(analyzer, 7 / 25)
    assert good.quality == pytest.approx(0.8) and good.quality_reasons == ()


def test_a_still_says_why_and_its_rows_too() -> None:
    engine = Judging()
    engine.quality = LOW_QUALITY - 0.05
    result = opened(engine, still_min_confidence=0.0).image(IMAGE)
    (face,) = result.faces
    assert "turned" in face.quality_reasons
    (row,) = result.to_rows()
    assert row["quality_reasons"] == " ".join(face.quality_reasons)


def test_a_face_of_good_quality_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> tuple[str, ...]:
        raise AssertionError("nothing is asked of a good face")

    monkeypatch.setattr(crops, "quality_reasons", never)
    analyzer = opened(Judging())
    assert all(face.quality_reasons == () for frame in range(4) for face in faces(analyzer, frame / 25))
    assert [face.quality_reasons for face in analyzer.image(IMAGE)] == [()]


def test_without_an_engine_nothing_is_known() -> None:
    (face,) = opened(Judging()).image(IMAGE, tasks=())
    assert face.quality is None and face.quality_reasons == ()
