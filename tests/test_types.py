"""The vocabulary: frozen, read-only, shapes checked."""

from __future__ import annotations

import ast
import dataclasses
import os
import re
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest

import rtface
from rtface.labels import EMOTIONS, PARSING_CLASSES
from rtface.types import Emotion, Face, Frame, FrameResult, HeadPose, Landmarks, Timing, utc_text


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


def test_checkers_and_the_interpreter_have_the_same_public_names() -> None:
    tree = ast.parse(Path(rtface.__file__).read_text("utf-8"))
    (block, *_) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    homes = {name.asname: node.module for node in imports for name in node.names if name.asname is not None}
    assert homes == {
        **{name: f"rtface.{home}" for name, home in rtface._HOME_OF.items()},
        **dict.fromkeys(rtface._MODULES, "rtface"),
    }


def test_help_of_the_vocabulary_works_after_a_bare_import() -> None:
    code = "import rtface; help(rtface.types); help(rtface.Options)"
    env = {**os.environ, "RTFACE_MAX_FACES": "3", "PAGER": "cat", "SECRET_TOKEN": "hunter2"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert "class FrameResult" in done.stdout and "max_faces" in done.stdout
    assert "hunter2" not in done.stdout


def test_the_readmes_lines_are_typed_and_a_misspelt_name_is_found(tmp_path: Path) -> None:
    mypy = pytest.importorskip("mypy.api", reason="pip install mypy")
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    readme = (Path(rtface.__file__).parents[1] / "README.md").read_text("utf-8")
    right.write_text("\n".join(re.findall(r"```python\n(.*?)```", readme, flags=re.S)))
    assert "rtface.analyze(" in right.read_text()
    wrong.write_text("import rtface\n\nrtface.analyse('group.jpg')\nrtface.Options(max_face=4)\n")
    cache = str(tmp_path / "cache")
    config = str(Path(rtface.__file__).parents[1] / "pyproject.toml")
    flags = ["--strict", "--config-file", config, "--cache-dir", cache]
    out, err, code = mypy.run([*flags, str(right), str(wrong)])
    assert not err
    assert "right.py" not in out, out
    assert 'wrong.py:3: error: Module has no attribute "analyse"' in out
    assert 'wrong.py:4: error: Unexpected keyword argument "max_face"' in out
    assert code == 1


@pytest.mark.parametrize("statement", ["import rtface", "import rtface; rtface.run; rtface.analyze; rtface.draw"])
def test_importing_the_package_loads_nothing_that_it_does_not_need(statement: str) -> None:
    heavy = "torch", "tensorrt", "mediapipe", "pyarrow", "matplotlib", *(["numpy", "cv2"] * (";" not in statement))
    check = f"import sys; {statement}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


PICTURE = np.zeros((480, 640, 3), np.uint8)


def found(track_id: int | None = 3) -> Face:
    probs = np.array([0.1, 0.9, 0, 0, 0, 0, 0, 0])
    return Face(
        np.array([10, 20, 30, 41.5]),
        0.9,
        np.zeros((5, 2)),
        track_id,
        Landmarks(np.arange(136).reshape(68, 2), 0.75),
        HeadPose(-12.346, 3.0, 0.5),
        Emotion("happiness", probs),
        quality=0.8,
    )


def test_a_result_is_shown_in_one_line_of_at_most_200_characters() -> None:
    result = FrameResult(Frame(PICTURE, 12, source="visit.mp4"), (found(), found(4)), Timing(total_ms=8.123), level=2)
    assert repr(result) == str(result)
    assert repr(result) == "<FrameResult 12 of 'visit.mp4': 2 faces, 8.1 ms, level 2, #3 happiness #4 happiness>"
    crowd = FrameResult(Frame(PICTURE, 12, source="a\nvery long " * 50), (found(),) * 300)
    for shown in (repr(crowd), repr(crowd.frame), repr(found())):
        assert len(shown) <= 200
        assert "\n" not in shown


def test_a_result_counts_its_faces_and_is_true_without_any() -> None:
    empty, two = FrameResult(Frame(PICTURE)), FrameResult(Frame(PICTURE), (found(), found(4)))
    assert (len(empty), len(two)) == (0, 2)
    assert empty and two
    assert [face.track_id for face in two] == [3, 4]


def test_rows_are_flat_and_hold_what_was_asked_for() -> None:
    frame = Frame(PICTURE, 7, captured_at=99.0, media_time=0.28, source="visit.mp4")
    (row,) = FrameResult(frame, (found(),), tasks=("landmarks", "emotion", "pose"), camera="door").to_rows()
    assert (row["source"], row["camera"], row["frame"], row["time_s"]) == ("visit.mp4", "door", 7, 0.28)
    assert [row[f"box_{name}_px"] for name in ("x0", "y0", "x1", "y1")] == [10.0, 20.0, 30.0, 41.5]
    assert (row["yaw_deg"], row["emotion"], row["happiness"]) == (-12.35, "happiness", 0.9)
    assert (row["x_67_px"], row["y_67_px"], row["landmarks_score"]) == (134.0, 135.0, 0.75)
    assert all(np.isscalar(value) or value is None for value in row.values())
    (bare,) = FrameResult(frame, (Face(np.zeros(4), 0.5, np.zeros((5, 2))),), tasks=("emotion",)).to_rows()
    assert bare["emotion"] is None and bare["fear"] is None
    assert not {"yaw_deg", "x_0_px"} & set(bare)
    assert FrameResult(frame).to_rows() == []


def test_times_are_written_in_utc() -> None:
    summer = datetime(2026, 7, 1, 10, 0, 0, 5000, timezone(timedelta(hours=2)))
    assert utc_text(summer) == "2026-07-01T08:00:00.005Z"
    record = FrameResult(Frame(PICTURE, source="door"), camera="left", time=summer).to_dict()
    assert (record["time"], record["source"], record["camera"]) == ("2026-07-01T08:00:00.005Z", "door", "left")
    assert FrameResult(Frame(PICTURE)).to_dict()["time"] is None
