"""Columns of tables, for statistics programs: rtface's own, OpenFace 2's and py-feat's. A row is a face on a frame.

What rtface does not measure is NaN, never 0: a zero would be taken for a measurement.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from rtface.geometry.face_model import rotation_matrix
from rtface.labels import BLENDSHAPES, EMOTIONS
from rtface.outputs.head import DEFAULT_FOV_DEG, head_of
from rtface.types import Face, FrameResult

NAN = math.nan
Value = int | float | str | bool
Row = list[Value]


class Columns(NamedTuple):
    """A layout.

    Attributes:
        names: Of the columns, in order.
        rows: Result, its time in seconds → its rows.
        texts: Columns of text; `whole` ones hold whole numbers; all others are numbers with a fraction.
        gap: What stands after the comma in a text file.
    """

    names: tuple[str, ...]
    rows: Callable[[FrameResult, float], Iterable[Row]]
    texts: frozenset[str]
    whole: frozenset[str]
    gap: str = ""


def _xy(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}_{index}" for name in names for index in range(68))


# rtface's own: tidy, units in the names, no row where there is no face

OWN = (
    *("frame", "time_s", "track_id", "box_x0_px", "box_y0_px", "box_x1_px", "box_y1_px", "score", "quality"),
    *("predicted", "yaw_deg", "pitch_deg", "roll_deg", "emotion", *EMOTIONS, "landmarks_score"),
    *(f"{name}_px" for name in _xy("x", "y")),
    *("level", "age_ms", "quality_reasons"),
)


def _own_rows(result: FrameResult, time_s: float) -> Iterable[Row]:
    for face in result.faces:
        pose, emotion = face.pose, face.emotion
        yield [
            result.frame.index,
            round(time_s, 6),
            -1 if face.track_id is None else face.track_id,
            *_rounded(face.box_xyxy.tolist(), 2),
            round(face.score, 4),
            NAN if face.quality is None else round(face.quality, 4),
            face.predicted,
            *((NAN,) * 3 if pose is None else _rounded((pose.yaw, pose.pitch, pose.roll), 2)),
            "" if emotion is None else emotion.label,
            *((NAN,) * len(EMOTIONS) if emotion is None else _rounded(emotion.probs.tolist(), 4)),
            NAN if face.landmarks is None else round(face.landmarks.score, 4),
            *_points(face),
            result.level,
            round(result.timing.age_ms, 3),
            " ".join(face.quality_reasons),
        ]


# what the other tasks add to it where they are asked for

_MORE: dict[str, tuple[str, ...]] = {
    "expression": ("eye_open_left", "eye_open_right", "mouth_open", "smile", *BLENDSHAPES),
    "gaze": ("gaze_yaw_deg", "gaze_pitch_deg", "on_camera"),
}


def with_tasks(layout: Columns, tasks: Collection[str]) -> Columns:
    """rtface's own layout with the columns of more tasks at its end; others as they are."""
    more = [task for task in _MORE if task in tasks]
    if layout.names != OWN or not more:
        return layout

    def rows(result: FrameResult, time_s: float) -> Iterable[Row]:
        for face, row in zip(result.faces, _own_rows(result, time_s), strict=True):
            yield [*row, *(value for task in more for value in _more_of(face, task))]

    return layout._replace(names=(*OWN, *(name for task in more for name in _MORE[task])), rows=rows)


def _more_of(face: Face, task: str) -> list[float]:
    if task == "expression" and face.expression is not None:
        found = face.expression
        return _rounded((*found.eye_open, found.mouth_open, found.smile, *found.coefficients.tolist()), 4)
    if task == "gaze" and face.gaze is not None:
        return [*_rounded((face.gaze.yaw, face.gaze.pitch), 2), round(face.gaze.on_camera, 4)]
    return [NAN] * len(_MORE[task])


def _points(face: Face) -> list[float]:
    """x of all 68 points, then y."""
    if face.landmarks is None:
        return [NAN] * 136
    return _rounded(face.landmarks.points.T.ravel().tolist(), 2)


# OpenFace 2's (FeatureExtraction, several faces): frames from 1, T in mm, R in radians about x, y and z

_AUS = ("01", "02", "04", "05", "06", "07", "09", "10", "12", "14", "15", "17", "20", "23", "25", "26", "45")
_EYE_POINTS = 56
OPENFACE = (
    *("frame", "face_id", "timestamp", "confidence", "success"),
    *(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"),
    *("gaze_angle_x", "gaze_angle_y"),
    *(f"eye_lmk_{axis}_{index}" for axis in "xyXYZ" for index in range(_EYE_POINTS)),
    *("pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz"),
    *_xy("x", "y", "X", "Y", "Z"),
    *("p_scale", "p_rx", "p_ry", "p_rz", "p_tx", "p_ty"),
    *(f"p_{index}" for index in range(34)),
    *(f"AU{unit}_r" for unit in _AUS),
    *(f"AU{unit}_c" for unit in sorted((*_AUS, "28"))),
)


def _openface_rows(result: FrameResult, time_s: float) -> Iterable[Row]:
    frame, size_wh = result.frame.index + 1, (result.frame.image.shape[1], result.frame.image.shape[0])
    if not result.faces:
        yield _filled(OPENFACE, {"frame": frame, "face_id": 0, "timestamp": time_s, "confidence": 0.0, "success": 0})
    for face in result.faces:
        known: dict[str, Value] = {
            "frame": frame,
            "face_id": 0 if face.track_id is None else face.track_id,
            "timestamp": round(time_s, 3),
            "confidence": round(_confidence(face), 3),
            "success": int(not face.predicted),
        }
        head = head_of(face, size_wh, DEFAULT_FOV_DEG)
        known |= zip(
            ("pose_Tx", "pose_Ty", "pose_Tz"), _rounded((-head.x * 10, -head.y * 10, head.z * 10), 1), strict=True
        )
        if face.pose is not None:
            angles = openface_angles(face.pose.yaw, face.pose.pitch, face.pose.roll)
            known |= zip(("pose_Rx", "pose_Ry", "pose_Rz"), _rounded(angles, 3), strict=True)
        known |= zip(_xy("x", "y"), _rounded(_points(face), 1), strict=True)
        yield _filled(OPENFACE, known)


def openface_angles(yaw: float, pitch: float, roll: float) -> tuple[float, float, float]:
    """Radians about x (+ down), y (+ to the owner's right) and z (+ clockwise in the picture), of Rx · Ry · Rz.

    Args:
        yaw, pitch, roll: Degrees as ``rtface.HeadPose``.
    """
    matrix = rotation_matrix(yaw, pitch, roll)
    about_y = math.asin(float(np.clip(matrix[0, 2], -1.0, 1.0)))
    return math.atan2(-matrix[1, 2], matrix[2, 2]), about_y, math.atan2(-matrix[0, 1], matrix[0, 0])


def _confidence(face: Face) -> float:
    return face.landmarks.score if face.landmarks is not None else face.score


# py-feat's: frames from 0, degrees, its seven emotions and rtface's eighth

_FEAT_EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
_FEAT_AUS = tuple(f"AU{unit:02}" for unit in (1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15, 17, 20, 23, 24, 25, 26, 28, 43))
PYFEAT = (
    *("frame", "approx_time", "input", "FrameHeight", "FrameWidth"),
    *("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"),
    *_xy("x", "y"),
    *("Pitch", "Roll", "Yaw", "X", "Y", "Z"),
    *_FEAT_EMOTIONS,
    "contempt",
    *_FEAT_AUS,
    *("gaze_pitch", "gaze_yaw", "gaze_angle", "Identity"),
)


def _pyfeat_rows(result: FrameResult, time_s: float) -> Iterable[Row]:
    height, width = result.frame.image.shape[:2]
    minutes, seconds = divmod(int(time_s), 60)
    frame: dict[str, Value] = {
        "frame": result.frame.index,
        "approx_time": f"{minutes:02}:{seconds:02}",
        "input": "",
        "FrameHeight": height,
        "FrameWidth": width,
        "Identity": "",
    }
    if not result.faces:
        yield _filled(PYFEAT, frame)
    for face in result.faces:
        x0, y0, x1, y1 = face.box_xyxy.tolist()
        box = _rounded((x0, y0, x1 - x0, y1 - y0, face.score), 4)
        known = dict(frame)
        known |= zip(("FaceRectX", "FaceRectY", "FaceRectWidth", "FaceRectHeight", "FaceScore"), box, strict=True)
        known |= zip(_xy("x", "y"), _points(face), strict=True)
        if face.pose is not None:  # + up, + to the owner's right shoulder, + to the owner's right
            pose = face.pose
            known |= zip(("Pitch", "Roll", "Yaw"), _rounded((pose.pitch, -pose.roll, -pose.yaw), 2), strict=True)
        if face.emotion is not None:
            known |= zip(EMOTIONS, _rounded(face.emotion.probs.tolist(), 4), strict=True)
        known["Identity"] = "" if face.track_id is None else f"Person_{face.track_id}"
        yield _filled(PYFEAT, known)


def _filled(names: Sequence[str], known: dict[str, Value]) -> Row:
    return [known.get(name, NAN) for name in names]


def _rounded(values: Iterable[float], decimals: int) -> list[float]:
    return [round(float(value), decimals) for value in values]


LAYOUTS: dict[str, Columns] = {
    "rtface": Columns(
        OWN,
        _own_rows,
        frozenset({"emotion", "quality_reasons"}),
        frozenset({"frame", "track_id", "level", "predicted"}),
    ),
    "openface": Columns(OPENFACE, _openface_rows, frozenset(), frozenset({"frame", "face_id", "success"}), " "),
    "pyfeat": Columns(
        PYFEAT,
        _pyfeat_rows,
        frozenset({"approx_time", "input", "Identity"}),
        frozenset({"frame", "FrameHeight", "FrameWidth"}),
    ),
}
