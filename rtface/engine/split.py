"""A network in two halves, on two threads: the expensive part (the parsing) goes on from what the first half passes."""

from __future__ import annotations

from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

from numpy.typing import NDArray

from rtface.engine.base import Decoders, Tensors
from rtface.engine.ort import OrtEngine
from rtface.models.onnx_bytes import split_head, split_tail

Channel = SimpleQueue[Tensors | None]
"""From the first half of one call to the second; None = the first one failed."""


class SplitSession:
    """The sessions of both halves, of one thread each; together they take what the whole network takes.

    For each batch one thread calls `first`, another one `second`, which waits for it, with the same new `Channel`. Both
    run once here on nothing, so that the first real call finds its memory there.

    Args:
        model: The ONNX file's bytes.
        name: What messages call it.
        expensive_outputs: Outputs of the second half.
        decoders: By output name, what answers are decoded by.

    Raises:
        EngineError: ONNX Runtime cannot load them.
        ValueError: The network cannot be cut there, or takes crops of any size.
    """

    def __init__(
        self, model: bytes, name: str, expensive_outputs: Sequence[str], decoders: Decoders | None = None
    ) -> None:
        half = split_head(model, expensive_outputs)
        self._expensive, self._passed = tuple(expensive_outputs), half.passed
        self._first = OrtEngine(half.model, name, 1, decoders=decoders)
        self._second = OrtEngine(
            split_tail(model, expensive_outputs, self._first.types(half.passed)), name, 1, decoders=decoders
        )
        made = self._first.warm()
        if not made:
            raise ValueError("expected a network for crops of one size, got one whose size is open")
        self._second.feed({name: made[name] for name in self._passed}, self._expensive)

    def first(self, batch: NDArray[Any], names: Sequence[str], handoff: Channel) -> Tensors:
        """What of these outputs is not expensive, by name; the second half's input goes into `handoff`.

        Raises:
            EngineError: ONNX Runtime refuses the batch.
        """
        made = self._first.run(batch, [name for name in names if name not in self._expensive], passing=self._passed)
        handoff.put(made)
        return {name: value for name, value in made.items() if name in names}

    def second(self, names: Sequence[str], handoff: Channel) -> Tensors:
        """What of these outputs is expensive, of the batch that `first` has; nothing when the caller put None there."""
        made = handoff.get()
        if made is None:
            return {}
        return self._second.feed(
            {name: made[name] for name in self._passed}, [name for name in names if name in self._expensive]
        )
