"""Pictures from arrays and files, as the (H, W, 3) uint8 BGR that every stage takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.errors import InputError, OutputError, SourceError
from rtface.system import filetype
from rtface.system.opencv import cv2, quiet

#: OpenCV's warps address a picture with 16-bit coordinates.
MAX_SIDE_PX = 32766
_JPEG_END = b"\xff\xd9"
#: Bytes that a JPEG decoder takes for more of the picture where it lacks some.
_FILLER = b"\x5a\xa5\x3c" * 64


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
        SourceError: The file is missing, empty, cut short or not a picture.
    """
    path = Path(path)
    kind = check_file(path)
    if kind in filetype.PICTURES and filetype.is_cut_short(path, kind) and not _lacks_only_its_end(path, kind):
        raise SourceError(str(path), f"is cut short ({kind})", "Copy it again from where it came from")
    with quiet():
        # Not imread: it cannot open a path outside the code page on Windows.
        try:
            image = cv2.imdecode(_mended(np.fromfile(path, np.uint8), kind), cv2.IMREAD_COLOR)
        except cv2.error:
            image = None
    if image is not None:
        return np.asarray(image)
    if kind in filetype.PICTURES:
        raise SourceError(str(path), f"is damaged ({kind})", "Copy it again from where it came from")
    if kind is not None:
        raise SourceError(str(path), "is a video, not a picture", f"rtface run {path}")
    raise SourceError(str(path), "is not a picture that OpenCV can read", "Convert it to JPEG or PNG")


def _lacks_only_its_end(path: Path, kind: str | None) -> bool:
    """Whether a JPEG without its end mark has all its pixels: then what is put behind them changes none."""
    if kind != "jpeg":
        return False
    import av  # its decoder is silent, where OpenCV's writes to stderr

    data, pictures = path.read_bytes(), []
    for tail in (b"", _FILLER):
        decoder = av.CodecContext.create("mjpeg", "r")
        try:
            frames = [*decoder.decode(av.Packet(data + tail + _JPEG_END)), *decoder.decode(None)]
        except av.error.FFmpegError:
            return False
        pictures.append(frames[0].to_ndarray(format="bgr24") if frames else None)
    plain, longer = pictures
    return plain is not None and longer is not None and bool(np.array_equal(plain, longer))


def _mended(data: NDArray[np.uint8], kind: str | None) -> NDArray[np.uint8]:
    """The bytes of a whole picture with an end mark or a length that its writer got wrong put right."""
    if kind == "jpeg" and data[-2:].tobytes() != _JPEG_END:
        return np.append(data, np.frombuffer(_JPEG_END, np.uint8))
    if kind == "webp":
        data[4:8] = np.frombuffer((data.size - 8).to_bytes(4, "little"), np.uint8)
    return data


def check_file(path: Path) -> str | None:
    """The kind of a file that is there, may be read, and is not empty.

    Raises:
        SourceError: It is none of that.
    """
    try:
        if path.is_dir():
            raise SourceError(str(path), "is a folder", "Name a file, or give the folder to rtface run")
        if path.stat().st_size == 0 and path.is_file():
            raise SourceError(str(path), "is empty (0 bytes)", "Copy it again from where it came from")
        return filetype.kind_of(path)
    except FileNotFoundError as error:
        raise SourceError(str(path), "does not exist", "Check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or str(error)
        raise SourceError(str(path), f"cannot be read ({why})", "Check its permissions") from error


def write_png(path: Path, image: NDArray[Any]) -> None:
    """Write a picture (H, W, 3) or (H, W) uint8 as PNG, whole or not at all.

    Raises:
        OutputError: Its folder is missing, or the file cannot be written.
    """
    done, data = cv2.imencode(".png", image)
    part = path.with_name(f".{path.name}.part")
    try:
        if not done:
            raise OSError(None, "the picture cannot be encoded")
        part.write_bytes(data.tobytes())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        why = f"cannot be written ({error.strerror or error})"
        raise OutputError(str(path), why, "Name a file in a folder that is there") from error
