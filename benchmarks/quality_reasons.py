"""How often the reasons that a face of low quality gets are right, on pictures made small, blurred or covered.

    python benchmarks/quality_reasons.py --data CORPUS
    python benchmarks/quality_reasons.py --data CORPUS --sheet sheet.png
    python benchmarks/quality_reasons.py --data CORPUS --synth SYNTH/val.parquet

Faces of AFW and CelebAMask-HQ val, which nothing was trained on, as they are and spoilt: shrunk to a longer side of 12
to 32 px, out of focus, moved, the lower half, the eyes or one side painted over. The crop is cut from the labelled
points, an arm's length off as a tracker's is, and the engine looks once, as in a stream. A row says how many of its
faces come below the limit of `rtface.tasks.quality` at which anything is asked, and which reasons those get, in %.
Turned faces are FASSEG's, whose yaw was measured, but the networks were trained on those pictures; and with --synth
those of `rtface train synth --scenes 0 --split val`, whose pose is exact and on which the engine was not trained.
Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.bench.report import table
from rtface.datasets.corpus import read
from rtface.datasets.labelled import FaceLabel
from rtface.engine import OrtEngine
from rtface.geometry.crop import Crop, crop_from_landmarks, crop_from_points5, warp_crops
from rtface.labels import QUALITY_REASONS
from rtface.models import find, load
from rtface.system import machine
from rtface.tasks.quality import LOW_QUALITY, quality_reasons
from rtface.types import HeadPose

SCHEMA = "rtface.quality_reasons/1"
FILES = {"landmarks.parquet": ("afw",), "parsing.parquet": ("celebamask", "fasseg3")}
TURNED_DEG = 60.0
"""Measured yaws of FASSEG from here on are the turned arm; its others are left out."""

FRONTAL_DEG = 22.5
"""Faces are spoilt that are turned by no more, and of `LARGE_PX` at least: nothing else is the matter with them."""

LARGE_PX = 100

MADE_TURNED_DEG, MADE_FRONTAL_DEG = 50.0, 25.0
"""Made heads' yaw from here on is turned; up to here, and pitch, not."""

Array = NDArray[Any]
Spoil = Callable[[Array, Array], Array]
"""A picture (H, W, 3) and a face's box in it to the spoilt picture."""


def shrunk(image: Array, box: Array, crop: Crop, px: float) -> tuple[Array, Crop] | None:
    """The picture so small that the face's longer side has so many px, and the crop there; None = it has no more."""
    scale = px / float((box[2:] - box[:2]).max())
    if scale >= 1:
        return None
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    x, y = ((at + 0.5) * scale - 0.5 for at in (crop.x, crop.y))
    return small, replace(crop, x=x, y=y, side=crop.side * scale)


def out_of_focus(share: float) -> Spoil:
    """Blurred by a Gaussian of so much of the face's longer side."""
    return lambda image, box: cv2.GaussianBlur(image, (0, 0), share * float((box[2:] - box[:2]).max()))


def moved(share: float) -> Spoil:
    """Smeared sideways by so much of the face's longer side."""

    def spoil(image: Array, box: Array) -> Array:
        length = max(3, int(share * float((box[2:] - box[:2]).max())))
        return np.asarray(cv2.filter2D(image, -1, np.full((1, length), 1 / length, np.float32)))

    return spoil


def covered(left: float, top: float, right: float, bottom: float, bgr: tuple[int, int, int]) -> Spoil:
    """A patch over this part of the face's box, in its widths and heights, of one colour with a few folds."""

    def spoil(image: Array, box: Array) -> Array:
        spoilt: Array = image.copy()
        width, height = box[2:] - box[:2]
        x0, x1 = (int(box[0] + share * width) for share in (left, right))
        y0, y1 = (int(box[1] + share * height) for share in (top, bottom))
        cv2.rectangle(spoilt, (x0, y0), (x1, y1), bgr, -1)
        for fold in range(1, 4):
            y = y0 + fold * (y1 - y0) // 4
            cv2.line(spoilt, (x0, y), (x1, y + (x1 - x0) // 12), tuple(int(0.8 * v) for v in bgr), 1)
        return spoilt

    return spoil


SMALL_PX = (12, 16, 24, 32)
SPOILT: dict[str, Spoil] = {
    "out of focus, sigma 3 % of the face": out_of_focus(0.03),
    "out of focus, 5 %": out_of_focus(0.05),
    "out of focus, 8 %": out_of_focus(0.08),
    "moved by 15 %": moved(0.15),
    "moved by 25 %": moved(0.25),
    "lower half covered, light": covered(-0.05, 0.5, 1.05, 1.05, (205, 190, 170)),
    "lower half covered, dark": covered(-0.05, 0.5, 1.05, 1.05, (40, 30, 60)),
    "eyes covered": covered(-0.05, 0.1, 1.05, 0.5, (25, 25, 25)),
    "left half covered": covered(-0.1, -0.1, 0.5, 1.1, (90, 120, 60)),
}


@dataclass
class Arm:
    """What one kind of spoiling did: quality of each face, and the reasons of those of low quality."""

    quality: list[float] = field(default_factory=list)
    reasons: list[tuple[str, ...]] = field(default_factory=list)

    def row(self) -> dict[str, float | None]:
        """Figures of the table."""
        low = len(self.reasons)
        shares = {
            name: round(100 * sum(name in one for one in self.reasons) / low, 1) if low else None
            for name in QUALITY_REASONS
        }
        faces = len(self.quality)
        return {
            "faces": faces,
            "low_pct": round(100 * low / max(faces, 1), 1),
            **{f"{k}_pct": v for k, v in shares.items()},
        }


def faces(data: Path) -> Iterator[tuple[Array, FaceLabel, Crop]]:
    """Pictures, a labelled face each, and its crop."""
    for name, sources in FILES.items():
        for row in read(data / name):
            if row.source not in sources or (row.split != "val" and row.source != "fasseg3"):
                continue
            image = row.load()[0]
            for face in row.faces:
                crop = crop_of(face)
                if face.box_xyxy is not None and crop is not None:
                    yield image, face, crop


def made(synth: Path) -> Iterator[tuple[str, Array, Crop]]:
    """Synthetic heads by how far they are turned: the arm's name, the picture, the crop."""
    for row in read(synth):
        for face in row.faces:
            crop = crop_of(face)
            if face.pose is None or crop is None:
                continue
            yaw, pitch = abs(float(face.pose[0])), abs(float(face.pose[1]))
            if yaw >= MADE_TURNED_DEG:
                yield f"made heads turned by {MADE_TURNED_DEG:.0f}° and more", row.load()[0], crop
            elif yaw <= MADE_FRONTAL_DEG and pitch <= MADE_FRONTAL_DEG:
                yield f"made heads turned by up to {MADE_FRONTAL_DEG:.0f}°", row.load()[0], crop


def crop_of(face: FaceLabel) -> Crop | None:
    """The engine's crop of a labelled face."""
    if face.landmarks68 is not None:
        return crop_from_landmarks(np.asarray(face.landmarks68, np.float32).reshape(68, 2))
    if face.points5 is not None:
        return crop_from_points5(np.asarray(face.points5, np.float32).reshape(5, 2))
    return None


def arms_of(image: Array, face: FaceLabel, crop: Crop) -> Iterator[tuple[str, Array, Crop]]:
    """The face as it is and spoilt: the arm's name, the picture, the crop."""
    box = np.asarray(face.box_xyxy, np.float64)
    if face.yaw_true is not None:
        if abs(face.yaw_true) >= TURNED_DEG:
            yield "turned by 60° to 90°", image, crop
        return
    yield "as they are", image, crop
    if face.pose is None or abs(face.pose[0]) > FRONTAL_DEG or crop.side < LARGE_PX:
        return
    for px in SMALL_PX:
        if (small := shrunk(image, box, crop, px)) is not None:
            yield f"shrunk to {px} px", *small
    for name, spoil in SPOILT.items():
        yield name, spoil(image, box), crop


def cases(data: Path, synth: Path | None) -> Iterator[list[tuple[str, Array, Crop]]]:
    """Each face in all its arms: their names, pictures and crops."""
    for image, face, crop in faces(data):
        yield list(arms_of(image, face, crop))
    if synth is not None:
        yield from ([one] for one in made(synth))


def measure(
    engine: OrtEngine, data: Path, synth: Path | None, tasks: bool, rng: np.random.Generator
) -> tuple[dict[str, Arm], list[Array]]:
    """Every arm, and crops of low quality with what was said of them; `tasks`: pose and mask were asked for."""
    arms: dict[str, Arm] = {}
    shown: list[Array] = []
    for case in cases(data, synth):
        if not case:
            continue
        # As a tracker cuts: a little beside, a little larger or smaller.
        cuts = [
            replace(
                one,
                x=one.x + rng.normal(0, 0.02) * one.side,
                y=one.y + rng.normal(0, 0.02) * one.side,
                side=one.side * float(np.exp(rng.normal(0, 0.04))),
            )
            for _, _, one in case
        ]
        pixels = np.stack([warp_crops(each, [cut])[0] for (_, each, _), cut in zip(case, cuts, strict=True)])
        tensors = engine.run(pixels, engine.outputs)
        for at, ((name, _, _), cut) in enumerate(zip(case, cuts, strict=True)):
            arm, quality = arms.setdefault(name, Arm()), float(tensors["quality"][at])
            arm.quality.append(quality)
            if quality < LOW_QUALITY:
                pose = HeadPose(*tensors["pose"][at].tolist()) if tasks else None
                labels = tensors["parsing"][at] if tasks else None
                arm.reasons.append(quality_reasons(pixels[at], cut.side, tensors["landmarks"][at], pose, labels))
                shown.append(captioned(pixels[at], f"{name}: {quality:.2f}", " ".join(arm.reasons[-1])))
    return arms, shown


def captioned(pixels: Array, *lines: str) -> Array:
    """A crop with words under it."""
    tile = np.zeros((pixels.shape[0] + 30, pixels.shape[1], 3), np.uint8)
    tile[: pixels.shape[0]] = pixels
    for row, line in enumerate(lines):
        at = (2, pixels.shape[0] + 11 + 13 * row)
        cv2.putText(tile, line.replace("°", ""), at, cv2.FONT_HERSHEY_SIMPLEX, 0.3, (255, 255, 255), 1, cv2.LINE_AA)
    return tile


def sheet(shown: list[Array], across: int = 12, down: int = 10, seed: int = 1) -> Array:
    """Some of the crops, side by side."""
    picked = np.random.default_rng(seed).permutation(len(shown))[: across * down]
    tiles = [shown[at] for at in picked]
    tiles += [np.zeros_like(shown[0])] * (-len(tiles) % across)
    return np.vstack([np.hstack(tiles[at : at + across]) for at in range(0, len(tiles), across)])


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpus")
    parser.add_argument("--synth", type=Path, metavar="FILE", help="corpus file of synthetic heads")
    parser.add_argument("--points-alone", action="store_true", help="as where neither pose nor parsing is asked for")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="draw some of the faces with what is said of them")
    args = parser.parse_args()
    engine = OrtEngine(load(find("engine", 0, "fp32")), "engine-iter0", threads=1)
    arms, shown = measure(engine, args.data, args.synth, not args.points_alone, np.random.default_rng(3))
    rows = {name: arm.row() for name, arm in arms.items()}
    if args.sheet and shown:
        cv2.imwrite(str(args.sheet), sheet(shown))
    names = list(next(iter(rows.values())))
    print(
        table(
            ("faces", *names[1:]),
            [
                (f"{name} ({row['faces']})", *("" if row[n] is None else str(row[n]) for n in names[1:]))
                for name, row in rows.items()
            ],
        )
    )
    facts = {"limit": LOW_QUALITY, "points_alone": args.points_alone, "machine": machine.facts()}
    print(json.dumps({"schema": SCHEMA, "rows": rows, **facts}))


if __name__ == "__main__":
    main()
