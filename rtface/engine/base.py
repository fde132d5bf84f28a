"""What the pipeline asks of whatever runs a network: one verb, tensors by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rtface.errors import EngineError
from rtface.geometry.crop import Crop

Tensors = dict[str, NDArray[Any]]

Decoder = Callable[[NDArray[Any]], NDArray[Any]]
"""Makes the answer that callers expect from a network's own output, as a fresh array."""

Decoders = Mapping[str, Callable[[], Decoder]]
"""Output name → what makes a decoder for it: each session has one of its own, since it may keep working memory."""


class Engine(Protocol):
    """One network, loaded and ready on one device.

    An engine is used by one thread at a time. The arrays it returns are the caller's: the next `run` leaves them be.
    """

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of everything the network can answer."""

    def run(self, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        """Feed `batch` to the network's one input; return the outputs asked for, by name.

        Any batch length is taken in one call. What `names` do not need may be computed or not; see `prunes`.

        Raises:
            EngineError: the device or the network cannot run this.
            DeviceFailed: the device itself does not work any more.
        """

    def describe(self) -> dict[str, str | int]:
        """What runs where: engine, version, device, threads. For a run's header and the doctor."""

    def close(self) -> None:
        """Give device memory and threads back; idempotent."""


@runtime_checkable
class Preparable(Protocol):
    """An engine or a detector that gets something ready for a stream beyond what stills need."""

    def prepare(self, *names: Sequence[str]) -> None:
        """A stream is about to begin, with calls that ask for each of these lists of outputs.

        Raises:
            EngineError: the device or the network cannot.
        """


class DeviceFailed(EngineError):
    """A device stopped working (out of memory, a reset, an error that stays): another has to go on."""


@runtime_checkable
class Cropping(Protocol):
    """An engine that can cut faces out of a frame where it runs, on a GPU."""

    def crops_itself(self, count: int) -> bool:
        """Whether that is to be had now, and the better way for so many faces."""

    def run_crops(self, image: NDArray[np.uint8], crops: Sequence[Crop], names: Sequence[str]) -> Tensors:
        """Cut these squares out of a frame (H, W, 3) BGR, feed them to the network; the outputs asked for, by name.

        Raises:
            EngineError: the device or the network cannot run this.
        """


def cropper(engine: Engine) -> Cropping | None:
    """The engine, if it can cut faces out of a frame. Asked on every frame: `isinstance` of a protocol is slow."""
    return cast(Cropping, engine) if hasattr(engine, "crops_itself") else None


def prunes(engine: Engine) -> bool:
    """Whether an engine saves time when a call does not ask for an output; False for one that does not say."""
    return bool(getattr(engine, "prunes", False))
