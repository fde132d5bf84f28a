"""What the pipeline asks of whatever runs a network: one verb, tensors by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

Tensors = dict[str, NDArray[Any]]


class Engine(Protocol):
    """One network, loaded and ready on one device.

    An engine is used by one thread at a time. The arrays it returns are the caller's: the next `run` leaves them be.
    """

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of everything the network can answer."""

    def run(self, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        """Feed `batch` to the network's one input; return the outputs asked for, by name.

        Only what `names` needs is computed. Any batch length is taken in one call.

        Raises:
            EngineError: the device or the network cannot run this.
        """

    def describe(self) -> dict[str, str | int]:
        """What runs where: engine, version, device, threads. For a run's header and the doctor."""

    def close(self) -> None:
        """Give device memory and threads back; idempotent."""
