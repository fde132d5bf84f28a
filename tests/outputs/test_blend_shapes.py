"""What 68 points say of a face, and what they do not."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.labels import BLENDSHAPES
from rtface.outputs.blend_shapes import MEASURED, SOLID, BlendShapes, mirrored
from rtface.outputs.face_features import FEATURES, face_features
from tests.outputs.made import a_face

# Points moved by mm; the owner's left is right in the picture, where the odd halves of iBUG's order lie.
SMILE = {48: (-5.0, -8.0), 60: (-5.0, -8.0), 54: (5.0, -8.0), 64: (5.0, -8.0)}
FROWN = {48: (0.0, 7.0), 60: (0.0, 7.0), 54: (0.0, 7.0), 64: (0.0, 7.0)}
OPEN = dict.fromkeys((61, 62, 63), (0.0, -4.0)) | dict.fromkeys((55, 56, 57, 58, 59, 65, 66, 67), (0.0, 14.0))
LEFT_BLINK = {43: (0.0, 4.2), 44: (0.0, 4.2), 46: (0.0, -3.0), 47: (0.0, -3.0)}
BROWS_UP = dict.fromkeys(range(17, 27), (0.0, -6.0))
BROWS_DOWN = dict.fromkeys(range(17, 27), (0.0, 5.0))
NARROW = {48: (8.0, 0.0), 60: (8.0, 0.0), 54: (-8.0, 0.0), 64: (-8.0, 0.0)}


def shapes_of(moved: dict[int, tuple[float, float]], pose: tuple[float, float, float] = (0, 0, 0)) -> dict[str, float]:
    """Of a face that was at rest for a while."""
    shapes = BlendShapes()
    for step in range(150):
        shapes.of(a_face(), step * 0.1)
    return dict(shapes.of(a_face(moved=moved, pose=pose), 15.05))


def test_there_are_arkits_52() -> None:
    assert len(BLENDSHAPES) == len(set(BLENDSHAPES)) == 52
    assert set(MEASURED) < set(BLENDSHAPES) and set(MEASURED) > SOLID
    shapes = shapes_of(SMILE | OPEN)
    assert tuple(shapes) == BLENDSHAPES
    assert all(0.0 <= value <= 1.0 for value in shapes.values())
    for name in ("eyeLookInLeft", "cheekPuff", "tongueOut", "noseSneerLeft", "jawForward", "mouthDimpleLeft"):
        assert shapes[name] == 0.0


def test_a_face_at_rest_shows_nothing() -> None:
    assert max(shapes_of({}).values()) < 0.1


@pytest.mark.parametrize(
    ("moved", "high", "low"),
    [
        (SMILE, ("mouthSmileLeft", "mouthSmileRight"), ("mouthFrownLeft", "jawOpen", "eyeBlinkLeft")),
        (FROWN, ("mouthFrownLeft", "mouthFrownRight"), ("mouthSmileLeft", "jawOpen")),
        (OPEN, ("jawOpen",), ("mouthSmileLeft", "mouthFrownLeft")),
        (LEFT_BLINK, ("eyeBlinkLeft",), ("eyeBlinkRight", "mouthSmileLeft")),
        (BROWS_UP, ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"), ("browDownLeft",)),
        (BROWS_DOWN, ("browDownLeft", "browDownRight"), ("browInnerUp", "browOuterUpLeft")),
        (NARROW, ("mouthPucker",), ("mouthFunnel", "mouthSmileLeft")),
    ],
)
def test_a_movement_shows_in_its_shapes_and_in_no_others(
    moved: dict[int, tuple[float, float]], high: tuple[str, ...], low: tuple[str, ...]
) -> None:
    shapes = shapes_of(moved)
    assert min(shapes[name] for name in high) > 0.5, shapes
    assert max(shapes[name] for name in low) < 0.15, shapes


@pytest.mark.parametrize("pose", [(25.0, 0.0, 0.0), (-25.0, 10.0, 0.0), (0.0, -20.0, 15.0)])
def test_a_turn_of_the_head_is_no_expression(pose: tuple[float, float, float]) -> None:
    straight = face_features(a_face())
    turned = face_features(a_face(pose=pose))
    assert turned == pytest.approx(straight, abs=0.01)
    assert shapes_of(OPEN, pose)["jawOpen"] == pytest.approx(shapes_of(OPEN)["jawOpen"], abs=0.1)


def test_each_track_has_a_neutral_face_of_its_own() -> None:
    high_brows = dict.fromkeys(range(17, 27), (0.0, -4.0))
    shapes = BlendShapes()
    assert shapes.of(a_face(track_id=1, moved=high_brows), 0.0)["browInnerUp"] > 0.2  # a stranger's brows seem lifted
    for step in range(1, 300):
        shapes.of(a_face(track_id=1, moved=high_brows), step * 0.1)
    assert shapes.of(a_face(track_id=1, moved=high_brows), 30.0)["browInnerUp"] < 0.05
    assert shapes.of(a_face(track_id=2, moved=high_brows), 30.0)["browInnerUp"] > 0.2


def test_what_cannot_be_trusted_leaves_the_last_values() -> None:
    shapes = BlendShapes()
    before = shapes.of(a_face(moved=OPEN), 0.0)
    assert before["jawOpen"] > 0.5
    assert shapes.of(a_face(pose=(60.0, 0.0, 0.0)), 0.1) == before
    assert shapes.of(a_face(quality=0.1), 0.2) == before
    assert shapes.of(a_face(predicted=True), 0.3) == before
    assert shapes.of(a_face(landmarks=None), 0.4) == before


def test_a_mirror_exchanges_the_sides() -> None:
    shapes = shapes_of(LEFT_BLINK)
    other = mirrored(shapes)
    assert (other["eyeBlinkRight"], other["eyeBlinkLeft"]) == (shapes["eyeBlinkLeft"], shapes["eyeBlinkRight"])
    assert other["jawOpen"] == shapes["jawOpen"] and mirrored(other) == shapes


def test_points_that_are_no_face_are_not_a_number() -> None:
    face = a_face()
    object.__setattr__(face.landmarks, "points", np.full((68, 2), np.nan, np.float32))
    assert len(face_features(face)) == len(FEATURES) and np.isnan(face_features(face)).all()
