"""The calls of one TensorRT network that have begun and whose answers are not read yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rtface.engine.base import DeviceFailed, Tensors
from rtface.engine.trt_context import ShapeContext


class Call:
    """One of them; implements `Ticket`.

    Args:
        context: What runs it, in the memory of that `slot`.
        rows: Of the input.
        names: Outputs asked for.
        finish: Ends it, and has its answers kept here.
    """

    def __init__(
        self, context: ShapeContext, slot: int, rows: int, names: Sequence[str], finish: Callable[[Call], None]
    ) -> None:
        self.slot = slot
        self._context, self._rows, self._names, self._finish = context, rows, names, finish
        self._answers: Tensors | None = None

    def collect(self) -> Tensors:
        """Its answers, waited for if need be.

        Raises:
            EngineError: The engine was closed before.
            DeviceFailed: TensorRT or the GPU fails.
        """
        if self._answers is None:
            self._finish(self)
        assert self._answers is not None
        return self._answers

    def read(self) -> None:
        """Wait for the answers, and keep them."""
        self._answers = self._context.finish(self._names, self._rows, self.slot)


class Calls:
    """Those under way, the oldest first, each in a slot of its own.

    Args:
        name: What messages call the network.
        slots: Most at a time.
    """

    def __init__(self, name: str, slots: int) -> None:
        self._name, self.slots = name, slots
        self._under_way: list[Call] = []

    def free_slot(self) -> int:
        """A slot whose memory nobody needs; where there is none, the oldest call ends here."""
        if len(self._under_way) == self.slots:
            self.finish(self._under_way[0])
        taken = {call.slot for call in self._under_way}
        return next(slot for slot in range(self.slots) if slot not in taken)

    def add(self, call: Call) -> None:
        """It has begun."""
        self._under_way.append(call)

    def finish(self, call: Call) -> None:
        """Read its answers; its slot is free, whether that succeeds or not.

        Raises:
            DeviceFailed: It ended with a failure that another call has met.
        """
        if call not in self._under_way:
            raise DeviceFailed(self._name, "the GPU failed while it ran this", "--engine onnx runs it on the CPU")
        self._under_way.remove(call)
        call.read()

    def settle(self) -> None:
        """End all of them; their answers are kept for their tickets."""
        while self._under_way:
            self.finish(self._under_way[0])

    def forget(self) -> None:
        """End none, and keep nothing: the memory goes."""
        self._under_way.clear()
