"""Which output a path means, and when it is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import OutputError, RtfaceError, UsageError
from rtface.outputs.jsonl import JsonlSink
from rtface.outputs.open import choose
from rtface.outputs.sink import RunInfo
from rtface.outputs.video import PictureSink, VideoSink
from rtface.types import Frame, FrameResult


def test_endings_choose_the_sink(tmp_path: Path) -> None:
    mine = JsonlSink(None)
    names = [tmp_path / "a.jsonl", str(tmp_path / "b.MP4"), tmp_path / "c.jpeg", "-", mine]
    sinks = choose(names, source="demo")
    assert [type(sink) for sink in sinks] == [JsonlSink, VideoSink, PictureSink, JsonlSink, JsonlSink]
    assert sinks[-1] is mine
    assert sinks[3].name == "stdout"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("faces.avi", UsageError, "no output is written to .avi. Use .jsonl, .csv"),
        ("faces", UsageError, "a name without an ending"),
        ("old.jsonl", OutputError, "exists already. -y "),
        ("dangling.mp4", OutputError, "exists already. -y "),
        ("folder", OutputError, "is a folder"),
        ("folder.mp4", OutputError, "is a folder"),
        ("none/faces.mp4", OutputError, "mkdir -p"),
        ("clip.mp4", UsageError, "is the source itself"),
    ],
)
def test_what_cannot_be_an_output(tmp_path: Path, name: str, error: type[RtfaceError], says: str) -> None:
    (tmp_path / "old.jsonl").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "dangling.mp4").symlink_to("nowhere.mp4")
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(error) as caught:
        choose([tmp_path / name], source=str(tmp_path / "clip.mp4"))
    assert says in str(caught.value)


def test_overwriting_must_be_asked_for_and_never_means_the_source(tmp_path: Path) -> None:
    clip, old = tmp_path / "clip.mp4", tmp_path / "old.mp4"
    clip.touch()
    old.touch()
    assert choose([old], source=clip, overwrite=True)
    with pytest.raises(UsageError, match="is the source itself"):
        choose([tmp_path / "." / "clip.mp4"], source=clip, overwrite=True)


def test_the_same_output_twice(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is named twice"):
        choose([tmp_path / "a.jsonl", tmp_path / "." / "a.jsonl"], source="demo")


@pytest.mark.parametrize("link", [False, True])
def test_a_folder_of_frames_replaces_no_source(tmp_path: Path, link: bool) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    mine, others = folder / "frame_000001.jpg", tmp_path / "other" / "frame_000001.jpg"
    others.parent.mkdir()
    mine.touch()
    others.touch()
    output = f"{folder}/"
    if link:
        (tmp_path / "link").symlink_to(folder)
        output = f"{tmp_path}/link/"
    with pytest.raises(UsageError, match="has a source among its pictures"):
        choose([output], source=mine, overwrite=True)
    with pytest.raises(UsageError, match="has a source among its pictures"):
        choose([output], source="2 pictures", files=(others, mine), overwrite=True)
    assert choose([output], source=others, overwrite=True)


def test_a_folder_without_the_right_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="permission denied"):
        choose([tmp_path / "a.jsonl"], source="demo")


def test_no_output_is_a_part_of_the_source_whatever_links_lead_to_it(tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    folder.mkdir()
    picture = folder / "a.jpg"
    picture.touch()
    linked, soft = tmp_path / "hard.jpg", tmp_path / "soft.jpg"
    try:
        os.link(picture, linked)
        soft.symlink_to(picture)
    except OSError:
        pytest.skip("no links here")
    for output in (picture, linked, soft):
        with pytest.raises(UsageError, match="is the source itself, or a part of it"):
            choose([output], source=folder, overwrite=True)
    assert choose([folder / "faces.jsonl"], source=folder)
    playlist = tmp_path / "list.m3u8"
    (tmp_path / "part.mp4").touch()
    playlist.write_text("#EXTM3U\npart.mp4\n")
    with pytest.raises(UsageError, match="a part of it"):
        choose([tmp_path / "part.mp4"], source=playlist, overwrite=True)
    with pytest.raises(UsageError, match="is named twice"):
        choose([linked, picture], source="demo", overwrite=True)


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".mp4", ".jpg"])
def test_a_name_that_is_too_long_is_one_error(tmp_path: Path, ending: str) -> None:
    info = RunInfo("clip", live=False, stills=True, fps=None, frame_count=1, header={})
    with pytest.raises(OutputError, match="cannot be written") as caught:
        (sink,) = choose([tmp_path / ("x" * 300 + ending)], source="demo")
        with sink:
            sink.open(info)
            sink.write(FrameResult(Frame(np.zeros((64, 64, 3), np.uint8))))
            sink.finish({})
    assert not any(tmp_path.iterdir()), caught.value


def test_an_address_with_a_slip_in_it_keeps_its_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError) as caught:
        choose(["me:s3cret@host/faces.jsonl"], source="demo")
    assert "s3cret" not in str(caught.value)
