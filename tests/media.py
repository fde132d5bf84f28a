"""Small made-up videos and pictures, whole and damaged."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

FOURCC = {".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}


def picture(width: int = 160, height: int = 120, seed: int = 0) -> np.ndarray:
    """Smooth coloured blobs, so that codecs have something to do."""
    coarse = np.random.default_rng(seed).integers(0, 255, (height // 10, width // 10, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def write_video(path: Path, frames: int = 30, fps: float = 25.0) -> Path:
    """A video whose picture slides by three px a frame."""
    image = picture()
    size = (image.shape[1], image.shape[0])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*FOURCC[path.suffix]), fps, size)
    assert writer.isOpened()
    for index in range(frames):
        writer.write(np.roll(image, 3 * index, axis=1))
    writer.release()
    return path


def blank(path: Path, start: float, length: int) -> Path:
    """Overwrite bytes with zeros from a share of the file on."""
    data = bytearray(path.read_bytes())
    at = int(len(data) * start)
    data[at : at + length] = bytes(length)
    path.write_bytes(data)
    return path


def cut(path: Path, share: float) -> Path:
    """Keep only the first share of the file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def index_first(path: Path) -> Path:
    """Move an mp4's index (moov) before its pictures, as for streaming, and mend the offsets in it."""
    data = path.read_bytes()
    boxes, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        boxes.append((data[at + 4 : at + 8], data[at : at + length]))
        at += length
    moov = bytearray(next(body for kind, body in boxes if kind == b"moov"))
    table = moov.find(b"stco") + 8
    for entry in range(int.from_bytes(moov[table : table + 4], "big")):
        place = slice(table + 4 + 4 * entry, table + 8 + 4 * entry)
        moov[place] = (int.from_bytes(moov[place], "big") + len(moov)).to_bytes(4, "big")
    first, *rest = [body for kind, body in boxes if kind != b"moov"]
    path.write_bytes(first + bytes(moov) + b"".join(rest))
    return path
