"""Pictures as training sees them: labels of the corpus, and pixels decoded once into a memory-mapped cache.

Decoding a 480 px WebP costs more than a training step on it, so the pixels of a corpus file go once into one flat file
beside an index. A third file says which corpus file they are of: when that has changed or gone, they are stale.
"""

from __future__ import annotations

import errno
import hashlib
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from rtface.datasets import corpus
from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.errors import OutputError, SourceError
from rtface.system.files import atomic_write, write_text
from rtface.system.image_bytes import decode_pixels
from rtface.system.json_text import parse_json

UInt8 = npt.NDArray[np.uint8]
_NO_MASK, _BAD = -1, -1  # in an index row: mask offset, and offset of a picture that does not decode


@dataclass(slots=True)
class Picture:
    """A labelled picture with its pixels.

    Attributes:
        labels: What is known of it.
        image: (H, W, 3) uint8 BGR, a view into the cache.
        parsing: (H, W) uint8 class ids of `labels.parsing_scheme`, 255 = unknown, a view, too; None = no mask.
    """

    labels: LabelledImage
    image: UInt8
    parsing: UInt8 | None = None
    _shrunk: dict[int, UInt8] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.labels.id

    @property
    def source(self) -> str:
        return self.labels.source

    @property
    def split(self) -> str:
        return self.labels.split

    @property
    def faces(self) -> tuple[FaceLabel, ...]:
        return self.labels.faces

    def shrunk(self, factor: int) -> UInt8:
        """The picture averaged down by a whole factor; kept, since a large face is cut again in every epoch."""
        if factor not in self._shrunk:
            height, width = self.image.shape[0] // factor, self.image.shape[1] // factor
            whole = self.image[: height * factor, : width * factor]
            self._shrunk[factor] = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
        return self._shrunk[factor]


_told: set[Path] = set()
"""Files whose bad pictures were told of."""


def read_pictures(
    files: Iterable[Path], cache: Path, splits: Sequence[str] = ("train", "unlabelled"), skip_bad: bool = False
) -> list[Picture]:
    """Pictures of the given splits in file order; decodes each file into `cache` the first time.

    Args:
        files: Corpus files.
        cache: Folder of decoded pixels.
        splits: Which rows to take.
        skip_bad: Leave out pictures that do not decode, and say on stderr how many, instead of stopping.

    Raises:
        SourceError: A file is missing or damaged, is no corpus file, or holds a picture that does not decode.
        OutputError: The cache's disk is full.
    """
    pictures: list[Picture] = []
    for path in files:
        rows = list(corpus.read(path))
        pixels, index = _pixel_cache(path, cache)
        bad = [row.id for row, place in zip(rows, index, strict=True) if place[0] == _BAD]
        if bad and not skip_bad:
            why = f"{_count(len(bad))} not decode, e.g. row {bad[0]}"
            raise SourceError(str(path), why, "Pass --skip-bad to go on without them, or import the file again")
        if bad and path not in _told:  # training and validation pictures are read one after the other
            _told.add(path)
            print(
                f"{path}: left out what does not decode: {len(bad)} of {len(rows)}, e.g. row {bad[0]}", file=sys.stderr
            )
        for row, place in zip(rows, index, strict=True):
            if row.split in splits and place[0] != _BAD:
                pictures.append(_picture(row, pixels, place))
    return pictures


def _count(bad: int) -> str:
    return "1 picture does" if bad == 1 else f"{bad} pictures do"


def _picture(row: LabelledImage, pixels: UInt8, place: npt.NDArray[np.int64]) -> Picture:
    offset, height, width, mask_offset = (int(value) for value in place)
    count = height * width
    image = pixels[offset : offset + 3 * count].reshape(height, width, 3)
    if mask_offset == _NO_MASK:
        return Picture(row, image)
    return Picture(row, image, pixels[mask_offset : mask_offset + count].reshape(height, width))


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """The decoded pixels of one corpus file, whole or given up."""

    files: tuple[Path, ...]
    bytes: int


def stale_entries(cache: Path) -> list[CacheEntry]:
    """Pixels in a cache folder whose corpus file has changed or gone, and what interrupted runs left behind."""
    entries = []
    for file in sorted(cache.glob("*.u8")):
        facts = file.with_suffix(".json")
        if not (facts.is_file() and _is_current(facts, file.stem)):
            entries.append(_entry(file, file.with_suffix(".npy"), facts))
    entries += [_entry(file) for file in sorted(cache.glob("*.part-????????.[nj]*"))]
    return entries


def _is_current(facts: Path, stem: str) -> bool:
    try:
        path = Path(parse_json(facts.read_text("utf-8"))["path"])
        return _cache_stem(path) == stem
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _entry(*files: Path) -> CacheEntry:
    there = tuple(file for file in files if file.is_file())
    return CacheEntry(there, sum(file.stat().st_size for file in there))


def _cache_stem(path: Path) -> str:
    stat = path.stat()
    key = hashlib.sha256(f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}".encode()).hexdigest()[:16]
    return f"{path.stem}-{key}"


def _pixel_cache(path: Path, cache: Path) -> tuple[UInt8, npt.NDArray[np.int64]]:
    """Flat pixels and an index row (offset or -1, height, width, mask offset or -1) a picture."""
    stem = cache / _cache_stem(path)
    pixel_file, index_file = stem.with_name(f"{stem.name}.u8"), stem.with_name(f"{stem.name}.npy")
    if not (index_file.is_file() and pixel_file.is_file()):
        cache.mkdir(parents=True, exist_ok=True)
        _decode(path, pixel_file, index_file)
    empty = not pixel_file.stat().st_size  # which cannot be mapped
    pixels = np.zeros(0, np.uint8) if empty else np.memmap(pixel_file, np.uint8, mode="r")
    return pixels, _index(index_file, pixels.size)


def _index(file: Path, size: int) -> npt.NDArray[np.int64]:
    """The index, whose places all lie within so many bytes of pixels."""
    mend = "Delete it: the pictures are decoded again"
    try:
        index = np.load(file)
        offsets, area = index[:, 0], index[:, 1].astype(np.float64) * index[:, 2]
        ends = np.maximum(offsets + 3 * area, index[:, 3] + area)
        good = index.dtype == np.int64 and index.shape[1] == 4 and (index >= -1).all() and (ends <= size).all()
    except (OSError, ValueError, IndexError, EOFError) as error:
        raise SourceError(str(file), f"is no index of decoded pictures ({error})", mend) from error
    if not good:
        raise SourceError(str(file), "names places that are not in its file of pixels", mend)
    return index


def _decode(path: Path, pixel_file: Path, index_file: Path) -> None:
    try:
        _decode_into(path, pixel_file, index_file)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        mend = f"Make room (rtface train caches --cache {pixel_file.parent} --delete), or name another --cache"
        raise OutputError(str(pixel_file), f"cannot be written ({error.strerror})", mend) from error


def _decode_into(path: Path, pixel_file: Path, index_file: Path) -> None:
    places: list[tuple[int, int, int, int]] = []
    with atomic_write(pixel_file) as out:
        for name, encoded, mask in corpus.encoded_pixels(path):
            places.append(_write(out, encoded, mask, f"{path}, row {name}"))
    write_text(pixel_file.with_suffix(".json"), json.dumps({"path": str(path.resolve())}))
    # the index is written last and whole: its presence says that the pixels are complete
    with atomic_write(index_file) as out:
        np.save(out, np.asarray(places, np.int64).reshape(-1, 4))


def _write(out: BinaryIO, encoded: bytes | None, mask: bytes | None, name: str) -> tuple[int, int, int, int]:
    """Append a picture's pixels and its mask's; its row of the index."""
    image, labels = _pixels(encoded, cv2.IMREAD_COLOR, name), _pixels(mask, cv2.IMREAD_GRAYSCALE, name)
    if image is None or (mask is not None and labels is None):
        return _BAD, 0, 0, _NO_MASK
    start, height, width = out.tell(), *image.shape[:2]
    if labels is not None and labels.shape != (height, width):
        why = f"is {labels.shape[1]}x{labels.shape[0]} px, the picture {width}x{height}"
        raise SourceError(f"the mask of {name}", why, "Masks have their picture's size")
    out.write(image.tobytes())
    if labels is None:
        return start, height, width, _NO_MASK
    mask_start = out.tell()
    out.write(labels.tobytes())
    return start, height, width, mask_start


def _pixels(encoded: bytes | None, flags: int, name: str) -> UInt8 | None:
    return decode_pixels(encoded, flags, name) if encoded else None
