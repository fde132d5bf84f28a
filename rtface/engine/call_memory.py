"""The host's side of one call of a network: its input and its answers, pinned, and the graphs that copy there and back.

A context has one of these, and a second where a call begins before the answers of the one before are read: the CPU
writes the next input while the GPU works on this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.engine.cuda import Cuda, Event, Graph, view
from rtface.engine.gpu_memory import ALIGNMENT, MirroredBlock


class CallMemory:
    """Where one call's input and answers lie.

    Args:
        cuda: The stream.
        input: The input's name; all other tensors are answers.
        twin: Another call's of the same context, whose memory on the device this one uses too; None = its own. A GPU
            that works in the host's memory has two of everything.

    Attributes:
        arrays: Every tensor by name, on the host.
        addresses: Every tensor's address for the network.
        graphs: Recorded work, with and without the copy in.
    """

    def __init__(self, cuda: Cuda, input: str, twin: CallMemory | None = None) -> None:
        self._cuda, self._input_name = cuda, input
        self.input: MirroredBlock = MirroredBlock(cuda, None if twin is None else twin.input)
        self.output: MirroredBlock = MirroredBlock(cuda, None if twin is None else twin.output)
        self.arrays: dict[str, NDArray[Any]] = {}
        self.addresses: dict[str, int] = {}
        self.graphs: dict[bool, Graph] = {}
        self._end: Event | None = None

    def lay_out(self, shapes: Mapping[str, tuple[int, ...]], dtypes: Mapping[str, np.dtype[Any]]) -> None:
        """Have tensors of these shapes; memory is asked for only where what is there is too small."""
        answers = [name for name in shapes if name != self._input_name]
        for names, block in (([self._input_name], self.input), (answers, self.output)):
            offsets, total = dict[str, int](), 0
            for name in names:
                offsets[name] = total
                size = max(1, int(np.prod(shapes[name]))) * dtypes[name].itemsize
                total += -(-size // ALIGNMENT) * ALIGNMENT
            block.at_least(total)
            for name, offset in offsets.items():
                self.arrays[name] = view(block.host, shapes[name], dtypes[name], offset)
                self.addresses[name] = block.device.device_address + offset

    def mark_end(self) -> None:
        """The call's work is in the stream now."""
        if self._end is None:
            self._end = self._cuda.event()
        self._end.record()

    def wait(self) -> None:
        """Until that work is done, whatever came after it."""
        assert self._end is not None
        self._end.wait()

    def drop_graphs(self) -> None:
        """Give them back; nothing of them runs any more."""
        while self.graphs:
            self.graphs.popitem()[1].close()

    def close(self) -> None:
        """Graphs, event, memory: each before what it uses; idempotent."""
        self.drop_graphs()
        end, self._end = self._end, None
        if end is not None:
            end.close()
        self.arrays = {}
        self.input.close()
        self.output.close()
