"""Pictures, alone or in a folder, as a source: each is a still of its own."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.capture.source import Source
from rtface.errors import SourceError
from rtface.system.clock import Clock
from rtface.system.image_bytes import decode_image
from rtface.system.images import read_image
from rtface.system.machine import usable_cores
from rtface.types import Frame

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".webp", ".tif", ".tiff", ".gif"),
        *(".pbm", ".pgm", ".ppm", ".pnm", ".pam", ".jp2", ".j2k", ".avif", ".heic", ".heif", ".hif"),
    }
)


DECODERS = max(1, min(4, usable_cores()))
"""Threads that decode pictures of one source ahead: a photo of 12 MP takes longer than the networks do."""

_Decoded = tuple[Path, "NDArray[np.uint8] | SourceError", float]


def pictures_in(folder: Path, *, recursive: bool = False, suffixes: frozenset[str] = SUFFIXES) -> list[Path]:
    """The pictures of a folder by their names' endings, ``img2`` before ``img10``.

    Args:
        folder: Where to look.
        recursive: Also in its sub-folders; hidden ones are left out.
        suffixes: Endings that count.

    Raises:
        SourceError: There is none, or the folder cannot be read.
    """
    try:
        inside = _below(folder) if recursive else folder.iterdir()
        found = [path for path in inside if path.suffix.lower() in suffixes and path.is_file()]
    except OSError as error:
        raise SourceError(str(folder), f"cannot be read ({error.strerror})", "Check its permissions") from error
    if not found:
        what = "no pictures" if suffixes == SUFFIXES else "no pictures or videos"
        endings = ", ".join(sorted(suffixes))
        mend = "Name a folder with pictures, or a file"
        if not recursive:
            mend += "; --recursive (recursive=True in Python) looks into sub-folders"
        raise SourceError(str(folder), f"holds {what} ({endings})", mend)
    return sorted(found, key=natural)


def _below(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here, name) for name in files)


def natural(path: Path) -> list[list[tuple[int, str]]]:
    """Sorts ``img2`` before ``img10``, folder by folder."""
    return [
        [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name.lower())]
        for name in path.parts
    ]


class PictureSource(Source):
    """Stills from files. In a folder, what cannot be read is counted and left out; `unreadable` says which and why."""

    stills = True
    fps = 1.0  # in an annotated video each picture stays for a second

    def __init__(self, name: str, paths: Sequence[Path], clock: Clock) -> None:
        """
        Raises:
            SourceError: No picture could be read.
        """
        self.name = name
        self.files = tuple(paths)
        self.frame_count = len(paths)
        self._paths = iter(paths)
        self._clock = clock
        self._index = 0
        self._errors: list[SourceError] = []
        self._ahead: deque[Future[_Decoded]] = deque()
        self._pool: ThreadPoolExecutor | None = None
        self._next = self._decode()
        if self._next is None:
            if len(paths) == 1:
                raise self._errors[0]
            raise SourceError(name, f"none of its {len(paths)} pictures could be read", str(self._errors[0]))
        height, width = self._next.image.shape[:2]
        self.size_wh = (width, height)

    def read(self) -> Frame | None:
        # The first was decoded to see whether there is one; later ones are decoded when asked for.
        frame, self._next = self._next, None
        if frame is not None:
            return replace(frame, captured_at=self._clock.now())
        if self._pool is None:
            self._pool = ThreadPoolExecutor(DECODERS, thread_name_prefix="rtface-decode")
        return self._decode()

    def _decode(self) -> Frame | None:
        """The next picture that can be read, and a few more begun."""
        while (decoded := self._next_decoded()) is not None:
            path, image, started = decoded
            if isinstance(image, SourceError):
                self._errors.append(image)
                continue
            self._index += 1
            return Frame(image=image, index=self._index - 1, captured_at=started, source=str(path))
        return None

    def _next_decoded(self) -> _Decoded | None:
        if self._pool is None:
            path = next(self._paths, None)
            return None if path is None else self._read(path)
        for path in islice(self._paths, DECODERS + 1 - len(self._ahead)):
            self._ahead.append(self._pool.submit(self._read, path))
        return self._ahead.popleft().result() if self._ahead else None

    def _read(self, path: Path) -> _Decoded:
        started = self._clock.now()
        try:
            return path, read_image(path), started
        except SourceError as error:
            return path, error, started

    @property
    def unreadable(self) -> tuple[str, ...]:
        return tuple(str(error) for error in self._errors)

    @property
    def errors(self) -> dict[str, str]:
        """Why pictures could not be read, by their path."""
        return {error.what: str(error) for error in self._errors}

    @property
    def corrupt(self) -> int:
        return len(self._errors)

    def close(self) -> None:
        self._paths = iter(())
        self._ahead.clear()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


class PictureBytes(Source):
    """One picture that is in memory: what a web server sent."""

    stills = True
    fps = 1.0
    frame_count = 1

    def __init__(self, name: str, data: bytes, clock: Clock) -> None:
        """
        Raises:
            SourceError: It is no whole picture.
        """
        self.name = name
        self._image: NDArray[np.uint8] | None = decode_image(data, name)
        self._clock = clock
        self.size_wh = (self._image.shape[1], self._image.shape[0])

    def read(self) -> Frame | None:
        image, self._image = self._image, None
        return None if image is None else Frame(image=image, index=0, captured_at=self._clock.now())

    def close(self) -> None:
        self._image = None
