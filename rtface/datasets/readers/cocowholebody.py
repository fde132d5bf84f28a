"""COCO-WholeBody (Jin et al., "Whole-Body Human Pose Estimation in the Wild", ECCV 2020): faces of COCO 2017's people.

::

    annotations/coco_wholebody_train_v1.0.json  (and _val_)     or beside the folders of pictures
    train2017/000000000009.jpg                  (and val2017/)  or in images/

A person's ``face_kpts`` are 68 × (x, y, v) in iBUG's order, counted from 0, v > 0 where a point is labelled, and
``face_valid`` says whether they count. ``face_box`` is the smallest rectangle around them, unlike a detector's box,
and is not taken over. Faces of which a point is missing, people whose face is not labelled but whose eyes or nose are
seen, and crowds are ignored regions: there is a face, and nobody says where. Pictures carry their Flickr licence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rtface.datasets.files import first_of
from rtface.datasets.labelled import FaceLabel, LabelledImage, face_of_landmarks
from rtface.errors import SourceError
from rtface.system.json_text import parse_json

_LISTS = {"train": "coco_wholebody_train_v1.0.json", "val": "coco_wholebody_val_v1.0.json"}
_FACE_OF_BODY = slice(0, 3)  # nose and eyes of the 17 body points


def read(path: Path) -> Iterator[LabelledImage]:
    """Pictures with people of the lists that are there."""
    files = {split: _found(path, name) for split, name in _LISTS.items()}
    if not any(files.values()):
        first_of(path, [f"annotations/{name}" for name in _LISTS.values()])  # says what is missing
    for split, file in files.items():
        if file is not None:
            images = first_of(path, [f"{split}2017", f"images/{split}2017"])
            yield from _pictures(file, images, split)


def _found(path: Path, name: str) -> Path | None:
    return next((file for file in (path / "annotations" / name, path / name) if file.is_file()), None)


def _pictures(file: Path, images: Path, split: str) -> Iterator[LabelledImage]:
    content = _read(file)
    licences = {licence["id"]: f"{licence['name']} ({licence['url']})" for licence in content.get("licenses", ())}
    people: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for person in content["annotations"]:
        people[person["image_id"]].append(person)
    for image in content["images"]:
        faces, ignored = [], []
        for person in people.get(image["id"], ()):
            face = _face(person, file)
            if face is not None:
                faces.append(face)
            elif _shows_a_face(person):
                ignored.append(_corners(person["bbox"]))
        if faces or ignored:
            name = str(image["file_name"])
            yield LabelledImage(
                id=f"cocowholebody-{Path(name).stem}",
                source="cocowholebody",
                picture=images / name,
                faces=tuple(faces),
                split=split,
                ignore_xyxy=np.array(ignored, np.float32).reshape(-1, 4),
                licence=licences.get(image.get("license")),
            )


def _read(file: Path) -> dict[str, Any]:
    try:
        content: Any = parse_json(file.read_bytes())
        if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
            raise ValueError("it has no images and annotations")
    except (OSError, ValueError) as error:
        raise SourceError(str(file), f"is not a file of annotations ({error})", "Copy it again") from error
    return content


def _face(person: dict[str, Any], file: Path) -> FaceLabel | None:
    """The person's face; None where it is not labelled whole."""
    if not person.get("face_valid") or person.get("iscrowd"):
        return None
    try:
        points = np.asarray(person["face_kpts"], np.float64).reshape(68, 3)
    except (KeyError, ValueError) as error:
        why = f"expected 68 x (x, y, v) as face_kpts of annotation {person.get('id')}"
        raise SourceError(str(file), why, "Copy it again") from error
    if not (points[:, 2] > 0).all():
        return None
    return face_of_landmarks(points[:, :2], "semi-automatic")


def _shows_a_face(person: dict[str, Any]) -> bool:
    body = np.asarray(person.get("keypoints", ()), np.float64).reshape(-1, 3)
    return bool(person.get("iscrowd") or person.get("face_valid") or (body[_FACE_OF_BODY, 2] == 2).any())


def _corners(box_xywh: list[float]) -> list[float]:
    x, y, width, height = box_xywh
    return [x, y, x + width, y + height]
