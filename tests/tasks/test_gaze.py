"""The line of sight, of eyes that are built as the equation says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rtface.geometry.face_model import rotation_matrix
from rtface.tasks.gaze import DEPTH_MM, LIFT_MM, OUT_MM, RADIUS_MM, gazes, on_camera
from rtface.types import HeadPose


def mesh_of(pose: HeadPose, yaw: float, pitch: float, scale: float = 2.0) -> np.ndarray:
    """A mesh in px whose eyes look there: corners, lids and irises; a head of 88 mm between the outer corners."""
    head = np.zeros((478, 3))
    for side, outer, inner, upper, lower, iris in ((-1, 33, 133, 159, 145, 468), (1, 263, 362, 386, 374, 473)):
        head[outer], head[inner] = (side * 44.0, 0, 0), (side * 14.0, 0, 0)
        head[upper], head[lower] = (side * 29.0, -5, 0), (side * 29.0, 5, 0)
        head[iris] = (side * (29.0 + OUT_MM), -LIFT_MM, DEPTH_MM)  # the eyeball's middle
    seen = head @ rotation_matrix(pose.yaw, pose.pitch, pose.roll).T
    a, b = math.radians(yaw), math.radians(pitch)
    seen[[468, 473]] += RADIUS_MM * np.array((math.sin(a) * math.cos(b), -math.sin(b), -math.cos(a) * math.cos(b)))
    return seen[:, :2] * scale + (300, 200)


@pytest.mark.parametrize("pose", [HeadPose(0, 0, 0), HeadPose(25, -10, 5), HeadPose(-30, 15, -40)])
@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (20, 0), (-15, 10), (5, -20)])
def test_eyes_say_where_they_look_however_the_head_is_turned(pose: HeadPose, yaw: float, pitch: float) -> None:
    (gaze,) = gazes(mesh_of(pose, yaw, pitch)[None], [pose])
    assert (gaze.yaw, gaze.pitch) == pytest.approx((yaw, pitch), abs=0.01)
    assert gaze.on_camera == on_camera(gaze.yaw, gaze.pitch)


def test_only_looks_next_to_the_camera_meet_it() -> None:
    assert on_camera(0, 0) > 0.95 and on_camera(12, 0) == pytest.approx(0.5) and on_camera(0, -25) < 0.05
    assert on_camera(1e6, 0) < 1e-12


def test_a_mesh_without_size_looks_where_the_head_does() -> None:
    (gaze,) = gazes(np.zeros((1, 478, 2)), [HeadPose(30, -5, 0)])
    assert (gaze.yaw, gaze.pitch) == (30, -5)
