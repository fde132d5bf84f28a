"""Eight emotions from the engine's tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.labels import EMOTIONS
from rtface.types import Emotion

OUTPUT = "emotion"
"""(N, 8) float32 probabilities in the order of `EMOTIONS`."""


def emotions(tensor: NDArray[Any]) -> list[Emotion]:
    """The strongest emotion of each face, with all probabilities (N, 8)."""
    strongest = np.argmax(tensor, axis=1)
    return [Emotion(EMOTIONS[index], probs) for index, probs in zip(strongest.tolist(), tensor, strict=True)]
