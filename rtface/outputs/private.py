"""What of a result may leave the process in which mode of privacy, the same for every output."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.drawing.blur import blur, blur_whole
from rtface.errors import UsageError
from rtface.outputs.sink import Sink
from rtface.system.images import encoded
from rtface.types import FrameResult

QUALITY = 80
#: Wider JPEGs are shrunk: no page shows more, and encoding costs by the pixel.
WIDEST_PX = 1280


def private_picture(result: FrameResult, privacy: str) -> NDArray[np.uint8] | None:
    """The frame's picture as it may leave; None = not at all.

    In mode "blur" faces are blurred by what the detector saw on this very frame, and a frame that it did not look at
    is blurred whole.

    Args:
        result: Of `Options(privacy=privacy)`, which has the detector look at every frame.
        privacy: "full", "blur" or "aggregate".
    """
    image: NDArray[np.uint8] = result.frame.image
    if privacy == "full":
        return image
    if privacy == "aggregate":
        return None
    return blur_whole(image) if result.possible_xyxy is None else blur(image, result)


def private_jpeg(result: FrameResult, privacy: str) -> bytes | None:
    """The frame's picture as it may leave, as a JPEG of at most `WIDEST_PX`; None = not at all."""
    picture = private_picture(result, privacy)
    if picture is None:
        return None
    height, width = picture.shape[:2]
    if width > WIDEST_PX:
        size = (WIDEST_PX, max(round(height * WIDEST_PX / width), 1))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return encoded(picture, quality=QUALITY)


def private_result(result: FrameResult, privacy: str) -> FrameResult:
    """The result with its picture as it may leave, black where none may."""
    picture = private_picture(result, privacy)
    if picture is None:
        picture = np.zeros_like(result.frame.image)
    return replace(result, frame=replace(result.frame, image=picture))


def without_picture(result: FrameResult) -> FrameResult:
    """The result with a black picture of the same size that takes no memory, for outputs that need none."""
    black = np.broadcast_to(np.uint8(0), result.frame.image.shape)
    return replace(result, frame=replace(result.frame, image=black))


def check_groups_only(sinks: tuple[Sink, ...]) -> None:
    """Refuse outputs that tell of single people, for mode "aggregate".

    Raises:
        UsageError: One does.
    """
    for sink in sinks:
        if not sink.tells_groups_only:
            mend = "Use -o visits.db (and --no-show), or another --privacy"
            raise UsageError(sink.name, "tells of single people, and --privacy is aggregate", mend)
