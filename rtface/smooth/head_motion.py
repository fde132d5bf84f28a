"""A face moves as one: the motion that its points share, and what a similarity makes of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.geometry.similarity import fit_similarity
from rtface.types import Parsing

Array = NDArray[Any]

CALM = 0.015
"""Face sizes a second by which a face may seem to move and count as at rest: what noise makes of one that is still."""

STIRRING = 0.06
"""The same for a single point against its face; it has the noise of one instead of 68."""

LIVELY = 7.0
"""How much more a point's own speed counts than its face's: lips and lids go short ways, and would be late by most of
one. Opening lips are 14 ms late; with 0.04 and 1 here 23 ms, at the same jitter (`benchmarks/smoothing.py`)."""


def head_speed(velocity: Array, points: Array) -> Array:
    """Speed (P, 1) that a One-Euro filter of points follows, of their velocity and place (P, 2), in face sizes.

    It is the root mean square of the speed that all points share (shift, turn and growth of the face, which noise of
    68 points hardly touches) beyond `CALM`, and what each point moves against that beyond `STIRRING`, `LIVELY` times:
    lids and lips.
    Each point by its own speed, as in the paper, is twice as late in a turn at the same jitter
    (`benchmarks/smoothing.py`).
    """
    arms = points - points.mean(axis=0)
    shift = velocity.mean(axis=0)
    rest = velocity - shift
    spread = max(float((arms * arms).sum()), 1e-12)
    growth = float((rest * arms).sum()) / spread
    turn = float((arms[:, 0] * rest[:, 1] - arms[:, 1] * rest[:, 0]).sum()) / spread
    shared = shift + growth * arms + turn * np.stack((-arms[:, 1], arms[:, 0]), axis=1)
    own = np.hypot(*(velocity - shared).T)[:, None]
    head = math.sqrt(float((shared * shared).sum()) / len(points))
    speeds: Array = max(head - CALM, 0.0) + LIVELY * np.maximum(own - STIRRING, 0.0)
    return speeds


def warp_parsing(parsing: Parsing, points: Array, others: Array) -> Parsing:
    """A label map that was made when the landmarks were at `points` (P, 2) px, where they are at `others` now."""
    move = fit_similarity(points, others)
    to_frame = move[:, :2] @ parsing.to_frame
    to_frame[:, 2] += move[:, 2]
    return Parsing(parsing.labels, to_frame)
