"""`POST /api/v1/analyze`: the faces of a picture that is sent, by an analyzer of its own, one picture at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from starlette.exceptions import HTTPException

from rtface.options import Options
from rtface.serve.pictures import lower_priority

if TYPE_CHECKING:
    from rtface.analyzer import Analyzer

PATH = "/api/v1/analyze"
BODY_BYTES = 16 * 1024 * 1024
PIXELS = 40_000_000
KINDS = ("image/jpeg", "image/png", "image/webp", "image/bmp")


class Analyze:
    """Opens its networks with the first picture.

    Args:
        options: As those of the stream, without a budget.
    """

    def __init__(self, options: Options) -> None:
        self._options = replace(options, budget_ms=None)
        self._busy = threading.Lock()
        self._analyzer: Analyzer | None = None
        self._worker = ThreadPoolExecutor(1, "rtface-analyze", initializer=lower_priority)

    async def __call__(self, content_type: str, body: AsyncIterator[bytes]) -> dict[str, Any]:
        """The record of a picture.

        Raises:
            HTTPException: It is no picture (415, 422), too large (413), or another one is looked at (429).
        """
        if content_type.partition(";")[0].strip().lower() not in KINDS:
            raise HTTPException(415, f"Send the picture as the body, with Content-Type one of {', '.join(KINDS)}")
        if not self._busy.acquire(blocking=False):
            raise HTTPException(429, "Another picture is looked at; try again", headers={"retry-after": "1"})
        try:
            data = b"".join([chunk async for chunk in body])
        except BaseException:
            self._busy.release()
            raise
        work = asyncio.get_running_loop().run_in_executor(self._worker, self._work, data)
        work.add_done_callback(lambda _: self._busy.release())
        # Shielded: of a client that goes away the picture is still looked at to its end, and nobody's beside it.
        return await asyncio.shield(work)

    def _work(self, data: bytes) -> dict[str, Any]:
        image = decoded(data)
        if self._analyzer is None:
            from rtface.analyzer import Analyzer

            self._analyzer = Analyzer(self._options)
        return self._analyzer.image(image).to_dict()

    def close(self) -> None:
        """Give the networks back."""
        self._worker.shutdown(wait=True, cancel_futures=True)
        if self._analyzer is not None:
            self._analyzer.close()


def decoded(data: bytes) -> NDArray[np.uint8]:
    """The picture in the bytes of a JPEG, PNG, WebP or BMP file.

    Raises:
        HTTPException: It is none (422), or has too many pixels (413).
    """
    size = size_of(data)
    if size is None:
        raise HTTPException(422, "The body is not a JPEG, PNG, WebP or BMP picture")
    if size[0] * size[1] > PIXELS:
        raise HTTPException(413, f"The picture has {size[0]}x{size[1]} px; at most {PIXELS} are looked at")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise HTTPException(422, "The picture is damaged")
    return np.asarray(image, np.uint8)


def size_of(data: bytes) -> tuple[int, int] | None:
    """Width and height as the file's head tells them, before anything is decoded; None = no picture that is known.

    Decoders take memory by what the head says: a few bytes can ask for gigabytes.
    """
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if data[:2] == b"BM" and len(data) >= 26:
        return abs(int.from_bytes(data[18:22], "little", signed=True)), abs(
            int.from_bytes(data[22:26], "little", signed=True)
        )
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp_size(data)
    return _jpeg_size(data) if data[:2] == b"\xff\xd8" else None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if len(data) < 30:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD7:  # fill, and what has no length
            at += 1 if marker == 0xFF else 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # a start of frame
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
