"""Whether a video file has all that it announces, by its structure: what a decoder does not tell.

Only what lacks frames is called cut: a missing index, a vendor's trailer or a wrong size in a header is no loss.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

#: Boxes of an mp4 that hold frames or the way to them; others that run past the end of the file are no loss.
_MP4_NEEDED = frozenset({b"moov", b"moof", b"mdat"})
_HEADER, _SEGMENT, _CLUSTER = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
#: Matroska's elements that are looked into, and those with frames: block group, simple block.
_OPEN, _WITH_FRAMES = frozenset({_SEGMENT, _CLUSTER}), frozenset({b"\xa0", b"\xa3"})
#: Matroska's elements in a segment beside clusters: seek head, info, tracks, cues, attachments, chapters, tags; and
#: in a cluster: time, position, previous size, encrypted and silent ones. Void and CRC-32 anywhere.
_KNOWN = frozenset(
    {
        *(_HEADER, *_OPEN, *_WITH_FRAMES),
        *(b"\x11\x4d\x9b\x74", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b", b"\x1c\x53\xbb\x6b"),
        *(b"\x19\x41\xa4\x69", b"\x10\x43\xa7\x70", b"\x12\x54\xc3\x67"),
        *(b"\xe7", b"\xa7", b"\xab", b"\xaf", b"\x58\x54", b"\xec", b"\xbf"),
    }
)
_TS_PACKET = 188


class Structure(NamedTuple):
    """What the bytes say.

    Attributes:
        cut: The file ends within its frames.
        damaged: Bytes within it are not what they ought to be.
        short: It announces more bytes than there are; whether frames are missing has to be counted.
    """

    cut: bool = False
    damaged: bool = False
    short: bool = False


def structure(path: Path, kind: str | None) -> Structure:
    """The state of a video file of a kind as `kind_of` names it; for kinds that announce nothing, whole.

    Raises:
        OSError: The file cannot be read.
    """
    look = _LOOKS.get(kind or "")
    if look is None:
        return Structure()
    with path.open("rb") as file:
        return look(file, path.stat().st_size)


def _mp4(file: BinaryIO, size: int) -> Structure:
    """Walks the top-level boxes (ISO/IEC 14496-12 §4.2)."""
    at, index, data = 0, False, False
    while at + 8 <= size:
        file.seek(at)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if length == 1:  # the length is a 64-bit number behind the type
            length = int.from_bytes(header[8:16], "big")
        elif length == 0:  # to the end of the file
            length = size - at
        index, data = index or kind == b"moov", data or kind == b"mdat"
        if length < 8 or at + length > size:
            # What runs past the end and is no box of ours is a trailer. With an index, its samples are counted.
            lost = kind in _MP4_NEEDED
            return Structure(cut=lost and _fragmented(file, at), short=lost)
        at += length
    begun = at < size and _fragmented(file, at - 1)  # a few bytes of another fragment's head
    return Structure(cut=begun, short=data and not index)  # the index comes last


def end_of_fragments(path: Path) -> int:
    """Bytes of an mp4 up to a last fragment's head that lacks its end; 0 where it has no such, or none before it.

    FFmpeg (8.0) opens no file that ends within some parts of a fragment's head, however many whole ones stand before.

    Raises:
        OSError: The file cannot be read.
    """
    size, at = path.stat().st_size, 0
    with path.open("rb") as file:
        while at + 8 <= size:
            file.seek(at)
            header = file.read(16)
            length, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            if kind == b"moof" and at + length > size and _fragmented(file, at - 1):
                return at
            if length < 8:
                break
            at += length
    return 0


class FirstBytes:
    """A file up to some byte, for a library that reads it.

    Args:
        path: The file.
        end: How many bytes of it there seem to be.
    """

    def __init__(self, path: Path, end: int) -> None:
        self._file, self._end = path.open("rb"), end

    def read(self, count: int = -1) -> bytes:
        left = max(self._end - self._file.tell(), 0)
        return self._file.read(left if count < 0 else min(count, left))

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(*((self._end + offset, 0) if whence == 2 else (offset, whence)))

    def tell(self) -> int:
        return self._file.tell()

    def __del__(self) -> None:  # PyAV closes a file that it was given only where it writes
        self._file.close()


def _fragmented(file: BinaryIO, end: int) -> bool:
    """Whether the boxes up to the one at `end` hold a fragment."""
    at = 0
    while at <= end:
        file.seek(at)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if header[4:8] == b"moof":
            return True
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:
            return False
        at += length
    return False


def _matroska(file: BinaryIO, size: int) -> Structure:
    """Walks elements (RFC 8794 §4-6), into the segment and its clusters."""
    at, damaged, resume = 0, False, size
    while at < size:
        file.seek(at)
        element = _element(file.read(12), at)
        if element is None:
            return Structure(cut=True, damaged=damaged)  # ends within an element's head
        known = element.identity in _KNOWN
        if not known or (element.length is None and element.identity not in _OPEN):
            if resume >= size:
                return Structure(damaged=True)
            at, damaged, resume = resume, True, size  # the cluster is damaged, what is behind it may not be
            continue
        if element.identity in _OPEN:
            if element.identity == _CLUSTER and element.length is not None:
                resume = element.start + element.length
            at = element.start
        elif element.start + (element.length or 0) > size:
            return Structure(cut=element.identity in _WITH_FRAMES, damaged=damaged)
        else:
            at = element.start + (element.length or 0)
    return Structure(damaged=damaged)


class _Element(NamedTuple):
    """An element's identity, where its content starts, and the length of it; None = unknown."""

    identity: bytes
    start: int
    length: int | None


def _element(head: bytes, at: int) -> _Element | None:
    """The element whose first bytes are `head`; None where it takes more bytes than there are."""
    if not head:
        return None
    id_length = 9 - head[0].bit_length()
    if id_length > 4:
        return _Element(head[:1], at + 1, None)  # no identity starts so: unknown
    if len(head) <= id_length:
        return None
    first = head[id_length]
    if not first:
        return _Element(b"", at + id_length, None)
    size_length = 9 - first.bit_length()
    end = id_length + size_length
    if len(head) < end:
        return None
    bits = 7 * size_length
    length = int.from_bytes(head[id_length:end], "big") & ((1 << bits) - 1)
    unknown = length == (1 << bits) - 1  # all ones, as in a live recording
    return _Element(head[:id_length], at + end, None if unknown else length)


def _avi(file: BinaryIO, size: int) -> Structure:
    """Walks the RIFF chunks: one, or in a long recording one a gigabyte."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] != b"RIFF" or not length:  # a recorder that crashed has left the length out
            break
        at += 8 + length + length % 2
    return Structure(short=at > size + 1)


def _mpeg_ts(file: BinaryIO, size: int) -> Structure:
    """Packets of one size, each with a sync byte first: the last may lack a part."""
    rest = size % _TS_PACKET
    file.seek(size - rest)
    return Structure(cut=rest > 0 and file.read(1) == b"\x47")


_LOOKS: dict[str, Callable[[BinaryIO, int], Structure]] = {
    "mp4": _mp4,
    "matroska": _matroska,
    "avi": _avi,
    "mpeg-ts": _mpeg_ts,
}
