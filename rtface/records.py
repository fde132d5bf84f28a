"""What each task says of a face in a record and in a table's row, rounded; `rtface.types` makes whole records of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rtface.labels import BLENDSHAPES, EMOTIONS

if TYPE_CHECKING:
    from rtface.types import Face, FaceMesh, Landmarks

PX_DECIMALS, DEG_DECIMALS, SCORE_DECIMALS, MS_DECIMALS = 2, 2, 4, 3


def rounded(array: NDArray[Any], decimals: int) -> Any:
    """As lists, for JSON."""
    # In float64: a rounded float32 prints as 0.30000001192092896.
    return array.astype(np.float64).round(decimals).tolist()


def _points_record(name: str, found: Landmarks | FaceMesh | None) -> dict[str, Any]:
    return {
        f"{name}_px": None if found is None else rounded(found.points, PX_DECIMALS),
        f"{name}_score": None if found is None else round(float(found.score), SCORE_DECIMALS),
    }


def _landmarks_record(face: Face) -> dict[str, Any]:
    return _points_record("landmarks", face.landmarks)


def _pose_record(face: Face) -> dict[str, Any]:
    pose = face.pose
    return {
        f"{axis}_deg": None if pose is None else round(float(getattr(pose, axis)), DEG_DECIMALS)
        for axis in ("yaw", "pitch", "roll")
    }


def _emotion_record(face: Face) -> dict[str, Any]:
    found = face.emotion
    return {
        "emotion": None if found is None else found.label,
        "emotion_probs": None if found is None else rounded(found.probs, SCORE_DECIMALS),
    }


def _parsing_record(face: Face) -> dict[str, Any]:
    return {"parsing": None if face.parsing is None else face.parsing.to_dict()}


def _mesh_record(face: Face) -> dict[str, Any]:
    return _points_record("mesh", face.mesh)


def _expression_record(face: Face) -> dict[str, Any]:
    found = face.expression
    if found is None:
        return dict.fromkeys(("expression", "eye_open", "mouth_open", "smile"))
    return {
        "expression": rounded(found.coefficients, SCORE_DECIMALS),
        "eye_open": [round(float(one), SCORE_DECIMALS) for one in found.eye_open],
        "mouth_open": round(float(found.mouth_open), SCORE_DECIMALS),
        "smile": round(float(found.smile), SCORE_DECIMALS),
    }


def _gaze_record(face: Face) -> dict[str, Any]:
    found = face.gaze
    if found is None:
        return dict.fromkeys(("gaze_yaw_deg", "gaze_pitch_deg", "on_camera"))
    return {
        "gaze_yaw_deg": round(float(found.yaw), DEG_DECIMALS),
        "gaze_pitch_deg": round(float(found.pitch), DEG_DECIMALS),
        "on_camera": round(float(found.on_camera), SCORE_DECIMALS),
    }


#: Task → its keys of a face's record.
TASK_RECORDS: dict[str, Callable[[Face], dict[str, Any]]] = {
    "landmarks": _landmarks_record,
    "parsing": _parsing_record,
    "emotion": _emotion_record,
    "pose": _pose_record,
    "mesh": _mesh_record,
    "expression": _expression_record,
    "gaze": _gaze_record,
}
_NOT_IN_ROWS = ("parsing", "mesh")
"""What is too long for a table: label maps and 478 points."""


def face_row(face: Face, tasks: tuple[str, ...]) -> dict[str, Any]:
    """A face as a flat row of a table; the keys of `tasks` only."""
    record = face.to_dict([task for task in tasks if task not in _NOT_IN_ROWS])
    row: dict[str, Any] = {"track_id": face.track_id}
    row |= zip((f"box_{corner}_px" for corner in ("x0", "y0", "x1", "y1")), record["box_px"], strict=True)
    row |= {name: record[name] for name in ("score", "quality", "predicted")}
    row["quality_reasons"] = " ".join(face.quality_reasons)
    if "pose" in tasks:
        row |= {name: record[name] for name in ("yaw_deg", "pitch_deg", "roll_deg")}
    if "emotion" in tasks:
        row["emotion"] = record["emotion"]
        row |= zip(EMOTIONS, record["emotion_probs"] or [None] * len(EMOTIONS), strict=True)
    if "expression" in tasks:
        row |= zip(("eye_open_left", "eye_open_right"), record["eye_open"] or (None, None), strict=True)
        row |= {name: record[name] for name in ("mouth_open", "smile")}
        row |= zip(BLENDSHAPES, record["expression"] or [None] * len(BLENDSHAPES), strict=True)
    if "gaze" in tasks:
        row |= {name: record[name] for name in ("gaze_yaw_deg", "gaze_pitch_deg", "on_camera")}
    if "landmarks" in tasks:
        row["landmarks_score"] = record["landmarks_score"]
        points = record["landmarks_px"] or [(None, None)] * 68
        row |= {f"x_{index}_px": x for index, (x, _) in enumerate(points)}
        row |= {f"y_{index}_px": y for index, (_, y) in enumerate(points)}
    return row
