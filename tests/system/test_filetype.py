"""What the first bytes of a file say."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.system import filetype
from tests.media import write_video


@pytest.mark.parametrize(("suffix", "kind"), [(".mp4", "mp4"), (".avi", "avi"), (".mkv", "matroska")])
def test_a_video_is_known_by_its_first_bytes(tmp_path: Path, suffix: str, kind: str) -> None:
    assert filetype.kind_of(write_video(tmp_path / f"clip{suffix}")) == kind


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
