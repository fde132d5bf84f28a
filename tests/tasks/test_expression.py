"""Blend shapes and their plain numbers."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.labels import BLENDSHAPES
from rtface.tasks.expression import COMMON_REST, SHUT, at_rest_of, expressions, measured_against


def shapes(**values: float) -> np.ndarray:
    return np.float32([values.get(name, 0.0) for name in BLENDSHAPES])


def test_plain_numbers_of_a_still() -> None:
    rest, wink, laugh = expressions(
        np.stack(
            (
                shapes(eyeBlinkLeft=COMMON_REST[0], eyeBlinkRight=COMMON_REST[1]),
                shapes(eyeBlinkLeft=0.9, eyeBlinkRight=0.1),
                shapes(mouthSmileLeft=0.9, mouthSmileRight=0.9, jawOpen=0.4),
            )
        )
    )
    assert rest.eye_open == pytest.approx((1.0, 1.0), abs=1e-6) and rest.smile == 0.0 and rest.mouth_open == 0.0
    assert wink.eye_open == (0.0, 1.0)
    assert laugh.smile > 0.85 and laugh.mouth_open == pytest.approx(0.4)
    assert laugh.coefficients[BLENDSHAPES.index("jawOpen")] == pytest.approx(0.4)


def test_what_a_face_is_like_at_rest_is_taken_out() -> None:
    narrow = shapes(eyeBlinkLeft=0.3, eyeBlinkRight=0.35, mouthSmileLeft=0.4, mouthSmileRight=0.2)
    measured = measured_against(narrow, *at_rest_of(narrow))
    assert measured.eye_open == pytest.approx((1.0, 1.0), abs=1e-6) and measured.smile == pytest.approx(0.0, abs=1e-6)
    assert measured_against(shapes(eyeBlinkLeft=SHUT), 0.3, 0.3, 0.0).eye_open[0] == 0.0
