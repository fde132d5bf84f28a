"""Where eyes look within the head, for avatars whose eyes can turn: by the line of sight of the task gaze where it was
asked for, else by the eyeLook blend shapes of the task expression; 68 points do not show it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from rtface.geometry.face_model import rotation_matrix
from rtface.labels import BLENDSHAPES
from rtface.types import Expression, Face

#: A blend shape of 1 is an eye turned by so much, which is about as far as eyes turn before the head does.
RANGE_DEG = 30.0
#: What a line of sight beyond this would ask of an eye is a fault of the measurement.
MOST_DEG = 40.0


class Eye(NamedTuple):
    """An eye as its owner has it, degrees from straight ahead: ``yaw`` + to the owner's right, ``pitch`` + up."""

    yaw: float
    pitch: float


class Eyes(NamedTuple):
    """Both eyes; left and right are the subject's."""

    left: Eye
    right: Eye

    def mirrored(self) -> Eyes:
        """As in a mirror: left and right exchanged."""
        return Eyes(*(one._replace(yaw=-one.yaw) for one in (self.right, self.left)))

    def scaled(self, share: float) -> Eyes:
        """Turned by a share of this."""
        return Eyes(*(Eye(one.yaw * share, one.pitch * share) for one in self))


AHEAD = Eyes(Eye(0.0, 0.0), Eye(0.0, 0.0))


def eyes_of(face: Face) -> Eyes | None:
    """Where a face's eyes look; None where nothing is known of them."""
    if face.gaze is not None:
        return _of_sight(face)
    return None if face.expression is None else _of_expression(face.expression)


def look_shapes(eyes: Eyes) -> dict[str, float]:
    """ARKit's eight eyeLook blend shapes, 0..1."""
    left, right = eyes
    turned = {
        "eyeLookInLeft": left.yaw,
        "eyeLookOutLeft": -left.yaw,
        "eyeLookInRight": -right.yaw,
        "eyeLookOutRight": right.yaw,
        "eyeLookUpLeft": left.pitch,
        "eyeLookDownLeft": -left.pitch,
        "eyeLookUpRight": right.pitch,
        "eyeLookDownRight": -right.pitch,
    }
    return {name: min(max(degrees / RANGE_DEG, 0.0), 1.0) for name, degrees in turned.items()}


def _of_sight(face: Face) -> Eyes | None:
    """The line of sight beside where the head points; both eyes alike, as it is one line."""
    gaze, pose = face.gaze, face.pose
    assert gaze is not None
    if not math.isfinite(gaze.yaw) or not math.isfinite(gaze.pitch):
        return None
    angles = (pose.yaw, pose.pitch, pose.roll) if pose is not None else (0.0, 0.0, 0.0)
    ahead = (0.0, 0.0, -1.0)  # of a face that looks into the camera
    x, y, z = (rotation_matrix(*angles).T @ (rotation_matrix(gaze.yaw, gaze.pitch, 0.0) @ ahead)).tolist()
    eye = Eye(_within(math.degrees(math.atan2(-x, -z))), _within(math.degrees(math.atan2(-y, math.hypot(x, z)))))
    return Eyes(eye, eye)


def _of_expression(expression: Expression) -> Eyes:
    shapes: dict[str, float] = dict(zip(BLENDSHAPES, expression.coefficients.tolist(), strict=True))

    def shape(name: str) -> float:
        return RANGE_DEG * shapes[name]

    return Eyes(
        Eye(shape("eyeLookInLeft") - shape("eyeLookOutLeft"), shape("eyeLookUpLeft") - shape("eyeLookDownLeft")),
        Eye(shape("eyeLookOutRight") - shape("eyeLookInRight"), shape("eyeLookUpRight") - shape("eyeLookDownRight")),
    )


def _within(degrees: float) -> float:
    return min(max(degrees, -MOST_DEG), MOST_DEG)
