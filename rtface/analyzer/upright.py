"""Which way up a still's face is: the detector takes every face for an upright one, the engine can tell.

Of 77 faces of AFW turned by 180°, 48 had been reported, all with wrong points. Now 70 are, none of them wrong; as they
stand, 50 of 50 pictures have the very results of before (`benchmarks/turned.py`, docs/reliability.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rtface.geometry.crop import BOX_SIDE, Crop

TURNS = (90.0, 180.0, -90.0)
"""By so many degrees a face may be off from what the detector takes it for."""

UPRIGHT_QUALITY = 0.55
"""A face that the engine trusts less at first sight is looked at in every turn."""

LEAST_PX = 24 * BOX_SIDE
"""Of smaller faces the engine cannot tell, and there are many in a crowd."""

TURNED_QUALITY, TURNED_GAIN = 0.45, 1.15
"""What the engine has to trust a turned face at least, at first and at last, and at first how many times as much as
the face as it was cut."""


def doubtful_rows(quality: NDArray[np.float32], boxed: Sequence[Crop]) -> NDArray[np.intp]:
    """Faces, of the engine's `quality` (N,) for each as it was cut and the crops of their boxes, which may not be
    upright."""
    large = np.array([crop.side >= LEAST_PX for crop in boxed])
    return np.flatnonzero((quality < UPRIGHT_QUALITY) & large)


def turns(boxed: Crop, roll: float) -> Iterator[Crop]:
    """The crop of a face's box in every turn from the detector's `roll` on: its points are those of an upright face,
    and of one that is none they are off by a half or a quarter of a turn."""
    return (replace(boxed, roll=roll + turn) for turn in TURNS)


def turned_rows(quality: NDArray[np.float32], in_turns: NDArray[np.float32]) -> tuple[NDArray[np.intp], ...]:
    """Faces that are turned indeed, and how: rows of `quality` (N,), and for each the row of `in_turns` (N * turns,),
    the engine's quality for every turn of the first face, of the second …"""
    each = in_turns.reshape(-1, len(TURNS))
    rows = np.flatnonzero(each.max(axis=1) >= np.maximum(TURNED_QUALITY, TURNED_GAIN * quality))
    return rows, rows * len(TURNS) + each[rows].argmax(axis=1)


def same_face(crop: Crop, other: Crop) -> bool:
    """Whether two crops, each cut by the landmarks seen in it, are of one face."""
    return crop.near(other, centre=0.25, ratio=1.6)
