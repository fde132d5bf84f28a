"""What `--enhance` gives on small faces: PSNR, SSIM, and what counts, landmarks and parsing, with and without.

    python benchmarks/enhance.py --data CORPUS
    python benchmarks/enhance.py --data CORPUS --limit 60 --model pixel=runs/pixel/enhancer.onnx --sheet sheet.png

Val pictures (AFW for the 68 points, CelebAMask-HQ for parsing) are shrunk by averaging until the longer side of the
face's box is 16, 24 and 32 px, and analysed as stills with that box given (one look, two passes): detection is left
out, so every arm sees the same faces. NME is by outer eye corners, F the mean over eyes, brows, nose, inner mouth
and lips in the large picture's own pixels. PSNR and SSIM compare the engine's 128 px crop with that of the large
picture, over faces whose large crop has 115 px or more. `plain` is without. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import rtface.tasks.enhance as runtime
from rtface import Analyzer, Options
from rtface.bench.report import table
from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.engine import Engine, OrtEngine
from rtface.errors import ModelError
from rtface.evaluate.metrics import confusion, outer_eye_distance, point_error, psnr, ssim
from rtface.evaluate.parsing import CLASSES, component_scores, to_picture
from rtface.evaluate.samples import Sample, Samples
from rtface.geometry.crop import Crop, crop_from_landmarks, crop_from_points5, warp_crops
from rtface.models import find, load
from rtface.system import machine
from rtface.tasks.enhance import OUTPUT, SIZES, enhance
from rtface.types import Parsing

SCHEMA = "rtface.enhance/1"
WIDTHS = (16, 24, 32)
MARGIN = 0.8  # of the box's longer side that is kept around it
LARGE = 115.0

Array = NDArray[Any]


@dataclass(frozen=True)
class Shrunk:
    """A face's part of a picture, made smaller: `scale` (x, y) and `offset` px lead from large to small."""

    image: Array
    box: Array
    scale: Array
    offset: Array

    def small(self, points: Array) -> Array:
        """Points of the large picture in the small one."""
        return np.asarray((points - self.offset + 0.5) * self.scale - 0.5)

    def to_large(self, matrix: Array) -> Array:
        """An affine map into the small picture, as one into the large one."""
        mapped = matrix / self.scale[:, None]
        mapped[:, 2] += 0.5 / self.scale - 0.5 + self.offset
        return np.asarray(mapped)


def shrink(image: Array, box: Array, width: int) -> Shrunk:
    """The face with a margin, its box's longer side `width` px."""
    side = float((box[2:] - box[:2]).max())
    height, across = image.shape[:2]
    x0, y0 = np.maximum(np.floor(box[:2] - MARGIN * side), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(box[2:] + MARGIN * side), (across, height)).astype(int)
    part = image[y0:y1, x0:x1]
    size = tuple(max(1, round(n * width / side)) for n in (x1 - x0, y1 - y0))
    small = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA))
    made = Shrunk(small, box, np.array(size) / (x1 - x0, y1 - y0), np.array((x0, y0), float))
    return replace(made, box=made.small(box.reshape(2, 2)).ravel())


class Scores:
    """Adds up one arm's figures at one width."""

    def __init__(self) -> None:
        self.errors: list[float] = []
        self.counts = np.zeros((CLASSES, CLASSES), np.int64)
        self.parsed = 0
        self.psnr: list[float] = []
        self.ssim: list[float] = []

    def record(self) -> dict[str, Any]:
        """For the JSON line; None where nothing was measured."""
        f = float(100.0 * np.nanmean(component_scores(self.counts))) if self.parsed else None
        return {
            "nme_pct": _mean(self.errors, 100.0),
            "failure8_pct": _mean([float(error > 0.08) for error in self.errors], 100.0),
            "landmark_faces": len(self.errors),
            "parsing_f": None if f is None else round(f, 2),
            "parsing_faces": self.parsed,
            "psnr_db": _mean(self.psnr),
            "ssim": _mean(self.ssim),
            "picture_faces": len(self.psnr),
        }


def _mean(values: Sequence[float], factor: float = 1.0) -> float | None:
    return round(factor * float(np.mean(values)), 4) if values else None


def faces_of(sample: Sample) -> Iterator[FaceLabel]:
    """Labelled faces with a box: all those with points by hand, or the one a mask belongs to."""
    known = [truth for truth in sample.row.faces if truth.box_xyxy is not None]
    if sample.row.source == "afw":
        yield from (truth for truth in known if truth.landmarks68 is not None)
    elif known:
        yield max(known, key=lambda truth: float(np.prod(truth.box_xyxy[2:] - truth.box_xyxy[:2])))  # type: ignore[index]


def judge(scores: Scores, sample: Sample, truth: FaceLabel, shrunk: Shrunk, analyzer: Analyzer) -> None:
    """Analyse a small face and add what it was worth."""
    tasks = ("landmarks",) if truth.landmarks68 is not None else ("parsing",)
    face = analyzer.image(shrunk.image, boxes=[shrunk.box], tasks=tasks).faces[0]
    if truth.landmarks68 is not None and face.landmarks is not None:
        right = shrunk.small(truth.landmarks68)
        scores.errors.append(point_error(face.landmarks.points, right, outer_eye_distance(right)))
    elif face.parsing is not None and sample.parsing is not None:
        large = Parsing(face.parsing.labels, shrunk.to_large(face.parsing.to_frame))
        labels, _ = to_picture(large, *sample.parsing.shape)
        scores.counts += confusion(sample.parsing, labels, CLASSES)
        scores.parsed += 1


def crops_of(sample: Sample, truth: FaceLabel, shrunk: Shrunk, enhancer: Engine | None) -> tuple[Array, Array] | None:
    """The engine's crop of the small face and of the large one; None where the large one is too small for a judge."""
    crop = _crop(truth)
    if crop is None or crop.side < LARGE:
        return None
    (x, y), scale = shrunk.small(np.array((crop.x, crop.y))), float(shrunk.scale.mean())
    small = [Crop(float(x), float(y), crop.side * scale, crop.roll)]
    made = warp_crops(shrunk.image, small)
    if enhancer is not None:
        enhance(shrunk.image, small, made, [0], lambda batch: enhancer.run(batch, (OUTPUT,))[OUTPUT])
    return made[0], warp_crops(sample.image, [crop])[0]


def _crop(truth: FaceLabel) -> Crop | None:
    if truth.landmarks68 is not None:
        return crop_from_landmarks(truth.landmarks68)
    return None if truth.points5 is None else crop_from_points5(truth.points5)


def measure(
    samples: Sequence[Sample], arms: Mapping[str, Engine | None], options: Options, widths: Sequence[int] = WIDTHS
) -> dict[str, Any]:
    """Every arm at every width: its figures."""
    results: dict[str, Any] = {}
    for name, enhancer in arms.items():
        scores: dict[int, Scores] = defaultdict(Scores)
        analyzer = Analyzer(options, enhancer=enhancer)
        for sample in samples:
            for truth in faces_of(sample):
                assert truth.box_xyxy is not None
                for width in widths:
                    shrunk = shrink(sample.image, truth.box_xyxy, width)
                    judge(scores[width], sample, truth, shrunk, analyzer)
                    if pair := crops_of(sample, truth, shrunk, enhancer):
                        scores[width].psnr.append(psnr(*pair))
                        scores[width].ssim.append(ssim(*pair))
        results[name] = {str(width): one.record() for width, one in scores.items()}
        print(f"{name} done", file=sys.stderr)
    return results


def seconds(enhancer: Engine, faces: int, size: int, runs: int = 40) -> float:
    """Median time in s of a call for so many faces of so many px."""
    batch, times = np.zeros((faces, size, size, 3), np.uint8), []
    for _ in range(runs + 5):
        began = time.perf_counter()
        enhancer.run(batch, (OUTPUT,))
        times.append(time.perf_counter() - began)
    return float(np.median(times[5:]))


def contact_sheet(samples: Sequence[Sample], enhancer: Engine, width: int, count: int = 12) -> Array:
    """Rows of a small face's plain crop, its enhanced one, and the large picture's; two faces a row."""
    rows: list[Array] = []
    for sample in samples:
        for truth in faces_of(sample):
            assert truth.box_xyxy is not None
            shrunk = shrink(sample.image, truth.box_xyxy, width)
            plain, made = (crops_of(sample, truth, shrunk, one) for one in (None, enhancer))
            if plain is not None and made is not None and len(rows) < count:
                rows.append(np.hstack([plain[0], made[0], made[1]]))
    return np.vstack([np.hstack(rows[at : at + 2]) for at in range(0, len(rows) - 1, 2)])


def text(record: dict[str, Any]) -> str:
    """The record for people."""
    columns = ("nme_pct", "failure8_pct", "parsing_f", "psnr_db", "ssim")
    rows = [
        (width, arm, *("-" if figures[width][c] is None else f"{figures[width][c]:.3f}" for c in columns))
        for width in map(str, WIDTHS)
        for arm, figures in record["arms"].items()
        if width in figures
    ]
    facts = record["machine"]
    costs = [f"{name}: {ms:.2f} ms" for name, ms in record["cost_ms"].items()]
    head = ("face px", "arm", "NME %", "> 8 % %", "parsing F", "PSNR dB", "SSIM")
    where = f"{facts['cpu']}, {facts['cores']} cores, load {facts['load_1min']}"
    return "\n".join([where, table(head, rows), *costs])


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's, by default the process's own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the corpus's parquet files")
    parser.add_argument("--limit", type=int, help="most pictures of each set; 0 = only the cost (default: all)")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=ONNX", help="another enhancer to compare")
    parser.add_argument(
        "--below",
        type=int,
        default=runtime.BELOW_PX,
        metavar="PX",
        help="enhance faces smaller than this, to see where it ends to help (default: the runtime's %(default)s)",
    )
    parser.add_argument("--note", default="", help="said in the JSON line, e.g. how the arms were trained")
    parser.add_argument("--no-time", action="store_true", help="leave the cost of a call out (the machine is busy)")
    parser.add_argument("--sheet", type=Path, help="write a contact sheet of 16 px faces here")
    parser.add_argument("--json", type=Path, help="append the JSON line to this file too")
    return parser.parse_args(given)


def enhancers(given: Sequence[str]) -> dict[str, OrtEngine]:
    """The one that ships as `enhanced`, and others given as NAME=ONNX.

    Raises:
        ModelError: None ships, and no other is given.
        EngineError: A file is no network.
    """
    opened: dict[str, OrtEngine] = {}
    try:
        shipped = find("enhancer")
        opened["enhanced"] = OrtEngine(load(shipped), "enhanced")
    except ModelError:
        if not given:
            raise
    for one in given:
        name, _, path = one.partition("=")
        opened[name] = OrtEngine(Path(path).read_bytes(), name)
    return opened


def samples_of(data: Path, limit: int | None) -> list[Sample]:
    """Val pictures of AFW and CelebAMask-HQ."""

    def wanted(row: LabelledImage) -> bool:
        return row.split == "val" and row.source in ("afw", "celebamask")

    return [sample for name in ("landmarks", "parsing") for sample in Samples(data / f"{name}.parquet", wanted, limit)]


def main() -> None:
    args, facts = arguments(), machine.facts()
    runtime.BELOW_PX = args.below
    options = Options(still_tta=1)
    opened, samples = enhancers(args.model), samples_of(args.data, args.limit)
    first, sizes = next(iter(opened.values())), [(faces, size) for faces in (1, 4) for size in SIZES]
    costs = {} if args.no_time else {f"{n} x {size} px": round(1e3 * seconds(first, n, size), 3) for n, size in sizes}
    record = {
        "schema": SCHEMA,
        "pictures": len(samples),
        "below_px": args.below,
        "models": Analyzer(options).describe()["models"],
        "note": args.note,
        "arms": measure(samples, {"plain": None, **opened}, options),
        "cost_ms": costs,
        "machine": facts,
    }
    if args.sheet:
        cv2.imwrite(str(args.sheet), contact_sheet(samples, first, WIDTHS[0]))
    print(text(record))
    line = json.dumps(record)
    print(line)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        with args.json.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()
