"""A made-up corpus: drawn faces in the schema of the real one, a few pictures a file.

A face is a symmetric template of 68 points put into the picture by a `Crop` (centre, size, roll), so every label of
it can be told from that placing alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.geometry.crop import points5_from_landmarks
from rtface.train.data.pixel_cache import Picture
from tests.evaluate.made import record, write

Array = npt.NDArray[Any]


def _template() -> Array:
    """68 points in iBUG order about (0, 0); eye centres 1.2 apart, x mirrored in x."""
    jaw = [(-1.3 * np.cos(t), 1.6 * np.sin(t)) for t in np.linspace(0, np.pi, 17)]
    brow = [(-1.0, -0.45), (-0.85, -0.55), (-0.65, -0.6), (-0.45, -0.55), (-0.3, -0.45)]
    ridge = [(0.0, y) for y in (-0.15, 0.05, 0.25, 0.45)]
    nostrils = [(x, 0.6 + 0.05 * (x == 0)) for x in (-0.25, -0.12, 0.0, 0.12, 0.25)]
    eye = [(-0.8, -0.15), (-0.7, -0.22), (-0.5, -0.22), (-0.4, -0.15), (-0.5, -0.08), (-0.7, -0.08)]
    outer_top = [(x, 0.9 - 0.1 * (abs(x) < 0.4)) for x in (-0.45, -0.3, -0.12, 0.0, 0.12, 0.3, 0.45)]
    outer_low = [(x, 1.15) for x in (0.3, 0.15, 0.0, -0.15, -0.3)]
    inner_top = [(x, 0.92) for x in (-0.35, -0.15, 0.0, 0.15, 0.35)]
    inner_low = [(x, 1.02) for x in (0.15, 0.0, -0.15)]
    other_brow = [(-x, y) for x, y in reversed(brow)]
    other_eye = [(-eye[i][0], eye[i][1]) for i in (3, 2, 1, 0, 5, 4)]
    return np.array(
        [*jaw, *brow, *other_brow, *ridge, *nostrils, *eye, *other_eye, *outer_top, *outer_low, *inner_top, *inner_low]
    )


TEMPLATE = _template()
# The mesh is 478 means of two or three of the 68 points; the four corners that the mesh map looks at are themselves.
_MESH_OF_68 = np.random.default_rng(68).multinomial(3, np.full(68, 1 / 68), 478) / 3.0
for _vertex, _point in ((33, 36), (263, 45), (61, 48), (291, 54)):
    _MESH_OF_68[_vertex] = np.eye(68)[_point]


def mesh_of(points68: Array) -> Array:
    """The made-up mesh (478, 2) of a face."""
    return _MESH_OF_68 @ points68


def placed(x: float, y: float, unit: float, roll: float = 0.0) -> Array:
    """The template's points, `unit` px a template unit, turned clockwise by `roll` degrees about (x, y)."""
    cos, sin = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    return (TEMPLATE * unit) @ np.array(((cos, sin), (-sin, cos))) + (x, y)


def face(
    points68: Array, *fields: str, pose: tuple[float, float, float] = (12.0, -4.0, 3.0), **more: Any
) -> dict[str, Any]:
    """A face struct with the named label fields, all told from `points68`."""
    low, high = points68.min(0), points68.max(0)
    known = {
        "box_xyxy": [low[0], low[1] - 0.4 * (high[1] - low[1]), *high],
        "points5": points5_from_landmarks(points68).ravel(),
        "landmarks68": points68.ravel(),
        "mesh478": mesh_of(points68).ravel(),
        "pose": pose,
    }
    return {name: [float(v) for v in known[name]] for name in fields} | more


def picture(points68: Array | None, width: int, height: int, seed: int) -> Array:
    """Smooth noise with the face's parts drawn on it."""
    rng = np.random.default_rng(seed)
    image = cv2.resize(rng.integers(0, 200, (height // 8, width // 8, 3), np.uint8), (width, height))
    if points68 is not None:
        for part, colour in (
            ((0, 17), (150, 180, 220)),
            ((36, 42), (90, 30, 30)),
            ((42, 48), (90, 30, 30)),
            ((48, 60), (60, 60, 200)),
        ):
            cv2.fillPoly(image, [points68[slice(*part)].round().astype(np.int32)], colour)
    return image


def mask(points68: Array, width: int, height: int, fine: bool = True) -> Array:
    """Parsing labels: skin, the subject's right eye (the image's left), left eye, lower lip; FASSEG's if not fine."""
    labels = np.zeros((height, width), np.uint8)
    ids = (1, 5, 4, 12) if fine else (1, 3, 3, 5)
    for part, label in zip(((0, 17), (36, 42), (42, 48), (48, 60)), ids, strict=True):
        cv2.fillPoly(labels, [points68[slice(*part)].round().astype(np.int32)], label)
    labels[:4] = 255
    return labels


def encoded(image: Array, extension: str = ".webp") -> bytes:
    """Lossless WebP (or PNG for masks)."""
    flags = (cv2.IMWRITE_WEBP_QUALITY, 101) if extension == ".webp" else ()
    return bytes(cv2.imencode(extension, image, flags)[1].tobytes())


def row(name: str, source: str, split: str, image: Array, **fields: Any) -> dict[str, Any]:
    """A record of the corpus with a WebP picture; `parsing` is an array here."""
    labels = fields.pop("parsing", None)
    parsing = None if labels is None else encoded(labels, ".png")
    return record(name, image, source=source, split=split, parsing=parsing, **fields) | {"image": encoded(image)}


def a_picture(
    name: str,
    source: str,
    split: str,
    image: Array,
    faces: Sequence[FaceLabel] = (),
    parsing: Array | None = None,
    **labels: Any,
) -> Picture:
    """A picture as training sees it."""
    return Picture(LabelledImage(name, source, image, tuple(faces), split, **labels), image, parsing)


def write_corpus(folder: Path) -> Path:
    """All eight files, some twenty pictures; enough of every kind for both trainings."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in _FILES.items():
        write(folder / f"{name}.parquet", rows())
    return folder


def _landmarks() -> list[dict[str, Any]]:
    rows = []
    for i, (source, split) in enumerate((("helen", "train"), ("lfpw", "train"), ("helen", "train"), ("afw", "val"))):
        points = placed(80, 64, 26, roll=6.0 * i - 9)
        label = face(points, "box_xyxy", "points5", "landmarks68", "mesh478", "pose")
        label |= {
            "box_source": "landmarks",
            "points5_source": "human",
            "landmarks68_source": "human",
            "pose_spread": 2.0,
        }
        drawn = picture(points, 160, 120, i)
        truth = {"parsing": mask(points, 160, 120), "parsing_scheme": "celebamask19", "parsing_source": "teacher"}
        rows.append(row(f"landmarks-{i}", source, split, drawn, faces=[label], **truth))
    return rows


def _video() -> list[dict[str, Any]]:
    points = placed(48, 44, 20)
    label = face(points, "box_xyxy", "points5", "landmarks68", "pose", landmarks68_source="semi-automatic")
    return [row(f"video-{i}", "udacity", "train", picture(points, 96, 96, 20 + i), faces=[label]) for i in range(2)]


def _parsing() -> list[dict[str, Any]]:
    points, rows = placed(64, 60, 24), []
    for i, (source, split) in enumerate((("celebamask", "train"), ("fasseg3", "train"), ("celebamask", "val"))):
        fine = source == "celebamask"
        label = face(points, "box_xyxy", "points5", **({} if fine else {"yaw_true": 30.0}))
        truth = {"parsing": mask(points, 128, 128, fine), "parsing_scheme": "celebamask19" if fine else "fasseg6"}
        drawn = picture(points, 128, 128, 30 + i)
        rows.append(row(f"parsing-{i}", source, split, drawn, faces=[label], parsing_source="human", **truth))
    return rows


def _unlabelled() -> list[dict[str, Any]]:
    points = placed(50, 50, 18, roll=-8)
    label = face(points, "box_xyxy", "mesh478", "pose", box_source="teacher")
    return [row("unlabelled-0", "utkface", "unlabelled", picture(points, 104, 104, 40), faces=[label])]


def _points5() -> list[dict[str, Any]]:
    points, rows = placed(48, 44, 20, roll=4), []
    for i, split in enumerate(("train", "train", "val")):
        label = face(points, "box_xyxy", "points5", points5_source="human", box_source="crop")
        rows.append(row(f"five-{i}", "mtfl", split, picture(points, 96, 96, 50 + i), faces=[label], pose_class=3))
    return rows


def _emotion() -> list[dict[str, Any]]:
    rows = []
    for i, split in enumerate(("train", "train", "train", "train", "val")):
        grey = cv2.cvtColor(picture(placed(24, 20, 12), 48, 48, 60 + i), cv2.COLOR_BGR2GRAY)
        votes = [0] * 10
        votes[i % 3], votes[4], votes[5] = 7, 2, 1
        box = {"box_xyxy": [0.0, 0.0, 48.0, 48.0], "box_source": "crop"}
        rows.append(row(f"emotion-{i}", "ferplus", split, grey, faces=[box], emotion_votes=votes))
    return rows


def _detection() -> list[dict[str, Any]]:
    rows = []
    for i, source in enumerate(("wider", "wider", "mafa")):
        near, far = placed(60, 50, 20), placed(150, 60, 9)
        faces = [face(near, "box_xyxy", "points5"), face(far, "box_xyxy", box_source="human")]
        rows.append(row(f"detection-{i}", source, "train", picture(near, 200, 120, 70 + i), faces=faces))
    return rows


def _negatives() -> list[dict[str, Any]]:
    return [row(f"negative-{i}", "negative", "train", picture(None, 120, 96, 80 + i)) for i in range(2)]


_FILES = {
    "landmarks": _landmarks,
    "video_landmarks": _video,
    "parsing": _parsing,
    "unlabelled": _unlabelled,
    "points5": _points5,
    "emotion": _emotion,
    "detection": _detection,
    "negatives": _negatives,
}


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """As on a disk that is full: no file of this process may grow beyond so many bytes."""
    resource = pytest.importorskip("resource", reason="limits the size of files as POSIX does")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
