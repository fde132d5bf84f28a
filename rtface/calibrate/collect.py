"""What the networks see of the user's own pictures: the very canvases and crops that the pipeline feeds to them."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.analyzer import Analyzer
from rtface.capture.open import open_source
from rtface.engine import Engine, Tensors
from rtface.errors import SourceError
from rtface.networks.open import detector_on, open_network
from rtface.networks.selection import select
from rtface.options import Options

FRAMES = 200
"""Most pictures looked at, spread over a clip or a folder."""
CROPS, CANVASES, FEWEST = 512, 128, 16
"""Most face crops and pictures kept, and how many faces there must be."""
Image = NDArray[np.uint8]


@dataclass(slots=True)
class Seen:
    """Inputs of the two networks: `canvases` (1, H, W, 3) and `crops` (N, 128, 128, 3); hashes of the `pictures`."""

    canvases: list[Image] = field(default_factory=list)
    crops: list[Image] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)

    def batches(self, role: str) -> list[Image]:
        """Of the network with this role; crops eight at a time."""
        if role == "detector":
            return self.canvases
        crops = np.concatenate(self.crops)
        return [crops[at : at + 8] for at in range(0, len(crops), 8)]


class _Recorder:
    """An engine that notes what it is fed."""

    def __init__(self, engine: Engine, note: Callable[[Image], None]) -> None:
        self._engine, self._note = engine, note
        self.outputs = engine.outputs

    def run(self, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        self._note(batch)
        return self._engine.run(batch, names)

    def describe(self) -> dict[str, str | int]:
        return self._engine.describe()

    def close(self) -> None:
        self._engine.close()


def look(source: str, options: Options, step: Callable[[], None] = lambda: None) -> Seen:
    """Run the pipeline over a clip, a folder of pictures or a corpus of parquet files, and keep what its networks saw.

    Raises:
        SourceError: The source cannot be read, or shows fewer than `FEWEST` faces.
    """
    seen = Seen()
    options = replace(options, still_tta=1)  # more pictures are worth more than more looks at one

    def note(batch: Image) -> None:
        if sum(map(len, seen.crops)) < CROPS:
            seen.crops.append(batch.copy())

    selection = select(options)
    engine, finder = (open_network(one, options)[0] for one in (selection.multitask, selection.detector))
    detector = detector_on(_Recorder(finder, lambda canvas: _keep(seen.canvases, canvas, CANVASES)), options)
    with Analyzer(options, detector=detector, engine=_Recorder(engine, note)) as analyzer:
        for image in pictures(source):
            detector.detect(image)  # the canvas of a stream; `image` below adds those of stills
            analyzer.image(image)
            seen.pictures.append(hashlib.sha256(image.tobytes()).hexdigest()[:16])
            step()
    if (found := sum(map(len, seen.crops))) < FEWEST:
        why = f"shows {found} faces in {len(seen.pictures)} pictures; calibration needs {FEWEST} or more"
        raise SourceError(source, why, "Give a longer clip, or a folder with more pictures of faces")
    return seen


def _keep(kept: list[Image], new: Image, most: int) -> None:
    if len(kept) < most:
        kept.append(new.copy())


def pictures(source: str) -> Iterator[Image]:
    """At most `FRAMES` pictures of a source, spread over it."""
    path = Path(source)
    if path.suffix == ".parquet" or (path.is_dir() and any(path.glob("*.parquet"))):
        yield from _of_corpus(Path(source))
        return
    with open_source(source) as opened:
        every = max(1, (opened.frame_count or 0) // FRAMES)
        yield from _spread((frame.image for frame in iter(opened.read, None)), every)


def _spread(images: Iterable[Image], every: int) -> Iterator[Image]:
    given = 0
    for index, image in enumerate(images):
        if index % every == 0:
            yield image
            given += 1
        if given == FRAMES:
            return


def _of_corpus(path: Path) -> Iterator[Image]:
    """Pictures that were trained on, about the same number from each file, the same ones every time."""
    from rtface.datasets.corpus import corpus_files
    from rtface.datasets.labelled import LabelledImage
    from rtface.evaluate.samples import Samples

    def trained_on(row: LabelledImage) -> bool:
        return row.split == "train" and bool(row.faces or row.emotion_votes is not None)

    files = corpus_files(path)
    for file in files:
        every = max(1, len(Samples(file, trained_on)) * len(files) // FRAMES)

        def chosen(row: LabelledImage, every: int = every) -> bool:
            return trained_on(row) and zlib.crc32(row.id.encode()) % every == 0

        yield from (sample.image for sample in Samples(file, chosen))
