"""The fakes that ship, as a stranger's tests would use them."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import rtface
from rtface import testing
from rtface.errors import SourceError
from rtface.testing import FakeCamera, FakeClock, FakeDetector, FakeEngine, Painted, paint


def test_the_example_of_the_module_runs() -> None:
    assert doctest.testmod(testing, raise_on_error=True).attempted >= 3


def test_a_camera_gives_pictures_of_ones_own_with_stamps_of_a_clock() -> None:
    pictures = [np.full((4, 6, 3), value, np.uint8) for value in (1, 2)]
    with FakeCamera(pictures=pictures, fps=10.0, clock=FakeClock(tick=5.0), live=True) as camera:
        first, second, end = camera.read(), camera.read(), camera.read()
    assert first is not None and second is not None
    assert [int(frame.image[0, 0, 0]) for frame in (first, second)] == [1, 2]
    assert first.captured_at is not None and second.captured_at is not None
    assert second.captured_at - first.captured_at == pytest.approx(0.1)
    assert (camera.size_wh, end, camera.closed) == ((6, 4), None, True)


def test_a_camera_may_break_off() -> None:
    camera = FakeCamera([Painted(100, 100)], fails_at=1)
    assert camera.read() is not None
    with pytest.raises(SourceError, match="fake camera: broke off"):
        camera.read()


def test_the_engine_finds_the_dots_where_they_were_painted() -> None:
    face = Painted(300, 200, half=40)
    options = rtface.Options(still_tta=1)
    with rtface.Analyzer(options, detector=FakeDetector([face]), engine=FakeEngine()) as analyzer:
        (found,) = analyzer.image(paint([face]))
    assert np.allclose(found.points5, face.points5, atol=2)
