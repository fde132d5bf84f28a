"""Results as Roboflow's supervision has them: its annotators, zones and trackers draw and count them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rtface.errors import require

if TYPE_CHECKING:
    from rtface.types import FrameResult


def to_detections(result: FrameResult) -> Any:
    """``supervision.Detections`` of a result's faces.

    ``xyxy``, ``confidence``, ``class_id`` 0, ``tracker_id`` (where the faces have ids), and ``data``: ``class_name``
    "face", ``emotion``, ``yaw``, ``pitch``, ``roll`` (NaN where not known), ``quality``,
    ``quality_reasons`` (with spaces between them).

    Raises:
        UsageError: supervision is not installed.
    """
    sv: Any = require("supervision", "supervision")
    faces = result.faces
    if not faces:
        return sv.Detections.empty()
    poses = [
        (face.pose.yaw, face.pose.pitch, face.pose.roll) if face.pose is not None else (np.nan,) * 3 for face in faces
    ]
    angles = np.array(poses, np.float32)
    with_ids = all(face.track_id is not None for face in faces)
    return sv.Detections(
        xyxy=np.stack([face.box_xyxy for face in faces]).astype(np.float32),
        confidence=np.array([face.score for face in faces], np.float32),
        class_id=np.zeros(len(faces), int),
        tracker_id=np.array([face.track_id for face in faces], int) if with_ids else None,
        data={
            "class_name": np.array(["face"] * len(faces)),
            "emotion": np.array([face.emotion.label if face.emotion is not None else "" for face in faces]),
            "yaw": angles[:, 0],
            "pitch": angles[:, 1],
            "roll": angles[:, 2],
            "quality": np.array([np.nan if face.quality is None else face.quality for face in faces], np.float32),
            "quality_reasons": np.array([" ".join(face.quality_reasons) for face in faces]),
        },
    )


def to_key_points(result: FrameResult) -> Any:
    """``supervision.KeyPoints`` of the faces that have landmarks: 68 points in iBUG order each.

    Raises:
        UsageError: supervision is not installed.
    """
    sv: Any = require("supervision", "supervision")
    found = [face.landmarks for face in result.faces if face.landmarks is not None]
    if not found:
        return sv.KeyPoints.empty()
    return sv.KeyPoints(
        xy=np.stack([landmarks.points for landmarks in found]).astype(np.float32),
        class_id=np.zeros(len(found), int),
        keypoint_confidence=np.stack([np.full(68, landmarks.score, np.float32) for landmarks in found]),
    )
