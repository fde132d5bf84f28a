"""Smoothing of whole results, track by track."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from rtface.labels import EMOTIONS
from rtface.smooth.head_motion import head_speed
from rtface.smooth.hysteresis import Hysteresis
from rtface.smooth.one_euro import FRESH_SECONDS, OneEuro
from rtface.types import Emotion, Event, Expression, FaceMesh, Gaze, HeadPose, Landmarks

POINTS_REST_HZ = 0.1
POINTS_PER_SPEED = 100.0
"""Hz for each crop side a second. From the curve of `benchmarks/smoothing.py`: 0.030 % of jitter and 14 ms of lag;
200 has 9 ms, but half as much noise again leaves it less room."""

POINTS_SPEED_HZ = 2.0
"""Cutoff of the velocity: 1 Hz, as in the paper, lets lips be half again as late."""

POSE_REST_HZ = 1.5
POSE_PER_SPEED = 0.1
"""Hz for each degree a second: a slow turn of 45° a second passes at 6 Hz."""

SHAPES_REST_HZ, SHAPES_PER_SPEED = 1.5, 6.0
"""Hz, and Hz for each unit a second: an eye that shuts within a tenth of a second passes at over 30 Hz."""

GAZE_REST_HZ, GAZE_PER_SPEED = 1.0, 0.15
"""Hz, and Hz for each degree a second: eyes jump, at some hundred degrees a second."""


class _FaceFilters:
    def __init__(self) -> None:
        self.points = OneEuro(POINTS_REST_HZ, POINTS_PER_SPEED, POINTS_SPEED_HZ, speed=head_speed)
        self.pose = OneEuro(POSE_REST_HZ, POSE_PER_SPEED)
        self.emotion = Hysteresis()
        self.mesh = OneEuro(POINTS_REST_HZ, POINTS_PER_SPEED, POINTS_SPEED_HZ, speed=head_speed)
        self.expression = OneEuro(SHAPES_REST_HZ, SHAPES_PER_SPEED)
        self.gaze = OneEuro(GAZE_REST_HZ, GAZE_PER_SPEED)


class Smoother:
    """Filters of every face in a stream; times in seconds, sizes in px."""

    def __init__(self) -> None:
        self._faces: dict[int, _FaceFilters] = {}
        self._events: list[Event] = []

    def __call__(self, track_id: int, values: dict[str, Any], at: float, size: float) -> dict[str, Any]:
        """The values of a face's tasks with those smoothed that can be; `size` is the side of its crop, px."""
        smooth = dict(values)
        if "landmarks" in values:
            smooth["landmarks"] = self.landmarks(track_id, values["landmarks"], at, size)
        if "pose" in values:
            smooth["pose"] = self.pose(track_id, values["pose"], at)
        if "emotion" in values:
            smooth["emotion"] = self.emotion(track_id, values["emotion"], at)
        if "mesh" in values:
            smooth["mesh"] = self.mesh(track_id, values["mesh"], at, size)
        if "expression" in values:
            smooth["expression"] = self.expression(track_id, values["expression"], at)
        if "gaze" in values:
            smooth["gaze"] = self.gaze(track_id, values["gaze"], at)
        return smooth

    def landmarks(self, track_id: int, value: Landmarks, at: float, size: float) -> Landmarks:
        """Points of a face of `size` px: tremor goes, motion stays."""
        return Landmarks(self._of(track_id).points(value.points, at, scale=size), value.score)

    def pose(self, track_id: int, value: HeadPose, at: float) -> HeadPose:
        """Angles in degrees."""
        angles = self._of(track_id).pose(np.array((value.yaw, value.pitch, value.roll)), at)
        return HeadPose(*angles.tolist())

    def emotion(self, track_id: int, value: Emotion, at: float) -> Emotion:
        """The label holds until another leads clearly; a change makes events."""
        label_of = self._of(track_id).emotion
        before, since, until = label_of.label, label_of.since, label_of.at
        label, probs = label_of(value.probs, at)
        if label_of.since != since:  # changed, or the same one again after a gap
            if before is not None:
                gap = at - until > FRESH_SECONDS
                self._events.append(_offset(track_id, before, since, until if gap else at))
            self._events.append(Event("emotion_onset", at, EMOTIONS[label], track_id))
        return Emotion(EMOTIONS[label], probs)

    def mesh(self, track_id: int, value: FaceMesh, at: float, size: float) -> FaceMesh:
        """Points of a face of `size` px, as `landmarks`."""
        return FaceMesh(self._of(track_id).mesh(value.points, at, scale=size), value.score)

    def expression(self, track_id: int, value: Expression, at: float) -> Expression:
        """Blend shapes and plain numbers."""
        plain = (*value.eye_open, value.mouth_open, value.smile)
        told = self._of(track_id).expression(np.concatenate((value.coefficients, plain)), at)
        left, right, mouth, smile = told[-4:].tolist()
        return Expression(told[:-4], (left, right), mouth, smile)

    def gaze(self, track_id: int, value: Gaze, at: float) -> Gaze:
        """Angles in degrees, and whether they meet the camera."""
        told = self._of(track_id).gaze(np.array((value.yaw, value.pitch, value.on_camera)), at)
        return Gaze(*told.tolist())

    def keep(self, track_ids: Collection[int]) -> None:
        """Forget every face that is not among these; its emotion ended when it was last seen."""
        for gone in self._faces.keys() - set(track_ids):
            ended = self._faces.pop(gone).emotion
            if ended.label is not None:
                self._events.append(_offset(gone, ended.label, ended.since, ended.at))

    def take_events(self) -> tuple[Event, ...]:
        """Onsets and offsets of emotions since the last call."""
        events, self._events = tuple(self._events), []
        return events

    def _of(self, track_id: int) -> _FaceFilters:
        if track_id not in self._faces:
            self._faces[track_id] = _FaceFilters()
        return self._faces[track_id]


def _offset(track_id: int, label: int, since: float, at: float) -> Event:
    return Event("emotion_offset", at, EMOTIONS[label], track_id, duration_s=at - since)
