"""What the first bytes of a file say it is, and whether a picture is cut short."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

_HEAD = 4096

_HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def _brand(head: bytes) -> bytes:
    """What a file of the ISO family says it is first of all (ISO/IEC 14496-12 §4.3)."""
    return head[8:12] if head[4:8] == b"ftyp" else b""


#: Kind → test of a file's first bytes.
_SIGNS: dict[str, Callable[[bytes], bool]] = {
    # "mif1" says "pictures" only; what they are packed with is among the other brands.
    "avif": lambda head: _brand(head) in (b"avif", b"avis") or (_brand(head) == b"mif1" and b"avif" in head[16:64]),
    "heic": lambda head: _brand(head) in _HEIC,
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
    "tiff": lambda head: head[:4] in (b"II*\0", b"MM\0*"),
    "jp2": lambda head: head[:12] == b"\0\0\0\x0cjP  \r\n\x87\n" or head[:4] == b"\xff\x4f\xff\x51",
    "pnm": lambda head: head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace(),
    "pam": lambda head: head[:3] == b"P7\n",
    "playlist": lambda head: head.lstrip(b"\xef\xbb\xbf").startswith((b"#EXTM3U", b"ffconcat", b"[playlist]")),
}
#: A GIF may be a clip: it is read as a video.
PICTURES = frozenset({"jpeg", "png", "webp", "bmp", "tiff", "jp2", "pnm", "pam", "heic", "avif"})


def kind_of(path: Path) -> str | None:
    """The kind of container by its first bytes, or None: "mp4" (and mov), "avi", "matroska", "gif", "jpeg", …

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return kind_of_bytes(file.read(_HEAD))


def kind_of_bytes(head: bytes) -> str | None:
    """The same, of the first bytes themselves."""
    return next((kind for kind, sign in _SIGNS.items() if sign(head)), None)


def is_text(path: Path) -> bool:
    """True for plain text. FFmpeg would play it as a terminal's picture.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if b"\0" in head:
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # a character cut in two by the end of the head
    return True


def is_cut_short(data: bytes, kind: str | None) -> bool:
    """True where a picture ends before its end; False where that cannot be told. Videos: ``capture.completeness``.

    A JPEG may lack its end mark only: then its pixels tell (`image_bytes.decode_image` looks at them).
    """
    return kind in _CUT and _CUT[kind](data)


def _webp_is_cut(data: bytes) -> bool:
    """A chunk of pixels runs past the end; the length of the whole may be wrong."""
    at = 12
    while at + 8 <= len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > len(data):
            return data[at : at + 4] in (b"VP8 ", b"VP8L", b"ANMF")
        at += 8 + length + length % 2
    return False


def _bmp_is_cut(data: bytes) -> bool:
    """Fewer bytes than the rows take; the file's length in its header is often wrong. Packed rows are left out."""
    if len(data) < 34:
        return True
    start = int.from_bytes(data[10:14], "little")
    header, width, height, _planes, bits, packing = struct.unpack("<IiiHHI", data[14:34])
    if header < 40 or packing not in (0, 3):
        return False
    return bool(start + (width * bits + 31) // 32 * 4 * abs(height) > len(data))


def _jpeg_is_cut(data: bytes) -> bool:
    """No end-of-image marker behind the first scan (ITU-T T.81 §B.1). What is in the headers may hold thumbnails."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == 0xDA:
            return data.find(b"\xff\xd9", at) < 0
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at + 4 > len(data)


def _png_is_cut(data: bytes) -> bool:
    return b"IEND" not in data


_CUT: dict[str, Callable[[bytes], bool]] = {
    "webp": _webp_is_cut,
    "bmp": _bmp_is_cut,
    "jpeg": _jpeg_is_cut,
    "png": _png_is_cut,
}
