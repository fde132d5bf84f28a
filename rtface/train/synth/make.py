"""A corpus file of synthetic pictures, made by one process or several."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2

from rtface.datasets import corpus
from rtface.datasets.labelled import Array, LabelledImage
from rtface.datasets.writer import Settings, row, write_parts
from rtface.errors import SourceError, UsageError, require
from rtface.train.synth.assets import SHA256, Assets
from rtface.train.synth.gl import Renderer
from rtface.train.synth.head import Heads
from rtface.train.synth.scenes import Plan, picture

_VERSION = 4  # of the generator: another one's parts are not gone on with
_BACKGROUNDS = 400
_BACKGROUND_SIDE = 480
_WRITTEN = Settings(max_side=0)


class Maker:
    """Makes pictures in this process.

    Args:
        folder: Of the unpacked assets.
        plan: What to make.
        backgrounds: A corpus file whose pictures without faces are put behind heads; None = made ones only.

    Raises:
        UsageError: moderngl or a GL driver is missing.
        SourceError: An asset or a background cannot be read.
    """

    def __init__(self, folder: Path, plan: Plan, backgrounds: Path | None = None) -> None:
        cv2.setNumThreads(1)
        self.plan = plan
        self._assets = Assets(folder)
        self._heads = Heads(self._assets, Renderer(plan.side))
        self._backgrounds = [] if backgrounds is None else read_backgrounds(backgrounds)

    def picture(self, index: int) -> LabelledImage:
        """The picture of a number."""
        return picture(self._heads, self._assets, self.plan, index, self._backgrounds)

    def row(self, index: int) -> dict[str, Any]:
        """The picture of a number as a row of the corpus."""
        return row(self.picture(index), _WRITTEN)


def read_backgrounds(path: Path) -> list[Array]:
    """Up to 400 pictures (H, W, 3) BGR without faces of a corpus file.

    Raises:
        SourceError: The file is missing, is not a corpus file, has no such picture, or one does not decode.
    """
    found = list(corpus.read(path, lambda image: not image.faces))
    if not found:
        raise SourceError(
            str(path), "has no picture without faces", "Name a corpus file of backgrounds, or leave it out"
        )
    pictures = []
    for image in found[:: max(1, len(found) // _BACKGROUNDS)]:
        pixels = image.load()[0]
        scale = _BACKGROUND_SIDE / max(pixels.shape[:2])
        if scale < 1:
            pixels = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        pictures.append(pixels)
    return pictures


def write_corpus(
    folder: Path,
    plan: Plan,
    count: int,
    path: Path,
    backgrounds: Path | None = None,
    workers: int = 1,
    step: Callable[[int], None] = lambda rows: None,
) -> None:
    """Write a corpus file of `count` pictures, or go on writing it: the same whatever the number of workers.

    Raises:
        UsageError: moderngl, a GL driver or pyarrow is missing, or a worker process ended.
        SourceError: An asset or a background cannot be read.
    """
    pa = require("pyarrow", "eval")
    told = [_VERSION, SHA256, plan.side, plan.scene_share, plan.seed, plan.split, count]
    behind = None if backgrounds is None else [backgrounds.name, backgrounds.stat().st_size]
    counted = 0
    with _rows(folder, plan, backgrounds, min(workers, count)) as make:

        def part(rows: slice) -> tuple[Any, list[str]]:
            nonlocal counted
            done = []
            for one in make(range(rows.start, rows.stop)):
                done.append(one)
                step(1)
                counted += 1
            return pa.Table.from_pylist(done, schema=corpus.schema()), []

        def whole(rows: int) -> None:
            nonlocal counted
            step(rows - counted)  # parts of an earlier run
            counted = 0

        write_parts(path, corpus.schema(), count, json.dumps([told, behind]), part, whole)


Rows = Callable[[Sequence[int]], Iterator[dict[str, Any]]]


@contextmanager
def _rows(folder: Path, plan: Plan, backgrounds: Path | None, workers: int) -> Iterator[Rows]:
    """What makes the rows of numbers, in their order."""
    if workers <= 1:
        maker = Maker(folder, plan, backgrounds)
        yield lambda numbers: map(maker.row, numbers)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start, (folder, plan, backgrounds))
    try:
        yield partial(_mapped, pool)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _mapped(pool: ProcessPoolExecutor, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
    try:
        yield from pool.map(_row, numbers, chunksize=4)
    except BrokenProcessPool as error:
        why = "a worker process ended: it found no OpenGL driver, no asset, or no memory"
        raise UsageError("rtface train synth", why, "Try --workers 1, which says what is wrong") from error


_maker: Maker | None = None


def _start(folder: Path, plan: Plan, backgrounds: Path | None) -> None:
    global _maker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started this, and who ends it
    os.environ["LP_NUM_THREADS"] = "1"
    _maker = Maker(folder, plan, backgrounds)


def _row(index: int) -> dict[str, Any]:
    assert _maker is not None
    return _maker.row(index)
