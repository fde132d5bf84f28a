"""The list of jobs, and what is refused before anything begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.archive.jobs import Job, bundles, plan
from rtface.errors import SourceError, UsageError


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders with files that nobody opens; the current folder."""
    videos, pictures = ("mon/door.mp4", "tue/door.mp4", "tue/hall.mkv"), ("photos/a.jpg", "photos/b.png")
    for name in (*videos, *pictures, "photos/notes.md", "wed/frame_000001.jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "link").symlink_to("mon")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folders_patterns_and_lists_become_a_job_a_file(files: Path) -> None:
    (files / "list.txt").write_text("# a list\n\ntue/hall.mkv\nhttps://cam.local/clip.mp4\n")
    jobs = plan(["mon/*.mp4", "photos", "list.txt"], ["out/{parent}-{stem}.jsonl"])
    assert [job.shown for job in jobs] == [
        *("mon/door.mp4", "photos/a.jpg", "photos/b.png", "tue/hall.mkv"),
        "https://cam.local/clip.mp4",
    ]
    assert [path.name for job in jobs for path in job.paths] == [
        *("mon-door.jsonl", "photos-a.jsonl", "photos-b.jsonl", "tue-hall.jsonl", "cam.local-clip.jsonl"),
    ]
    assert all(path.is_absolute() for job in jobs for path in job.paths)


def test_a_file_that_is_named_twice_is_done_once(files: Path) -> None:
    assert len(plan(["mon", "mon/door.mp4", files / "mon/door.mp4"], ["{stem}.jsonl"])) == 1


def test_settings_stay_behind_the_name(files: Path) -> None:
    (job,) = plan("mon", ["{stem}.csv?columns=openface"])
    assert job.outputs == (f"{files}/door.csv?columns=openface",)
    assert job.paths == (files / "door.csv",)


@pytest.mark.parametrize(
    ("sources", "outputs", "said"),
    [
        (["mon", "tue"], ["o/{stem}.jsonl"], "o/door.jsonl: mon/door.mp4 and tue/door.mp4 would both be written to it"),
        (["mon", "tue"], ["o/all.jsonl"], "is one name for 3 sources. Put {stem}, {parent} or {index} into it"),
        (["mon"], ["o/{stem}.csv", "o/{stem}.csv"], "o/door.csv: is named twice"),
        (["mon"], ["mon/{stem}.mp4"], "mon/door.mp4: is mon/door.mp4 itself"),
        (["mon"], ["link/{stem}.mp4"], "link/door.mp4: is mon/door.mp4 itself"),
        (["wed/frame_000001.jpg"], ["wed/"], "wed: has wed/frame_000001.jpg in it"),
        (["mon"], [], "goes into files, and none is named"),
        (["mon"], ["-"], "go into files"),
        (["mon"], ["mqtt://broker/{stem}"], "go into files"),
        (["mon"], ["{stem}.db"], "cannot continue one file"),
        (["mon", "tue"], ["{stm}.jsonl"], "Did you mean stem"),
        ([0], ["{stem}.jsonl"], "is no file, and may never end"),
        (["rtsp://a:secret@cam.local/x"], ["{stem}.jsonl"], "rtsp://…@cam.local/x: is no file"),
    ],
)
def test_what_cannot_be_is_refused(files: Path, sources: list[object], outputs: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        plan(sources, outputs)  # type: ignore[arg-type]
    assert said in str(refused.value)


def test_lists_that_name_nothing_or_each_other_are_refused(files: Path) -> None:
    (files / "empty.txt").write_text("# nothing\n")
    (files / "lists.txt").write_text("empty.txt\n")
    with pytest.raises(SourceError, match="names no source"):
        plan("empty.txt", ["{stem}.jsonl"])
    with pytest.raises(SourceError, match="names another list"):
        plan("lists.txt", ["{stem}.jsonl"])


def test_pictures_in_a_row_go_together_and_videos_alone() -> None:
    names = ["a.jpg", "b.jpg", "c.jpg", "d.mp4", "e.gif", "f.png"]
    jobs = [Job(index, name, ()) for index, name in enumerate(names)]
    together = [[job.source for job in bundle] for bundle in bundles(jobs, most=2)]
    assert together == [["a.jpg", "b.jpg"], ["c.jpg"], ["d.mp4"], ["e.gif"], ["f.png"]]
