"""Tables, read by Python's csv, pyarrow and (where it is installed) py-feat's own readers."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import UsageError
from rtface.geometry.face_model import rotation_matrix
from rtface.labels import EMOTIONS
from rtface.outputs.columns import LAYOUTS, OPENFACE, OWN, PYFEAT, openface_angles
from rtface.outputs.open import choose
from tests.outputs.made import a_face, a_result, a_run, run_through

FACE = a_face(track_id=3, at=(220.0, 190.0), pose=(20.0, 10.0, 5.0))
RESULTS = [
    a_result(FACE, a_face(track_id=4), index=0, media_time=0.0),
    a_result(index=1, media_time=0.04),
    a_result(a_face(landmarks=None, pose=None, emotion=None, quality=None, predicted=True), index=2, media_time=0.08),
]


def table(path: Path, columns: str, suffix: str = ".csv") -> Path:
    file = path / f"{columns}{suffix}"
    (sink,) = choose([f"{file}?columns={columns}"], source="demo")
    run_through(sink, RESULTS, a_run(live=False))
    return file


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text, skipinitialspace=True))


def test_own_columns_have_a_row_a_face_and_none_without(tmp_path: Path) -> None:
    rows = rows_of(table(tmp_path, "rtface"))
    assert tuple(rows[0]) == OWN and len(rows) == 3
    assert [(row["frame"], row["track_id"]) for row in rows] == [("0", "3"), ("0", "4"), ("2", "1")]
    assert (rows[0]["yaw_deg"], rows[0]["emotion"], float(rows[0]["happiness"])) == ("20.0", "happiness", 0.7)
    assert float(rows[0]["x_30_px"]) == pytest.approx(FACE.landmarks.points[30, 0], abs=0.01)  # type: ignore[union-attr]
    assert {rows[2][name] for name in ("yaw_deg", "quality", "neutral", "y_67_px")} == {"NaN"}
    assert list(rows[0])[-1] == "quality_reasons" and {row["quality_reasons"] for row in rows} == {""}
    assert (rows[2]["emotion"], rows[2]["predicted"], rows[0]["predicted"]) == ("", "1", "0")
    assert [float(row["time_s"]) for row in rows] == [0.0, 0.0, 0.08]


def test_openface_columns(tmp_path: Path) -> None:
    file = table(tmp_path, "openface")
    assert file.read_text().startswith("frame, face_id, timestamp, confidence, success, gaze_0_x, ")
    rows = rows_of(file)
    assert tuple(rows[0]) == OPENFACE
    assert [row["frame"] for row in rows] == ["1", "1", "2", "3"]
    assert [row["success"] for row in rows] == ["1", "1", "0", "0"]
    for name in ("AU01_r", "AU28_c", "gaze_0_x", "eye_lmk_x_0", "p_33", "Z_67", "p_scale"):
        assert rows[0][name] == "NaN"
    assert all(float(rows[2][name]) != 0.0 for name in ("pose_Tx", "x_0", "AU12_r"))  # NaN, not nought
    assert float(rows[0]["pose_Tx"]) < 0 and float(rows[0]["pose_Tz"]) == pytest.approx(554, abs=5)  # mm
    assert float(rows[0]["x_30"]) == pytest.approx(FACE.landmarks.points[30, 0], abs=0.1)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("pose", "angles"),
    [
        ((20.0, 0.0, 0.0), (0.0, -20.0, 0.0)),  # to the owner's right is positive
        ((0.0, 10.0, 0.0), (-10.0, 0.0, 0.0)),  # up is negative
        ((0.0, 0.0, 15.0), (0.0, 0.0, 15.0)),
    ],
)
def test_openfaces_signs(pose: tuple[float, float, float], angles: tuple[float, float, float]) -> None:
    assert np.degrees(openface_angles(*pose)) == pytest.approx(angles, abs=1e-6)


def test_openfaces_three_angles_make_the_same_turn() -> None:
    about_x, about_y, about_z = openface_angles(25.0, -12.0, 8.0)
    (cx, sx), (cy, sy), (cz, sz) = ((math.cos(a), math.sin(a)) for a in (about_x, about_y, about_z))
    matrix = (
        np.array(((1, 0, 0), (0, cx, -sx), (0, sx, cx)))
        @ np.array(((cy, 0, sy), (0, 1, 0), (-sy, 0, cy)))
        @ np.array(((cz, -sz, 0), (sz, cz, 0), (0, 0, 1)))
    )
    assert matrix == pytest.approx(rotation_matrix(25.0, -12.0, 8.0), abs=1e-9)


def test_pyfeat_columns(tmp_path: Path) -> None:
    rows = rows_of(table(tmp_path, "pyfeat"))
    assert tuple(rows[0]) == PYFEAT and len(rows) == 4
    assert [row["frame"] for row in rows] == ["0", "0", "1", "2"]
    # Its convention: + up, + turned and tilted to the owner's right.
    assert [float(rows[0][name]) for name in ("Pitch", "Yaw", "Roll")] == [10.0, -20.0, -5.0]
    assert float(rows[0]["FaceRectWidth"]) == pytest.approx(FACE.box_xyxy[2] - FACE.box_xyxy[0], abs=0.01)
    assert rows[0]["AU12"] == rows[2]["FaceRectX"] == rows[2]["happiness"] == "NaN"
    assert rows[0]["Identity"] == "Person_3"


def test_every_row_is_as_long_as_the_head() -> None:
    for layout in LAYOUTS.values():
        assert len(set(layout.names)) == len(layout.names)
        assert set(layout.texts | layout.whole) <= set(layout.names)
        for result in RESULTS:
            assert all(len(row) == len(layout.names) for row in layout.rows(result, 0.0))


@pytest.mark.parametrize("columns", LAYOUTS)
def test_parquet_holds_the_same_table(tmp_path: Path, columns: str) -> None:
    pyarrow = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow (pip install 'rtface[eval]')")
    read = pyarrow.read_table(table(tmp_path, columns, ".parquet"))
    rows = rows_of(table(tmp_path, columns))
    assert tuple(read.column_names) == LAYOUTS[columns].names and read.num_rows == len(rows)
    for name in LAYOUTS[columns].names:
        for value, text in zip(read[name].to_pylist(), [row[name] for row in rows], strict=True):
            if text == "NaN":
                assert value is None
            elif isinstance(value, str):
                assert value == text
            else:
                assert float(value) == pytest.approx(float(text), abs=1e-3)


def test_a_run_that_breaks_off_leaves_rows_and_no_half_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow (pip install 'rtface[eval]')")
    for name in ("a.csv", "a.parquet"):
        (sink,) = choose([tmp_path / name], source="demo")
        with sink:
            sink.open(a_run())
            sink.write(RESULTS[0])
    assert len(rows_of(tmp_path / "a.csv")) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["a.csv"]


def test_live_times_begin_at_nought(tmp_path: Path) -> None:
    (sink,) = choose([tmp_path / "a.csv"], source="demo")
    run_through(sink, [a_result(FACE, at=1000.0), a_result(FACE, at=1000.5)], a_run(live=True))
    assert [row["time_s"] for row in rows_of(tmp_path / "a.csv")] == ["0.0", "0.5"]


def test_a_layout_that_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"Did you mean openface\?"):
        choose(["faces.csv?columns=openfac"], source="demo")


def test_py_feats_own_readers_take_both(tmp_path: Path) -> None:
    feat = pytest.importorskip("feat.utils.io", reason="needs py-feat in this environment (pip install py-feat)")
    openface = feat.read_openface(str(table(tmp_path, "openface")))
    assert len(openface) == 4
    fex = feat.read_feat(str(table(tmp_path, "pyfeat")))
    assert fex.landmarks.shape == (4, 136) and list(fex.poses.columns[:3]) == ["Pitch", "Roll", "Yaw"]
    assert fex.emotions["happiness"].iloc[0] == pytest.approx(0.7, abs=1e-3)
    assert set(EMOTIONS) - {"contempt"} <= set(fex.emotions.columns)
