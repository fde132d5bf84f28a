"""The JSON lines, schema ``rtface.result/1``: one header, one line a frame, one summary.

Units are in the key names. An absent key means "not asked for"; ``null`` means "asked for, not available".
Stays beside ``types`` so that ``FrameResult.to_dict`` needs nothing from above.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rtface.types import Event, Face, FrameResult, Parsing

SCHEMA = "rtface.result/1"

PX_DECIMALS = 2
DEG_DECIMALS = 2
SCORE_DECIMALS = 4
MS_DECIMALS = 3


def to_line(record: Mapping[str, Any]) -> str:
    """One JSON line, with its line break.

    Raises:
        ValueError: The record holds a number that JSON has not (NaN or infinity).
    """
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"


def header_record(
    *,
    version: str,
    source: Mapping[str, Any],
    analyzer: Mapping[str, Any],
    options: Mapping[str, Any],
    emotions: Sequence[str],
    parsing_classes: Sequence[str],
) -> dict[str, Any]:
    """The first line: what ran on what, and the order of the names that later lines leave out.

    Args:
        version: Of rtface.
        source: Name, size, frame rate and length of the source.
        analyzer: As the analyzer describes itself: ``models`` (name → SHA-256), engine, device, threads.
        options: The options by name.
        emotions: Order of ``emotion_probs``.
        parsing_classes: Names of the ids in ``parsing``.
    """
    return {
        "schema": SCHEMA,
        "kind": "header",
        "version": version,
        "source": dict(source),
        "models": analyzer["models"],
        "runtime": {name: fact for name, fact in analyzer.items() if name != "models"},
        "options": dict(options),
        "emotions": list(emotions),
        "parsing_classes": list(parsing_classes),
    }


def summary_record(
    *,
    frames: int,
    faces: int,
    corrupt: int,
    dropped: int,
    late: int,
    levels: Mapping[int, int],
    level_moves: int,
    seconds: float,
    work_ms: Mapping[str, float | None],
    age_ms: Mapping[str, float | None],
    interrupted: bool,
    error: str | None,
    events: Sequence[Event] = (),
) -> dict[str, Any]:
    """The last line.

    Args:
        frames: Results.
        faces: Faces in all results together.
        corrupt: Frames that could not be decoded.
        dropped: Frames that were decoded and nobody analysed.
        late: Results after their deadline.
        levels: Quality level → results at it.
        level_moves: How often the level changed.
        seconds: From the first read to the end.
        work_ms: Percentiles of the analysis of a frame.
        age_ms: Percentiles of the time from grab to hand-over.
        interrupted: Ctrl-C ended the run.
        error: What else ended it before its time.
        events: When the source was lost and came back; the latest of many.
    """
    return {
        "schema": SCHEMA,
        "kind": "summary",
        "complete": not interrupted and error is None,
        "interrupted": interrupted,
        "error": error,
        "frames": frames,
        "faces": faces,
        "corrupt": corrupt,
        "dropped": dropped,
        "late": late,
        "levels": {str(level): count for level, count in sorted(levels.items())},
        "level_moves": level_moves,
        "duration_s": round(seconds, 3),
        "fps": round(frames / seconds, 2) if seconds > 0 else None,
        "work_ms": dict(work_ms),
        "age_ms": dict(age_ms),
        "events": [event_record(event) for event in events],
    }


def frame_record(result: FrameResult, *, parsing: bool = True) -> dict[str, Any]:
    """The record of one frame."""
    frame = result.frame
    height_px, width_px = frame.image.shape[:2]
    timing = {name.removesuffix("_ms"): round(ms, MS_DECIMALS) for name, ms in asdict(result.timing).items()}
    tasks = [task for task in result.tasks if parsing or task != "parsing"]
    return {
        "schema": SCHEMA,
        "kind": "frame",
        "index": frame.index,
        "captured_at_s": round(result.captured_at, 6),
        "media_time_s": None if frame.media_time is None else round(frame.media_time, 6),
        "width_px": width_px,
        "height_px": height_px,
        "faces": [_face(face, tasks) for face in result.faces],
        "timing_ms": timing,
        "level": result.level,
        "late": result.late,
        "dropped": result.dropped,
        "skipped": dict(result.skipped),
        "events": [event_record(event) for event in result.events],
        **({"engine": result.engine} if result.engine else {}),
    }


def event_record(event: Event) -> dict[str, Any]:
    """What happened, as it stands in a frame's line and in the summary."""
    record: dict[str, Any] = {"kind": event.kind, "at_s": round(event.at, 6), "what": event.what}
    if event.track_id is not None:
        record["track_id"] = event.track_id
    if event.duration_s is not None:
        record["duration_s"] = round(event.duration_s, 3)
    return record


def _face(face: Face, tasks: list[str]) -> dict[str, Any]:
    record: dict[str, Any] = {
        "track_id": face.track_id,
        "box_px": _rounded(face.box_xyxy, PX_DECIMALS),
        "score": round(float(face.score), SCORE_DECIMALS),
        "points5_px": _rounded(face.points5, PX_DECIMALS) if np.isfinite(face.points5).all() else None,
        "quality": None if face.quality is None else round(float(face.quality), SCORE_DECIMALS),
        "predicted": face.predicted,
        "age_ms": {task: round(float(age), MS_DECIMALS) for task, age in face.age_ms.items()},
    }
    for task in tasks:
        record.update(_TASK_KEYS[task](face))
    return record


def _landmarks(face: Face) -> dict[str, Any]:
    found = face.landmarks
    return {
        "landmarks_px": None if found is None else _rounded(found.points, PX_DECIMALS),
        "landmarks_score": None if found is None else round(float(found.score), SCORE_DECIMALS),
    }


def _pose(face: Face) -> dict[str, Any]:
    pose = face.pose
    return {
        f"{axis}_deg": None if pose is None else round(float(getattr(pose, axis)), DEG_DECIMALS)
        for axis in ("yaw", "pitch", "roll")
    }


def _emotion(face: Face) -> dict[str, Any]:
    found = face.emotion
    return {
        "emotion": None if found is None else found.label,
        "emotion_probs": None if found is None else _rounded(found.probs, SCORE_DECIMALS),
    }


def _parsing(face: Face) -> dict[str, Any]:
    return {"parsing": None if face.parsing is None else encode_parsing(face.parsing)}


_TASK_KEYS = {"landmarks": _landmarks, "parsing": _parsing, "emotion": _emotion, "pose": _pose}


def encode_parsing(parsing: Parsing) -> dict[str, Any]:
    """A label map as runs, row after row: ``labels[i]`` repeated ``counts[i]`` times.

    Like COCO's uncompressed RLE, but with a class for each run, and along rows.
    """
    height, width = parsing.labels.shape
    flat = parsing.labels.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=flat[:1] + 1))
    counts = np.diff(starts, append=flat.size)
    return {
        "width": width,
        "height": height,
        "to_frame_px": _rounded(parsing.to_frame, 6),
        "labels": flat[starts].tolist(),
        "counts": counts.tolist(),
    }


def decode_parsing(record: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The (h, w) uint8 label map that ``encode_parsing`` packed."""
    flat = np.repeat(np.asarray(record["labels"], np.uint8), record["counts"])
    return flat.reshape(record["height"], record["width"])


def _rounded(array: NDArray[Any], decimals: int) -> Any:
    # In float64: a rounded float32 prints as 0.30000001192092896.
    return np.round(array.astype(np.float64), decimals).tolist()
