"""The capture threads of what is live: losses, silence, and coming back, on sources that are told when to fail."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import pytest

from rtface.capture import reconnecting
from rtface.capture.reader import Grabbed
from rtface.capture.reconnecting import LiveGrabber, Reconnect
from rtface.capture.source import Source
from rtface.errors import SourceError
from rtface.system.clock import SystemClock
from rtface.system.handoff import Mailbox
from rtface.types import Event, Frame
from tests.media import picture

QUICK = Reconnect(first_s=0.001, longest_s=0.004, stall_s=0.05)
PATIENCE_S = 5.0
PICTURE = picture()


class Camera(Source):
    """Gives ``frames`` frames, then is lost, or, with ``stuck``, never returns until that is set."""

    name = "camera"
    live = True

    def __init__(self, frames: int, stuck: threading.Event | None = None) -> None:
        self.frames, self.stuck, self.given, self.closed = frames, stuck, 0, threading.Event()

    def read(self) -> Frame | None:
        if self.given == self.frames:
            if self.stuck is None:
                raise SourceError(self.name, "unplugged", "Plug it in again")
            self.stuck.wait(PATIENCE_S)
        self.given += 1
        return Frame(PICTURE, self.given - 1, time.monotonic())

    @property
    def corrupt(self) -> int:
        return 1

    def close(self) -> None:
        self.closed.set()


class Rig:
    """A grabber whose camera is each time the next of ``cameras``; an exception among them is raised at opening."""

    def __init__(self, *cameras: Camera | Exception, reconnect: Reconnect = QUICK) -> None:
        self.left = list(cameras)
        self.events: list[Event] = []
        self.mailbox: Mailbox[Grabbed] = Mailbox()
        first = self.opened()
        first.reopen = self.opened
        self.grabber = LiveGrabber(first, self.mailbox, SystemClock(), reconnect, self.events.append)

    def opened(self) -> Source:
        camera = self.left.pop(0) if self.left else SourceError("camera", "is not there", "Plug it in")
        if isinstance(camera, Exception):
            raise camera
        return camera

    def until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not reached() and time.monotonic() < deadline:
            time.sleep(0.001)
        assert reached()

    def __enter__(self) -> Rig:
        self.grabber.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.grabber.stop()

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]


def test_a_lost_camera_is_tried_until_it_is_back_and_numbers_go_on() -> None:
    gone = SourceError("camera", "is not there", "Plug it in")
    stuck = threading.Event()
    first, second = Camera(3), Camera(4, stuck)
    with Rig(first, gone, gone, second) as rig:
        rig.until(lambda: second.given == 4)
        taken = rig.mailbox.take(PATIENCE_S)
        assert rig.kinds == ["source_lost", "source_back"]
        lost, back = rig.events
        assert lost.what == "unplugged" and back.duration_s >= back.at - lost.at > 0
        assert first.closed.is_set()
        rig.until(lambda: rig.grabber._frames == 7)
        latest = rig.mailbox.take(0.0)
        indices = [item.item.frame.index for item in (taken, latest) if item is not None]
        assert indices[-1] == 6 and indices == sorted(indices)  # 0, 1, 2 before, 3 … 6 after
        assert rig.grabber.corrupt == 2  # one of each
        stuck.set()


def test_a_read_that_blocks_for_ever_is_left_behind() -> None:
    stuck, never = threading.Event(), threading.Event()
    first, second = Camera(1, stuck), Camera(2, never)
    with Rig(first, second) as rig:
        rig.until(lambda: second.given == 2)
        assert rig.kinds == ["source_lost", "source_back"]
        assert rig.events[0].what == "gave no picture for 0.05 s"
        assert not first.closed.is_set()
        frames = rig.grabber._frames
        stuck.set()  # the driver lets go: its frame is not wanted any more, and the source is closed
        assert first.closed.wait(PATIENCE_S)
        assert rig.grabber._frames == frames == 3
        never.set()


def test_not_more_readers_are_left_behind_than_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnecting, "MOST_STUCK", 2)
    events = [threading.Event() for _ in range(3)]
    cameras = [Camera(1, stuck) for stuck in events]
    with Rig(*cameras, reconnect=Reconnect(first_s=0.001, longest_s=0.002, stall_s=0.2)) as rig:
        rig.until(lambda: len(rig.grabber._stuck) == 2)
        assert cameras[2].given == 0
        events[0].set()
        rig.until(lambda: cameras[2].given == 1)
        for stuck in events:
            stuck.set()


def test_it_is_given_up_after_the_time_that_was_asked_for() -> None:
    says = r"camera: is not there, and it did not come back within 0 s"
    rig = Rig(Camera(2), reconnect=Reconnect(first_s=0.001, longest_s=0.002, give_up_s=0.02))
    with rig, pytest.raises(SourceError, match=says):
        while rig.mailbox.take(PATIENCE_S) is not None:
            pass
    assert rig.kinds == ["source_lost"]


def test_it_is_not_tried_at_all_where_that_was_asked_for() -> None:
    rig = Rig(Camera(0), Camera(1), reconnect=Reconnect(give_up_s=0.0))
    with rig, pytest.raises(SourceError, match=r"camera: unplugged\. Plug it in again"):
        rig.mailbox.take(PATIENCE_S)
    assert rig.kinds == [] and len(rig.left) == 1


def test_an_error_that_is_not_the_sources_ends_the_run() -> None:
    class Broken(Camera):
        def read(self) -> Frame | None:
            raise RuntimeError("a fault of ours")

    with Rig(Broken(0), Camera(1)) as rig, pytest.raises(RuntimeError, match="a fault of ours"):
        rig.mailbox.take(PATIENCE_S)


def test_stopping_ends_a_wait_for_a_camera_that_is_gone() -> None:
    with Rig(Camera(1), reconnect=Reconnect(first_s=60.0, longest_s=60.0)) as rig:
        rig.until(lambda: rig.kinds == ["source_lost"])
    assert not rig.grabber._watcher.is_alive() and rig.mailbox.take() is not None
    assert rig.mailbox.ended


def test_only_what_can_be_opened_again() -> None:
    with pytest.raises(ValueError, match="opened again"):
        LiveGrabber(Camera(1), Mailbox(), SystemClock(), QUICK, lambda event: None)


def test_pauses_double_up_to_the_longest_and_differ_by_chance() -> None:
    plain = Reconnect(jitter=0.0)
    assert [plain.pause_s(tries) for tries in range(7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert plain.pause_s(10_000) == 8.0
    pauses = [Reconnect(chance=random.Random(seed)).pause_s(4) for seed in range(50)]
    assert 4.0 <= min(pauses) < 5.0 and 7.0 < max(pauses) <= 8.0
    assert not plain.gives_up(1e9) and Reconnect(give_up_s=3.0).gives_up(3.0)


def test_a_silent_camera_was_lost_when_it_gave_its_last_picture() -> None:
    stuck = threading.Event()
    with Rig(Camera(2, stuck), Camera(2, threading.Event())) as rig:
        rig.until(lambda: rig.kinds == ["source_lost", "source_back"])
        lost, back = rig.events
        assert back.duration_s is not None and back.duration_s >= back.at - lost.at + 0.9 * QUICK.stall_s
        stuck.set()


def test_stuck_readers_do_not_keep_a_source_from_being_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnecting, "MOST_STUCK", 1)
    stuck = threading.Event()
    reconnect = Reconnect(first_s=0.001, longest_s=0.004, stall_s=0.5, give_up_s=0.6)
    with Rig(Camera(1, stuck), reconnect=reconnect) as rig:
        rig.mailbox.take(PATIENCE_S)
        with pytest.raises(SourceError, match=r"gave no picture for 0.5 s, and it did not come back"):
            while True:
                assert rig.mailbox.take(PATIENCE_S) is not None
        stuck.set()
