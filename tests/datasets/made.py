"""Small files in the layouts of public sets."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np


def picture(path: Path, width: int = 40, height: int = 30, value: int = 90) -> Path:
    """A grey picture with one white pixel at (3, 2)."""
    image = np.full((height, width, 3), value, np.uint8)
    image[2, 3] = 255
    return save(path, image)


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = (cv2.IMWRITE_JPEG_QUALITY, 100) if path.suffix == ".jpg" else ()
    assert cv2.imwrite(str(path), image, flags)
    return path


def text(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def points(count: int, start: float = 0.0) -> np.ndarray:
    """(count, 2): point k at (k + start, 2 k + start + ½)."""
    k = np.arange(count)
    return np.stack([k + start, 2 * k + start + 0.5], 1)


def spaced(values: np.ndarray) -> str:
    return " ".join(f"{value:g}" for value in np.ravel(values))


def mat(path: Path, compressed: bool = False, **arrays: np.ndarray) -> Path:
    """A level-5 .mat file of double arrays, written by the book and not by the reader's code."""

    def element(kind: int, data: bytes) -> bytes:
        return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)

    def small(kind: int, data: bytes) -> bytes:
        return struct.pack("<HH", kind, len(data)) + data.ljust(4, b"\0")

    body = b""
    for name, values in arrays.items():
        label = name.encode()
        matrix = element(6, struct.pack("<II", 6, 0))
        matrix += element(5, struct.pack("<2i", *values.shape))
        matrix += small(1, label) if len(label) <= 4 else element(1, label)
        matrix += element(9, np.asarray(values, "<f8").tobytes(order="F"))
        whole = element(14, matrix)
        packed = zlib.compress(whole)
        body += struct.pack("<II", 15, len(packed)) + packed if compressed else whole
    header = b"MATLAB 5.0 MAT-file, made by a test".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + body)
    return path
