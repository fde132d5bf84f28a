"""An engine that starts as one and goes on as a better one, between two calls."""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.engine.base import Cropping, Engine, Preparable, Tensors, prunes
from rtface.engine.tickets import Answered, Ticket, begun, submitter
from rtface.errors import RtfaceError
from rtface.geometry.crop import Crop

CLOSING_S = 5.0
"""Longest wait, when closing, for what is being made to stop."""

log = logging.getLogger(__name__)


class HotSwapEngine:
    """Runs `first` until `prepare`, in a thread of its own, has the second; implements `Engine`.

    Args:
        name: What messages call the network.
        first: Ready now.
        prepare: Makes the second, however long it takes; called once. It is given an event that is set when the engine
            is closed before. An error it raises is logged, and `first` stays. What it makes is got ready for a stream
            before it is swapped in, so that no frame waits for that.
    """

    def __init__(self, name: str, first: Engine, prepare: Callable[[threading.Event], Engine]) -> None:
        self._name, self._now, self._prepare = name, first, prepare
        self._next: Engine | None = None
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._work, name=f"prepare {name}", daemon=True)
        self._prepared: tuple[Sequence[str], ...] = ()
        self._thread.start()
        atexit.register(self.close)  # a library of native code must not be at work when the process ends

    @property
    def prunes(self) -> bool:
        """Whether the engine that runs now saves time when a call does not ask for an output."""
        return prunes(self._now)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of everything the network can answer; the same before and after."""
        return self._now.outputs

    def run(self, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        """Swap where the second is ready, then run.

        Raises:
            EngineError: The network cannot run this batch.
            DeviceFailed: The GPU fails.
        """
        if self._next is not None:
            self._swap()
        return self._now.run(batch, names)

    def crops_itself(self, count: int) -> bool:
        """Whether the engine that runs now cuts faces out better than the CPU, for so many of them."""
        return isinstance(self._now, Cropping) and self._now.crops_itself(count)

    def run_crops(self, image: NDArray[np.uint8], crops: Sequence[Crop], names: Sequence[str]) -> Tensors:
        """Cut these squares out of a frame (H, W, 3) BGR, and run; only where `crops_itself` has said yes.

        Raises:
            EngineError: The network cannot run this.
            DeviceFailed: The GPU fails.
        """
        assert isinstance(self._now, Cropping)
        return self._now.run_crops(image, crops, names)

    def submits(self) -> bool:
        """Whether the engine that runs now can begin a call before the last one's answers are read."""
        return submitter(self._now) is not None

    def submit(self, batch: NDArray[Any], names: Sequence[str]) -> Ticket:
        """Swap where the second is ready, then begin a call where that can be; else it has run.

        Raises:
            EngineError: The network cannot run this batch.
        """
        if self._next is not None:
            self._swap()
        return begun(self._now, batch, names)

    def submit_crops(self, image: NDArray[np.uint8], crops: Sequence[Crop], names: Sequence[str]) -> Ticket:
        """As `run_crops`, without waiting where that can be.

        Raises:
            EngineError: The network cannot run this.
        """
        able = submitter(self._now)
        return Answered(self.run_crops(image, crops, names)) if able is None else able.submit_crops(image, crops, names)

    def prepare(self, *names: Sequence[str]) -> None:
        """A stream begins: the first gets ready for it; the second is ready when it comes."""
        self._prepared = names
        if isinstance(self._now, Preparable):
            self._now.prepare(*names)
        with self._lock:
            waiting = self._next  # ready already, and prepared without knowing for what
        if waiting is not None and isinstance(waiting, Preparable):
            waiting.prepare(*names)

    def describe(self) -> dict[str, str | int]:
        """Of the engine that runs now."""
        return self._now.describe()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Until the second is ready or has failed; whether it did so in time. For tests and benchmarks."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def close(self) -> None:
        """Close what runs and what was made ready; what is being made is told to stop."""
        self._stop.set()
        with self._lock:
            waiting, self._next = self._next, None
        if waiting is not None:
            waiting.close()
        self._now.close()
        atexit.unregister(self.close)
        self._thread.join(CLOSING_S)

    def _swap(self) -> None:
        with self._lock:
            better, self._next = self._next, None
        if better is None:
            return
        before, self._now = self._now, better
        before.close()
        log.warning("%s runs on %s from here on", self._name, self._now.describe()["engine"])

    def _work(self) -> None:
        try:
            better = self._prepare(self._stop)
            if isinstance(better, Preparable) and not self._stop.is_set():
                better.prepare(*self._prepared)
        except RtfaceError as error:
            if not self._stop.is_set():
                log.warning("%s; %s stays on %s", error, self._name, self._now.describe()["engine"])
            return
        except Exception:  # a thread's error is nobody's else
            log.exception("%s stays on %s", self._name, self._now.describe()["engine"])
            return
        with self._lock:
            if not self._stop.is_set():
                self._next = better
                return
        better.close()
