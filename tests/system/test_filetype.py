"""What the first bytes of a file say."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.system import filetype
from tests.media import cut, write_video


@pytest.mark.parametrize(("suffix", "kind"), [(".mp4", "mp4"), (".avi", "avi"), (".mkv", "matroska")])
def test_a_video_that_is_cut_says_so(tmp_path: Path, suffix: str, kind: str) -> None:
    path = write_video(tmp_path / f"clip{suffix}")
    assert filetype.kind_of(path) == kind
    assert not filetype.is_cut_short(path, kind)
    assert filetype.is_cut_short(cut(path, 0.99), kind)


def test_a_live_recording_has_no_announced_end(tmp_path: Path) -> None:
    path = tmp_path / "live.mkv"
    path.write_bytes(b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67" + b"\x01" + b"\xff" * 7 + b"frames")
    assert filetype.kind_of(path) == "matroska"
    assert not filetype.is_cut_short(path, "matroska")


def test_an_mp4_with_64_bit_and_open_lengths(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    head = (16).to_bytes(4, "big") + b"ftypisom\0\0\2\0"
    path.write_bytes(head + (1).to_bytes(4, "big") + b"mdat" + (24).to_bytes(8, "big") + bytes(8))
    assert not filetype.is_cut_short(path, "mp4")
    path.write_bytes(path.read_bytes()[:-1])
    assert filetype.is_cut_short(path, "mp4")
    path.write_bytes(head + bytes(4) + b"mdat" + bytes(3))
    assert not filetype.is_cut_short(path, "mp4")


def test_the_thumbnail_of_a_jpeg_is_not_its_end(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    thumbnail = b"Exif\0\0" + b"\xff\xd8\xff\xda\x00\x02..\xff\xd9"
    header = b"\xff\xd8" + b"\xff\xe1" + (2 + len(thumbnail)).to_bytes(2, "big") + thumbnail
    path.write_bytes(header + b"\xff\xda\x00\x02" + b"scan" + b"\xff\xd9")
    assert not filetype.is_cut_short(path, "jpeg")
    path.write_bytes(header + b"\xff\xda\x00\x02" + b"scan")
    assert filetype.is_cut_short(path, "jpeg")
    path.write_bytes(header)
    assert filetype.is_cut_short(path, "jpeg")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"plain\n" * 10, True),
        (("é" * 5000).encode(), True),
        (b"x" + ("é" * 5000).encode(), True),
        (b"#EXTM3U\nclip.ts\n", False),
        (b"\x00\x01binary", False),
        (b"\xff\xfe\xfd" * 2000, False),
    ],
)
def test_text_is_told_from_video(tmp_path: Path, content: bytes, text: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert filetype.is_text(path) is text
    assert filetype.kind_of(path) is None
