"""How many portraits of people who look into the camera are called looking there.

    python benchmarks/gaze.py CORPUS/open/faces_us_congress.parquet CORPUS/open/faces_uk_parliament.parquet
    python benchmarks/gaze.py portraits.parquet --split val --sheet worst.png --models-dir models

Official portraits look into the camera, as good as all of them: who sits for one is asked to. So of their faces 0, 0
is the truth, but for a few. Each is seen by `rtface.analyze` with its defaults. Prints the median angle, the share
within 12° (half on camera) and medians of yaw and pitch, which should be 0, by file and in all, then one JSON line.
--sheet draws the faces that are farthest off, to be looked at. Angles of looks aside: `rtface eval gaze` on synthetic
heads (docs/synthetic.md), whose truth is exact.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.analyzer import Analyzer
from rtface.bench.report import table
from rtface.cli.progress_bar import progress_bar
from rtface.datasets.corpus import read
from rtface.drawing.tiles import zoomed
from rtface.evaluate.worst import HardestCases
from rtface.options import Options
from rtface.tasks.gaze import CAMERA_DEG
from rtface.types import Face

SCHEMA = "rtface.gaze/1"
Looks = NDArray[np.float64]


def looks_of(file: Path, split: str, analyzer: Analyzer, worst: HardestCases) -> Looks:
    """(N, 2) yaw and pitch, degrees, of the largest face of each picture of a split; NaN where none was found."""
    found = []
    rows = list(read(file, lambda row: row.split == split))
    with progress_bar(file.name, len(rows)) as advance:
        for row in rows:
            image, _ = row.load()
            faces = [face for face in analyzer.image(image).faces if face.gaze is not None]
            advance(1)
            if not faces:
                found.append((math.nan, math.nan))
            else:
                face = max(faces, key=lambda one: float(np.prod(one.box_xyxy[2:] - one.box_xyxy[:2])))
                assert face.gaze is not None
                found.append((face.gaze.yaw, face.gaze.pitch))
                caption = f"{face.gaze.yaw:.0f} {face.gaze.pitch:.0f}  {row.id}"
                worst.add(float(np.hypot(*found[-1])), caption, partial(_tile, image, face))
    return np.array(found).reshape(-1, 2)


def _tile(image: NDArray[np.uint8], face: Face) -> NDArray[Any]:
    return zoomed(image, face.box_xyxy)[0]


def figures(looks: Looks) -> dict[str, Any]:
    """What is printed of some looks."""
    pictures, looks = len(looks), looks[~np.isnan(looks[:, 0])]
    if not len(looks):
        return {"pictures": pictures, "faces": 0}
    angles = np.hypot(looks[:, 0], looks[:, 1])
    yaw, pitch = np.median(looks, axis=0).tolist()
    return {
        "pictures": pictures,
        "faces": len(looks),
        "median_deg": round(float(np.median(angles)), 2),
        "on_camera_pct": round(100.0 * float((angles < CAMERA_DEG).mean()), 1),
        "yaw_median_deg": round(yaw, 2),
        "pitch_median_deg": round(pitch, 2),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="+", type=Path, help="corpus files of portraits")
    parser.add_argument("--split", default="val", help="rows that are looked at (default: val)")
    parser.add_argument("--models-dir", help="networks in place of rtface's own")
    parser.add_argument("--sheet", type=Path, help="picture of the faces that are farthest off")
    asked = parser.parse_args(arguments)
    worst = HardestCases(0 if asked.sheet is None else 30)
    with Analyzer(Options(tasks=("gaze",), models_dir=asked.models_dir)) as analyzer:
        seen = {file.stem: looks_of(file, asked.split, analyzer, worst) for file in asked.files}
    told = {name: figures(looks) for name, looks in seen.items()}
    told["all"] = figures(np.concatenate(list(seen.values())))
    names = ("pictures", "faces", "median_deg", "on_camera_pct", "yaw_median_deg", "pitch_median_deg")
    print(
        table(("portraits", *names), [(name, *(str(row.get(one, "")) for one in names)) for name, row in told.items()])
    )
    print(json.dumps({"schema": SCHEMA, "split": asked.split, "figures": told}))
    if asked.sheet is not None:
        picture = worst.sheet()
        if picture is not None:
            cv2.imwrite(str(asked.sheet), picture)


if __name__ == "__main__":
    main()
