"""Made-up results and runs for the tests of outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from rtface.geometry.face_model import MEAN_FACE_MM, rotation_matrix
from rtface.labels import EMOTIONS, TASKS
from rtface.outputs.sink import RunInfo, Sink
from rtface.types import Emotion, Event, Face, Frame, FrameResult, HeadPose, Landmarks

WIDTH, HEIGHT = 640, 480


def a_run(*, live: bool = True, fps: float = 25.0, on_event: Callable[[Event], None] = lambda _: None) -> RunInfo:
    """What a sink is told when it opens."""
    header = {"version": "0", "source": {"name": "clip"}}
    return RunInfo("clip", live=live, stills=False, fps=fps, frame_count=None, header=header, on_event=on_event)


def a_face(
    *,
    track_id: int = 1,
    at: tuple[float, float] = (WIDTH / 2, HEIGHT / 2),
    px_per_mm: float = 1.0,
    pose: tuple[float, float, float] | None = (0.0, 0.0, 0.0),
    emotion: str | None = "happiness",
    moved: dict[int, tuple[float, float]] | None = None,
    **more: Any,
) -> Face:
    """The mean face as it is seen under a pose, with a few of its points `moved` by mm (before it turns)."""
    model = MEAN_FACE_MM.copy()
    for index, (x, y) in (moved or {}).items():
        model[index, :2] += (x, y)
    points = (model @ rotation_matrix(*(pose or (0.0, 0.0, 0.0)))[:2].T) * px_per_mm + at
    probs = np.full(len(EMOTIONS), 0.3 / (len(EMOTIONS) - 1), np.float32)
    probs[EMOTIONS.index(emotion or "neutral")] = 0.7
    low, high = points.min(axis=0), points.max(axis=0)
    given: dict[str, Any] = {
        "box_xyxy": np.array((*low, *high)),
        "score": 0.9,
        "points5": np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]]),
        "track_id": track_id,
        "landmarks": Landmarks(points, 0.8),
        "pose": HeadPose(*pose) if pose is not None else None,
        "emotion": Emotion(emotion, probs) if emotion is not None else None,
        "quality": 0.9,
        "age_ms": dict.fromkeys(TASKS, 0.0),
    }
    return Face(**(given | more))


def a_result(
    *faces: Face, index: int = 0, at: float | None = None, media_time: float | None = None, **more: Any
) -> FrameResult:
    """A frame's result; by default frames come every 40 ms."""
    captured_at = 100.0 + index * 0.04 if at is None else at
    frame = Frame(np.zeros((HEIGHT, WIDTH, 3), np.uint8), index, captured_at, media_time)
    return FrameResult(frame, faces, tasks=("landmarks", "emotion", "pose"), **more)


def run_through(sink: Sink, results: Iterable[FrameResult], info: RunInfo | None = None) -> None:
    """A whole run of one output."""
    with sink:
        sink.open(info or a_run())
        for result in results:
            sink.write(result)
        sink.finish({"frames": 0})
