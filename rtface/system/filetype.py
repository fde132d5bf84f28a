"""What the first bytes of a file say it is, and whether a picture is cut short."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_HEAD = 4096

#: Kind → test of a file's first bytes.
_SIGNS: dict[str, Callable[[bytes], bool]] = {
    "mp4": lambda head: head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"),
    "avi": lambda head: head[:4] == b"RIFF" and head[8:12] == b"AVI ",
    "matroska": lambda head: head[:4] == b"\x1a\x45\xdf\xa3",
    "mpeg-ts": lambda head: head[:1] == b"\x47" and head[188:189] == b"\x47",
    "mpeg-ps": lambda head: head[:4] == b"\x00\x00\x01\xba",
    "flv": lambda head: head[:3] == b"FLV",
    "ogg": lambda head: head[:4] == b"OggS",
    "asf": lambda head: head[:4] == b"\x30\x26\xb2\x75",
    "gif": lambda head: head[:4] == b"GIF8",
    "jpeg": lambda head: head[:3] == b"\xff\xd8\xff",
    "png": lambda head: head[:8] == b"\x89PNG\r\n\x1a\n",
    "webp": lambda head: head[:4] == b"RIFF" and head[8:12] == b"WEBP",
    "bmp": lambda head: head[:2] == b"BM" and head[6:10] == bytes(4),
}
PICTURES = frozenset({"jpeg", "png", "webp", "bmp"})


def kind_of(path: Path) -> str | None:
    """The kind of container by its first bytes, or None: "mp4" (and mov), "avi", "matroska", "gif", "jpeg", …

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return next((kind for kind, sign in _SIGNS.items() if sign(head)), None)


def is_text(path: Path) -> bool:
    """True for plain text other than a playlist. FFmpeg would play it as a terminal's picture.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"#EXTM3U") or b"\0" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # a character cut in two by the end of the head
    return True


def is_cut_short(path: Path, kind: str | None) -> bool:
    """True where a picture ends before its end; False where that cannot be told. Videos: ``capture.completeness``.

    A JPEG may lack its end mark only: then its pixels tell (`read_image` looks at them).

    Raises:
        OSError: The file cannot be read.
    """
    if kind not in _CUT:
        return False
    size = path.stat().st_size
    with path.open("rb") as file:
        return _CUT[kind](file, size)


def _webp_is_cut(file: BinaryIO, size: int) -> bool:
    """A chunk of pixels runs past the end; the length of the whole may be wrong."""
    at = 12
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if at + 8 + length > size:
            return head[:4] in (b"VP8 ", b"VP8L", b"ANMF")
        at += 8 + length + length % 2
    return False


def _bmp_is_cut(file: BinaryIO, size: int) -> bool:
    """Fewer bytes than the rows take; the file's length in its header is often wrong. Packed rows are left out."""
    file.seek(10)
    start = int.from_bytes(file.read(4), "little")
    header, width, height, _planes, bits, packing = struct.unpack("<IiiHHI", file.read(20))
    if header < 40 or packing not in (0, 3):
        return False
    return bool(start + (width * bits + 31) // 32 * 4 * abs(height) > size)


def _jpeg_is_cut(file: BinaryIO, size: int) -> bool:
    """No end-of-image marker behind the first scan (ITU-T T.81 §B.1). What is in the headers may hold thumbnails."""
    file.seek(0)
    data = file.read()
    at = 2
    while at + 4 <= size and data[at] == 0xFF:
        if data[at + 1] == 0xDA:
            return data.find(b"\xff\xd9", at) < 0
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at + 4 > size


def _png_is_cut(file: BinaryIO, size: int) -> bool:
    file.seek(0)
    return b"IEND" not in file.read()


_CUT: dict[str, Callable[[BinaryIO, int], bool]] = {
    "webp": _webp_is_cut,
    "bmp": _bmp_is_cut,
    "jpeg": _jpeg_is_cut,
    "png": _png_is_cut,
}
