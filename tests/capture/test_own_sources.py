"""Sources of somebody's own that say, or give, what cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rtface

GREY = np.full((120, 160, 3), 128, np.uint8)
Run = Callable[[rtface.Source], int]


class Own(rtface.Source):
    def __init__(self, *frames: Any, **facts: Any) -> None:
        self.left = list(frames)
        for name, value in facts.items():
            setattr(self, name, value)

    def read(self) -> rtface.Frame | None:
        return self.left.pop(0) if self.left else None

    def close(self) -> None: ...


def run(source: rtface.Source) -> int:
    return int(rtface.run(source, tasks=())["frames"])


def live(source: rtface.Source) -> int:
    with rtface.live(source, tasks=()) as stream:
        return len(list(stream))


@pytest.mark.parametrize("way", [run, live])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("fps", value) for value in (float("nan"), float("inf"), -1, "30", True, [30])),
        *(("frame_count", value) for value in (float("nan"), -1, 2.5, "3")),
        *(("size_wh", value) for value in (None, (1,), (float("nan"), 1), "ab")),
        *(("name", value) for value in (None, 5)),
    ],
)
def test_facts_that_cannot_be_are_one_error(way: Run, name: str, value: object) -> None:
    with pytest.raises(rtface.UsageError, match=f"source Own: its {name} is "):
        way(Own(rtface.Frame(GREY), **{name: value}))


@pytest.mark.parametrize("way", [run, live])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("captured_at", value) for value in (float("nan"), float("inf"), 1e308, "1", 10**400)),
        *(("media_time", value) for value in (float("nan"), -1e300, 10**400, "1")),
        *(("index", value) for value in ("a", None, float("nan"))),
        ("image", np.zeros((0, 5, 3), np.uint8)),
    ],
)
def test_frames_that_cannot_be_are_one_error(way: Run, name: str, value: Any) -> None:
    with pytest.raises(rtface.UsageError, match=f"source: {name} of a frame"):
        way(Own(rtface.Frame(**{"image": GREY, name: value})))


@pytest.mark.parametrize("way", [run, live])
def test_numbers_of_numpy_are_numbers(way: Run) -> None:
    frame = rtface.Frame(GREY, index=np.int64(0), media_time=np.float32(0.5))  # type: ignore[arg-type]
    assert way(Own(frame, fps=np.float32(30), frame_count=np.int64(1))) == 1


def test_numbers_of_numpy_can_be_written(tmp_path: Path) -> None:
    source = Own(rtface.Frame(GREY, media_time=np.float32(0.5)), fps=np.float32(30), frame_count=np.int64(1))  # type: ignore[arg-type]
    outputs = [tmp_path / name for name in ("a.jsonl", "a.mp4", "a.csv")]
    rtface.run(source, outputs, tasks=())
    header = json.loads(outputs[0].read_text().splitlines()[0])
    assert header["source"]["fps"] == 30.0 and all(path.stat().st_size for path in outputs)
