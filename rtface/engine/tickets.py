"""Calls that are begun now and whose answers are read later: what a GPU does meanwhile costs the CPU nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from rtface.engine.base import Engine, Tensors
from rtface.geometry.crop import Crop


class Ticket(Protocol):
    """A call of an engine that has begun."""

    def collect(self) -> Tensors:
        """Its answers, waited for if need be; the arrays are the caller's.

        Raises:
            EngineError: The device or the network could not run it, or the engine was closed before.
        """


class Submitting(Protocol):
    """An engine that can begin a call and do another before the first one's answers are read.

    An engine has room for two calls; a third waits for the oldest, whose answers are kept for its ticket. A ticket that
    nobody collects costs nothing but that room.
    """

    def submits(self) -> bool:
        """Whether that is to be had now."""

    def submit(self, batch: NDArray[Any], names: Sequence[str]) -> Ticket:
        """As `Engine.run`, without waiting; the batch may be written to again at once.

        Raises:
            EngineError: The batch is not what the network takes, or the device cannot run it.
        """

    def submit_crops(self, image: NDArray[np.uint8], crops: Sequence[Crop], names: Sequence[str]) -> Ticket:
        """As `Cropping.run_crops`, without waiting; the image must stay as it is until the ticket is collected.

        Raises:
            EngineError: The device or the network cannot run this.
        """


class Answered:
    """A ticket of a call that has run already; implements `Ticket`."""

    def __init__(self, answers: Tensors) -> None:
        self._answers = answers

    def collect(self) -> Tensors:
        """The answers."""
        return self._answers


class Parts:
    """A ticket of a batch that went in several calls; implements `Ticket`."""

    def __init__(self, parts: Sequence[Ticket], names: Sequence[str]) -> None:
        self._parts, self._names = parts, names

    def collect(self) -> Tensors:
        """The answers of all, one after the other."""
        answers = [part.collect() for part in self._parts]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in self._names}


def submitter(engine: Engine) -> Submitting | None:
    """The engine, if it can begin calls now. Asked on every frame: `isinstance` of a protocol is slow."""
    able = cast(Submitting, engine) if hasattr(engine, "submits") else None
    return able if able is not None and able.submits() else None


def begun(engine: Engine, batch: NDArray[Any], names: Sequence[str]) -> Ticket:
    """A call that has begun, or on an engine that cannot do that, has run.

    Raises:
        EngineError: The engine cannot run it.
    """
    able = submitter(engine)
    return Answered(engine.run(batch, names)) if able is None else able.submit(batch, names)
