"""Blocks of memory that grow with what they have to hold."""

from __future__ import annotations

from rtface.engine.cuda import Cuda, Memory

ALIGNMENT = 256
"""Bytes that every tensor's address is a multiple of, as if each had memory of its own."""


class Scratch:
    """The working memory of all contexts of a network; they share it, as one stream runs them one after another.

    By itself every context would take the memory of the largest input that the plan allows.
    """

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._block: Memory | None = None

    def at_least(self, nbytes: int) -> Memory:
        """The block, larger if it has to be; then contexts that know its former address must be told."""
        if self._block is None or self._block.nbytes < nbytes:
            self._cuda.wait()
            self.close()
            self._block = self._cuda.device(max(ALIGNMENT, nbytes))
        return self._block

    def close(self) -> None:
        """Give it back; idempotent."""
        if self._block is not None:
            self._block.close()
            self._block = None


class MirroredBlock:
    """A block on the host and its double on the device; one and the same where they share memory.

    Args:
        cuda: The stream.
        twin: Whose double on the device this one uses too, a block of its own on the host: the stream works on one call
            after the other. Where they share memory it has its own.
    """

    def __init__(self, cuda: Cuda, twin: MirroredBlock | None = None) -> None:
        self._cuda, self._twin = cuda, None if cuda.integrated else twin
        self._blocks: tuple[Memory, ...] = ()
        self._used = 0

    def at_least(self, nbytes: int) -> None:
        """New ones where those that are there are too small; a twin has had its own already."""
        self._used = nbytes
        if self._blocks and self.host.nbytes >= nbytes:
            return
        self.close()
        host = self._cuda.pinned(nbytes)
        self._blocks = (host,)  # given back even if the next fails
        if self._twin is None:
            self._blocks = (host, host if self._cuda.integrated else self._cuda.device(nbytes))

    def upload(self) -> None:
        """Copy to the device, in the stream."""
        if self.host is not self.device:
            self._cuda.copy(self.device, self.host, self._used)

    def download(self) -> None:
        """Copy back, in the stream."""
        if self.host is not self.device:
            self._cuda.copy(self.host, self.device, self._used)

    @property
    def host(self) -> Memory:
        """Pinned, for the CPU."""
        return self._blocks[0]

    @property
    def device(self) -> Memory:
        """For the network."""
        return self._blocks[1] if self._twin is None else self._twin.device

    def close(self) -> None:
        """Give them back; idempotent."""
        blocks, self._blocks = self._blocks, ()
        for block in blocks:
            block.close()
