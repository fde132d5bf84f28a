"""Eight emotions from the engine's tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.labels import EMOTIONS
from rtface.types import Emotion

OUTPUT = "emotion"
"""(N, 8) float32 probabilities in the order of `EMOTIONS`."""


def emotions(tensor: NDArray[Any], temperature: float = 1.0) -> list[Emotion]:
    """The strongest emotion of each face, with all probabilities (N, 8).

    Probabilities p become p^(1 / `temperature`), and sum to 1 again: a softmax of logits divided by it.
    """
    if temperature != 1.0:
        sharper = np.power(tensor, 1.0 / temperature, dtype=np.float32)
        tensor = sharper / sharper.sum(axis=1, keepdims=True)
    strongest = np.argmax(tensor, axis=1)
    return [Emotion(EMOTIONS[index], probs) for index, probs in zip(strongest.tolist(), tensor, strict=True)]
