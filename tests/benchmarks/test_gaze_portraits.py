"""Portraits that look into the camera, and how many are called so."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.gaze import figures, main
from tests.evaluate.made import record, write


def test_figures_are_of_the_angle_to_the_camera() -> None:
    looks = np.array([(3.0, 4.0), (0.0, 0.0), (-6.0, 8.0), (30.0, 0.0), (np.nan, np.nan)])
    assert figures(looks) == {
        "pictures": 5,
        "faces": 4,
        "median_deg": 7.5,
        "on_camera_pct": 75.0,
        "yaw_median_deg": 1.5,
        "pitch_median_deg": 2.0,
    }
    assert figures(np.zeros((0, 2))) == {"pictures": 0, "faces": 0}


def test_pictures_without_a_face_count_as_pictures_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path / "grey.parquet", [record("a", np.full((90, 90, 3), 90, np.uint8))])
    main([str(file), "--sheet", str(tmp_path / "sheet.png")])
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["figures"] == {name: {"pictures": 1, "faces": 0} for name in ("grey", "all")}
    assert not (tmp_path / "sheet.png").exists()
