"""An engine with a spare: a GPU that fails in the middle of a stream costs one slow frame, not the stream."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.engine.base import Cropping, DeviceFailed, Engine, Preparable, Tensors, prunes
from rtface.engine.tickets import Answered, Ticket, begun, submitter
from rtface.errors import EngineError
from rtface.geometry.crop import CROP_SIZE, Crop, warp_crops

log = logging.getLogger(__name__)


class FallbackEngine:
    """Runs `main` until its device fails, then the spare for good; implements `Engine`.

    An error of a GPU stays with the process (an illegal access, a reset of the driver), so `main` is not tried again.
    The call that failed is run again by the spare: no frame is lost.

    Args:
        name: What messages call the network.
        main: Runs now.
        spare: Opens the other one; called at most once.
        crop_px: Side of the crops that both take.
    """

    def __init__(self, name: str, main: Engine, spare: Callable[[], Engine], crop_px: int = CROP_SIZE) -> None:
        self._crop_px = crop_px
        self._name, self._now, self._spare = name, main, spare
        self._failed = False
        self._prepared: tuple[Sequence[str], ...] = ()

    @property
    def prunes(self) -> bool:
        """Whether the engine that runs now saves time when a call does not ask for an output."""
        return prunes(self._now)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of everything the network can answer; the same before and after."""
        return self._now.outputs

    def prepare(self, *names: Sequence[str]) -> None:
        """Get what runs now ready for a stream; the spare where the first has failed.

        Raises:
            EngineError: Neither can.
        """
        self._prepared = names
        try:
            self._prepare()
        except DeviceFailed as error:
            self._give_up(error)

    def run(self, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        """Run, on the spare where the device fails.

        Raises:
            EngineError: The batch is not what the network takes, or the spare fails too.
        """
        try:
            return self._now.run(batch, names)
        except DeviceFailed as error:
            self._give_up(error)
        return self._now.run(batch, names)

    def crops_itself(self, count: int) -> bool:
        """Whether the engine that runs now cuts faces out better than the CPU, for so many of them."""
        return isinstance(self._now, Cropping) and self._now.crops_itself(count)

    def run_crops(self, image: NDArray[np.uint8], crops: Sequence[Crop], names: Sequence[str]) -> Tensors:
        """Cut these squares out of a frame, and run; the spare gets crops that the CPU cut.

        Raises:
            EngineError: The spare fails too.
        """
        if isinstance(self._now, Cropping):
            try:
                return self._now.run_crops(image, crops, names)
            except DeviceFailed as error:
                self._give_up(error)
        return self._now.run(self._cut_here(image, crops), names)

    def submits(self) -> bool:
        """Whether the engine that runs now can begin a call before the last one's answers are read."""
        return submitter(self._now) is not None

    def submit(self, batch: NDArray[Any], names: Sequence[str]) -> Ticket:
        """As `run`, without waiting, where `submits` says yes; else it has run.

        Raises:
            EngineError: The batch is not what the network takes, or the spare fails too.
        """
        engine = self._now
        try:
            ticket = begun(engine, batch, names)
        except DeviceFailed as error:
            self._give_up(error)
            return Answered(self._now.run(batch, names))
        if isinstance(ticket, Answered):
            return ticket
        kept = batch.copy()  # the caller may write to it, and it may have to be run again
        return _Insured(ticket, lambda error: self._again(engine, error, lambda: kept, names))

    def submit_crops(self, image: NDArray[np.uint8], crops: Sequence[Crop], names: Sequence[str]) -> Ticket:
        """As `run_crops`, without waiting, where `submits` says yes; else it has run.

        The image must stay as it is until the ticket is collected.

        Raises:
            EngineError: The spare fails too.
        """
        engine = self._now
        able = submitter(engine)
        if able is None:
            return Answered(self.run_crops(image, crops, names))
        try:
            ticket = able.submit_crops(image, crops, names)
        except DeviceFailed as error:
            self._give_up(error)
            return Answered(self.run_crops(image, crops, names))
        return _Insured(ticket, lambda error: self._again(engine, error, lambda: self._cut_here(image, crops), names))

    def _again(
        self, engine: Engine, error: EngineError, batch: Callable[[], NDArray[Any]], names: Sequence[str]
    ) -> Tensors:
        """Run a call that `engine` has not ended by the spare; it is closed where another call has met its failure."""
        if engine is self._now:
            if not isinstance(error, DeviceFailed):
                raise error
            self._give_up(error)
        return self._now.run(batch(), names)

    def _cut_here(self, image: NDArray[np.uint8], crops: Sequence[Crop]) -> NDArray[np.uint8]:
        size = self._crop_px
        return warp_crops(image, crops, np.empty((len(crops), size, size, 3), np.uint8))

    def describe(self) -> dict[str, str | int]:
        """Of the engine that runs now."""
        return self._now.describe()

    def close(self) -> None:
        """Close what runs; idempotent."""
        self._now.close()

    def _prepare(self) -> None:
        if isinstance(self._now, Preparable):
            self._now.prepare(*self._prepared)

    def _give_up(self, error: DeviceFailed) -> None:
        if self._failed:
            raise error
        self._failed = True
        with suppress(Exception):  # what cannot work may not be able to close either
            self._now.close()
        self._now = self._spare()
        log.warning("%s; %s runs on %s from here on", error, self._name, self._now.describe()["engine"])
        self._prepare()


class _Insured:
    """A ticket whose call is run again where its device fails; implements `Ticket`."""

    def __init__(self, ticket: Ticket, again: Callable[[EngineError], Tensors]) -> None:
        self._ticket, self._again = ticket, again

    def collect(self) -> Tensors:
        """Its answers, waited for if need be.

        Raises:
            EngineError: The spare fails too.
        """
        try:
            return self._ticket.collect()
        except EngineError as error:
            self._ticket = Answered(self._again(error))
        return self._ticket.collect()
