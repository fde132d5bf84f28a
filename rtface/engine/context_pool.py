"""The execution contexts of a plan: which shapes have one, and which share one."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

from rtface.engine.trt_context import ShapeContext
from rtface.engine.trt_plan import Plan

SEEN_BEFORE = 2
"""Calls of a shape that nobody foresaw before it gets a context of its own. Stills have a shape each: they share one
context, without a graph."""

MOST_SEEN = 64
"""Shapes that are counted for that."""


class ContextPool:
    """The contexts of a plan: one for every shape of a stream, and one that all other shapes share.

    Args:
        plan: What they run.
        foreseen: Shapes that get a context at their first call.
        most: Most contexts; those used least recently are given back.
        settle: Called before a context is given back or gets another shape: ends the calls under way, and reads them.
        graphs: Whether they record CUDA graphs.
    """

    def __init__(
        self,
        plan: Plan,
        foreseen: Sequence[tuple[int, ...]],
        most: int,
        settle: Callable[[], None],
        *,
        graphs: bool = True,
    ) -> None:
        self._graphs, self._settle = graphs, settle
        self._plan, self._foreseen, self._most = plan, frozenset(foreseen), max(most, len(foreseen))
        self._contexts: OrderedDict[tuple[int, ...], ShapeContext] = OrderedDict()
        self._shared: ShapeContext | None = None
        self._seen: Counter[tuple[int, ...]] = Counter()

    def __getitem__(self, shape: tuple[int, ...]) -> ShapeContext:
        if (known := self._contexts.get(shape)) is not None:
            self._contexts.move_to_end(shape)
            return known
        if shape in self._foreseen or self._often(shape):
            while len(self._contexts) >= self._most:
                self._settle()
                self._contexts.popitem(last=False)[1].close()
            made = self._contexts[shape] = ShapeContext(self._plan, shape, graph=self._graphs)
            return made
        if self._shared is None:
            self._shared = ShapeContext(self._plan, shape, graph=False, often=False)
        elif self._shared.shape != shape:
            self._settle()
            self._shared.reshape(shape)
        return self._shared

    def _often(self, shape: tuple[int, ...]) -> bool:
        """Count a shape that nobody foresaw; whether it deserves a context of its own."""
        if len(self._seen) > MOST_SEEN:
            self._seen.clear()
        self._seen[shape] += 1
        return self._seen[shape] > SEEN_BEFORE

    def close(self) -> None:
        """Give all back; idempotent."""
        for context in (*self._contexts.values(), *filter(None, [self._shared])):
            context.close()
        self._contexts.clear()
        self._shared = None
