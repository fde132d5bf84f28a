"""A live run as a picture: age of every result over time, the level under it, faces and load at the bottom."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.bench.live import LiveRun

Image = NDArray[np.uint8]

WIDTH, HEIGHT = 1400, 720
LEFT, RIGHT = 70, 20
AGE, LEVEL, FACES = (40, 430), (470, 600), (640, 690)  # top and bottom of the three bands
PAPER, INK, FAINT, BUSY = (255, 255, 255), (60, 60, 60), (225, 225, 225), (215, 232, 250)  # BGR
BLUE, RED, GREEN = (180, 110, 30), (40, 40, 220), (80, 140, 60)


def timeline(run: LiveRun, title: str) -> Image:
    """The picture (720, 1400, 3) BGR. Late results are red; where a second process takes a core, the ground is tinted.

    Raises:
        ValueError: There was no result.
    """
    if not run.seen:
        raise ValueError("expected at least one result, got none")
    image: Image = np.full((HEIGHT, WIDTH, 3), PAPER, np.uint8)
    start, end = run.seen[0].at, max(run.seen[-1].at, run.seen[0].at + 1e-3)

    def x(at: float) -> int:
        return LEFT + round((at - start) / (end - start) * (WIDTH - LEFT - RIGHT))

    _busy(image, run, x, start, end)
    _text(image, title, LEFT, 24)
    ages = [one.age_ms for one in run.seen]
    top = max(1.2 * max(float(np.percentile(ages, 99.5)), run.budget_ms or 0.0), 1.0)
    _ages(image, run, x, top)
    _steps(image, run, x)
    for at in np.arange(np.ceil(start), end, max(1, round((end - start) / 14))):
        _text(image, f"{at:.0f} s", x(float(at)) - 10, HEIGHT - 10)
    return image


def _busy(image: Image, run: LiveRun, x: Callable[[float], int], start: float, end: float) -> None:
    if run.setup.load is None:
        return
    for at in np.arange(start, end, 0.1):
        if run.setup.load.at(float(at)):
            cv2.rectangle(image, (x(float(at)), AGE[0]), (x(min(float(at) + 0.1, end)), FACES[1]), BUSY, -1)


def _ages(image: Image, run: LiveRun, x: Callable[[float], int], top: float) -> None:
    def y(ms: float) -> int:
        return AGE[1] - round(min(ms, top) / top * (AGE[1] - AGE[0]))

    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1e9) if top / step <= 8)
    for ms in np.arange(0, top, step):
        cv2.line(image, (LEFT, y(ms)), (WIDTH - RIGHT, y(ms)), FAINT, 1)
        _text(image, f"{ms:.0f} ms", 8, y(ms) + 5)
    if run.budget_ms is not None:
        cv2.line(image, (LEFT, y(run.budget_ms)), (WIDTH - RIGHT, y(run.budget_ms)), RED, 1, cv2.LINE_AA)
        _text(image, f"budget {run.budget_ms:g} ms", WIDTH - 190, y(run.budget_ms) - 6, RED)
    for one in run.seen:
        cv2.circle(image, (x(one.at), y(one.age_ms)), 3 if one.late else 2, RED if one.late else BLUE, -1, cv2.LINE_AA)


def _steps(image: Image, run: LiveRun, x: Callable[[float], int]) -> None:
    bands = (
        # Full quality, level 0, is at the top.
        ("level", LEVEL[::-1], [one.level for one in run.seen], len(run.levels) - 1, BLUE),
        ("faces", FACES, [one.faces for one in run.seen], max(1, *(one.faces for one in run.seen)), GREEN),
    )
    for name, (top, bottom), values, most, colour in bands:
        _text(image, name, 8, (top + bottom) // 2 + 5)
        for edge, text in ((bottom, "0"), (top, str(most))):
            cv2.line(image, (LEFT, edge), (WIDTH - RIGHT, edge), FAINT, 1)
            _text(image, text, LEFT - 16, edge + 5)
        heights = [bottom - round(value / max(most, 1) * (bottom - top)) for value in values]
        corners = [
            corner
            for one, y, last in zip(run.seen, heights, [heights[0], *heights], strict=False)
            for corner in ((x(one.at), last), (x(one.at), y))
        ]
        cv2.polylines(image, [np.array(corners, np.int32)], False, colour, 2, cv2.LINE_AA)


def _text(image: Image, text: str, x: int, y: int, colour: tuple[int, int, int] = INK) -> None:
    cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
