"""COCO-WholeBody annotations (Jin et al., ECCV 2020): faces for CVAT, FiftyOne, Label Studio and for training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from rtface.outputs.output_url import OutputUrl
from rtface.outputs.sink import RunInfo, Sink
from rtface.system.files import atomic_write, not_written
from rtface.types import Face, FrameResult

#: 17 body points and 2 × 21 of hands and 6 of feet are not measured: as COCO has it, three noughts each.
_NO_BODY, _NO_HAND, _NO_FEET = [0] * 51, [0] * 63, [0] * 18


def annotation(face: Face, number: int, image_id: int) -> dict[str, Any]:
    """One face as a person of whom only the face is annotated.

    ``face_kpts`` are 68 × (x, y, score) in iBUG order, all 0 where there are no landmarks; boxes are x, y, width,
    height. Beside COCO's names: ``track_id``.
    """
    x0, y0, x1, y1 = (round(float(value), 2) for value in face.box_xyxy)
    box = [x0, y0, round(x1 - x0, 2), round(y1 - y0, 2)]
    points = [0.0] * 204
    if face.landmarks is not None:
        scores = np.full((68, 1), face.landmarks.score)
        points = [round(float(value), 3) for value in np.hstack((face.landmarks.points, scores)).ravel()]
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "bbox": box,
        "area": round(box[2] * box[3], 2),
        "score": round(face.score, 4),
        "num_keypoints": 0,
        "keypoints": _NO_BODY,
        "face_box": box,
        "face_valid": face.landmarks is not None,
        "face_kpts": points,
        "lefthand_box": [0.0] * 4,
        "lefthand_valid": False,
        "lefthand_kpts": _NO_HAND,
        "righthand_box": [0.0] * 4,
        "righthand_valid": False,
        "righthand_kpts": _NO_HAND,
        "foot_valid": False,
        "foot_kpts": _NO_FEET,
        "track_id": face.track_id,
    }


class CocoSink(Sink):
    """A file of annotations, written when the run ends.

    Args:
        path: The file, ``….coco.json``.
        overwrite: Whether a file that is there may be replaced.
    """

    picture = "none"

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self.name = str(path)
        self._path, self._overwrite = path, overwrite
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def open(self, info: RunInfo) -> None:
        self._info = info

    def write(self, result: FrameResult) -> None:
        height, width = result.frame.image.shape[:2]
        image_id = result.frame.index + 1
        name = f"frame_{result.frame.index:06}.jpg"  # as -o frames/ calls them
        self._images.append({"id": image_id, "file_name": name, "width": width, "height": height})
        for face in result.faces:
            self._annotations.append(annotation(face, len(self._annotations) + 1, image_id))

    def finish(self, summary: dict[str, Any]) -> None:
        whole = {
            "info": {
                "description": f"Faces found by rtface {self._info.header.get('version', '')} in {self._info.source}"
            },
            "images": self._images,
            "annotations": self._annotations,
            "categories": [{"id": 1, "name": "person", "supercategory": "person", "keypoints": [], "skeleton": []}],
        }
        try:
            with atomic_write(self._path, overwrite=self._overwrite) as file:
                file.write(json.dumps(whole, separators=(",", ":"), allow_nan=False).encode())
        except OSError as error:
            raise not_written(self.name, error) from error


def open_file(path: Path, settings: OutputUrl, *, overwrite: bool) -> Sink:
    """The output for a path."""
    settings.only()
    return CocoSink(path, overwrite=overwrite)
