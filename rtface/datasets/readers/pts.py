"""300-W and the sets in it (Helen, LFPW, AFW, iBUG; Sagonas et al., ICCV-W 2013): a .pts file beside each picture.

::

    helen/trainset/100032540_1.jpg          version: 1
    helen/trainset/100032540_1.pts          n_points: 68
    helen/testset/…  lfpw/…  afw/…          {
                                            x y      68 lines, counted from 1 as MATLAB does
                                            }

``trainset`` and ``testset`` in a path give the split, a set's name in it the source. iBUG and 300-W's own pictures
(01_Indoor, 02_Outdoor) were published for testing and are test. Files of 39 points (Menpo's
profiles) are another mark-up and are refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rtface.datasets.files import picture_of, some
from rtface.datasets.labelled import Array, LabelledImage, face_of_landmarks
from rtface.datasets.text import bad, lines, numbers

SETS = ("helen", "lfpw", "afw", "ibug", "300w", "300vw", "menpo", "cofw")
_SPLITS = {"trainset": "train", "testset": "test", "ibug": "test", "01_indoor": "test", "02_outdoor": "test"}
FIRST_PIXEL = 1  # MATLAB's


def read(path: Path) -> Iterator[LabelledImage]:
    """Records of all .pts files below a folder."""
    for file in some(path, "*.pts"):
        above = [part.lower() for part in reversed(file.resolve().parent.parts)]
        source = next((part for part in above if part in SETS), "pts")
        yield LabelledImage(
            id=f"{source}-{file.relative_to(path).with_suffix('').as_posix()}",
            source=source,
            picture=picture_of(file.with_suffix("")),
            faces=(face_of_landmarks(read_points(file)),),
            split=next((_SPLITS[part] for part in above if part in _SPLITS), ""),
        )


def read_points(path: Path, count: int = 68) -> Array:
    """(count, 2) px, pixel centres at integers from 0. Raises SourceError where the file is not of this kind."""
    points: list[list[float]] = []
    said = None
    inside = False
    last = 0
    for last, line in lines(path):
        if line.startswith("n_points"):
            said = line.partition(":")[2].strip()
        elif line == "{":
            inside = True
        elif line == "}":
            break
        elif inside:
            points.append(numbers(line.split(), 2, path, last, "x y"))
    else:
        raise bad(path, last, "the closing } is missing: the file is cut short")
    if len(points) != count or said not in (None, str(count)):
        raise bad(path, last, f"expected {count} points, got {len(points)} (n_points: {said})")
    return np.asarray(points, np.float64) - FIRST_PIXEL
