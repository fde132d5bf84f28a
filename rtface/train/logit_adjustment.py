"""Rare emotions at export: what few training faces show is answered as though more of them did.

A network that has learned a class's rarity seldom names it, however plain the face. Adding -log(prior) to the logits
undoes that (logit adjustment: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, eq. 9); done for
all classes it costs the common ones much, so that here only those rarer than a floor are lifted, to that floor.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from rtface.errors import InputError
from rtface.labels import EMOTIONS
from rtface.train.data.pixel_cache import read_pictures


def lift(counts: npt.NDArray[np.integer], floor: float) -> npt.NDArray[np.float32]:
    """What to add to each class's logit: log(floor / share) where its share is below `floor`, else 0.

    Args:
        counts: Training faces of each class (C,). A class without any is left alone: nothing is known of it.
        floor: A share, 0..1; 0 lifts nothing.
    """
    shares = counts / max(int(counts.sum()), 1)
    rare = (shares > 0) & (shares < floor)
    lifted: npt.NDArray[np.float32] = np.where(rare, np.log(max(floor, 1e-9) / np.where(rare, shares, 1)), 0)
    return lifted.astype(np.float32)


def emotion_lift(data: Path, cache: Path, floor: float) -> npt.NDArray[np.float32]:
    """`lift` for the majority votes of emotion.parquet's training rows in `data`.

    Raises:
        InputError: The file is missing, damaged, or has no votes.
    """
    pictures = read_pictures([data / "emotion.parquet"], cache)
    votes = [int(votes.argmax()) for p in pictures if (votes := p.labels.emotion_votes) is not None]
    if not votes:
        raise InputError(str(data / "emotion.parquet"), "has no emotion votes", "Pass --rare-emotions 0")
    return lift(np.bincount(votes, minlength=10)[: len(EMOTIONS)], floor)
