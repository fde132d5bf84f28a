"""Pictures for viewers: encoded once a frame for all of them, in a thread of low priority, while somebody looks."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple, Protocol

from rtface.serve.hub import Camera
from rtface.types import FrameResult

Private = Callable[[FrameResult], "bytes | None"]


#: The first picture that somebody looks at comes within so long, s.
COMES_S = 1.0


class Shot(NamedTuple):
    """A frame's number, its result, and its JPEG; None where it may not leave the process."""

    number: int
    result: FrameResult | None
    picture: bytes | None


class Pictures:
    """JPEGs of the cameras' newest frames.

    Args:
        private: What may leave the process of a frame: a JPEG, or None for nothing.
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
        return await loop.run_in_executor(self._encoder, self._private, result)

    def close(self) -> None:
        """No more pictures."""
        self._encoder.shutdown(wait=False, cancel_futures=True)


class CamerasElsewhere(Protocol):
    """Cameras whose pictures come from other machines while somebody looks."""

    def look(self, name: str, privacy: str) -> tuple[FrameResult, bytes] | None:
        """Have a camera's pictures come for a while; the newest that has, with its result."""


class PicturesElsewhere:
    """JPEGs of cameras on other machines, which make them.

    Args:
        cameras: Where from.
        privacy: The present mode.
    """

    def __init__(self, cameras: CamerasElsewhere, privacy: Callable[[], str]) -> None:
        self._cameras, self._privacy = cameras, privacy

    async def jpeg(self, camera: Camera) -> Shot:
        """The newest frame that has a picture, with it; the newest result without one where none comes."""
        privacy = self._privacy()
        end = time.monotonic() + COMES_S
        while camera.result is not None and privacy != "aggregate":
            found = self._cameras.look(camera.name, privacy)
            if found is not None:
                return Shot(camera.sequence, *found)
            if time.monotonic() > end:
                break
            await asyncio.sleep(COMES_S / 20)
        return Shot(*camera.newest, None)

    def close(self) -> None:
        """There is nothing to release."""


def lower_priority() -> None:
    """Let this thread yield to the analysis; where the system allows it (Linux, where a thread has a priority)."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
