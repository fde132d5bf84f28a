"""Rare emotions at export: what few training faces show is answered as though more of them did.

A network that has learned a class's rarity seldom names it, however plain the face. Adding -log(prior) to the logits
undoes that (logit adjustment: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, eq. 9); done for
all classes it costs the common ones much, so that here only those rarer than a floor are lifted, to that floor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rtface.datasets import corpus
from rtface.errors import InputError
from rtface.labels import EMOTIONS
from rtface.train.sources import Source


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


def emotion_lift(sources: Sequence[Source], floor: float) -> npt.NDArray[np.float32]:
    """`lift` for the majority votes of the sources' rows.

    Raises:
        SourceError: A file is damaged.
        InputError: There are no votes.
    """
    rows = (row for one in sources for file in one.files for row in corpus.read(file, one.takes))
    votes = [int(row.emotion_votes.argmax()) for row in rows if row.emotion_votes is not None]
    if not votes:
        names = ", ".join(one.name for one in sources)
        raise InputError(f"sources {names}", "hold no emotion votes", "Pass --rare-emotions 0")
    return lift(np.bincount(votes, minlength=10)[: len(EMOTIONS)], floor)
