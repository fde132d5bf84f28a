"""A network in two halves, on two threads: what is dear (the parsing) goes on from what the first half passes to it."""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

from numpy.typing import NDArray

from rtface.engine.base import Tensors
from rtface.engine.ort import OrtEngine
from rtface.onnx_bytes import first_half, second_half

Between = SimpleQueue[Tensors | None]
"""From the first half of one call to the second."""


class Halves:
    """The sessions of both halves, of one thread each; together they take what the whole network takes.

    For each batch one thread calls `first`, another one `second`, which waits for it, with the same new `Between`.

    Args:
        model: The ONNX file's bytes.
        name: What messages call it.
        dear: Outputs of the second half.

    Raises:
        EngineError: ONNX Runtime cannot load them.
        ValueError: The network cannot be cut there.
    """

    def __init__(self, model: bytes, name: str, dear: Sequence[str]) -> None:
        half = first_half(model, dear)
        self._dear, self._passed = tuple(dear), half.passed
        self._first = OrtEngine(half.model, name, 1)
        self._second = OrtEngine(second_half(model, dear, self._first.types(half.passed)), name, 1)

    def warm(self) -> None:
        """Run once on nothing, so that the first real call finds its memory there."""
        made = self._first.warm()
        self._second.feed({name: made[name] for name in self._passed}, self._dear)

    def first(self, batch: NDArray[Any], names: Sequence[str], between: Between) -> Tensors:
        """What of these outputs is not dear, as `Engine.run`."""
        made: Tensors | None = None
        try:
            made = self._first.run(batch, [name for name in names if name not in self._dear], passing=self._passed)
            return {name: value for name, value in made.items() if name not in self._passed}
        finally:
            between.put(made)  # None where it failed: nobody is to wait for ever

    def second(self, names: Sequence[str], between: Between) -> Tensors:
        """What of these outputs is dear, of the batch that `first` has; nothing where that failed."""
        made = between.get()
        if made is None:
            return {}
        return self._second.feed(
            {name: made[name] for name in self._passed}, [name for name in names if name in self._dear]
        )
