"""Faces of stills that are upside down, on their side and between: how many are reported, and how many of them wrongly.

    python benchmarks/turned.py --data CORPUS
    python benchmarks/turned.py --data CORPUS --turn 0 --turn 180 --pictures 40

The pictures are those of landmarks.parquet's val split (AFW) with faces of 14 px and more between the eyes' outer
corners, each turned clockwise. A face is reported when a box lies on it (IoU of .3 with the box of its landmarks);
it is wrong when its points are off by more than a tenth of that distance on average. "asked once" leaves out what
looks at doubtful faces in every turn. For tasks=() the five points are compared, a fifth of the distance being wrong.
Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface import Analyzer, Options
from rtface.analyzer import still
from rtface.bench.report import table
from rtface.datasets.corpus import read
from rtface.detect import MosDetector
from rtface.evaluate.metrics import outer_eye_distance, point_error
from rtface.geometry.boxes import iou_matrix
from rtface.geometry.crop import map_points, points5_from_landmarks
from rtface.system import machine
from rtface.types import Face

SCHEMA = "rtface.turned/1"
TURNS = (0, 45, 90, 135, 180, 225, 270, 315)
ARMS = ONCE, SHIPS, BOXES_ONCE, BOXES = "asked once", "ships", "tasks=(), asked once", "tasks=()"
EYES_PX = 14.0
SAME_IOU = 0.3
WRONG, WRONG_FIVE = 0.1, 0.2

Array = NDArray[Any]


@dataclass
class Count:
    """Faces of one turn."""

    faces: int = 0
    reported: int = 0
    wrong: int = 0
    cpu_s: float = 0.0
    records: list[Any] = field(default_factory=list)


def pictures(data: Path, most: int) -> Iterator[tuple[NDArray[np.uint8], list[Array]]]:
    """Pictures (H, W, 3) BGR with landmarks (68, 2) of their larger faces."""
    found = 0
    for row in read(data / "landmarks.parquet", lambda row: row.split == "val"):
        truths = [np.asarray(face.landmarks68, np.float64) for face in row.faces if face.landmarks68 is not None]
        truths = [truth for truth in truths if outer_eye_distance(truth) >= EYES_PX]
        if truths and found < most:
            found += 1
            yield row.load()[0], truths


def turned(image: NDArray[np.uint8], degrees: int) -> tuple[NDArray[np.uint8], Array]:
    """The picture turned clockwise, on a canvas that holds all of it, and the (2, 3) matrix from one to the other."""
    height, width = image.shape[:2]
    across, down = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    linear = np.round(np.array(((across, -down), (down, across))), 12)
    new = np.ceil(np.abs(linear) @ (width, height) - 1e-9).astype(int)
    middle = np.array((width - 1, height - 1)) / 2
    matrix: NDArray[np.float64] = np.hstack((linear, ((new - 1) / 2 - linear @ middle)[:, None]))
    if degrees % 90 == 0:
        return np.ascontiguousarray(np.rot90(image, -degrees // 90)), matrix
    size = (int(new[0]), int(new[1]))
    return np.asarray(cv2.warpAffine(image, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8), matrix


def faces_at(truth: Array, faces: Sequence[Face]) -> list[Face]:
    """Those whose box lies on the landmarks' box."""
    box = np.concatenate((truth.min(axis=0), truth.max(axis=0)))
    return [face for face in faces if iou_matrix(box[None], face.box_xyxy[None].astype(np.float64))[0, 0] >= SAME_IOU]


def is_wrong(face: Face, truth: Array) -> bool:
    eyes = outer_eye_distance(truth)
    if face.landmarks is not None:
        return point_error(face.landmarks.points, truth, eyes) > WRONG
    if not np.isfinite(face.points5).all():  # left out, as nobody could tell
        return False
    five = points5_from_landmarks(truth)
    return float(np.linalg.norm(face.points5 - five, axis=1).mean()) > WRONG_FIVE * eyes


def measure(analyzer: Analyzer, data: Path, turns: Sequence[int], most: int) -> dict[int, Count]:
    """Turn → what was reported."""
    counts = {degrees: Count() for degrees in turns}
    for image, truths in pictures(data, most):
        for degrees, count in counts.items():
            seen, matrix = turned(image, degrees)
            began = time.process_time()
            faces = analyzer.image(seen).faces
            count.cpu_s += time.process_time() - began
            count.records.append([face.to_dict() for face in faces])
            for truth in truths:
                there = map_points(matrix, truth).astype(np.float64)
                at = faces_at(there, faces)
                count.faces += 1
                count.reported += bool(at)
                count.wrong += any(is_wrong(face, there) for face in at)
    return counts


def arms(data: Path, turns: Sequence[int], most: int, wanted: Sequence[str]) -> dict[str, dict[int, Count]]:
    """Arm → turn → counts."""
    nobody, measured = np.empty(0, np.intp), {}
    for arm in wanted:
        options = Options(tasks=() if arm in (BOXES, BOXES_ONCE) else ("landmarks",))
        with ExitStack() as stack:
            if arm == ONCE:
                stack.enter_context(patch.object(still, "doubtful_rows", lambda quality, boxed: nobody))
            if arm == BOXES_ONCE:
                stack.enter_context(patch.object(MosDetector, "uprighted", lambda self, image, found: found))
            measured[arm] = measure(stack.enter_context(Analyzer(options)), data, turns, most)
    return measured


def figures(counts: dict[int, Count]) -> dict[str, dict[str, Any]]:
    return {
        str(degrees): {
            "faces": one.faces,
            "reported": one.reported,
            "wrong": one.wrong,
            "cpu_ms_a_picture": round(1000 * one.cpu_s / max(len(one.records), 1), 1),
        }
        for degrees, one in counts.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--turn", type=int, action="append", metavar="DEGREES", help=f"clockwise; default {TURNS}")
    parser.add_argument("--pictures", type=int, default=1000, help="most pictures")
    parser.add_argument("--arm", action="append", choices=ARMS, help="only these; default all")
    args = parser.parse_args()
    measured = arms(args.data, args.turn or TURNS, args.pictures, args.arm or ARMS)
    rows = [
        (arm, degrees, *map(str, one.values()))
        for arm, counts in measured.items()
        for degrees, one in figures(counts).items()
    ]
    print(table(("arm", "turned by", "faces", "reported", "wrong", "CPU ms a picture"), rows))
    same = None
    if {ONCE, SHIPS} <= measured.keys() and 0 in measured[SHIPS]:
        pairs = zip(measured[SHIPS][0].records, measured[ONCE][0].records, strict=True)
        same = sum(one == other for one, other in pairs)
        print(f"upright pictures with the very results of before: {same} of {len(measured[SHIPS][0].records)}")
    facts = {arm: figures(counts) for arm, counts in measured.items()}
    print(json.dumps({"schema": SCHEMA, "arms": facts, "upright_pictures_same": same, "machine": machine.facts()}))


if __name__ == "__main__":
    main()
