"""Pictures for viewers: encoded once a frame for all of them, in a thread of low priority, while somebody looks."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.serve.hub import Camera
from rtface.types import FrameResult

QUALITY = 80
#: Wider frames are shrunk: no page shows more, and encoding costs by the pixel.
WIDEST_PX = 1280

Private = Callable[[FrameResult], "NDArray[np.uint8] | None"]


class Shot(NamedTuple):
    """A frame's number, its result, and its JPEG; None where it may not leave the process."""

    number: int
    result: FrameResult | None
    picture: bytes | None


class Pictures:
    """JPEGs of the cameras' newest frames.

    Args:
        private: What may leave the process of a frame: a picture, or None for nothing.
    """

    def __init__(self, private: Private) -> None:
        self._private = private
        self._encoder = ThreadPoolExecutor(1, "rtface-jpeg", initializer=lower_priority)
        self._kept: dict[str, tuple[int, asyncio.Task[bytes | None]]] = {}

    async def jpeg(self, camera: Camera) -> Shot:
        """The newest frame with its picture."""
        number, result = camera.newest
        if result is None:
            return Shot(number, None, None)
        kept = self._kept.get(camera.name)
        if kept is None or kept[0] != number:
            loop = asyncio.get_running_loop()
            kept = (number, loop.create_task(self._run(loop, result)))
            self._kept[camera.name] = kept
        # One viewer who goes away must not take the picture from the others.
        return Shot(number, result, await asyncio.shield(kept[1]))

    async def _run(self, loop: asyncio.AbstractEventLoop, result: FrameResult) -> bytes | None:
        return await loop.run_in_executor(self._encoder, self._encode, result)

    def _encode(self, result: FrameResult) -> bytes | None:
        picture = self._private(result)
        if picture is None:
            return None
        height, width = picture.shape[:2]
        if width > WIDEST_PX:
            size = (WIDEST_PX, max(round(height * WIDEST_PX / width), 1))
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        encoded, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        return data.tobytes() if encoded else None

    def close(self) -> None:
        """No more pictures."""
        self._encoder.shutdown(wait=False, cancel_futures=True)


def lower_priority() -> None:
    """Let this thread yield to the analysis; where the system allows it (Linux, where a thread has a priority)."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
