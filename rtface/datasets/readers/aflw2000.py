"""AFLW2000-3D and 300W-LP (Zhu et al., "Face Alignment Across Large Poses", CVPR 2016): a .mat beside each picture.

::

    image00002.jpg  image00002.mat: Pose_Para (1, 7) = pitch, yaw, roll in radians, shift, scale
                                    pt3d_68 (3, 68), in 300W-LP pt2d (2, 68): px, counted from 1

Signs, from the set's own rotation Rx(pitch) · Ry(yaw) · Rz(roll) on axes x right, y up, z to the viewer: + pitch is
nose up and + roll clockwise in the image, as in rtface; + yaw is nose towards the image's LEFT, and is negated here.
As usual on this test (Ruiz et al., CVPR-W 2018; Yang et al., CVPR 2019) a pose with an angle beyond ±99° is left out.
AFLW2000-3D was published for testing (split test), 300W-LP for training (train). The points are a fitted 3-D model's,
so hidden ones lie where the skin is, not on the outline: "semi-automatic".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rtface.datasets.files import picture_of, some
from rtface.datasets.labelled import Array, LabelledImage, face_of_landmarks
from rtface.datasets.matfile import read_mat
from rtface.errors import SourceError

LIMIT_DEG = 99.0
_TEST_POINTS = "pt3d_68"  # what AFLW2000-3D has, and 300W-LP does not
_TO_RTFACE = np.array((-1.0, 1.0, 1.0))  # yaw, pitch, roll
#: 300W-LP also ships its code and other points, without pictures beside them.
_OTHER_FOLDERS = {"landmarks", "code"}


def read(path: Path) -> Iterator[LabelledImage]:
    """Records of all .mat files below a folder."""
    for file in some(path, "*.mat"):
        inner = file.relative_to(path)
        if _OTHER_FOLDERS & {part.lower() for part in inner.parts[:-1]}:
            continue
        arrays = read_mat(file)
        face = face_of_landmarks(_points(arrays, file), "semi-automatic", pose=_pose(arrays, file))
        name = f"aflw2000-{inner.with_suffix('').as_posix()}"
        split = "test" if _TEST_POINTS in arrays else "train"
        yield LabelledImage(name, "aflw2000", picture_of(file.with_suffix("")), (face,), split)


def _points(arrays: dict[str, Array], file: Path) -> Array:
    points = arrays.get(_TEST_POINTS, arrays.get("pt2d"))
    if points is None or points.shape not in ((3, 68), (2, 68)) or not np.isfinite(points).all():
        got = "nothing" if points is None else f"shape {points.shape}"
        raise SourceError(str(file), f"expected pt3d_68 (3, 68) or pt2d (2, 68), got {got}", "Copy it again")
    flat: Array = points[:2].T - 1.0
    return flat


def _pose(arrays: dict[str, Array], file: Path) -> Array | None:
    values = arrays.get("Pose_Para", np.zeros(0)).ravel()
    if len(values) < 3 or not np.isfinite(values[:3]).all():
        raise SourceError(str(file), f"expected Pose_Para (1, 7), got {len(values)} numbers", "Copy it again")
    pitch, yaw, roll = np.degrees(values[:3])
    pose = np.array((yaw, pitch, roll)) * _TO_RTFACE
    return pose.astype(np.float32) if np.abs(pose).max() <= LIMIT_DEG else None
