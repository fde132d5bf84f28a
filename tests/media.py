"""Small made-up videos and pictures, whole and damaged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
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


def encode(
    path: Path,
    pictures: Iterable[np.ndarray],
    codec: str = "libx264",
    *,
    times: Sequence[float] | None = None,
    fps: float = 25.0,
    pix_fmt: str = "yuv420p",
    container: dict[str, str] | None = None,
    **context: Any,
) -> Path:
    """A video by FFmpeg's encoders and muxers.

    Args:
        path: Its ending chooses the container.
        pictures: BGR pictures of one size; or planes of `pix_fmt`, all of one size, with size_wh in `context`.
        codec: Encoder.
        times: Seconds of each frame; None = by the rate.
        fps: Frames a second.
        pix_fmt: What is encoded.
        container: Options of the muxer.
        context: Attributes of the encoder, such as color_range, and "options", a dict.
    """
    rate = Fraction(fps).limit_denominator(1001)
    size_wh = context.pop("size_wh", None)
    # The same bytes at every run: no random ids, no date.
    with av.open(str(path), "w", options={"fflags": "+bitexact", **(container or {})}) as output:
        stream = output.add_stream(codec, rate=rate)
        stream.pix_fmt = pix_fmt
        encoder = stream.codec_context
        if codec.startswith("libvpx"):
            # Realtime: else it takes a second a picture on a busy machine. A negative speed is a fixed one: a positive
            # one follows the clock, and the file with it.
            context["options"] = {"deadline": "realtime", "cpu-used": "-8", **context.get("options", {})}
        if times is not None:
            encoder.time_base = Fraction(1, 90000)
        for name, value in context.items():
            setattr(encoder, name, value)
        for index, picture_ in enumerate(pictures):
            if size_wh is None:
                frame = av.VideoFrame.from_ndarray(picture_, format="bgr24").reformat(format=pix_fmt)
            else:
                frame = _planar(picture_, pix_fmt)
            if not index:
                stream.width, stream.height = size_wh or (frame.width, frame.height)
            if times is not None:
                frame.pts, frame.time_base = round(times[index] * 90000), Fraction(1, 90000)
            output.mux(encoder.encode(frame))
        output.mux(encoder.encode(None))
    return path


def _planar(planes: np.ndarray, pix_fmt: str) -> av.VideoFrame:
    """A frame of full-size planes, (n, H, W) uint8 or uint16."""
    _, height, width = planes.shape
    frame = av.VideoFrame(width, height, pix_fmt)
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((height, plane.line_size), np.uint8)
        data = values.view(np.uint8).reshape(height, -1)
        rows[:, : data.shape[1]] = data
        plane.update(rows.tobytes())
    return frame


def sliding(count: int, width: int = 160, height: int = 120) -> list[np.ndarray]:
    """Pictures of blobs that slide by three px a frame."""
    image = picture(width, height)
    return [np.roll(image, 3 * index, axis=1) for index in range(count)]


def turn(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write a display matrix into an mp4's track header (ISO/IEC 14496-12 §8.3.2)."""
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 4 + 40
    for place, value in ((0, a), (4, b), (12, c), (16, d)):
        data[at + place : at + place + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path
