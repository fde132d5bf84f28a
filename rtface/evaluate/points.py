"""What the two tasks on points share: errors over found faces, and what is missed."""

from __future__ import annotations

import math

from rtface.datasets.labelled import Array
from rtface.drawing.tiles import zoomed
from rtface.evaluate.match import square_around
from rtface.evaluate.samples import Sample
from rtface.evaluate.worst import GUESS_BGR, TRUTH_BGR, HardestCases, dots


def percent_mean(errors: list[float]) -> float:
    """Mean in % of the errors of found faces; missed ones (infinity) are reported apart, as a share."""
    found = [error for error in errors if math.isfinite(error)]
    return 100.0 * sum(found) / len(found) if found else math.nan


def percent_missed(errors: list[float]) -> float:
    """Share in % of errors that are infinite."""
    return 100.0 * sum(map(math.isinf, errors)) / len(errors) if errors else math.nan


def offer_points(worst: HardestCases, sample: Sample, truth: Array, guess: Array | None, error: float) -> None:
    """Keep a face among the worst if it is: truth green, guess red."""

    def draw() -> Array:
        tile, matrix = zoomed(sample.image, square_around(truth))
        dots(tile, matrix, truth, TRUTH_BGR)
        if guess is not None:
            dots(tile, matrix, guess, GUESS_BGR)
        return tile

    said = "missed" if guess is None else f"{100.0 * error:.1f} %"
    worst.add(error, f"{said}  {sample.row.id}", draw)
