"""Pictures from arrays and files, as the (H, W, 3) uint8 BGR that every stage takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.errors import InputError, OutputError, SourceError
from rtface.system import filetype
from rtface.system.addresses import shown_address
from rtface.system.files import atomic_write
from rtface.system.image_bytes import decode_image
from rtface.system.opencv import MAX_SIDE_PX, cv2
from rtface.system.paths import expanded


def as_bgr(image: object) -> NDArray[np.uint8]:
    """The picture as (H, W, 3) uint8 BGR; no copy where it is that already.

    Args:
        image: uint8 array: grey (H, W) or (H, W, 1), BGR (H, W, 3), or BGRA (H, W, 4), whose alpha is left out.

    Raises:
        InputError: It is something else; the message says how to make it fit.
    """
    if not isinstance(image, np.ndarray):
        raise _unfit(f"a {type(image).__name__}", "Read a file with cv2.imread, or make an array of it (BGR order)")
    _check_shape(image)
    _check_values(image)
    channels = image.shape[2] if image.ndim == 3 else 1
    if channels == 3:
        # OpenCV takes rows with gaps between them (a region of a picture), but no steps backwards or over channels.
        plain = image.strides[0] > 0 and image.strides[1:] == (3, 1)
        return image if plain else np.ascontiguousarray(image)
    code = cv2.COLOR_GRAY2BGR if channels == 1 else cv2.COLOR_BGRA2BGR
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), code))


def _check_shape(image: NDArray[Any]) -> None:
    shape = image.shape
    if image.size == 0:
        raise _unfit(f"an empty array of shape {shape}", "Check that the picture was read: cv2.imread gives None")
    if image.ndim not in (2, 3) or (image.ndim == 3 and shape[2] not in (1, 3, 4)):
        channels_first = image.ndim == 3 and shape[0] in (1, 3, 4)
        mend = "Turn it with image.transpose(1, 2, 0)" if channels_first else "Pass one picture, height first"
        raise _unfit(f"shape {shape}", mend)
    if max(shape[:2]) > MAX_SIDE_PX:
        raise _unfit(f"shape {shape}", f"Shrink it to at most {MAX_SIDE_PX} px a side")


def _check_values(image: NDArray[Any]) -> None:
    if image.dtype == np.uint8:
        return
    if image.dtype.kind == "f":
        if not np.isfinite(image).all():
            raise _unfit(f"{image.dtype} with NaN or infinity", "Mend the values, then pass uint8")
        times = "image" if image.max() > 1.0 else "image * 255"
        raise _unfit(f"{image.dtype}", f'Pass ({times}).clip(0, 255).astype("uint8")')
    mend = 'Pass (image // 257).astype("uint8")' if image.dtype == np.uint16 else 'Pass image.astype("uint8")'
    raise _unfit(f"{image.dtype}", mend)


def _unfit(got: str, mend: str) -> InputError:
    return InputError("image", f"expected (H, W, 3) uint8 BGR, (H, W) grey or (H, W, 4) BGRA, got {got}", mend)


def read_image(path: str | Path) -> NDArray[np.uint8]:
    """The picture in a file, (H, W, 3) uint8 BGR, turned upright by its EXIF tag.

    Raises:
        SourceError: The file is missing, empty, cut short, too large or not a picture.
    """
    path = expanded(path)
    check_file(path)
    try:
        # Not cv2.imread: it cannot open a path outside the code page on Windows.
        return decode_image(path.read_bytes(), str(path))
    except OSError as error:
        raise _unreadable(path, error) from error


def check_file(path: Path) -> str | None:
    """The kind of a file that is there, may be read, and is not empty.

    Raises:
        SourceError: It is none of that.
    """
    try:
        if path.is_dir():
            raise SourceError(str(path), "is a folder", "Name a file, or give the folder to rtface run")
        if path.is_char_device() or path.is_block_device() or path.is_socket():
            raise SourceError(str(path), "is a device, not a video or picture", "Name a file, or a camera by its index")
        if path.is_fifo():  # it would be waited for without end, and what was read to tell its kind is gone
            raise SourceError(str(path), "is a pipe, which can be read once only", "Write it to a file first")
        if path.stat().st_size == 0 and path.is_file():
            raise SourceError(str(path), "is empty (0 bytes)", "Copy it again from where it came from")
        return filetype.kind_of(path)
    except FileNotFoundError as error:
        shown = shown_address(str(path))  # what names no file may be an address with a slip in it
        raise SourceError(shown, "does not exist", "Check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> SourceError:
    why = getattr(error, "strerror", None) or str(error)
    mend = "Check its permissions" if isinstance(error, PermissionError) else "Check the path, and the disk"
    return SourceError(str(path), f"cannot be read ({why})", mend)


def encoded(image: NDArray[Any], kind: str = ".jpg", quality: int | None = None) -> bytes | None:
    """A picture (H, W, 3) BGR or (H, W), uint8, as the bytes of a file; None where it cannot be.

    Args:
        image: The picture.
        kind: Ending of such files: ".jpg", ".png".
        quality: Of a JPEG, 0..100; None = OpenCV's own, 95.
    """
    flags = () if quality is None else (cv2.IMWRITE_JPEG_QUALITY, quality)
    done, data = cv2.imencode(kind, image, flags)
    return data.tobytes() if done else None


def write_png(path: Path, image: NDArray[Any]) -> None:
    """Write a picture (H, W, 3) or (H, W) uint8 as PNG, whole or not at all.

    Raises:
        OutputError: Its folder is missing, or the file cannot be written.
    """
    data = encoded(image, ".png")
    try:
        if data is None:
            raise OSError(None, "the picture cannot be encoded")
        with atomic_write(path) as file:
            file.write(data)
    except OSError as error:
        why = f"cannot be written ({error.strerror or error})"
        raise OutputError(str(path), why, "Name a file in a folder that is there") from error
