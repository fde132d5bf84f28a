"""What the first bytes of a file say it is, and how long it ought to be: tells "cut short" from "not a video"."""

from __future__ import annotations

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
    """True where the file ends before the end that it announces; False where that cannot be told.

    Raises:
        OSError: The file cannot be read.
    """
    if kind not in _CUT:
        return False
    size = path.stat().st_size
    with path.open("rb") as file:
        return _CUT[kind](file, size)


def _mp4_is_cut(file: BinaryIO, size: int) -> bool:
    """Walks the top-level boxes (ISO/IEC 14496-12 §4.2): the last must end with the file."""
    at = 0
    while at < size:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:  # the length is a 64-bit number behind the type
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:  # "to the end of the file"
            return False
        if len(header) < 8 or at + length > size:
            return True
        if length < 8:
            return False  # no box: damaged, not cut
        at += length
    return False


def _riff_is_cut(file: BinaryIO, size: int) -> bool:
    file.seek(4)
    return 8 + int.from_bytes(file.read(4), "little") > size


def _bmp_is_cut(file: BinaryIO, size: int) -> bool:
    file.seek(2)
    return int.from_bytes(file.read(4), "little") > size


def _matroska_is_cut(file: BinaryIO, size: int) -> bool:
    """Header, then one segment that ends with the file (RFC 8794 §4-6: id, then a length of 1..8 bytes)."""
    file.seek(4)
    header_length = _ebml_length(file)
    if header_length is None:
        return False
    file.seek(header_length, 1)
    if file.read(4) != b"\x18\x53\x80\x67":
        return False
    length = _ebml_length(file)
    return length is not None and file.tell() + length > size


def _ebml_length(file: BinaryIO) -> int | None:
    first = file.read(1)
    if not first or not first[0]:
        return None
    extra = 8 - first[0].bit_length()
    bits = 7 * (extra + 1)
    value = int.from_bytes(first + file.read(extra), "big") & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value  # all ones: unknown, as in a live recording


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
    "mp4": _mp4_is_cut,
    "avi": _riff_is_cut,
    "webp": _riff_is_cut,
    "bmp": _bmp_is_cut,
    "matroska": _matroska_is_cut,
    "jpeg": _jpeg_is_cut,
    "png": _png_is_cut,
}
