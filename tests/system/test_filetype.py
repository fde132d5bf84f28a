"""What the first bytes of a file say."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from rtface.system import filetype
from tests.media import picture, write_video


@pytest.mark.parametrize(("suffix", "kind"), [(".mp4", "mp4"), (".avi", "avi"), (".mkv", "matroska")])
def test_a_video_is_known_by_its_first_bytes(tmp_path: Path, suffix: str, kind: str) -> None:
    assert filetype.kind_of(write_video(tmp_path / f"clip{suffix}")) == kind


def test_the_thumbnail_of_a_jpeg_is_not_its_end() -> None:
    thumbnail = b"Exif\0\0" + b"\xff\xd8\xff\xda\x00\x02..\xff\xd9"
    header = b"\xff\xd8" + b"\xff\xe1" + (2 + len(thumbnail)).to_bytes(2, "big") + thumbnail
    scan = b"\xff\xda\x00\x02" + b"scan"
    assert not filetype.is_cut_short(header + scan + b"\xff\xd9", "jpeg")
    assert filetype.is_cut_short(header + scan, "jpeg")
    assert filetype.is_cut_short(header, "jpeg")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"plain\n" * 10, True),
        (("é" * 5000).encode(), True),
        (b"x" + ("é" * 5000).encode(), True),
        (b"\x00\x01binary", False),
        (b"\xff\xfe\xfd" * 2000, False),
    ],
)
def test_text_is_told_from_video(tmp_path: Path, content: bytes, text: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert filetype.is_text(path) is text
    assert filetype.kind_of(path) is None


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heic"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "heic"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "avif"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf", "avif"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp41", "mp4"),
        (b"II*\0\x08\0\0\0", "tiff"),
        (b"P6\n8 8\n255\n", "pnm"),
        (b"#EXTM3U\nclip.ts\n", "playlist"),
        (b"\xef\xbb\xbf#EXTM3U\nclip.ts\n", "playlist"),
        (b"ffconcat version 1.0\nfile x.mp4\n", "playlist"),
        (b"", None),
    ],
)
def test_pictures_and_playlists_are_known_by_their_first_bytes(head: bytes, kind: str | None) -> None:
    assert filetype.kind_of_bytes(head) == kind


@pytest.mark.parametrize("kind", ["webp", "bmp", "jpeg", "png"])
def test_a_picture_cut_anywhere_is_no_crash(kind: str) -> None:
    endings = {"webp": ".webp", "bmp": ".bmp", "jpeg": ".jpg", "png": ".png"}
    whole = cv2.imencode(endings[kind], picture())[1].tobytes()
    assert not filetype.is_cut_short(whole, kind)
    for length in range(80):
        filetype.is_cut_short(whole[:length], kind)
    assert filetype.is_cut_short(whole[: len(whole) // 2], kind)
