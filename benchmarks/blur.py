"""Whether a face is left in a picture of `--privacy blur`, and what blurring costs.

    python benchmarks/blur.py clip.mp4 ... --faces 10000

Each clip is run as a stream, as it is and as a collage of moving tiles (a crowd in fast motion). Every face that the
detector sees at its lowest threshold on a frame (16 px or more) is looked up in the picture that left: it counts as
unblurred when its inner half is nearer to the original than half of what six blocks along the box are, wherever their
grid lies (a hard edge that lies on a block's own edge is kept by every pixelation), and does not itself consist of
blocks of one colour. --keep saves those, to be looked at. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.analyzer import Analyzer
from rtface.capture.open import open_source
from rtface.labels import TASKS
from rtface.options import Options
from rtface.outputs.private import private_picture

Picture = NDArray[np.uint8]
LEAST_PX = 16


@dataclass
class Counts:
    """Face-frames, unblurred ones among them, frames, and milliseconds of blurring."""

    faces: int = 0
    unblurred: int = 0
    frames: int = 0
    blur_ms: float = 0.0
    kept: list[Picture] = field(default_factory=list)


def frames_of(clip: str) -> Iterator[Picture]:
    """Every frame of a clip."""
    with open_source(clip) as source:
        while (frame := source.read()) is not None:
            yield frame.image


def collage(clip: str, rng: np.random.Generator) -> Iterator[Picture]:
    """The clip's frames as 2 x 2 tiles of 3 x 3 that jump by up to a tenth of the picture each frame."""
    shift = np.zeros(2)
    for image in frames_of(clip):
        height, width = image.shape[:2]
        tile = cv2.resize(image, (width // 3, height // 3), interpolation=cv2.INTER_AREA)
        rows = np.vstack([np.hstack([np.roll(tile, 17 * (r + c), axis=1) for c in range(3)]) for r in range(3)])
        shift = (shift + rng.uniform(-0.1, 0.1, 2) * (height, width)) % (height, width)
        yield np.roll(rows, shift.astype(int), axis=(0, 1))


def measure(images: Iterator[Picture], options: Options, counts: Counts) -> None:
    """Add what a stream of these pictures lets out."""
    with Analyzer(options) as analyzer, Analyzer(options) as judge:
        for index, image in enumerate(images):
            result = analyzer.video(image, index / 30, index=index)
            before = time.perf_counter()
            left = private_picture(result, "blur")
            counts.blur_ms += 1e3 * (time.perf_counter() - before)
            counts.frames += 1
            seen = judge.detector.detect(image).possible_xyxy
            assert left is not None and seen is not None
            for box in seen:
                add(box, image, left, counts)


def add(box: NDArray[Any], image: Picture, left: Picture, counts: Counts) -> None:
    """Count a face."""
    x0, y0, x1, y1 = (float(value) for value in box)
    if max(x1 - x0, y1 - y0) < LEAST_PX:
        return
    quarter_x, quarter_y = (x1 - x0) / 4, (y1 - y0) / 4
    rows = slice(max(int(y0 + quarter_y), 0), max(int(y1 - quarter_y), 0))
    columns = slice(max(int(x0 + quarter_x), 0), max(int(x1 - quarter_x), 0))
    inner = image[rows, columns]
    if not inner.size:
        return
    counts.faces += 1
    # How far it is from the original, against how far blocks are; 0 = as it was. Not the share of pixels that are as
    # they were: where a picture is smooth, so are its blocks.
    lost = np.abs(inner.astype(int) - left[rows, columns]).mean()
    block_px = max(x1 - x0, y1 - y0) / 6

    def seems_kept(places: int, sizes: tuple[float, ...]) -> bool:
        grids = product(np.arange(places) / places, np.arange(places) / places, sizes)
        return less_than_any(lost, (of_blocks(image, rows, columns, *grid[:2], block_px * grid[2]) for grid in grids))

    # Of one colour there is nothing to recognise. The finer look is for the few that the first one suspects.
    suspect = inner.std() > 3 and not became_blocks(inner, left[rows, columns]) and seems_kept(4, (1.0,))
    if suspect and seems_kept(12, (0.8, 0.9, 1.0, 1.1, 1.2)):
        counts.unblurred += 1
        counts.kept.append(np.hstack([image[int(y0) : int(y1), int(x0) : int(x1)] for image in (image, left)]))


def became_blocks(before: Picture, after: Picture) -> bool:
    """Whether what left consists of blocks of one colour: most pixels are as their neighbours, of blocks of 4 px three
    in four, and were not so before.
    """
    return all(now > max(0.6, was + 0.2) for was, now in zip(alike(before), alike(after), strict=True))


def alike(part: Picture) -> tuple[float, float]:
    """Shares of pixels that are as the one above, and as the one to the left."""
    pairs = (part[1:] == part[:-1], part[:, 1:] == part[:, :-1])
    down, across = (float(one.all(axis=-1).mean()) if one.size else 0.0 for one in pairs)
    return down, across


def less_than_any(lost: float, blocks: Iterator[float]) -> bool:
    """Whether what was lost is less than half of what blocks lose, wherever their grid lies."""
    return all(lost < 0.5 * wanted for wanted in blocks)


def of_blocks(image: Picture, rows: slice, columns: slice, down: float, across: float, block_px: float) -> float:
    """Mean difference of a part of the picture from itself in blocks, whose grid begins some share of a block before
    it."""
    top, left = max(int(rows.start - down * block_px), 0), max(int(columns.start - across * block_px), 0)
    area = image[top : rows.stop, left : columns.stop]
    size = area.shape[1::-1]
    blocks = [max(round(side / block_px), 1) for side in size]
    coarse = cv2.resize(cv2.resize(area, blocks, interpolation=cv2.INTER_AREA), size, interpolation=cv2.INTER_NEAREST)
    inner = np.s_[rows.start - top :, columns.start - left :]
    return float(np.abs(area[inner].astype(int) - coarse[inner]).mean())


def main() -> None:
    """Run, count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", default=["demo"])
    parser.add_argument("--faces", type=int, default=10000, help="go on until so many face-frames were seen")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tasks", default="all", help="none leaves masks out, which is the quicker")
    parser.add_argument("--keep", type=Path, help="folder for what counts as unblurred, original and what left")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    tasks = () if arguments.tasks == "none" else TASKS
    options = Options(privacy="blur", max_faces=3, threads=arguments.threads, tasks=tasks)
    rows: dict[str, Counts] = {}
    before, seen = -1, 0
    while not rows or before < seen < arguments.faces:  # of clips without faces once
        before = seen
        for clip in arguments.clips:
            for kind, images in (("as it is", frames_of(clip)), ("collage", collage(clip, rng))):
                counts = rows.setdefault(f"{Path(clip).name}, {kind}", Counts())
                measure(images, options, counts)
                print(f"{clip}, {kind}: {counts.unblurred} unblurred of {counts.faces}", file=sys.stderr, flush=True)
        seen = sum(row.faces for row in rows.values())
    for name, row in rows.items():
        cost = row.blur_ms / max(row.frames, 1)
        print(
            f"{name:<40} {row.faces:>6} face-frames {row.unblurred:>3} unblurred {row.frames:>6} frames {cost:>6.2f} ms"
        )
    pictures = [picture for row in rows.values() for picture in row.kept]
    for number, picture in enumerate(pictures if arguments.keep else ()):
        arguments.keep.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(arguments.keep / f"{number}.png"), picture)
    faces, unblurred = (sum(getattr(row, name) for row in rows.values()) for name in ("faces", "unblurred"))
    print(f"{unblurred} unblurred of {faces} face-frames of {LEAST_PX} px or more")
    print(json.dumps({"benchmark": "blur", "faces": faces, "unblurred": unblurred}))


if __name__ == "__main__":
    main()
