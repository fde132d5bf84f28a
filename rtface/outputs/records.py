"""The JSON lines, schema ``rtface.result/1``: one header, one line a frame, one summary.

Units are in the key names. An absent key means "not asked for"; ``null`` means "asked for, not available". The line of
a frame is ``FrameResult.to_dict``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rtface.types import SCHEMA, Event


def to_line(record: Mapping[str, Any]) -> str:
    """One JSON line, with its line break. Bytes of a file's name that are not UTF-8 are escaped: ``\\udcdf``.

    Raises:
        ValueError: The record holds a number that JSON has not (NaN or infinity).
    """
    line = json.dumps(record, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"
    return line if line.isascii() else line.encode("utf-8", "backslashreplace").decode()


def header_record(
    *,
    version: str,
    source: Mapping[str, Any],
    analyzer: Mapping[str, Any],
    options: Mapping[str, Any],
    emotions: Sequence[str],
    parsing_classes: Sequence[str],
    blendshapes: Sequence[str] = (),
    started_at: str | None = None,
    camera: str = "",
) -> dict[str, Any]:
    """The first line: what ran on what, and the order of the names that later lines leave out.

    Args:
        version: Of rtface.
        source: Name, size, frame rate and length of the source.
        analyzer: As the analyzer describes itself: ``models`` (name → SHA-256), engine, device, threads.
        options: The options by name.
        emotions: Order of ``emotion_probs``.
        parsing_classes: Names of the ids in ``parsing``.
        blendshapes: Order of ``expression``; left out where it is empty.
        started_at: UTC, ISO 8601: of a live run its start, of a file the moment of its first frame where it is known.
        camera: Which of several cameras it is; empty where there is one.
    """
    return {
        "schema": SCHEMA,
        "kind": "header",
        "version": version,
        "started_at": started_at,
        **({"camera": camera} if camera else {}),
        "source": dict(source),
        "models": analyzer["models"],
        "runtime": {name: fact for name, fact in analyzer.items() if name != "models"},
        "options": dict(options),
        "emotions": list(emotions),
        "parsing_classes": list(parsing_classes),
        **({"blendshapes": list(blendshapes)} if blendshapes else {}),
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
    unreadable: Sequence[str] = (),
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
        unreadable: What could not be read, and why, a line each; the first of many. `corrupt` counts all.
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
        "events": [event.to_dict() for event in events],
        "unreadable": list(unreadable),
    }


def event_record(event: Event) -> dict[str, Any]:
    """What happened, as it stands in a frame's line and in the summary."""
    return event.to_dict()
