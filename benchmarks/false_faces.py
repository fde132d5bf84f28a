"""False faces on pictures of objects and textures, beside what a detector finds of real ones.

    python benchmarks/false_faces.py
    python benchmarks/false_faces.py --data CORPUS --detector new=runs/detector/detector.onnx --sheet sheet.png
    python benchmarks/false_faces.py --data CORPUS --doubt 0 --doubt .06 --doubt .11 --doubt .16 --streams

The pictures are 16 that come with scikit-image and show no person: of a cat, coins, gravel, a page, stars … They were
never trained on. A face in a still is what `rtface.analyze` returns with its defaults; in a stream, what the detector
answers with a stream's defaults, since a still picture held before a camera is tracked whatever it shows. With --data,
AP over all scores on WIDER val, of the network alone (`network_ap50_…`) and with the second looks that a still's
doubtful faces get (`ap50_…`; `rtface eval detection` has the same, `rtface eval returned` that of what the default
thresholds let through), and false faces on 760 pieces of garments, enlarged, of the corpus' open/negatives.parquet, on
which no detector of the research weights was trained: what thresholds are chosen by. A detector given as NAME=ONNX is
measured beside the one that ships. Prints a table, then one JSON line.

With --doubt or --streams, these alone, on WIDER val. --doubt K: the network alone with K in place of what
`rtface/detect/mos.py` takes from the logit of unusual sizes (SIZE_DOUBT). --streams: every picture as a stream's frame,
with a stream's threshold: which share of the faces of 16, 24 and 40 px and more, as the network sees them
(`detect_width`), is found, and which share of what is found is labelled; of as many faces a frame as there are.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface import Analyzer, Options
from rtface.bench.report import table
from rtface.datasets.corpus import read
from rtface.detect import mos
from rtface.detect.base import Detections, Detector
from rtface.detect.second_look import DOUBTFUL, second_scores
from rtface.engine import OrtEngine
from rtface.errors import require
from rtface.evaluate.detection import MIN_HEIGHTS_PX, DetectionMeasure, match_detections
from rtface.evaluate.measure import wanted
from rtface.evaluate.metrics import average_precision
from rtface.evaluate.samples import Sample, Samples
from rtface.models import find, load
from rtface.networks.open import detector_on
from rtface.system import machine

SCHEMA = "rtface.false_faces/1"
PICTURES = (
    *("brick", "cell", "chelsea", "clock", "coffee", "coins", "grass", "gravel", "horse", "hubble_deep_field"),
    *("immunohistochemistry", "moon", "page", "retina", "rocket", "text"),
)
#: Every face that a curve needs, however doubtful or small.
LOOSE = {name: value for name, value in DetectionMeasure.options.items() if name in Options.__dataclass_fields__}
SHOWN_PX = 320  # a picture of the sheet

Array = NDArray[Any]


def pictures() -> Iterator[tuple[str, Array]]:
    """Names and pixels (H, W, 3) uint8 BGR.

    Raises:
        UsageError: scikit-image is not installed.
    """
    data = require("skimage.data", "test")
    for name in PICTURES:
        yield name, as_bgr(np.asarray(getattr(data, name)()))


def as_bgr(pixels: Array) -> Array:
    """A picture of scikit-image (bool, or uint8; grey, RGB or RGBA) as OpenCV has it."""
    pixels = pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels
    if pixels.ndim == 2:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR))
    return np.ascontiguousarray(pixels[..., 2::-1])


def false_faces(detector: Detector, analyzer: Analyzer, marked: list[Array] | None = None) -> dict[str, dict[str, Any]]:
    """Picture → scores of the faces found there, in a still and in a stream; stills' are drawn to `marked`."""
    found = {}
    for name, image in pictures():
        faces = analyzer.image(image).faces
        streamed = [round(float(score), 2) for score in detector.detect(image).scores]
        found[name] = {"still": [round(face.score, 2) for face in faces], "stream": streamed}
        if marked is not None:
            marked.append(drawn(image, [face.box_xyxy for face in faces]))
    return found


def enlarged(data: Path, pieces: int = 2, seed: int = 5) -> Iterator[Array]:
    """Pieces (N, N, 3) of each garment, 64 px and more a side, brought to 280 to 640 px."""
    rng = np.random.default_rng(seed)
    for row in read(data / "open" / "negatives.parquet"):
        image = row.load()[0]
        height, width = image.shape[:2]
        for _ in range(pieces):
            side = int(rng.integers(64, min(height, width) + 1))
            x, y = int(rng.integers(0, width - side + 1)), int(rng.integers(0, height - side + 1))
            size = int(rng.integers(280, 640))
            yield cv2.resize(image[y : y + side, x : x + side], (size, size), interpolation=cv2.INTER_CUBIC)


def false_enlarged(analyzer: Analyzer, data: Path) -> dict[str, float]:
    """False faces a hundred enlarged pieces; nothing where the corpus lacks them."""
    if not (data / "open" / "negatives.parquet").is_file():
        return {}
    counts = [len(analyzer.image(piece).faces) for piece in enlarged(data)]
    return {"false_per_100_enlarged": round(100 * sum(counts) / len(counts), 2)}


def cost(detector: Detector, data: Path, count: int) -> dict[str, float]:
    """CPU ms of the detector for a still of WIDER val, with second looks at doubtful faces and without, in turns."""
    spent = {"with": 0.0, "without": 0.0}
    low, high = DOUBTFUL
    doubtful = 0
    for sample in islice(Samples(data / "detection.parquet", wanted(DetectionMeasure())), count):
        detector.detect(sample.image, still=True)  # the canvas's memory
        for arm in spent:
            looks = second_scores if arm == "with" else lambda image, boxes, scores, forward: scores
            with patch.object(mos, "second_scores", looks):
                began = time.process_time()
                found = detector.detect(sample.image, still=True)
                spent[arm] += time.process_time() - began
        doubtful += int(((found.scores >= low) & (found.scores < high)).sum())  # without: as they were
    each = {f"still_{arm}_second_looks_cpu_ms": round(1000 * seconds / count, 1) for arm, seconds in spent.items()}
    return {**each, "doubtful_faces_a_still": round(doubtful / count, 2)}


def drawn(image: Array, boxes: Sequence[Array]) -> Array:
    """The picture in a square of SHOWN_PX with boxes on it."""
    scale = SHOWN_PX / max(image.shape[:2])
    square = np.zeros((SHOWN_PX, SHOWN_PX, 3), np.uint8)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    square[: small.shape[0], : small.shape[1]] = small[:SHOWN_PX, :SHOWN_PX]
    for box in boxes:
        x0, y0, x1, y1 = (round(float(v) * scale) for v in box)
        cv2.rectangle(square, (x0, y0), (x1, y1), (60, 60, 255), 2)
    return square


class Curve:
    """AP over all scores, of faces of 16, 24 and 40 px and more."""

    def __init__(self) -> None:
        self._lists: dict[int, list[tuple[Array, Array, int]]] = {size: [] for size in MIN_HEIGHTS_PX}

    def add(self, boxes: Array, scores: Array, truths: Array, ignored: Array) -> None:
        """What was found in a picture, (N, 4) and (N,), beside its labelled boxes (M, 4) and ignore regions (K, 4)."""
        for size, each in self._lists.items():
            counted, hits = match_detections(boxes.astype(np.float64), scores, truths, size, ignored)
            each.append((scores[counted], hits[counted], int((truths[:, 3] - truths[:, 1] >= size).sum())))

    def figures(self, before: str) -> dict[str, float]:
        """In %, by name: `before`, then what it is."""
        found = {}
        for size, each in self._lists.items():
            scores, hits, truth = (np.concatenate([np.atleast_1d(one[part]) for one in each]) for part in range(3))
            value = 100 * average_precision(scores, hits.astype(bool), int(truth.sum()))
            found[f"{before}ap50_{size}px_pct"] = round(value, 2)
        return found


def labelled(sample: Sample) -> tuple[Array, Array]:
    """Boxes (M, 4) of a picture's faces, and its ignore regions (K, 4), px."""
    truths = [truth.box_xyxy for truth in sample.row.faces if truth.box_xyxy is not None]
    return np.array(truths, np.float64).reshape(-1, 4), np.asarray(sample.row.ignore_xyxy, np.float64).reshape(-1, 4)


def precision(detector: Detector, data: Path) -> dict[str, float]:
    """AP of the network alone (`network_ap50_…`), and of the detector, which looks at doubtful faces again."""
    network, whole = Curve(), Curve()
    for sample in Samples(data / "detection.parquet", wanted(DetectionMeasure())):
        truths, ignored = labelled(sample)

        def looks(image: Array, boxes: Array, scores: Array, forward: Any, labels: Any = (truths, ignored)) -> Array:
            network.add(boxes, scores, *labels)
            return second_scores(image, boxes, scores, forward)

        with patch.object(mos, "second_scores", looks):
            found: Detections = detector.detect(sample.image, still=True)
        whole.add(found.boxes_xyxy, found.scores, truths, ignored)
    return {**network.figures("network_"), **whole.figures("")}


def doubts(network: OrtEngine, options: Options, data: Path, steps: Sequence[float]) -> dict[float, dict[str, float]]:
    """AP of the network alone with each constant of `mos.doubted`; a picture goes through the network once."""
    curves = {step: Curve() for step in steps}
    run, said = network.run, dict[bytes, dict[str, Array]]()

    def once(canvas: Array, names: Sequence[str]) -> dict[str, Array]:
        key = canvas.tobytes()
        if key not in said:
            said[key] = run(canvas, names)
        return said[key]

    alone = patch.object(mos, "second_scores", lambda image, boxes, scores, forward: scores)
    with alone, patch.object(network, "run", once):
        detector = detector_on(network, options)
        for sample in Samples(data / "detection.parquet", wanted(DetectionMeasure())):
            said.clear()
            for step, curve in curves.items():
                with patch.object(mos, "SIZE_DOUBT", step):
                    found = detector.detect(sample.image, still=True)
                curve.add(found.boxes_xyxy, found.scores, *labelled(sample))
    return {step: curve.figures("network_") for step, curve in curves.items()}


def streamed(detector: Detector, data: Path, width: int) -> dict[str, float]:
    """Found and right in %, of pictures seen as frames whose longer side is `width` px; sizes are in px of that."""
    counts = {size: np.zeros(3, np.int64) for size in MIN_HEIGHTS_PX}  # right, found, labelled
    for sample in Samples(data / "detection.parquet", wanted(DetectionMeasure())):
        found, scale = detector.detect(sample.image), width / max(sample.image.shape[:2])
        boxes, (truths, ignored) = found.boxes_xyxy.astype(np.float64) * scale, labelled(sample)
        truths, ignored = truths * scale, ignored * scale
        for size, count in counts.items():
            counted, hits = match_detections(boxes, found.scores, truths, size, ignored)
            count += hits.sum(), counted.sum(), (truths[:, 3] - truths[:, 1] >= size).sum()
    figures = {}
    for place, name in ((2, "recall"), (1, "precision")):
        for size, count in counts.items():
            figures[f"{name}_{size}px_pct"] = round(100 * int(count[0]) / max(int(count[place]), 1), 1)
    return figures


def on_wider(network: OrtEngine, options: Options, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """What --doubt and --streams ask for: row of the table → figures."""
    rows = {}
    if args.doubt:
        for step, figures in doubts(network, replace(options, **LOOSE), args.data, args.doubt).items():
            rows[f"doubt {step:g}"] = figures
    if args.streams:
        crowds = replace(options, max_faces=LOOSE["still_max_faces"], min_face_px=LOOSE["min_face_px"])
        rows["stream"] = streamed(detector_on(network, crowds), args.data, options.detect_width)
    return rows


def measure(network: OrtEngine, options: Options, data: Path | None, marked: list[Array] | None) -> dict[str, Any]:
    """Figures of one detector."""
    with Analyzer(options, detector=detector_on(network, options)) as analyzer:  # it closes the network at its end
        found = false_faces(detector_on(network, options), analyzer, marked)
        pieces = {} if data is None else false_enlarged(analyzer, data)
        figures = {} if data is None else precision(detector_on(network, replace(options, **LOOSE)), data)
    return {
        "false_stills": sum(len(one["still"]) for one in found.values()),
        "false_streams": sum(len(one["stream"]) for one in found.values()),
        **pieces,
        **figures,
        "found": {name: one for name, one in found.items() if one["still"] or one["stream"]},
    }


def detectors(given: Sequence[str]) -> dict[str, OrtEngine]:
    """The detector that ships, and others given as NAME=ONNX."""
    opened = {"ships": OrtEngine(load(find("detector")), "detector")}
    for one in given:
        name, _, path = one.partition("=")
        opened[name] = OrtEngine(Path(path).read_bytes(), name)
    return opened


def text(arms: dict[str, dict[str, Any]]) -> str:
    """The table, and what was found where."""
    names = [name for name in next(iter(arms.values())) if name != "found"]
    said = [table(("detector", *names), [(arm, *(str(figures[n]) for n in names)) for arm, figures in arms.items()])]
    for arm, figures in arms.items():
        said += [f"{arm}: {name} still {one['still']} stream {one['stream']}" for name, one in figures["found"].items()]
    return "\n".join(said)


def lines(rows: dict[str, dict[str, float]]) -> str:
    """A line a row: its name, then its figures, each after its own name."""
    return "\n".join(f"  {row}: " + "  ".join(f"{n} {v}" for n, v in figures.items()) for row, figures in rows.items())


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of the corpus, for AP on WIDER val")
    parser.add_argument("--detector", action="append", default=[], metavar="NAME=ONNX", help="another; repeatable")
    parser.add_argument("--set", dest="options", action="append", default=[], metavar="NAME=VALUE", help="an option")
    parser.add_argument("--doubt", type=float, action="append", metavar="K", help="in SIZE_DOUBT's place; repeatable")
    parser.add_argument("--streams", action="store_true", help="WIDER val as frames of a stream")
    parser.add_argument("--cost", type=int, metavar="N", help="CPU time of second looks on N pictures of --data alone")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="draw what stills return, a row a detector")
    args = parser.parse_args(argv)
    if args.data is None and (args.doubt or args.streams or args.cost):
        parser.error("--doubt, --streams and --cost need --data CORPUS")
    return args


def main() -> None:
    args = arguments()
    options = Options.load(env={}, **{k: json.loads(v) for k, _, v in (one.partition("=") for one in args.options)})
    if args.cost:
        network = OrtEngine(load(find("detector")), "detector", threads=1)
        print(json.dumps({**cost(detector_on(network, options), args.data, args.cost), "machine": machine.facts()}))
        return
    if args.doubt or args.streams:
        found = {name: on_wider(network, options, args) for name, network in detectors(args.detector).items()}
        print("\n\n".join(f"{name}\n{lines(rows)}" for name, rows in found.items()))
        print(json.dumps({"schema": SCHEMA, "wider": found, "machine": machine.facts()}))
        return
    arms, rows = {}, []
    for name, network in detectors(args.detector).items():
        marked: list[Array] = []
        arms[name] = measure(network, options, args.data, marked)
        rows.append(np.hstack(marked))
    if args.sheet:
        cv2.imwrite(str(args.sheet), np.vstack(rows))
    print(text(arms))
    print(json.dumps({"schema": SCHEMA, "pictures": len(PICTURES), "detectors": arms, "machine": machine.facts()}))


if __name__ == "__main__":
    main()
