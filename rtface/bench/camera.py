"""Simulated cameras: one that keeps real time, and one that waits until its frame was dealt with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rtface.bench.scene import HEIGHT, WIDTH, Bursts, Scene
from rtface.capture.source import Source
from rtface.system.clock import Clock
from rtface.types import Frame


class SimulatedCamera(Source):
    """A live source: a frame is there when it is due, and one that nobody waits for is lost, as with a camera.

    A frame's picture is made while waiting for it, so making it costs no age; it does cost CPU time.

    Args:
        scene: What is seen.
        bursts: How many faces, when.
        fps: Frames a second.
        frames: Ends after so many, lost ones included.
        clock: Its time.

    Attributes:
        missed: Frames that were due while the capture thread was not waiting.
        began: When the first frame was due, in the clock's seconds.
    """

    name = "simulated camera"
    live = True
    size_wh = (WIDTH, HEIGHT)

    def __init__(self, scene: Scene, bursts: Bursts, fps: float, frames: int, clock: Clock) -> None:
        self._scene, self._bursts, self._clock = scene, bursts, clock
        self.fps, self.frame_count = fps, frames
        self._next = 0
        self._stop = threading.Event()
        self.missed = 0
        self.began: float | None = None

    def read(self) -> Frame | None:
        now = self._clock.now()
        if self.began is None:
            self.began = now
        assert self.fps is not None and self.frame_count is not None
        late = int((now - self.began) * self.fps) - self._next  # whole frame times since it was due
        if late > 0:
            self.missed += late
            self._next += late
        index = self._next
        if index >= self.frame_count or self._stop.is_set():
            return None
        self._next += 1
        image = self._scene.frame(index, self._bursts.at(index / self.fps))
        early = self.began + index / self.fps - self._clock.now()
        if early > 0:
            self._clock.wait(self._stop, early)
        return Frame(image, index, captured_at=self._clock.now())

    def close(self) -> None:
        self._stop.set()


class SteppedClock:
    """Simulated seconds that go on by `step`, and within a step by as much as really passed."""

    def __init__(self, timer: Callable[[], float] = time.perf_counter) -> None:
        self._timer = timer
        self._base, self._mark = 0.0, timer()

    def step(self, seconds: float) -> None:
        """It is `seconds` after the last step."""
        self._base, self._mark = self._base + seconds, self._timer()

    def now(self) -> float:
        return self._base + self._timer() - self._mark

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        return stop.is_set()


class LockstepCamera(Source):
    """A live source whose next frame comes when `release` is called: simulated time, as fast as it goes."""

    name = "simulated camera"
    live = True
    size_wh = (WIDTH, HEIGHT)

    def __init__(self, scene: Scene, bursts: Bursts, fps: float, frames: int, clock: SteppedClock) -> None:
        self._scene, self._bursts, self._clock = scene, bursts, clock
        self.fps, self.frame_count = fps, frames
        self._next, self._closed = 0, False
        self._go = threading.Semaphore(1)

    def release(self) -> None:
        """The frame before was dealt with: a frame time later."""
        assert self.fps is not None
        self._clock.step(1.0 / self.fps)
        self._go.release()

    def read(self) -> Frame | None:
        self._go.acquire()
        assert self.fps is not None and self.frame_count is not None
        if self._closed or self._next >= self.frame_count:
            return None
        index = self._next
        self._next += 1
        image = self._scene.frame(index, self._bursts.at(index / self.fps))
        return Frame(image, index, captured_at=self._clock.now())

    def close(self) -> None:
        self._closed = True
        self._go.release()
