"""Reader of the training corpus: parquet files of encoded pictures with face labels, decoded once to a pixel cache.

Schema: one row a picture (see the corpus README): `image` WebP or JPEG bytes, `faces` a list of structs, `parsing` a
PNG of class ids (255 unknown), `emotion_votes` ten FER+ counts, `pose_class` MTFL's 1..5. Decoding a 480 px WebP costs
more than a training step on it, so pixels go once into a flat memory-mapped file beside an index.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from rtface.errors import InputError

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
_SCHEMA = "See the corpus schema in the data README"


@dataclass(slots=True)
class FaceLabel:
    """What is known of one face, px of its picture; None = not labelled."""

    box: Float32 | None = None  # (4,) xyxy
    points5: Float32 | None = None  # (5, 2)
    points5_source: str = ""
    landmarks68: Float32 | None = None  # (68, 2)
    landmarks68_source: str = ""
    landmarks68_spread: float = 0.0  # % of the outer eye corners' distance
    mesh478: Float32 | None = None  # (478, 2)
    pose: Float32 | None = None  # (3,) yaw, pitch, roll in degrees
    pose_spread: float = 0.0  # degrees
    yaw_true: float | None = None  # degrees


@dataclass(slots=True)
class Picture:
    """One row of the corpus. `image` (H, W, 3) BGR and `parsing` (H, W) are views into the memory-mapped cache."""

    id: str
    source: str
    split: str
    image: UInt8
    faces: list[FaceLabel] = field(default_factory=list)
    parsing: UInt8 | None = None
    parsing_scheme: str = ""
    parsing_source: str = ""
    votes: Float32 | None = None  # (10,)
    pose_class: int = 0
    _shrunk: dict[int, UInt8] = field(default_factory=dict)

    def shrunk(self, factor: int) -> UInt8:
        """The picture averaged down by a whole factor; kept, since a large face is cut again in every epoch."""
        if factor not in self._shrunk:
            height, width = self.image.shape[0] // factor, self.image.shape[1] // factor
            whole = self.image[: height * factor, : width * factor]
            self._shrunk[factor] = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
        return self._shrunk[factor]


def read_corpus(files: Iterable[Path], cache: Path, splits: Sequence[str] = ("train", "unlabelled")) -> list[Picture]:
    """Pictures of the given splits in file order; decodes each file into `cache` the first time.

    Raises InputError where a file is missing or damaged, is no parquet file of this schema, or holds a picture that
    does not decode.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    pictures: list[Picture] = []
    for path in files:
        if not path.is_file():
            raise InputError(f"cannot read {path}", "no such file", "Pass the corpus folder with --data PATH")
        try:
            pixels, index = _pixel_cache(path, cache)
            columns = [c for c in pq.read_schema(path).names if c not in ("image", "parsing")]
            rows = pq.read_table(path, columns=columns).to_pylist()
            pictures += [_picture(r, pixels, p) for r, p in zip(rows, index, strict=True) if r["split"] in splits]
        except KeyError as error:
            raise InputError(f"cannot read {path}", f"it has no column {error}", _SCHEMA) from error
        except (pa.ArrowException, OSError) as error:  # pyarrow says OSError of damaged pages
            raise InputError(f"cannot read {path}", str(error), _SCHEMA) from error
    return pictures


def _picture(row: dict[str, Any], pixels: UInt8, place: npt.NDArray[np.int64]) -> Picture:
    offset, height, width, mask_offset = (int(v) for v in place)
    count = height * width
    votes = row.get("emotion_votes")
    return Picture(
        id=row["id"],
        source=row["source"],
        split=row["split"],
        image=pixels[offset : offset + 3 * count].reshape(height, width, 3),
        faces=[_face(f) for f in row["faces"] or ()],
        parsing=pixels[mask_offset : mask_offset + count].reshape(height, width) if mask_offset >= 0 else None,
        parsing_scheme=row.get("parsing_scheme") or "",
        parsing_source=row.get("parsing_source") or "",
        votes=np.asarray(votes, np.float32) if votes is not None else None,
        pose_class=row.get("pose_class") or 0,
    )


def _face(raw: dict[str, Any]) -> FaceLabel:
    def array(name: str, *shape: int) -> Float32 | None:
        value = raw.get(name)
        return None if value is None else np.asarray(value, np.float32).reshape(shape)

    return FaceLabel(
        box=array("box_xyxy", 4),
        points5=array("points5", 5, 2),
        points5_source=raw.get("points5_source") or "",
        landmarks68=array("landmarks68", 68, 2),
        landmarks68_source=raw.get("landmarks68_source") or "",
        landmarks68_spread=float(raw.get("landmarks68_spread") or 0.0),
        mesh478=array("mesh478", 478, 2),
        pose=array("pose", 3),
        pose_spread=float(raw.get("pose_spread") or 0.0),
        yaw_true=raw.get("yaw_true"),
    )


def _pixel_cache(path: Path, cache: Path) -> tuple[UInt8, npt.NDArray[np.int64]]:
    """Flat pixels and an index row (offset, height, width, mask offset or -1) a picture."""
    stat = path.stat()
    key = hashlib.sha256(f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}".encode()).hexdigest()[:16]
    pixel_file, index_file = cache / f"{path.stem}-{key}.u8", cache / f"{path.stem}-{key}.npy"
    if not (index_file.is_file() and pixel_file.is_file()):
        cache.mkdir(parents=True, exist_ok=True)
        _decode(path, pixel_file, index_file)
    return np.memmap(pixel_file, np.uint8, mode="r"), np.load(index_file)


def _decode(path: Path, pixel_file: Path, index_file: Path) -> None:
    import pyarrow.parquet as pq

    places: list[tuple[int, int, int, int]] = []
    unfinished = pixel_file.with_suffix(f".{os.getpid()}.part")
    try:
        with unfinished.open("wb") as out, pq.ParquetFile(path) as parquet:
            for batch in parquet.iter_batches(256, columns=["image", "parsing"]):
                for encoded, mask in zip(batch["image"].to_pylist(), batch["parsing"].to_pylist(), strict=True):
                    places.append(_write(out, encoded, mask, f"picture {len(places)} of {path}"))
        unfinished.replace(pixel_file)
    finally:
        unfinished.unlink(missing_ok=True)
    # the index is written last and whole: its presence says that the pixels are complete
    part = index_file.with_suffix(f".{os.getpid()}.part.npy")
    np.save(part, np.asarray(places, np.int64).reshape(-1, 4))
    part.replace(index_file)


def _write(out: BinaryIO, encoded: bytes | None, mask: bytes | None, name: str) -> tuple[int, int, int, int]:
    """Append a picture's pixels and its mask's; its row of the index."""
    image = _pixels(encoded, cv2.IMREAD_COLOR, name)
    start, height, width = out.tell(), *image.shape[:2]
    out.write(image.tobytes())
    if mask is None:
        return start, height, width, -1
    labels, mask_start = _pixels(mask, cv2.IMREAD_GRAYSCALE, f"the mask of {name}"), out.tell()
    if labels.shape != (height, width):
        why = f"it is {labels.shape[1]}x{labels.shape[0]} px, the picture {width}x{height}"
        raise InputError(f"the mask of {name}", why, "Masks have their picture's size")
    out.write(labels.tobytes())
    return start, height, width, mask_start


def _pixels(encoded: bytes | None, flags: int, name: str) -> UInt8:
    """An encoded picture's pixels. Raises InputError where there are none."""
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), flags) if encoded else None
    if image is None:
        raise InputError(name, "its bytes do not decode", "Leave the row out, or encode it again as WebP, JPEG or PNG")
    return image.astype(np.uint8, copy=False)
