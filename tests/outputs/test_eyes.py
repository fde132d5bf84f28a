"""Where eyes look within the head, of gaze and of expression."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.labels import BLENDSHAPES
from rtface.outputs.blend_shapes import BlendShapes, measured_of
from rtface.outputs.eyes import AHEAD, Eye, Eyes, eyes_of, look_shapes
from rtface.types import Expression, Gaze
from tests.outputs.made import a_face


def expression(**shapes: float) -> Expression:
    return Expression(np.array([shapes.get(name, 0.0) for name in BLENDSHAPES]), (1.0, 1.0), 0.0, 0.0)


@pytest.mark.parametrize(
    ("pose", "sight", "eye"),
    [
        ((0.0, 0.0, 0.0), (0.0, 0.0), (0.0, 0.0)),
        ((0.0, 0.0, 0.0), (15.0, 0.0), (-15.0, 0.0)),  # to the picture's right is the owner's left
        ((0.0, 0.0, 0.0), (0.0, 12.0), (0.0, 12.0)),
        ((20.0, 0.0, 0.0), (20.0, 0.0), (0.0, 0.0)),  # where the head points
        ((20.0, 0.0, 0.0), (0.0, 0.0), (20.0, 0.0)),
        ((0.0, 10.0, 0.0), (0.0, -5.0), (0.0, -15.0)),
        ((0.0, 0.0, 90.0), (10.0, 0.0), (0.0, 10.0)),  # lying on the left side, right in the picture is up
        (None, (5.0, 5.0), (-5.0, 5.0)),
        ((0.0, 0.0, 0.0), (90.0, 0.0), (-40.0, 0.0)),
    ],
)
def test_the_line_of_sight_beside_the_head(pose, sight, eye) -> None:
    found = eyes_of(a_face(pose=pose, gaze=Gaze(*sight, 0.5)))
    assert found is not None and found.left == found.right == pytest.approx(eye, abs=1e-3)


def test_of_an_expression_each_eye_has_its_own() -> None:
    found = eyes_of(a_face(expression=expression(eyeLookInLeft=0.5, eyeLookInRight=0.2, eyeLookUpLeft=0.1)))
    assert found is not None
    assert found.left == pytest.approx((15.0, 3.0)) and found.right == pytest.approx((-6.0, 0.0))
    shapes = look_shapes(found)
    assert {name: value for name, value in shapes.items() if value} == pytest.approx(
        {"eyeLookInLeft": 0.5, "eyeLookInRight": 0.2, "eyeLookUpLeft": 0.1}
    )


def test_nothing_is_known_of_68_points_or_of_a_line_of_sight_that_is_no_number() -> None:
    assert eyes_of(a_face()) is None and eyes_of(a_face(gaze=Gaze(float("nan"), 0.0, 0.0))) is None


def test_a_mirror_exchanges_eyes() -> None:
    eyes = Eyes(Eye(10.0, 5.0), Eye(-20.0, 1.0))
    assert eyes.mirrored() == Eyes(Eye(20.0, 1.0), Eye(-10.0, 5.0)) and eyes.scaled(0.0) == AHEAD


def test_blend_shapes_of_68_points_take_the_eyes_from_the_line_of_sight() -> None:
    face = a_face(gaze=Gaze(15.0, -6.0, 0.5))
    shapes = BlendShapes().of(face, 0.0)
    assert shapes["eyeLookOutLeft"] == shapes["eyeLookInRight"] == pytest.approx(0.5, abs=1e-3)
    assert shapes["eyeLookDownLeft"] == shapes["eyeLookDownRight"] == pytest.approx(0.2, abs=1e-3)
    assert shapes["eyeLookInLeft"] == shapes["eyeLookUpLeft"] == 0.0
    assert "eyeLookInLeft" in measured_of(face) and "eyeLookInLeft" not in measured_of(a_face())
    mirrored = BlendShapes(mirror=True).of(face, 0.0)
    assert mirrored["eyeLookOutRight"] == pytest.approx(0.5, abs=1e-3) and mirrored["eyeLookOutLeft"] == 0.0


def test_those_of_the_network_stay_as_they_are() -> None:
    face = a_face(gaze=Gaze(15.0, 0.0, 0.5), expression=expression(eyeLookInLeft=0.25, jawOpen=0.5))
    shapes = BlendShapes().of(face, 0.0)
    assert (shapes["eyeLookInLeft"], shapes["eyeLookOutLeft"], shapes["jawOpen"]) == (0.25, 0.0, 0.5)
