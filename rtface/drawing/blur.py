"""Faces made unrecognisable, for pictures that leave the process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.errors import InputError
from rtface.system.images import as_bgr
from rtface.types import Face, FrameResult

WHAT = ("face", "head")
FACE_CLASSES = (
    *("skin", "nose", "left_eye", "right_eye", "left_brow", "right_brow"),
    *("inner_mouth", "upper_lip", "lower_lip", "glasses"),
)
HEAD_CLASSES = (*FACE_CLASSES, "left_ear", "right_ear", "hair", "hat", "earring")

#: A face is shown in so many blocks along its longer side, too few to know anybody by.
BLOCKS = 6
#: A picture that is blurred whole: no face in it may have more blocks than `BLOCKS`, not even one that fills it.
WHOLE_BLOCKS = 12
#: A box is grown by this share of its size to the left, top, right and bottom.
GROWN = {"face": (0.25, 0.25, 0.25, 0.25), "head": (0.45, 0.75, 0.45, 0.3)}
#: The mask is grown by this share of the face's size: its edge is a pixel or two wrong.
MASK_GROWN = 0.06


class _Place(NamedTuple):
    """Where to blur: pixels x0..x1, y0..y1, of them those of `mask`; None = all. And the size of a block, px."""

    x0: int
    y0: int
    x1: int
    y1: int
    mask: NDArray[np.uint8] | None
    block: float


def blur(
    image: NDArray[Any], result: FrameResult, what: str = "face", *, classes: Iterable[str] | None = None
) -> NDArray[np.uint8]:
    """A copy of the picture in which every face of the result is a few coloured blocks.

    Use this when a picture leaves the process and nobody in it may be recognised. A face whose parsing is of this
    very frame is blurred by its mask and an oval around it; another one, and whatever else may be a face
    (`FrameResult.possible_xyxy`, with `Options(privacy="blur")`), by its box and a margin.

    Args:
        image: The picture that was analysed: uint8, (H, W, 3) BGR, (H, W) grey or (H, W, 4) BGRA.
        result: What was found on it. A face that was not found stays as it is: nothing can hide what nobody saw.
        what: "face", or "head" with hair, ears and hats.
        classes: Blur only these of `rtface.PARSING_CLASSES`; a face without a mask is blurred whole.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        InputError: `image` is no picture, `what` or a class is unknown.

    Example:
        >>> import cv2, rtface
        >>> image = cv2.imread("group.jpg")
        >>> safe = rtface.blur(image, rtface.analyze(image), what="head")
    """
    if what not in WHAT:
        raise InputError("what", f"expected one of {', '.join(WHAT)}, got {what!r}", "Name one of them")
    source = as_bgr(image)
    picture: NDArray[np.uint8] = source.copy()
    chosen = None if classes is None else tuple(classes)
    places = [_place_of(face, source.shape, what, chosen) for face in result.faces]
    if chosen is None and result.possible_xyxy is not None:
        places += [_grown(box, source.shape, what) for box in result.possible_xyxy]
    # The coarsest last: a small box within a large face must not bring its details back.
    for place in sorted((one for one in places if one is not None), key=lambda one: one.block):
        _pixelate(source, picture, place)
    return picture


def blur_whole(image: NDArray[Any]) -> NDArray[np.uint8]:
    """The picture as a few blocks, for one in which nobody has looked for faces.

    Raises:
        InputError: `image` is no picture.
    """
    source = as_bgr(image)
    height, width = source.shape[:2]
    picture: NDArray[np.uint8] = source.copy()
    _pixelate(source, picture, _Place(0, 0, width, height, None, max(height, width) / WHOLE_BLOCKS))
    return picture


def _place_of(face: Face, shape: tuple[int, ...], what: str, classes: tuple[str, ...] | None) -> _Place | None:
    whole = _grown(face.box_xyxy, shape, what)
    parsing = face.parsing
    fresh = parsing is not None and not face.predicted and face.age_ms.get("parsing", 0.0) == 0.0
    if parsing is None or not fresh or whole is None:
        return whole
    names = classes if classes is not None else FACE_CLASSES if what == "face" else HEAD_CLASSES
    mask = parsing.in_frame(shape, names).astype(np.uint8)
    side = float(max(face.box_xyxy[2:] - face.box_xyxy[:2]))
    grow = 2 * max(round(MASK_GROWN * side), 1) + 1
    mask = np.asarray(cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grow, grow))), np.uint8)
    if classes is None:  # an oval too: a mask may miss half a face
        x0, y0, x1, y1 = (float(value) for value in face.box_xyxy)
        centre, axes = (round((x0 + x1) / 2), round((y0 + y1) / 2)), (round(0.55 * (x1 - x0)), round(0.55 * (y1 - y0)))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1)
    left, top, wide, high = cv2.boundingRect(mask)
    if not wide:
        return None
    return _Place(left, top, left + wide, top + high, mask[top : top + high, left : left + wide], side / BLOCKS)


def _grown(box_xyxy: NDArray[Any], shape: tuple[int, ...], what: str) -> _Place | None:
    x0, y0, x1, y1 = (float(value) for value in box_xyxy)
    if not np.isfinite((x0, y0, x1, y1)).all():
        return None
    left, top, right, bottom = GROWN[what]
    wide, high = x1 - x0, y1 - y0
    place = (
        max(int(x0 - left * wide), 0),
        max(int(y0 - top * high), 0),
        min(int(np.ceil(x1 + right * wide)), shape[1]),
        min(int(np.ceil(y1 + bottom * high)), shape[0]),
    )
    if place[2] <= place[0] or place[3] <= place[1]:
        return None
    return _Place(*place, None, max(wide, high) / BLOCKS)


def _pixelate(source: NDArray[np.uint8], picture: NDArray[np.uint8], place: _Place) -> None:
    x0, y0, x1, y1, mask, block = place
    size = (x1 - x0, y1 - y0)
    small = (max(round(size[0] / block), 1), max(round(size[1] / block), 1))
    coarse = cv2.resize(source[y0:y1, x0:x1], small, interpolation=cv2.INTER_AREA)
    blocks = cv2.resize(coarse, size, interpolation=cv2.INTER_NEAREST)
    if mask is None:
        picture[y0:y1, x0:x1] = blocks
    else:
        cv2.copyTo(blocks, mask, picture[y0:y1, x0:x1])
