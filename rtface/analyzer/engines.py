"""The multi-task engine and what stands in for it when time is short: opened when first needed, the best first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rtface.engine import Engine, Preparable
from rtface.errors import EngineError
from rtface.models import ModelEntry
from rtface.networks.open import open_network
from rtface.networks.selection import SelectedNetwork, Selection
from rtface.options import Options


class CropBuffers:
    """Memory for crops, by number of the engine; made when first asked for.

    Args:
        sizes: Side in px of the crops that each engine takes.
        batch: Most crops in one call.
    """

    def __init__(self, sizes: Sequence[int], batch: int) -> None:
        self._sizes, self._batch = sizes, batch
        self._made: dict[int, NDArray[np.uint8]] = {}

    def __call__(self, number: int) -> NDArray[np.uint8]:
        """(batch, size, size, 3); the same at every call."""
        size = self._sizes[number]
        if size not in self._made:
            self._made[size] = np.zeros((self._batch, size, size, 3), np.uint8)
        return self._made[size]


class EngineLadder:
    """Engines by number, 0 = the best, each with a buffer for the crops that it takes.

    Args:
        options: For opening them.
        selection: What runs; None when `engine` is handed in.
        engine: Runs the multi-task network, alone; None = those of the selection.
        size: Side in px of the crops that `engine` takes.
        batch: Most crops in one call.
        streams: How many share them.
    """

    def __init__(
        self,
        options: Options,
        selection: Selection | None,
        engine: Engine | None,
        *,
        size: int,
        batch: int,
        streams: int = 1,
    ) -> None:
        self._options, self._streams = options, streams
        self._chosen: tuple[SelectedNetwork, ...] = ()
        if engine is None and selection is not None:
            self._chosen = (selection.multitask, *selection.fallbacks)
        self._opened = [] if engine is None else [engine]
        self._sizes = [size] if engine is not None else [one.size for one in self._chosen]
        self._buffers = CropBuffers(self._sizes, batch)
        self.models: list[ModelEntry] = []

    @property
    def names(self) -> list[str]:
        """Of the rungs of the quality ladder."""
        return ["the best", *(one.name for one in self._chosen[1:])]

    @property
    def opened(self) -> Sequence[Engine]:
        """Those that are open by now."""
        return self._opened

    def size(self, number: int) -> int:
        """Side in px of the crops that an engine takes."""
        return self._sizes[number]

    @property
    def landmark_shift(self) -> tuple[float, float]:
        """What brings the landmarks to where labels lie, in sides of the crop; nothing is known of an own engine."""
        return self._chosen[0].model.landmark_shift if self._chosen else (0.0, 0.0)

    @property
    def emotion_temperature(self) -> float:
        """What makes the emotions' confidences honest; nothing is known of an own engine."""
        return self._chosen[0].model.emotion_temperature if self._chosen else 1.0

    def buffer(self, number: int) -> NDArray[np.uint8]:
        """(batch, size, size, 3) for an engine's crops, kept between frames."""
        return self._buffers(number)

    def new_buffers(self, batch: int) -> CropBuffers:
        """Further ones, for a stream whose crops wait for others'."""
        return CropBuffers(self._sizes, batch)

    def engine(self, number: int) -> Engine:
        """One of them; opened here when no budget foretold that it would be needed.

        Raises:
            ModelError: Its file is missing or damaged.
            EngineError: It cannot be opened, or the ladder is closed.
        """
        while len(self._opened) <= number:
            if not self._chosen:
                raise EngineError("engine", "the engine is closed", "Open a new Analyzer")
            engine, model = open_network(self._chosen[len(self._opened)], self._options, self._streams)
            self._opened.append(engine)
            self.models.append(model)
        return self._opened[number]

    def open_all(self) -> None:
        """Open every rung: one that opens in mid-stream would make a frame late.

        Raises:
            ModelError, EngineError: One cannot be opened.
        """
        self.engine(max(len(self._sizes) - 1, 0))

    def prepare(self, *names: Sequence[str]) -> None:
        """Get the open ones ready for calls that ask for these outputs, memory included.

        Raises:
            EngineError: A network cannot be made ready.
        """
        for number, engine in enumerate(self._opened):
            self.buffer(number).fill(0)  # the system gives memory when it is written to
            if isinstance(engine, Preparable):
                engine.prepare(*names)

    def close(self) -> None:
        """Give the engines' memory and threads back; idempotent."""
        for engine in self._opened:
            engine.close()
        self._chosen = ()
