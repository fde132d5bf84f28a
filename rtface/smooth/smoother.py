"""Smoothing of whole results, track by track."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from rtface.smooth.hysteresis import Hysteresis
from rtface.smooth.one_euro import OneEuro
from rtface.types import EMOTIONS, Emotion, HeadPose, Landmarks

POINTS_REST_HZ = 2.0
POINTS_PER_SPEED = 12.0
"""Hz for each face width a second: a nod (about 1 a second) passes with under 15 ms of lag."""

POSE_REST_HZ = 1.5
POSE_PER_SPEED = 0.1
"""Hz for each degree a second: a slow turn of 45° a second passes at 6 Hz."""


class _FaceFilters:
    def __init__(self) -> None:
        self.points = OneEuro(POINTS_REST_HZ, POINTS_PER_SPEED)
        self.pose = OneEuro(POSE_REST_HZ, POSE_PER_SPEED)
        self.emotion = Hysteresis()


class Smoother:
    """Filters of every face in a stream; times in seconds, sizes in px."""

    def __init__(self) -> None:
        self._faces: dict[int, _FaceFilters] = {}

    def __call__(self, track_id: int, values: dict[str, Any], at: float, size: float) -> dict[str, Any]:
        """The values of a face's tasks with those smoothed that can be; `size` is the face's, px."""
        smooth = dict(values)
        if "landmarks" in values:
            smooth["landmarks"] = self.landmarks(track_id, values["landmarks"], at, size)
        if "pose" in values:
            smooth["pose"] = self.pose(track_id, values["pose"], at)
        if "emotion" in values:
            smooth["emotion"] = self.emotion(track_id, values["emotion"], at)
        return smooth

    def landmarks(self, track_id: int, value: Landmarks, at: float, size: float) -> Landmarks:
        """Points of a face of `size` px: tremor goes, motion stays."""
        return Landmarks(self._of(track_id).points(value.points, at, scale=size), value.score)

    def pose(self, track_id: int, value: HeadPose, at: float) -> HeadPose:
        """Angles in degrees."""
        angles = self._of(track_id).pose(np.array((value.yaw, value.pitch, value.roll)), at)
        return HeadPose(*angles.tolist())

    def emotion(self, track_id: int, value: Emotion, at: float) -> Emotion:
        """The label holds until another leads clearly."""
        label, probs = self._of(track_id).emotion(value.probs, at)
        return Emotion(EMOTIONS[label], probs)

    def keep(self, track_ids: Collection[int]) -> None:
        """Forget every face that is not among these."""
        for gone in self._faces.keys() - set(track_ids):
            del self._faces[gone]

    def _of(self, track_id: int) -> _FaceFilters:
        if track_id not in self._faces:
            self._faces[track_id] = _FaceFilters()
        return self._faces[track_id]
