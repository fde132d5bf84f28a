"""The mean face of ``rtface.geometry.face_model`` from labelled faces: what the points of many people have in common.

    python benchmarks/face_model.py landmarks.parquet

Each face with 68 points by hand and a head pose (yaw, pitch, roll in degrees) gives two equations a point: where the
mean face, turned by the pose, scaled and moved, lies in the picture. Scale and place of each face and the mean shape
are solved in turns by least squares, faces that fit badly counting less; the shape is made symmetric, and the outer
corners of the eyes put 88 mm apart. Prints the points and how far they are from those that ship.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.geometry.face_model import MEAN_FACE_MM, rotation_matrix
from rtface.geometry.mirror import MIRROR_68

Floats = NDArray[np.float64]

EYES_MM = 88.0
#: Degrees by which two teachers of a pose may differ.
MOST_SPREAD_DEG = 6.0
ROUNDS = 30


def faces(path: Path, split: str) -> tuple[Floats, Floats]:
    """(N, 68, 2) px and (N, 3) degrees of the faces of a corpus file."""
    from pyarrow import parquet

    points, poses = [], []
    for row in parquet.read_table(path, columns=["split", "faces"]).to_pylist():
        for face in row["faces"] or [] if row["split"] == split else []:
            if face.get("landmarks68") and face.get("pose") and (face.get("pose_spread") or 99.0) < MOST_SPREAD_DEG:
                points.append(np.array(face["landmarks68"], np.float64).reshape(68, 2))
                poses.append(face["pose"])
    return np.array(points), np.array(poses, np.float64)


def mean_face(points: Floats, poses: Floats) -> Floats:
    """(68, 3) mm, the origin between the eyes."""
    rows = np.array([rotation_matrix(*pose)[:2] for pose in poses])
    straight = (np.abs(poses[:, 0]) < 6.0) & (np.abs(poses[:, 1]) < 9.0)
    shape = np.zeros((68, 3))
    shape[:, :2] = np.mean([_flat(p, r) for p, r in zip(points[straight], rows[straight], strict=True)], axis=0)
    for _ in range(ROUNDS):
        left, right = np.zeros((3, 3)), np.zeros((68, 3))
        for seen, row in zip(points, rows, strict=True):
            model = shape @ row.T
            centred, offset = model - model.mean(axis=0), seen - seen.mean(axis=0)
            scale = (centred * offset).sum() / (centred**2).sum()
            fitted = offset / scale + model.mean(axis=0)
            weight = 1.0 / (0.05 + np.linalg.norm(fitted - model, axis=1).mean())
            left += weight * row.T @ row
            right += weight * fitted @ row
        shape = _symmetric(np.linalg.solve(left, right.T).T)
    shape = shape * EYES_MM
    middle: Floats = shape - shape[36:48].mean(axis=0)
    return middle


def _flat(points: Floats, row: Floats) -> Floats:
    """A straight face without its roll, in distances between the eyes' outer corners."""
    upright: Floats = (points - points.mean(axis=0)) @ row[:, :2]
    return upright / float(np.linalg.norm(points[45] - points[36]))


def _symmetric(shape: Floats) -> Floats:
    other = shape[list(MIRROR_68)] * (-1.0, 1.0, 1.0)
    other[:, 0] += 2.0 * shape[:, 0].mean()
    shape = (shape + other) / 2.0
    shape[:, 0] -= shape[:, 0].mean()
    whole: Floats = shape / float(np.linalg.norm(shape[45] - shape[36]))
    return whole


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--split", default="train")
    given = parser.parse_args()
    points, poses = faces(given.corpus, given.split)
    shape = mean_face(points, poses)
    print(f"{len(points)} faces")
    for point in shape:
        print("({:.1f}, {:.1f}, {:.1f}),".format(*point))
    apart = np.linalg.norm(shape - MEAN_FACE_MM, axis=1)
    print(f"from the one that ships: mean {apart.mean():.2f} mm, at most {apart.max():.2f} mm")


if __name__ == "__main__":
    main()
