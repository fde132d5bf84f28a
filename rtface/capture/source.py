"""What every source of frames is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from rtface.types import Frame


class Source(ABC):
    """Frames, one after the other. A context manager that closes itself.

    Attributes:
        name: What the user called it.
        live: Frames come at their own pace, and one that is not taken is lost: a camera, a network stream.
        stills: Frames have nothing to do with one another: pictures.
        fps: Frames in a second, or None where unknown.
        frame_count: Frames in all, as far as the source knows; None where unknown.
        size_wh: Width and height in px of the first frame.
        reopen: Opens it anew after it was lost; None where that makes no sense: a file.
        corrupt: Frames in the middle that could not be decoded and were skipped.
    """

    name: str
    live: bool = False
    stills: bool = False
    fps: float | None = None
    frame_count: int | None = None
    size_wh: tuple[int, int] = (0, 0)
    reopen: Callable[[], Source] | None = None

    @abstractmethod
    def read(self) -> Frame | None:
        """The next frame, or None after the last.

        Raises:
            SourceError: The source broke off.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the device or file."""

    @property
    def corrupt(self) -> int:
        return 0

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
