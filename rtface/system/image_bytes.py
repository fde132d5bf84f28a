"""A picture from its bytes: whole, upright, and not so large that reading it would take the memory away."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import imagesize
import numpy as np
from numpy.typing import NDArray

from rtface.errors import SourceError
from rtface.system import filetype
from rtface.system.opencv import MAX_PIXELS, MAX_SIDE_PX, cv2, quiet

_JPEG_END = b"\xff\xd9"
#: Bytes that a JPEG decoder takes for more of the picture where it lacks some.
_FILLER = b"\x5a\xa5\x3c" * 64
_COPY = "Copy it again from where it came from"
_CONVERT = "Convert it to JPEG or PNG"


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """The picture in the bytes of a file, (H, W, 3) uint8 BGR, turned upright by its EXIF tag.

    How large it is going to be is read from its header before anything is decoded: 59 KB of PNG can hold 3 GB.

    Args:
        data: All of the file. HEIC needs the extra ``rtface[heif]``.
        name: What errors call it.

    Raises:
        SourceError: It is cut short, damaged, too large, or no picture.
    """
    kind = filetype.kind_of_bytes(data)
    if kind is None or kind not in (*filetype.PICTURES, "gif"):
        if kind is not None and kind != "playlist":
            raise SourceError(name, "is a video, not a picture", f"rtface run {name}")
        raise SourceError(name, "is not a picture that can be read", _CONVERT)
    _check_size(data, kind, name)
    if filetype.is_cut_short(data, kind) and not _lacks_only_its_end(data, kind):
        raise SourceError(name, f"is cut short ({kind})", _COPY)
    if kind == "gif":
        image = _first_frame(data)
    else:
        image = _heif(data, name) if kind == "heic" else _opencv(_mended(data, kind))
    if image is not None:
        return np.asarray(image)
    if kind == "avif" and not cv2.haveImageWriter("x.avif"):  # OpenCV before 4.12
        raise SourceError(name, "is AVIF, which this OpenCV cannot read", f"{_CONVERT}, or update opencv-python")
    if kind in ("jpeg", "png", "webp", "gif"):
        raise SourceError(name, f"is damaged ({kind})", _COPY)
    # Of the others there are kinds that OpenCV lacks: which of the two it is, cannot be told.
    raise SourceError(name, f"is damaged, or of a kind of {kind} that cannot be read", f"{_COPY}, or convert it to PNG")


def decode_pixels(data: bytes | NDArray[np.uint8], flags: int, name: str) -> NDArray[np.uint8] | None:
    """The pixels of a labelled picture or mask as they are stored, by cv2's `flags`; None = it is none, or damaged.

    Raises:
        SourceError: It is too large; it is not decoded.
    """
    data = bytes(data)
    kind = filetype.kind_of_bytes(data)
    if kind is None or kind not in filetype.PICTURES:
        return None
    with suppress(_UnknownSize):
        _check_size(data, kind, name)
        with quiet(), suppress(cv2.error):
            image: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
            return None if image is None else image.astype(np.uint8, copy=False)
    return None


class _UnknownSize(SourceError):
    """A header that does not say how large its picture is."""


def _check_size(data: bytes, kind: str, name: str) -> None:
    try:
        width, height = imagesize.get(io.BytesIO(data))
    except Exception:  # a hostile header: whatever it was, the size is not known
        width = height = -1
    if width < 1 or height < 1:
        cut_short = filetype.is_cut_short(data, kind)
        raise _UnknownSize(name, f"is {'cut short' if cut_short else 'damaged'} ({kind})", _COPY)
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE_PX:
        why = f"is too large: {width}x{height} px"
        raise SourceError(name, why, f"Shrink it to at most {MAX_PIXELS // 10**6} million px, {MAX_SIDE_PX} a side")


def _opencv(data: bytes) -> NDArray[Any] | None:
    with quiet():
        try:
            return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            return None


def _first_frame(data: bytes) -> NDArray[Any] | None:
    import av  # OpenCV before 4.11 reads no GIF

    try:
        with av.open(io.BytesIO(data)) as container:
            frame = next(container.decode(video=0), None)
            return None if frame is None else frame.to_ndarray(format="bgr24")
    except (av.error.FFmpegError, IndexError):
        return None


def _heif(data: bytes, name: str) -> NDArray[Any]:
    """The main picture of a HEIC file: all its tiles, turned as it says."""
    try:
        import pi_heif
    except ImportError as error:
        mend = "pip install 'rtface[heif]', or convert it to JPEG or PNG"
        raise SourceError(name, "is HEIC, which needs another library", mend) from error
    try:
        opened = pi_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True, bgr_mode=True)
        image = np.array(opened)  # the library takes its own memory back
    except Exception as error:  # ValueError, RuntimeError, EOFError, …: all say that it is not whole
        raise SourceError(name, f"is damaged (heic: {error})", _COPY) from error
    if image.ndim == 2:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))
    return np.ascontiguousarray(image[..., :3])


def _lacks_only_its_end(data: bytes, kind: str | None) -> bool:
    """Whether a JPEG without its end mark has all its pixels: then what is put behind them changes none."""
    if kind != "jpeg":
        return False
    import av  # its decoder is silent, where OpenCV's writes to stderr

    pictures = []
    for tail in (b"", _FILLER):
        decoder = av.CodecContext.create("mjpeg", "r")
        try:
            frames = [*decoder.decode(av.Packet(data + tail + _JPEG_END)), *decoder.decode(None)]
        except av.error.FFmpegError:
            return False
        pictures.append(frames[0].to_ndarray(format="bgr24") if frames else None)
    plain, longer = pictures
    return plain is not None and longer is not None and bool(np.array_equal(plain, longer))


def _mended(data: bytes, kind: str | None) -> bytes:
    """The bytes of a whole picture with an end mark or a length that its writer got wrong put right."""
    if kind == "jpeg" and not data.endswith(_JPEG_END):
        return data + _JPEG_END
    if kind == "webp":
        return data[:4] + (len(data) - 8).to_bytes(4, "little") + data[8:]
    return data
