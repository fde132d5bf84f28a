"""What the evaluation of a task is made of, and the loop that runs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Protocol

from rtface.datasets.labelled import Array, LabelledImage
from rtface.evaluate.report import Metric, Report
from rtface.evaluate.samples import Sample
from rtface.evaluate.worst import HardestCases
from rtface.types import FrameResult


class StillAnalyzer(Protocol):
    """What is measured: `rtface.Analyzer`, as far as stills go."""

    def image(self, image: Array, boxes: Any = None, tasks: Any = None) -> FrameResult:
        """Faces of a picture."""


class Measure(ABC):
    """One task: takes results one by one and adds them up.

    Attributes:
        name: Of the task, as the command line calls it.
        tasks: What it asks of the analyzer.
        options: Options that differ from the user's.
        without: Labels of faces that it does not look at and need not be read.
        in_all: Whether ``all`` measures it too.
        worst: Collects the worst cases.
    """

    name: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]]
    options: ClassVar[Mapping[str, Any]] = {}
    without: ClassVar[tuple[str, ...]] = ("mesh478",)
    in_all: ClassVar[bool] = True

    def __init__(self, worst: HardestCases | None = None) -> None:
        self.worst = worst or HardestCases()

    @abstractmethod
    def accepts(self, row: LabelledImage) -> bool:
        """Whether a row has labels for this task."""

    def split_of(self, row: LabelledImage) -> str:
        """The split whose rows are measured when the user names none; a task may take some rows from any."""
        return "val"

    def boxes(self, sample: Sample) -> Array | None:
        """Boxes to give to the analyzer; None = it has to find the faces."""
        return None

    @abstractmethod
    def add(self, sample: Sample, result: FrameResult) -> None:
        """Add up one picture's result."""

    @abstractmethod
    def metrics(self) -> Iterable[Metric]:
        """The figures so far."""


def wanted(measure: Measure, source: str | None = None, split: str | None = None) -> Callable[[LabelledImage], bool]:
    """Which rows to measure: those with labels for the task, of a source and split (``any`` = all splits)."""

    def is_wanted(row: LabelledImage) -> bool:
        return (
            source in (None, row.source)
            and (split == "any" or row.split == (split or measure.split_of(row)))
            and measure.accepts(row)
        )

    return is_wanted


def wanted_of_layout(
    measure: Measure, source: str | None = None, split: str | None = None
) -> Callable[[LabelledImage], bool]:
    """Which pictures of a public set's own layout to measure: those with labels for the task, of a source and split.

    Without a split: all that the set does not give for training. With one, a set that names none counts as any.
    """

    def is_wanted(row: LabelledImage) -> bool:
        fits = row.split != "train" if split is None else split == "any" or row.split in ("", split)
        return fits and source in (None, row.source) and measure.accepts(row)

    return is_wanted


def evaluate(
    measure: Measure, samples: Iterable[Sample], analyzer: StillAnalyzer, step: Callable[[], None] = lambda: None
) -> Report:
    """Analyse every picture and report; ``step`` is called after each."""
    data: Counter[str] = Counter()
    for sample in samples:
        measure.add(sample, analyzer.image(sample.image, boxes=measure.boxes(sample), tasks=measure.tasks))
        data[f"{sample.row.source} {sample.row.split}".rstrip()] += 1
        step()
    return Report(measure.name, tuple(measure.metrics()), dict(data))
