"""The vocabulary: frozen, read-only, shapes checked."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import rtface
from rtface.labels import EMOTIONS, PARSING_CLASSES
from rtface.types import Emotion, Face, Frame, FrameResult, Landmarks


def test_arrays_are_read_only_views_and_the_callers_stay_writable() -> None:
    mine = np.zeros((4, 4, 3), np.uint8)
    frame = Frame(mine)
    with pytest.raises(ValueError, match="read-only"):
        frame.image[0, 0, 0] = 1
    mine[0, 0, 0] = 7
    assert frame.image[0, 0, 0] == 7


def test_fields_cannot_be_set() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FrameResult(Frame(np.zeros((1, 1, 3), np.uint8))).late = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Landmarks(np.zeros((67, 2)), 1.0), r"Landmarks.points: expected shape \(68, 2\), got \(67, 2\)"),
        (lambda: Emotion("fear", np.zeros(7)), r"expected shape \(8,\), got \(7,\)"),
        (lambda: Frame(np.zeros((4, 4), np.uint8)), r"expected shape \('n', 'n', 3\), got \(4, 4\)"),
        (lambda: Face(np.zeros((2, 2)), 0.5, np.zeros((5, 2))), r"Face.box_xyxy"),
    ],
)
def test_a_wrong_shape_is_refused(make: object, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()  # type: ignore[operator]


def test_arrays_have_the_dtype_of_the_vocabulary() -> None:
    assert Landmarks(np.zeros((68, 2), np.float64), 1.0).points.dtype == np.float32


def test_names_have_the_orders_that_the_data_has() -> None:
    assert (EMOTIONS[0], EMOTIONS[6], len(EMOTIONS)) == ("neutral", "fear", 8)
    assert (PARSING_CLASSES[10], PARSING_CLASSES[18], len(PARSING_CLASSES)) == ("inner_mouth", "cloth", 19)


def test_every_public_name_is_there() -> None:
    for name in rtface.__all__:
        assert getattr(rtface, name) is not None
    assert set(rtface.__all__) <= set(dir(rtface))
    with pytest.raises(AttributeError, match="has no attribute 'analyse'"):
        rtface.analyse  # noqa: B018


@pytest.mark.parametrize("statement", ["import rtface", "import rtface; rtface.run; rtface.analyze; rtface.draw"])
def test_importing_the_package_loads_nothing_that_it_does_not_need(statement: str) -> None:
    heavy = "torch", "tensorrt", "mediapipe", "pyarrow", "matplotlib", *(["numpy", "cv2"] * (";" not in statement))
    check = f"import sys; {statement}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
