"""Options from flags, variables and files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

import rtface
from rtface.errors import InputError, OptionError
from rtface.labels import TASKS
from rtface.option_rules import check_tasks, parse_ms
from rtface.options import OPTIONS, Options


@pytest.mark.parametrize("count", [0, -1, 1.5, 2.0, float("nan"), True, "3", [1], 10**400 * -1])
def test_how_many_frames_a_run_has_at_most_is_a_whole_number(count: object) -> None:
    for start in (rtface.run, rtface.live):
        with pytest.raises(rtface.UsageError, match="max_frames: expected a whole number of at least 1"):
            start("demo", max_frames=count)  # type: ignore[operator]
    assert rtface.run("demo", max_frames=np.int64(2), tasks=())["frames"] == 2  # type: ignore[arg-type]


@pytest.mark.parametrize("time", ["0001-01-01", "9999-12-31", datetime.max, datetime.min])
def test_a_video_is_of_no_time_that_its_frames_would_leave(time: object) -> None:
    with pytest.raises(rtface.UsageError, match="started_at: expected a time"):
        rtface.run("demo", started_at=time, max_frames=1)  # type: ignore[arg-type]


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    path = tmp_path / "rtface.toml"
    path.write_text("max_faces = 2\nthreads = 3\ndetect_width = 256\n")
    env = {"RTFACE_MAX_FACES": "5", "RTFACE_THREADS": "4", "RTFACE_DEBUG": "1", "PATH": "/bin"}
    options = Options.load(path, env, max_faces=7, smooth=None)
    assert (options.max_faces, options.threads, options.detect_width) == (7, 4, 256)
    assert options.smooth is Options().smooth


def test_a_table_and_the_variable_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "project.toml"
    path.write_text('[rtface]\ntasks = ["pose", "landmarks"]\nbudget_ms = "33ms"\n[other]\nmax_faces = 1\n')
    options = Options.load(env={"RTFACE_CONFIG": str(path)})
    assert options.tasks == ("landmarks", "pose")
    assert options.budget_ms == 33.0
    assert options.max_faces == Options().max_faces


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("tasks", "pose, emotion", ("emotion", "pose")),
        ("budget_ms", "0.05s", 50.0),
        ("budget_ms", "none", None),
        ("threads", "", None),
        ("smooth", "on", True),
        ("smooth", "0", False),
        ("enhance", "yes", True),
        ("score_threshold", "0.25", 0.25),
        ("models_dir", "elsewhere", "elsewhere"),
        ("precision", "int8", "int8"),
    ],
)
def test_variables_are_read_as_what_they_stand_for(name: str, text: str, value: object) -> None:
    assert getattr(Options.load(env={f"RTFACE_{name.upper()}": text}), name) == value


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("max_faces", 0, "a whole number from 1 to 1024, got 0"),
        ("max_faces", 2.5, "a whole number"),
        ("max_faces", "many", "got 'many'"),
        ("max_faces", True, "a whole number"),
        ("max_faces", None, "got None"),
        ("score_threshold", float("nan"), "a number from 0 to 1"),
        ("detect_every_ms", -1, "a number of at least 0"),
        ("budget_ms", "soon", "a positive time such as 33ms"),
        ("budget_ms", 0, "a positive time"),
        ("smooth", "maybe", "true or false"),
        ("enhance", "sometimes", "true or false"),
        ("tasks", 3, "some of landmarks"),
        ("models_dir", 5, "a folder"),
        ("precision", "int4", "one of auto, fp32, fp16, int8"),
    ],
)
def test_a_wrong_value_says_what_was_expected(name: str, value: object, expected: str) -> None:
    with pytest.raises(OptionError, match=f"^{name}: expected ") as caught:
        Options(**{name: value})  # type: ignore[arg-type]
    assert expected in str(caught.value)


@pytest.mark.parametrize("name", ["detect_width", "still_width"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (330, r"a multiple of 32 from 64 to 4096 \(the nearest are 320 or 352\), got 330"),
        (65, r"the nearest are 64 or 96"),
        (4095, r"the nearest are 4064 or 4096"),
        ("100", r"the nearest are 96 or 128"),
        (32, r"a multiple of 32 from 64 to 4096, got 32"),
        ("wide", r"a multiple of 32 from 64 to 4096, got 'wide'"),
    ],
)
def test_the_detectors_sides_are_multiples_of_its_stride(name: str, value: object, said: str) -> None:
    with pytest.raises(OptionError, match=f"^{name}: expected .*{said}"):
        Options(**{name: value})  # type: ignore[arg-type]
    assert getattr(Options(**{name: "352"}), name) == 352  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["mesh", "expression", "gaze"])
def test_rounds_of_interaction_go_with_the_four_tasks_only(task: str) -> None:
    for rounds in (1, 2):
        assert Options(iterations=rounds).iterations == rounds
        with pytest.raises(
            OptionError, match=rf"^iterations: expected 0 .* got {rounds} with {task}\. Leave iterations"
        ):
            Options(iterations=rounds, tasks=("pose", task))


def test_an_unknown_option_names_its_neighbour() -> None:
    with pytest.raises(OptionError, match=r"'max_face': is unknown\. Did you mean max_faces\?"):
        Options.load(env={}, max_face=3)


def test_an_unknown_variable_warns_and_is_left_out() -> None:
    with pytest.warns(UserWarning, match=r"RTFACE_MAX_FACE is no option and left out; did you mean RTFACE_MAX_FACES\?"):
        assert Options.load(env={"RTFACE_MAX_FACE": "3", "RTFACE_ROTATE": "90"}) == Options(rotate=90)


def test_a_toml_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "options.toml"
    path.write_text("max_faces = 3", "utf-8-sig")
    assert Options.load(path, {}).max_faces == 3


@pytest.mark.parametrize("name", ["max_faces", "detect_every_ms", "budget_ms", "nms_iou", "reconnect_s", "threads"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 10**400, "nan", "1e999", True, [1], b"1"])
def test_what_is_no_number_is_one_error(name: str, value: object) -> None:
    with pytest.raises(OptionError):
        Options(**{name: value})  # type: ignore[arg-type]


def test_what_a_camera_is_asked_for() -> None:
    options = Options.load(env={}, camera_size="1280x720", camera_fps="30", camera_fourcc="mjpg", rotate="270")
    assert (options.camera_size, options.camera_fps, options.camera_fourcc) == ((1280, 720), 30.0, "MJPG")
    assert options.rotate == 270
    wrong = [
        ("camera_size", "1280"),
        ("camera_size", (0, 1)),
        ("camera_fourcc", "MJ"),
        ("rotate", 45),
        ("rotate", True),
    ]
    for name, value in wrong:
        with pytest.raises(OptionError, match=name):
            Options(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file"), ("max_faces =", "is not TOML"), ("rtface = 3", "expected a table")]
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: str | None, says: str) -> None:
    path = tmp_path / "options.toml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(OptionError, match=says):
        Options.load(path, {})


def test_tasks_come_in_their_order_once_each() -> None:
    assert check_tasks(["pose", "parsing", "pose"]) == ("parsing", "pose")
    assert check_tasks("emotion") == ("emotion",)
    assert Options().tasks == TASKS
    with pytest.raises(InputError, match=r"'emotions': is unknown\. Did you mean emotion\?"):
        Options(tasks=("emotions",))
    for wrong in ({}, None, 0):
        with pytest.raises(InputError, match="is unknown"):
            check_tasks([wrong])  # type: ignore[list-item]
    assert check_tasks([]) == check_tasks("none") == Options(tasks="none").tasks == ()  # type: ignore[arg-type]
    assert check_tasks("pose,emotion") == ("emotion", "pose")
    for empty in ("", " ", ","):  # a shell's variable that is not set is no wish for detection alone
        with pytest.raises(InputError, match='Say "none" for detection alone'):
            check_tasks(empty)


@pytest.mark.parametrize(
    ("text", "ms"), [(33, 33.0), ("33", 33.0), ("33ms", 33.0), (" 1.5 s ", 1500.0), (".5ms", 0.5), (1e-5, 1e-5)]
)
def test_times(text: str | float, ms: float) -> None:
    assert parse_ms(text) == ms


@pytest.mark.parametrize("text", ["", "0", "-3ms", "3m", "nan", "1e3"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(OptionError, match="a positive time"):
        parse_ms(text)


def test_an_option_is_declared_once() -> None:
    """Its rule, its help, its flag and its line in the reference come from one place."""
    assert Options.__doc__ is not None
    for name, option in OPTIONS.items():
        assert option.metadata["text"].endswith(".") and f"        {name}: " in Options.__doc__
    assert Options.load(env={f"RTFACE_{name.upper()}": "3" for name in ("max_faces", "threads")}).max_faces == 3


def test_renamed_options_are_understood_for_one_release_more(tmp_path: Path) -> None:
    config = tmp_path / "rtface.toml"
    config.write_text("still_looks = 2\n")
    with pytest.warns(DeprecationWarning, match="floor is called max_level now"):
        options = Options(floor=2)  # type: ignore[call-arg]
    assert options.max_level == 2 and options.floor == 2  # type: ignore[attr-defined]
    with pytest.warns(DeprecationWarning, match="still_looks is called still_tta now"):
        assert Options.load(config, env={}).still_tta == 2
    with pytest.warns(DeprecationWarning, match="still_trust"):
        assert Options.load(env={"RTFACE_STILL_TRUST": "0.5"}).still_min_confidence == 0.5
    record = options.to_dict()
    assert record["max_level"] == record["floor"] == 2 and record["still_passes"] == record["still_refine"] == 2


def test_a_level_beyond_the_lowest_allowed_is_refused() -> None:
    with pytest.raises(OptionError, match="level: 3 lies beyond max_level 2"):
        Options(level=3, max_level=2)
