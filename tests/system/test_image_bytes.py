"""Pictures from bytes: bombs, other formats, and damage."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest

from rtface.errors import SourceError
from rtface.system import image_bytes
from rtface.system.image_bytes import decode_image
from tests.media import picture


def png_of_zeros(width: int, height: int) -> bytes:
    """A grey PNG of that size in a thousandth of its bytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    row = bytes(width + 1)
    rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def bmp_header(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(
    "data",
    [png_of_zeros(20000, 8000), bmp_header(30000, 30000), b"P6\n30000 30000\n255\n" + bytes(64)],
    ids=["png", "bmp", "pnm"],
)
def test_a_bomb_is_refused_before_it_is_decoded(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_bytes, "_opencv", lambda _: pytest.fail("it was decoded"))
    with pytest.raises(SourceError, match=r"is too large: [0-9]+x[0-9]+ px"):
        decode_image(data, "bomb")


def test_a_side_beyond_what_warps_can_address_is_too_large() -> None:
    with pytest.raises(SourceError, match="too large: 40000x10"):
        decode_image(png_of_zeros(40000, 10), "strip")


@pytest.mark.parametrize("ending", [".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm", ".jp2", ".avif"])
def test_every_kind_of_picture_is_read(ending: str) -> None:
    if not cv2.haveImageWriter(f"x{ending}"):
        pytest.skip(f"this OpenCV writes no {ending}")
    data = cv2.imencode(ending, picture())[1].tobytes()
    read = decode_image(data, "picture")
    assert read.shape == (120, 160, 3)
    assert np.abs(read.astype(int) - picture()).mean() < 8


def test_of_a_gif_the_first_frame_is_the_picture() -> None:
    pillow = pytest.importorskip("PIL.Image")
    frames = [pillow.fromarray(picture(seed=seed)[..., ::-1]) for seed in (0, 1)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    read = decode_image(file.getvalue(), "clip.gif")
    assert np.abs(read.astype(int) - picture()).mean() < 12


def test_a_heic_is_named_where_its_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pi_heif", None)
    monkeypatch.setattr(image_bytes.imagesize, "get", lambda _: (64, 64))
    with pytest.raises(SourceError, match=r"is HEIC, .* pip install 'rtface\[heif\]', or convert it"):
        decode_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a.heic")


def test_a_damaged_heic_is_one_error() -> None:
    pytest.importorskip("pi_heif")
    with pytest.raises(SourceError, match="is damaged"):
        decode_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "a.heic")


@pytest.mark.parametrize("data", [b"", b"#EXTM3U\n", b"plain text", b"GIF89a", b"II*\0"])
def test_what_is_no_picture_is_one_error(data: bytes) -> None:
    with pytest.raises(SourceError):
        decode_image(data, "x")
