"""Videos whose frames would take the memory away."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.capture.open import open_source
from rtface.errors import SourceError
from rtface.system import opencv
from tests.media import write_video


def test_a_video_of_huge_frames_is_refused_before_one_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_video(tmp_path / "a.mp4")
    monkeypatch.setattr(opencv, "MAX_PIXELS", 160 * 120 - 1)
    with pytest.raises(SourceError, match="is too large: 160x120 px"):
        open_source(path)
    monkeypatch.setattr(opencv, "MAX_PIXELS", 10**6)
    with open_source(path) as source:
        assert source.read() is not None
