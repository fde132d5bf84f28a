"""What stills and streams both do with crops: enhance small ones, find the way back to the frame, tell the time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.budget import Budget
from rtface.engine import Engine, Tensors, prunes
from rtface.geometry.crop import CROP_SIZE, Crop, crop_to_frame_matrix, warp_crops
from rtface.tasks import enhance, parsing
from rtface.tasks.quality import LOW_QUALITY, quality_reasons
from rtface.types import Frame, Skip, Timing


def enhance_small(
    enhancer: Engine | None, frame: Frame, crops: Sequence[Crop], batch: NDArray[np.uint8], budget: Budget, *later: str
) -> Skip | None:
    """Super-resolve the small faces of a batch in place when the `later` stages still fit; else why it was skipped."""
    rows = enhance.small_rows(crops)
    if enhancer is None or not rows:
        return None
    stage = f"enhance, {len(rows)} faces"
    if skip := budget.skip_reason("enhance", stage, *later):
        return skip

    def run(small: NDArray[np.uint8]) -> NDArray[np.float32]:
        large: NDArray[np.float32] = enhancer.run(small, (enhance.OUTPUT,))[enhance.OUTPUT]
        return large

    enhance.enhance(frame.image, crops, batch, rows, run)
    budget.stop_stage("enhance", stage=stage)
    return None


def run_parsing_some(
    run: Callable[[slice, Sequence[str]], Tensors], engine: Engine, names: Sequence[str], count: int, parsed: int
) -> Tensors:
    """What `names` are of `count` crops; the parsing's of the first `parsed` only.

    In two calls when the engine saves time by not computing an output, else in one: a GPU computes all of them.

    Args:
        run: Some rows, and the outputs that are asked for.
        engine: That runs them.
        names: Outputs.
        count: Crops.
        parsed: How many of them are parsed.
    """
    quick = [name for name in names if name != parsing.OUTPUT]
    if parsed == 0 or parsed == count:
        return run(slice(count), names if parsed else quick)
    if not prunes(engine):
        return without_rest(run(slice(count), names), parsed)
    first, rest = run(slice(parsed), names), run(slice(parsed, count), quick)
    return {**first, **{name: np.concatenate([first[name], rest[name]]) for name in quick}}


def without_rest(tensors: Tensors, parsed: int) -> Tensors:
    """What an engine computed of all crops, with the parsing of the first `parsed` only."""
    return {name: value[:parsed] if name == parsing.OUTPUT else value for name, value in tensors.items()}


def matrices(crops: Sequence[Crop], size: int = CROP_SIZE) -> NDArray[np.float64]:
    """(N, 2, 3): from each crop's px, at `size` px across, to the frame's."""
    return np.array([crop_to_frame_matrix(crop, size) for crop in crops]).reshape(-1, 2, 3)


def reasons_of(
    quality: float,
    image: NDArray[np.uint8],
    crop: Crop,
    size: int,
    points: NDArray[np.float32] | None,
    value: Mapping[str, Any],
) -> tuple[str, ...]:
    """Why a face is of low quality; () where it is not, which costs nothing.

    Args:
        quality: As the engine says, 0..1.
        image: The frame.
        crop: What the engine saw of it, at `size` px.
        points: (68, 2) px of the crop; None = not known.
        value: The face's typed results by task.
    """
    if quality >= LOW_QUALITY or not crop.finite:
        return ()
    pixels = warp_crops(image, [crop], out=np.empty((1, size, size, 3), np.uint8))[0]
    mask = value.get("parsing")
    return quality_reasons(pixels, crop.side, points, value.get("pose"), None if mask is None else mask.labels)


def timing_of(budget: Budget, frames: int = 1) -> Timing:
    """What was spent on each of some frames that shared it, by stage."""
    spent_ms = {f"{name}_ms": spent / frames for name, spent in budget.spent_ms.items()}
    return Timing(**spent_ms, total_ms=budget.total_ms / frames)
