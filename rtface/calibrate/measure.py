"""The accuracy gate: what each head loses in another precision, and how much it may.

Losses are against the fp32 file on ONNX Runtime, on the same pictures, end to end as in `rtface eval`; the other
network stays fp32. TensorRT's files are measured by ONNX Runtime on the CPU, which computes their int8 convolutions
exactly and rounds float16 weights and tensors; what a GPU makes of them is the parity test's matter (`pytest -m gpu`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rtface.analyzer import Analyzer
from rtface.engine import Engine, Tensors
from rtface.evaluate.measure import evaluate, wanted
from rtface.evaluate.registry import MEASURES
from rtface.evaluate.samples import Samples
from rtface.geometry.crop import CROP_SIZE
from rtface.networks.open import detector_on, open_network
from rtface.networks.roles import DETECTOR, FULL_ENGINE, SMALL_ENGINE, SMALL_FULL_ENGINE
from rtface.networks.selection import select_network
from rtface.options import Options


@dataclass(frozen=True, slots=True)
class Head:
    """One figure that is gated.

    Attributes:
        task: Of `rtface eval`. `metric` is its figure.
        output: The network's output that it is read from; its layers are what is kept in float first.
        limit: Most that may be lost, in the figure's unit.
        falls: Whether a loss is a smaller figure (an F-score) and not a larger one (an error).
    """

    task: str
    metric: str
    output: str
    limit: float
    falls: bool


HEADS: dict[str, tuple[Head, ...]] = {
    "engine": (
        Head("landmarks", "nme_pct", "landmarks", 0.10, falls=False),
        Head("points5", "nme5_pct", "landmarks", 0.10, falls=False),
        Head("parsing", "components_f", "parsing", 0.5, falls=True),
        Head("emotion", "accuracy_pct", "emotion", 0.5, falls=True),
        Head("pose", "teacher_mae_deg", "pose", 0.2, falls=False),
    ),
    "detector": (
        Head("detection", "ap50_24px_pct", "detections", 1.0, falls=True),
        Head("detection", "ap50_40px_pct", "detections", 0.5, falls=True),
    ),
}
"""By role. A tenth of a percent of NME is a fifth of a pixel on a face 200 px wide; the rest is about what two seeds of
the same training differ by."""

HEADS[SMALL_ENGINE] = HEADS["engine"]
HEADS[FULL_ENGINE] = HEADS[SMALL_FULL_ENGINE] = (
    Head("mesh", "mesh_pct", "mesh", 0.10, falls=False),
    Head("expression", "mae", "expression", 0.005, falls=False),
    Head("gaze", "angle_deg", "gaze", 0.5, falls=False),
)
"""Its other answers are those of the network that it is grafted onto, bit for bit, and gated there."""

MORE = {"emotion": 10}
"""How many times the limit of pictures a task takes: one of 60 is 1.7 points of accuracy, and they cost least."""

Figures = dict[tuple[str, str], float]
Opened = Callable[[], Engine]


def figures(
    role: str,
    network: Opened,
    data: Path,
    options: Options,
    *,
    limit: int | None = None,
    tasks: Iterable[str] | None = None,
    size: int = CROP_SIZE,
    step: Callable[[], None] = lambda: None,
) -> Figures:
    """(task, metric) → value, with `network` in its role and the other in fp32 on ONNX Runtime.

    Args:
        role: detector or engine.
        network: Opens the one that is measured.
        data: The corpus.
        options: For the rest of the pipeline.
        limit: Most pictures a task, times `MORE`.
        tasks: Only these; None = all of the role.
        size: Side in px of the crops that an engine takes.
        step: Called after each picture.
    """
    # One look, not the mean of several: quicker, and a loss is not averaged away.
    base = replace(options, engine="onnx", precision="fp32", still_tta=1, still_parsing="crop")
    heads = [head for head in HEADS[role] if tasks is None or head.task in tasks]
    found: Figures = {}
    for task in dict.fromkeys(head.task for head in heads):
        measure = MEASURES[task]()
        corpus = Samples(
            data, wanted(measure), None if limit is None else limit * MORE.get(task, 1), without=measure.without
        )
        if not len(corpus):
            continue
        run = replace(base, **measure.options)
        finder = network() if role == DETECTOR else open_network(select_network(DETECTOR, run), run)[0]
        detector = detector_on(finder, run)
        engine = _Blind() if role == "detector" else network()
        with Analyzer(run, detector=detector, engine=engine, size=size) as analyzer:
            report = evaluate(measure, corpus, analyzer, step)
        values = {metric.name: metric.value for metric in report.metrics}
        found.update({(task, head.metric): values[head.metric] for head in heads if head.task == task})
    return found


class _Blind:
    """An engine that sees nothing. Boxes and scores do not depend on it, and a precision-recall curve has hundreds of
    unsure faces a picture that it would otherwise look at."""

    outputs = ("landmarks", "pose", "face", "quality")
    _SHAPES: ClassVar[dict[str, tuple[int, ...]]] = {"landmarks": (68, 2), "pose": (3,), "face": (), "quality": ()}

    def run(self, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        return {name: np.zeros((len(batch), *self._SHAPES[name]), np.float32) for name in names}

    def describe(self) -> dict[str, str | int]:
        return {"engine": "none"}

    def close(self) -> None:
        """Nothing to give back."""


def compare_to_fp32(role: str, full: Figures, other: Figures) -> tuple[dict[str, Any], ...]:
    """A row for each head that was measured in both: name, fp32, value, loss, limit, passed.

    A figure that is not a number (nothing found, or in the other precision nothing any more) is None, and fails.
    """
    rows = []
    for head in HEADS[role]:
        key = (head.task, head.metric)
        if key in full and key in other:
            loss = (full[key] - other[key]) * (1.0 if head.falls else -1.0)
            rows.append(
                {
                    "name": f"{head.task} {head.metric}",
                    "output": head.output,
                    "fp32": _rounded(full[key]),
                    "value": _rounded(other[key]),
                    "loss": _rounded(loss),
                    "limit": head.limit,
                    "passed": bool(loss <= head.limit),
                }
            )
    return tuple(rows)


def _rounded(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None
