"""Which measure a task's name means."""

from __future__ import annotations

from rtface.errors import UsageError, unknown
from rtface.evaluate.detection import DetectionMeasure, ReturnedMeasure
from rtface.evaluate.emotion import EmotionMeasure
from rtface.evaluate.expression import ExpressionMeasure
from rtface.evaluate.gaze import GazeMeasure
from rtface.evaluate.landmarks import LandmarksMeasure
from rtface.evaluate.measure import Measure
from rtface.evaluate.mesh import MeshMeasure
from rtface.evaluate.parsing import ParsingMeasure
from rtface.evaluate.points5 import Points5Measure
from rtface.evaluate.pose import PoseMeasure

MEASURES: dict[str, type[Measure]] = {
    measure.name: measure
    for measure in (
        LandmarksMeasure,
        Points5Measure,
        ParsingMeasure,
        EmotionMeasure,
        PoseMeasure,
        MeshMeasure,
        ExpressionMeasure,
        GazeMeasure,
        DetectionMeasure,
        ReturnedMeasure,
    )
}


def measures_for(task: str) -> list[type[Measure]]:
    """The measure of a task, or those of ``all``.

    Raises:
        UsageError: There is no such task.
    """
    if task == "all":
        return [measure for measure in MEASURES.values() if measure.in_all]
    if task not in MEASURES:
        raise unknown("task", task, [*MEASURES, "all"], UsageError)
    return [MEASURES[task]]
