"""Every frame of files, lists, patterns and folders, as an iterator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

import rtface
from rtface.analyzer import Analyzer
from rtface.capture.files import expand, one_source
from rtface.errors import SourceError, UsageError
from rtface.options import Options
from rtface.sequence import FrameSequence
from rtface.testing import FakeCamera, FakeClock, FakeDetector, FakeEngine, Painted, paint

FACE = Painted(200, 180)


@pytest.fixture
def analyzer() -> Iterator[Analyzer]:
    options = Options(threads=1, still_tta=1)  # the fake's faces are not symmetric
    with Analyzer(options, detector=FakeDetector([FACE]), engine=FakeEngine(), clock=FakeClock()) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures with and without a sub-folder, one of them damaged, and a video of two frames."""
    for name in ("img10.png", "img2.png", "more/deep.png", ".hidden/secret.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), paint([FACE]))
    (tmp_path / "img3.png").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("no picture either")
    writer = cv2.VideoWriter(str(tmp_path / "visit.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (640, 480))
    for _ in range(2):
        writer.write(paint([FACE]))
    writer.release()
    return tmp_path


def names(results: FrameSequence) -> list[tuple[str, int]]:
    return [(Path(result.source).name, result.frame.index) for result in results]


def test_a_folders_files_come_by_their_names_and_the_unreadable_one_is_named(folder: Path, analyzer: Analyzer) -> None:
    results = FrameSequence(folder, options=analyzer.options, analyzer=analyzer)
    assert names(results) == [("img2.png", 0), ("img10.png", 1), ("visit.avi", 0), ("visit.avi", 1)]
    (line,) = results.unreadable
    assert line.startswith(f"{folder / 'img3.png'}: is not a picture")


def test_sub_folders_come_when_asked_for_and_hidden_ones_never(folder: Path, analyzer: Analyzer) -> None:
    results = FrameSequence(folder, options=analyzer.options, analyzer=analyzer, recursive=True)
    assert {name for name, _ in names(results)} == {"img2.png", "img10.png", "deep.png", "visit.avi"}


def test_patterns_and_lists(folder: Path, analyzer: Analyzer) -> None:
    several = [folder / "visit.avi", f"{folder}/img1*.png", str(folder / "img2.png")]
    results = FrameSequence(several, options=analyzer.options, analyzer=analyzer)
    assert names(results) == [("visit.avi", 0), ("visit.avi", 1), ("img10.png", 0), ("img2.png", 1)]
    assert results.unreadable == []


def test_ids_begin_again_with_each_video_and_pictures_have_none(folder: Path, analyzer: Analyzer) -> None:
    several = [folder / "visit.avi", folder / "img2.png", folder / "visit.avi"]
    results = list(FrameSequence(several, options=analyzer.options, analyzer=analyzer))
    ids = [face.track_id for result in results for face in result]
    assert ids[2] is None
    assert ids[0] == ids[1] == ids[3] == ids[4] == 1


def test_a_missing_file_among_several_is_named_and_alone_it_is_an_error(folder: Path, analyzer: Analyzer) -> None:
    missing = folder / "none.mp4"
    results = FrameSequence([missing, folder / "img2.png"], options=analyzer.options, analyzer=analyzer)
    assert names(results) == [("img2.png", 0)]
    assert "none.mp4: does not exist" in results.unreadable[0]
    with pytest.raises(SourceError, match=r"none\.mp4: does not exist"):
        list(FrameSequence(missing, options=analyzer.options, analyzer=analyzer))
    with pytest.raises(SourceError, match="2 sources: none could be read"):
        list(FrameSequence([missing, folder / "img3.png"], options=analyzer.options, analyzer=analyzer))


def test_sources_of_ones_own_are_taken_too(analyzer: Analyzer) -> None:
    results = FrameSequence(FakeCamera([FACE], frames=3), options=analyzer.options, analyzer=analyzer)
    assert names(results) == [("fake camera", index) for index in range(3)]


def test_what_matches_nothing_is_said_at_once(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"\*\.tif: matches no file"):
        rtface.frames(f"{folder}/*.tif")
    (folder / "empty").mkdir()
    with pytest.raises(SourceError, match=r"holds no pictures or videos.*--recursive"):
        rtface.frames(folder / "empty")
    with pytest.raises(UsageError, match="none was given"):
        rtface.frames([])
    with pytest.raises(UsageError, match="got a float"):
        rtface.frames(3.5)  # type: ignore[arg-type]


def test_a_sequence_that_is_left_early_lets_go_of_its_networks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(Analyzer, "close", lambda self: closed.append(True))
    with rtface.frames("demo", options=Options(threads=1)) as results:
        next(results)
        assert not closed
    assert closed
    assert list(results) == []


def test_a_name_with_a_bracket_that_is_there_is_no_pattern(tmp_path: Path) -> None:
    path = tmp_path / "face[1].png"
    cv2.imwrite(str(path), paint([FACE]))
    assert expand(path) == [path]
    assert one_source(path) == path


def test_run_takes_several_pictures_as_one_source(folder: Path) -> None:
    source = one_source([folder / "img2.png", f"{folder}/more/*.png"])
    assert (source.name, source.frame_count) == ("2 pictures", 2)  # type: ignore[union-attr]
    source = one_source(folder, recursive=True)
    assert (source.name, source.frame_count) == (str(folder), 4)  # type: ignore[union-attr]
    assert one_source(folder) == folder
    with pytest.raises(UsageError, match="not all are pictures"):
        one_source([folder / "img2.png", folder / "visit.avi"])


def test_a_list_names_sources_and_other_texts_are_none(folder: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text(f"# pictures\n{folder / 'img2.png'}\n\n{folder}/img1*.png\n", "utf-8")
    assert [Path(str(one)).name for one in expand(names)] == ["img2.png", "img10.png"]
    source = one_source(names)
    assert (source.name, source.frame_count) == (str(names), 2)  # type: ignore[union-attr]
    notes = tmp_path / "notes.txt"
    notes.write_text("buy milk\nand bread\n")
    assert one_source(notes) == notes  # its opening says that it is no video
