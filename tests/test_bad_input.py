"""Everything bad that people hand in, through the command line and through Python.

Each gets one line that says what failed, why, and how to mend it, and the exit code of its kind; nothing that was there
before is touched.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import rtface
from rtface.errors import InputError, ModelError, OptionError, OutputError, RtfaceError, SourceError, UsageError
from rtface.models import PACKAGE_DIR
from tests.conftest import Cli
from tests.media import blank, cut, picture, write_video


def missing(folder: Path) -> Path:
    return folder / "none.mp4"


def empty(folder: Path) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def truncated(folder: Path) -> Path:
    return cut(write_video(folder / "cut.mp4"), 0.5)


def text(folder: Path) -> Path:
    (folder / "notes.txt").write_text("not a video\n" * 50)
    return folder / "notes.txt"


def noise(folder: Path) -> Path:
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    return folder / "noise.mp4"


def truncated_picture(folder: Path) -> Path:
    cv2.imwrite(str(folder / "cut.png"), picture())
    return cut(folder / "cut.png", 0.5)


def no_pictures(folder: Path) -> Path:
    text(folder)
    return folder


def listed_nul(folder: Path) -> Path:
    """A list of sources whose only one cannot be a file's name."""
    (folder / "list.txt").write_bytes(b"./visit\0.jpg\n")
    return folder / "list.txt"


SOURCES = [
    (missing, "does not exist"),
    (empty, "is empty (0 bytes)"),
    (truncated, "is cut short"),
    (text, "is not a video or picture"),
    (noise, "is not a video or picture"),
    (truncated_picture, "is cut short"),
    (no_pictures, "holds no pictures"),
    (lambda _: "visit\0.mp4", "cannot be read (embedded null"),
    (lambda _: "~visit\0.mp4", "cannot be read (embedded null"),
    (lambda _: Path("visit\0.mp4"), "cannot be read (embedded null"),
    (listed_nul, "is not a video or picture"),
    (lambda _: 97, "camera 97: is not there"),
    (lambda _: "rtsp://127.0.0.1:1/none", "cannot be opened as a video"),
]


def one_line(error: RtfaceError) -> str:
    line = str(error)
    assert "\n" not in line
    assert error.what in line and error.mend in line
    return line


@pytest.mark.parametrize(("make", "why"), SOURCES)
def test_bad_sources(cli: Cli, tmp_path: Path, make: Callable[[Path], object], why: str) -> None:
    source = make(tmp_path)
    output = tmp_path / "out.jsonl"
    for verb in (["run"], ["live", "--no-show"]):
        done = cli(*verb, source, "-o", output)
        assert (done.code, done.out) == (3, "")
        assert why in done.err
        assert done.err.startswith("rtface: ") and done.err.count("\n") == 1
    with pytest.raises(SourceError) as caught:
        rtface.run(source, outputs=[output])  # type: ignore[arg-type]
    assert why in one_line(caught.value)
    with pytest.raises(SourceError), rtface.live(source):  # type: ignore[arg-type]
        pass
    assert not output.exists()


@pytest.mark.parametrize(
    ("make", "why"),
    [(missing, "does not exist"), (empty, "is empty"), (text, "is not a picture"), (truncated_picture, "is cut short")],
)
def test_bad_pictures_by_path(tmp_path: Path, make: Callable[[Path], Path], why: str) -> None:
    with pytest.raises(SourceError) as caught:
        rtface.analyze(make(tmp_path))
    assert why in one_line(caught.value)


def test_a_video_given_as_a_picture_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="rtface run"):
        rtface.analyze(write_video(tmp_path / "clip.mp4"))


BGR = picture()


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(BGR[:, :, 0], id="grey"),
        pytest.param(BGR[:, :, :1], id="grey with an axis"),
        pytest.param(np.dstack([BGR, BGR[:, :, 0]]), id="BGRA"),
        pytest.param(np.zeros((1, 1, 3), np.uint8), id="1 px"),
        pytest.param(np.zeros((1, 500), np.uint8), id="a line"),
        pytest.param(np.full((6000, 8000, 3), 128, np.uint8), id="huge"),
        pytest.param(BGR[::-1, ::-1], id="a view"),
    ],
)
def test_unusual_pictures_are_analysed(image: np.ndarray) -> None:
    result = rtface.analyze(image)
    assert result.frame.image.shape == (*image.shape[:2], 3)
    json.dumps(result.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (np.zeros((9, 9, 3), np.float32), "got float32"),
        (np.full((9, 9, 3), np.nan), "NaN"),
        (np.zeros((9, 9, 3), np.int64), "got int64"),
        (np.zeros((0, 9, 3), np.uint8), "empty"),
        (np.zeros((9, 9, 5), np.uint8), "got shape (9, 9, 5)"),
        (None, "NoneType"),
    ],
)
def test_bad_arrays(image: Any, why: str) -> None:
    with pytest.raises(InputError) as caught:
        rtface.analyze(image)
    assert why in one_line(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "boxes",
    [
        [[0, 0, 10]],
        [0, 0, 10, 10],
        [[5, 5, 5, 9]],
        [[0, 0, np.nan, 9]],
        [[0, 0, 10**400, 9]],
        [[0, 0, 1e39, 9]],
        [["a", 0, 1, 1]],
        "boxes",
    ],
)
def test_bad_boxes(boxes: Any) -> None:
    with pytest.raises(InputError, match="boxes"):
        rtface.analyze(BGR, boxes=boxes)


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    """A copy of the models that ship."""
    return Path(shutil.copytree(PACKAGE_DIR, tmp_path / "models", ignore=shutil.ignore_patterns("*.py", "__pycache__")))


def without_a_file(folder: Path) -> None:
    for path in folder.glob("detector*.onnx"):
        path.unlink()


def with_a_cut_file(folder: Path) -> None:
    for path in folder.glob("detector*.onnx"):
        cut(path, 0.5)


def with_another_file(folder: Path) -> None:
    for path in folder.glob("detector*.onnx"):
        blank(path, 0.5, 100)


def with_a_file_that_is_no_network(folder: Path) -> None:
    """Its hash fits, so that only the engine can find out."""
    import hashlib
    import re

    garbage = b"not a network"
    for path in folder.glob("*.onnx"):
        path.write_bytes(garbage)
    registry = folder / "registry.toml"
    content = re.sub(r'sha256 = "\w+"', f'sha256 = "{hashlib.sha256(garbage).hexdigest()}"', registry.read_text())
    registry.write_text(re.sub(r"(?m)^bytes = \d+", f"bytes = {len(garbage)}", content))


def without_a_registry(folder: Path) -> None:
    (folder / "registry.toml").unlink()


MODELS = [
    (without_a_file, "is missing"),
    (with_a_cut_file, "is cut short"),
    (with_another_file, "SHA-256"),
    (with_a_file_that_is_no_network, "detector"),
    (without_a_registry, "registry.toml"),
]


@pytest.mark.parametrize(("damage", "why"), MODELS)
def test_bad_models(cli: Cli, models_dir: Path, tmp_path: Path, damage: Callable[[Path], None], why: str) -> None:
    damage(models_dir)
    output = tmp_path / "out.jsonl"
    done = cli("run", "demo", "-o", output, "--set", f"models_dir={models_dir}")
    assert (done.code, done.out) == (4, "")
    assert why in done.err and done.err.count("\n") == 1
    options = rtface.Options(models_dir=str(models_dir))
    with pytest.raises((ModelError, rtface.EngineError)) as caught:
        rtface.analyze(BGR, options=options)
    assert why in one_line(caught.value)
    with pytest.raises((ModelError, rtface.EngineError)):
        rtface.Analyzer(options)
    assert not output.exists()


def existing(folder: Path) -> Path:
    (folder / "old.jsonl").write_text("old")
    return folder / "old.jsonl"


def a_folder(folder: Path) -> Path:
    (folder / "out.mp4").mkdir()
    return folder / "out.mp4"


def below_a_file(folder: Path) -> Path:
    (folder / "file").touch()
    return folder / "file" / "out.jsonl"


OUTPUTS = [
    (existing, OutputError, "-y"),
    (a_folder, OutputError, "is a folder"),
    (below_a_file, OutputError, "there is no folder"),
    (lambda folder: folder / "out.avi", UsageError, "no output is written to .avi"),
]


@pytest.mark.parametrize(("make", "error", "why"), OUTPUTS)
def test_bad_outputs(
    cli: Cli, tmp_path: Path, make: Callable[[Path], Path], error: type[RtfaceError], why: str
) -> None:
    output = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = cli("run", "demo", "-o", output)
    assert (done.code, done.out) == (error.exit_code, "")
    assert why in done.err and done.err.count("\n") == 1
    with pytest.raises(error) as caught:
        rtface.run("demo", [output])
    assert why in one_line(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    if output.is_file():
        assert output.read_text() == "old"


def test_an_output_that_exists_is_overwritten_on_demand(cli: Cli, tmp_path: Path) -> None:
    output = existing(tmp_path)
    assert cli("run", "demo", "-o", output, "-y", "--max-frames", 2).code == 0
    assert len(output.read_text().splitlines()) == 4
    assert rtface.run("demo", [output], overwrite=True, max_frames=1)["frames"] == 1
    assert len(output.read_text().splitlines()) == 3


OPTIONS: list[tuple[list[str], str]] = [
    (["--tasks", "emotions"], "Did you mean emotion?"),
    (["--set", "max_face=3"], "Did you mean max_faces?"),
    (["--set", "score_threshold=2"], "expected a number from 0 to 1, got '2'"),
    (["--set", "smooth"], "expected NAME=VALUE"),
    (["--max-faces", "0"], "expected a whole number from 1"),
    (["--colour", "red"], "rtface run --help"),
    (["--config", "none.toml"], "No such file"),
]


@pytest.mark.parametrize(("args", "why"), OPTIONS)
def test_bad_options(cli: Cli, args: Iterable[str], why: str) -> None:
    done = cli("run", "demo", *args)
    assert (done.code, done.out) == (2, "")
    assert why in done.err and done.err.count("\n") == 1


def test_bad_options_in_variables_and_in_python(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="Did you mean pose"):
        rtface.analyze(BGR, tasks=["poses"])
    with pytest.raises(OptionError, match="expected"):
        rtface.Options(max_faces=-1)
    monkeypatch.setenv("RTFACE_MAX_FACES", "few")
    done = cli("run", "demo")
    assert done.code == 2
    assert "max_faces: expected a whole number" in done.err and done.err.count("\n") == 1


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_corrupt_frame_in_the_middle_is_counted_and_skipped(cli: Cli, tmp_path: Path, suffix: str) -> None:
    clip = blank(write_video(tmp_path / f"clip{suffix}", frames=60), 0.5, 6000 if suffix == ".avi" else 900)
    output = tmp_path / "out.jsonl"
    done = cli("run", clip, "-o", output)
    assert done.code == 0
    *_, summary = [json.loads(line) for line in output.read_text().splitlines()]
    assert summary["corrupt"] > 0
    assert summary["frames"] + summary["corrupt"] == 60
    assert done.err.count("\n") == 1
