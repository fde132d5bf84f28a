"""A reader of MATLAB's level-5 .mat files, as far as plain numeric arrays go (AFLW2000-3D needs no more).

After MathWorks, "MAT-File Format" (level 5): a 128-byte header, then elements of type, size and data; arrays are
elements of type 14 whose parts are flags, dimensions, name and values; type 15 is an element under zlib.

`scipy.io.loadmat` would do, but not for a stranger's file: with SciPy 1.17 one of 227 KB takes 500 MB (here 32 at the
most), and at one of a few hundred files with three changed bytes the process ends with a segmentation fault.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rtface.datasets.labelled import Array
from rtface.errors import SourceError

_HEADER, _MATRIX, _COMPRESSED = 128, 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC_CLASSES = range(6, 16)  # double … uint64; below are cells, structs, objects, text, sparse

MOST_BYTES = 32 << 20
"""Of a file, and of all that is packed in it: label files have a few kilobytes, and 60 of these can hold gigabytes."""


def read_mat(path: Path) -> dict[str, Array]:
    """Numeric arrays of a file by name, float64, in MATLAB's shape; everything else in it is left out.

    Raises:
        SourceError: The file is missing, cut short, or no level-5 file (7.3 is HDF5: save it with ``-v7``).
    """
    if not path.is_file():
        raise SourceError(str(path), "no such file", "Give the set's folder as it was published")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise SourceError(str(path), f"has {size >> 20} MB, more than {MOST_BYTES >> 20}", "Give a file of labels")
    data = path.read_bytes()
    if len(data) < _HEADER or data[126:128] not in (b"IM", b"MI"):
        raise SourceError(str(path), "is not a level-5 .mat file", "Save it in MATLAB with -v7")
    order = "<" if data[126:128] == b"IM" else ">"
    try:
        return dict(_arrays(_unpacked(data[_HEADER:], order), order))
    except (struct.error, zlib.error, ValueError, KeyError) as error:
        raise SourceError(str(path), f"is a damaged .mat file ({error})", "Copy it again") from error


def _unpacked(data: bytes, order: str) -> bytes:
    """The elements with those under zlib taken out of it; ValueError where they are more than `MOST_BYTES`."""
    whole = bytearray()
    for kind, body in _elements(data, order):
        if kind != _COMPRESSED:
            whole += struct.pack(f"{order}II", kind, len(body)) + body + bytes(-len(body) % 8)
            continue
        packed = zlib.decompressobj()
        whole += packed.decompress(body, MOST_BYTES - len(whole) + 1)
        if len(whole) > MOST_BYTES:
            raise ValueError(f"it unpacks to over {MOST_BYTES >> 20} MB")
        if not packed.eof:
            raise ValueError("it is cut short")
    return bytes(whole)


def _arrays(data: bytes, order: str) -> Iterator[tuple[str, Array]]:
    for kind, body in _elements(data, order):
        if kind == _COMPRESSED:
            raise ValueError("it is packed twice")
        if kind == _MATRIX:
            yield from _array(body, order)


def _array(body: bytes, order: str) -> Iterator[tuple[str, Array]]:
    parts = _elements(body, order)
    flags, dimensions, name = (part for _, (_, part) in zip(range(3), parts, strict=False))
    if struct.unpack_from(f"{order}I", flags)[0] & 0xFF not in _NUMERIC_CLASSES:
        return
    shape = np.frombuffer(dimensions, f"{order}i4").tolist()
    kind, values = next(parts, (9, b""))
    numbers = np.frombuffer(values, f"{order}{_NUMBERS[kind]}")
    yield name.decode("ascii", "replace"), numbers.astype(np.float64).reshape(shape, order="F")


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and data of each element; small ones hold type, size and data in 8 bytes."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:
            size, kind, start, step = kind >> 16, kind & 0xFFFF, at + 4, 8
        else:
            start, step = at + 8, 8 + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if start + size > len(data):
            raise ValueError("it is cut short")
        yield kind, data[start : start + size]
        at += step
