"""What of a frame may leave the process in which mode of privacy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtface.types import FrameResult


def private_picture(result: FrameResult, privacy: str) -> NDArray[np.uint8] | None:
    """The picture that may leave; None = none may."""
    if privacy == "aggregate":
        return None
    image: NDArray[np.uint8] = result.frame.image
    return image
