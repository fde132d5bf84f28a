"""A mesh as the second teacher of 68 points, beside the own networks' looks.

The two err differently, so that their mean is better than either. On 192 faces of AFW with the mesh of the corpus
(NME by outer eye corners): mesh 4.18 %, own looks 4.37 %, mean 3.99 %. How far they lie apart tells the error about as
well as how far the looks do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from rtface.datasets.labelled import Array, FaceLabel, LabelledImage
from rtface.errors import UsageError
from rtface.geometry.boxes import iou_matrix
from rtface.geometry.crop import Crop, crop_from_box, crop_from_landmarks, crop_from_points5
from rtface.train.data.mesh import MeshToPoints

#: The map from mesh to points is fitted on more faces than this.
FEW = 200
#: Crops that overlap less are not of the same face.
MIN_OVERLAP = 0.3


@dataclass(frozen=True, slots=True)
class MeshTeacher:
    """How a face's mesh tells its 68 points, and how much it says in the label.

    Attributes:
        to_points: Mesh (478, 2) px → points (68, 2) px, iBUG-68.
        share: Of the mesh in the label, above 0 to 1; the looks have the rest.
    """

    to_points: Callable[[Array], Array]
    share: float = 0.5

    def together(self, own: Array, spread: float, mesh: Array) -> tuple[Array, float]:
        """The label of both, (68, 2) px, and its spread in % of the outer eye corners' distance.

        Args:
            own: The looks' mean (68, 2) px.
            spread: How far the looks lie apart, %.
            mesh: (478, 2) px.

        The spread is the root mean square of the looks' and half the distance of the two teachers (how far each lies
        from their middle). On AFW it is then worth what the looks' spread alone is worth of an own label: both have
        a median of 1.5, and a label's error is about 1.0 + 1.7 times its spread.
        """
        told = np.asarray(self.to_points(mesh), np.float64)
        label = self.share * told + (1.0 - self.share) * own
        apart = 100.0 * math.sqrt(((told - own) ** 2).sum(axis=1).mean()) / ocular(label)
        return label, math.sqrt((spread**2 + (apart / 2.0) ** 2) / 2.0)


def ocular(points68: Array) -> float:
    """Distance of the outer eye corners, px, above 0."""
    return max(float(np.linalg.norm(points68[36] - points68[45])), 1e-6)


def fitted(records: Sequence[LabelledImage], name: str) -> MeshToPoints:
    """The map from mesh to points, fitted on the records' faces that have a mesh and 68 hand-set points.

    Raises:
        UsageError: There are too few of them in what `name` says.
    """
    both = [
        (face.mesh478, face.landmarks68)
        for record in records
        for face in record.faces
        if face.mesh478 is not None and face.landmarks68 is not None and face.landmarks68_source == "human"
    ]
    if len(both) <= FEW:
        why = f"holds {len(both)} faces with both a mesh and 68 hand-set points; to read meshes takes more than {FEW}"
        raise UsageError(name, why, "Name a corpus file that has them with --fit, or pass --mesh-share 0")
    return MeshToPoints([mesh for mesh, _ in both], [points for _, points in both])


def paired(
    found: Sequence[Crop], known: Sequence[FaceLabel], to_points: Callable[[Array], Array] | None = None
) -> list[FaceLabel | None]:
    """For each found face's crop the known face whose own crop overlaps it most; None = not known.

    A known face's crop follows from its five points, else from its 68, its mesh (where `to_points` reads it), its box.
    Pairs are made from the largest overlap down, and each known face serves once.
    """
    places = [(face, crop) for face in known if (crop := _crop(face, to_points)) is not None]
    pairs: list[FaceLabel | None] = [None] * len(found)
    overlap = iou_matrix(_squares(found), _squares([crop for _, crop in places]))
    while overlap.size and overlap.max() >= MIN_OVERLAP:
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        pairs[int(row)] = places[int(column)][0]
        overlap[row, :] = overlap[:, column] = -1.0
    return pairs


def _crop(face: FaceLabel, to_points: Callable[[Array], Array] | None) -> Crop | None:
    if face.points5 is not None:
        return crop_from_points5(face.points5)
    if face.landmarks68 is not None:
        return crop_from_landmarks(face.landmarks68)
    if face.mesh478 is not None and to_points is not None:
        return crop_from_landmarks(to_points(face.mesh478))
    return None if face.box_xyxy is None else crop_from_box(face.box_xyxy)


def _squares(crops: Sequence[Crop]) -> Array:
    """(N, 4) x0 y0 x1 y1 of crops as if upright."""
    rows = [(c.x - c.side / 2, c.y - c.side / 2, c.x + c.side / 2, c.y + c.side / 2) for c in crops]
    return np.array(rows, np.float64).reshape(-1, 4)
