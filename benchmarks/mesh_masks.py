"""Parsing masks from meshes for a corpus file that has none: what open portraits can teach of parsing.

    python -m benchmarks.mesh_masks open/faces_us_congress.parquet --out corpus/congress.parquet

A picture of one face that has a mesh, and no mask, gets one of the mesh's polygons (`rtface.datasets.mesh_mask`),
unknown elsewhere and along the outlines; its `parsing_source` is ``mesh``. Glasses, hair and hands before a face are
not seen: such faces are masked as if they were bare. All other labels and the licences stay.

    python -m benchmarks.mesh_masks corpus/landmarks.parquet --check

measures such masks against those that a file has. AFW and the training pictures there carry BiSeNetV2's masks.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.cli.progress_bar import progress_bar
from rtface.datasets.labelled import LabelledImage
from rtface.datasets.masks import UNKNOWN
from rtface.datasets.mesh_mask import mask_of_mesh
from rtface.datasets.registry import PARQUET, read
from rtface.datasets.writer import Settings, write
from rtface.labels import PARSING_CLASSES

#: Classes that a mesh tells.
TOLD = (1, 2, 4, 5, 6, 7, 10, 11, 12)


def masked(seam: int, image: LabelledImage) -> LabelledImage:
    """The picture with a mask of its face's mesh, or as it is."""
    meshes = [face.mesh478 for face in image.faces]
    if image.mask is not None or len(meshes) != 1 or meshes[0] is None:
        return image
    mesh = meshes[0]

    def mask() -> NDArray[np.uint8]:
        height, width = image.load()[0].shape[:2]
        return mask_of_mesh(mesh, width, height, seam)

    return replace(image, mask=mask, parsing_scheme="celebamask19", parsing_source="mesh")


def agreement(images: list[LabelledImage], seam: int) -> dict[str, float]:
    """F in percent per class, where a mesh and the picture's own mask both tell one."""
    counts = np.zeros((len(PARSING_CLASSES), 3))
    for image in images:
        pixels, truth = image.load()
        for face in image.faces:
            if face.mesh478 is None or truth is None:
                continue
            mask = mask_of_mesh(face.mesh478, pixels.shape[1], pixels.shape[0], seam)
            told = np.isin(truth, TOLD) & (mask != UNKNOWN)
            for label in TOLD:
                of_mesh, own = (mask == label) & told, (truth == label) & told
                counts[label] += (of_mesh & own).sum(), of_mesh.sum(), own.sum()
    return {PARSING_CLASSES[at]: 200 * counts[at, 0] / max(1.0, counts[at, 1:].sum()) for at in TOLD}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--check", action="store_true", help="compare with the masks of the file's val rows")
    parser.add_argument("--seam", type=int, default=1, help="px on each side of an outline that stay unknown")
    args = parser.parse_args()
    images = read(PARQUET, args.path)
    if args.check:
        held_out = [image for image in images if image.split == "val" and image.mask is not None]
        for name, value in agreement(held_out, args.seam).items():
            print(f"{name:<12} {value:5.1f}")
    if args.out is None:
        return
    with progress_bar("masks", len(images)) as step:
        write(images, args.out, Settings(max_side=0), step, partial(masked, args.seam), f"mesh masks {args.seam}")
    print(args.out)


if __name__ == "__main__":
    main()
