"""Decoded frames of any pixel format, colour space, dynamic range and orientation as upright 8-bit BGR."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import av

# Code points of ITU-T H.273.
_UNSPECIFIED, _BT709 = 2, 1
_PQ, _HLG = 16, 18
#: Untagged video of at least this height is BT.709, below it BT.601, as players take it.
HD_HEIGHT = 720
#: Luminance in cd/m² that SDR shows as white (ITU-R BT.2408: HDR reference white).
HDR_WHITE = 203.0
#: Luminance in cd/m² of the display that HLG is made for (BT.2100).
HDR_PEAK = 1000.0
#: Share of reference white above which highlights are compressed.
KNEE = 0.75


class BgrConverter:
    """Turns frames into (H, W, 3) uint8 BGR, upright.

    One converter a source: the scaler behind it is set up again only when a frame's size or format differs from the
    last one's, so a source may change both at any frame.
    """

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._orientation = _UPRIGHT
        self._rotation: int | None = None

    def __call__(self, frame: av.VideoFrame) -> NDArray[np.uint8]:
        """
        Raises:
            av.error.FFmpegError: The pixel format has no conversion to BGR.
        """
        if frame.colorspace == _UNSPECIFIED and frame.height >= HD_HEIGHT and not frame.format.is_rgb:
            frame.colorspace = _BT709
        # One thread: swscale would start one a CPU for every source, and the networks need those.
        converted = self._reformatter.reformat(frame, format="bgr24", threads=1)
        image = np.asarray(converted.to_ndarray(), np.uint8)
        curve = sdr_curve(frame.color_trc)
        if curve is not None:
            image = np.asarray(cv2.LUT(image, curve), np.uint8)
        if frame.key_frame and frame.rotation != self._rotation:
            self._rotation, self._orientation = frame.rotation, orientation_of(frame)
        return upright(image, self._orientation)


#: The 2×2 part of a display matrix by its signs: x' = a·x + c·y, y' = b·x + d·y.
Orientation = tuple[int, int, int, int]
_UPRIGHT: Orientation = (1, 0, 0, 1)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """How the frame is to be turned and mirrored, from its display matrix (ISO/IEC 14496-12 §8.2.2) in right angles."""
    # A copy of a few pixels is asked: PyAV's side data and their frame hold each other, and with them the frame's
    # memory until Python's cycle collector comes by.
    matrix = frame.reformat(width=16, height=16).side_data.get("DISPLAYMATRIX")
    if matrix is not None:
        a, b, _, c, d = (int(value) for value in np.frombuffer(memoryview(cast(Any, matrix)), np.int32)[:5])
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return (-1 if a < 0 else 1, 0, 0, -1 if d < 0 else 1)
        return (0, -1 if b < 0 else 1, -1 if c < 0 else 1, 0)
    return _UPRIGHT


def upright(image: NDArray[np.uint8], orientation: Orientation) -> NDArray[np.uint8]:
    """The picture turned and mirrored; as it is where nothing is to be done."""
    a, b, c, d = orientation
    if b:
        image, flip_x, flip_y = np.asarray(cv2.transpose(image), np.uint8), c < 0, b < 0
    else:
        flip_x, flip_y = a < 0, d < 0
    if not flip_x and not flip_y:
        return image
    return np.asarray(cv2.flip(image, -1 if flip_x and flip_y else int(flip_x)), np.uint8)


@cache
def sdr_curve(transfer: int) -> NDArray[np.uint8] | None:
    """256 SDR values for the 256 codes of an HDR transfer function; None where the video is SDR.

    The code is made light (PQ: SMPTE ST 2084; HLG: ITU-R BT.2100 table 5, on a display of `HDR_PEAK`). Light up to
    `KNEE` of reference white stays as it is, so that faces do; what is brighter is compressed. Then sRGB's curve.
    """
    if transfer not in (_PQ, _HLG):
        return None
    code = np.linspace(0.0, 1.0, 256)
    light = _pq_light(code) if transfer == _PQ else _hlg_light(code)
    light = light / HDR_WHITE
    over, room = np.maximum(light - KNEE, 0.0), 1.0 - KNEE
    mapped = np.minimum(light, KNEE) + room * (1.0 - np.exp(-over / room))
    encoded = np.where(mapped <= 0.0031308, 12.92 * mapped, 1.055 * mapped ** (1 / 2.4) - 0.055)
    return np.round(255.0 * encoded).astype(np.uint8)


def _pq_light(code: NDArray[Any]) -> NDArray[Any]:
    """Luminance in cd/m² of PQ codes 0..1."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = code ** (1 / m2)
    return np.asarray(10000.0 * (np.maximum(root - c1, 0.0) / (c2 - c3 * root)) ** (1 / m1))


def _hlg_light(code: NDArray[Any]) -> NDArray[Any]:
    """Luminance in cd/m² of HLG codes 0..1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3.0, (np.exp((code - c) / a) + b) / 12.0)
    return np.asarray(HDR_PEAK * scene**1.2)
