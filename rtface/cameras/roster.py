"""The cameras of a run: which there are, and how they come and go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from rtface.cameras.camera import Camera
from rtface.capture.named import CamerasFile, NamedSource, changed, name_for
from rtface.errors import OutputError, RtfaceError, UsageError
from rtface.system.clock import Clock
from rtface.types import Event


class Roster:
    """Cameras by name. Any thread may ask and change.

    Args:
        file: TOML that lists cameras; None = there is none.
        open_camera: Opens one, beside the run.
        note: Takes what happens.
        clock: For the times.
        stays: The run goes on where no camera is left, as with a file: others may come.
    """

    def __init__(
        self,
        file: Path | None,
        open_camera: Callable[[Camera], None],
        note: Callable[[Event], None],
        clock: Clock,
        *,
        stays: bool = False,
    ) -> None:
        self.stays = stays or file is not None
        self._file = None if file is None else CamerasFile(file)
        self._open_camera, self._note, self._clock = open_camera, note, clock
        self._lock = threading.RLock()
        self._cameras: dict[str, Camera] = {}
        self._leaving: list[Camera] = []
        self._sessions: dict[str, int] = {}  # of those that are gone, should they come back
        self._opens = False  # the run has begun
        for spec in () if self._file is None else self._file.read():
            self.add(spec, from_file=True)

    @property
    def cameras(self) -> Sequence[Camera]:
        """Those that there are now, those that are off among them."""
        with self._lock:
            return list(self._cameras.values())

    @property
    def leaving(self) -> Sequence[Camera]:
        """Those that are being closed."""
        with self._lock:
            return list(self._leaving)

    def known(self, name: str) -> Camera:
        """A camera by its name.

        Raises:
            UsageError: There is none of that name.
        """
        with self._lock:
            if name not in self._cameras:
                known = ", ".join(self._cameras) or "none"
                raise UsageError(name, "is no camera of this run", f"Its cameras are: {known}")
            return self._cameras[name]

    def open_all(self) -> Sequence[Camera]:
        """Open those that are on, and from now on those that come; which."""
        with self._lock:
            self._opens = True
            cameras = list(self._cameras.values())
            for camera in cameras:
                self._open(camera)
        for camera in cameras:
            self._tell_if_off(camera)
        return [camera for camera in cameras if camera.spec.enabled]

    def add(self, spec: NamedSource, *, from_file: bool = False) -> str:
        """A further camera; its name.

        Raises:
            UsageError: The name is taken.
        """
        with self._lock:
            name = name_for(spec, self._cameras)
            session = self._sessions.pop(name, 1)
            camera = self._cameras[name] = Camera(replace(spec, name=name), session=session, from_file=from_file)
            self._open(camera)
        self._tell_if_off(camera)
        return name

    def _open(self, camera: Camera) -> None:
        if self._opens and camera.spec.enabled:
            self._open_camera(camera)

    def _tell_if_off(self, camera: Camera) -> None:
        """Without the lock: who is told may ask."""
        if self._opens and not camera.spec.enabled:
            self._note(Event("camera_off", self._clock.now(), "switched off", camera=camera.name))

    def remove(self, name: str) -> None:
        """No more of this camera.

        Raises:
            UsageError: There is none of that name.
        """
        with self._lock:
            camera = self.known(name)
            del self._cameras[name]
            self._sessions[name] = camera.next_session
        self.close(camera)
        self._note(Event("camera_removed", self._clock.now(), "", camera=name))

    def enable(self, name: str, on: bool) -> None:
        """Switch a camera off or on again.

        Raises:
            UsageError: There is none of that name.
        """
        with self._lock:
            camera = self.known(name)
            if camera.spec.enabled == on:
                return
            camera = self._replaced(replace(camera.spec, enabled=on))
        self._tell_if_off(camera)

    def _replaced(self, spec: NamedSource) -> Camera:
        """The camera of that name once more, as it is to be now."""
        before = self._cameras[spec.name]
        camera = self._cameras[spec.name] = before.again(spec)
        self._open(camera)
        self.close(before)
        return camera

    def close(self, camera: Camera) -> None:
        """Close a camera beside the run."""
        with self._lock:
            self._leaving.append(camera)
        camera.close()

    def give_up(self, camera: Camera, error: RtfaceError) -> None:
        """A camera has failed for good: it ends alone."""
        camera.error, camera.failed = error, True
        self._note(Event("camera_failed", self._clock.now(), error.why, camera=camera.name))
        self.close(camera)

    def look_after(self) -> None:
        """Cameras that have ended or failed, those that are silent, those that are closed by now, and the file."""
        with self._lock:
            self._leaving = [camera for camera in self._leaving if not camera.closed]
        now = self._clock.now()
        for camera in self.cameras:
            if camera.has_ended():
                self.close(camera)
            elif camera.state == "failed" and not camera.failed:
                assert camera.error is not None
                self.give_up(camera, camera.error)
            else:
                self._idle(camera, now)
        if self._file is not None:
            self._watch(self._file)

    def _idle(self, camera: Camera, now: float) -> None:
        try:
            camera.idle_if_silent(now)
        except OutputError as error:
            self.give_up(camera, error)

    def over(self) -> bool:
        """Whether none is left that could give a frame, or ever may."""
        return not self.stays and all(camera.state in ("over", "failed") for camera in self.cameras)

    def _watch(self, file: CamerasFile) -> None:
        """Take over what has changed in the file; what is wrong in it is said, and changes nothing."""
        try:
            wanted = file.changed(self._clock.now())
        except RtfaceError as error:
            self._unread(f"{error.what}: {error.why}; the cameras stay as they are")
        else:
            if wanted is not None:
                self.relist(wanted, from_file=True)

    def relist(self, specs: Iterable[NamedSource], *, from_file: bool = False) -> None:
        """Have the cameras of a list: those it lists no more go, new ones come, what has changed is taken over."""
        wanted = {spec.name: spec for spec in specs}
        there = {camera.name: camera for camera in self.cameras if camera.from_file == from_file}
        for name in there.keys() - wanted.keys():
            self.remove(name)
        for name, spec in wanted.items():
            if name not in there:
                try:
                    self.add(spec, from_file=from_file)
                except UsageError as error:  # a camera of the command line has that name
                    self._unread(f"{error.what}: {error.why}")
            elif there[name].listed != spec:
                self._take_over(there[name], spec)

    def _take_over(self, camera: Camera, spec: NamedSource) -> None:
        before, listed, camera.listed = camera.spec, camera.listed, spec
        spec = changed(before, listed, spec)
        if replace(before, enabled=spec.enabled) == spec:
            self.enable(spec.name, spec.enabled)
        elif replace(before, priority=spec.priority, max_level=spec.max_level) == spec:
            camera.change(spec)
        else:
            with self._lock:
                camera = self._replaced(spec)
            self._tell_if_off(camera)

    def _unread(self, why: str) -> None:
        self._note(Event("cameras_unread", self._clock.now(), why))

    def close_all(self, error: BaseException | None = None) -> None:
        """Close every camera, side by side, and wait for that.

        Raises:
            OutputError: An output could not be made whole.
        """
        with self._lock:
            self._opens = False
        cameras: Iterable[Camera] = [*self.cameras, *self.leaving]
        for camera in cameras:
            camera.close(error)
        failed = [met for camera in cameras if (met := camera.wait_closed()) is not None]
        if failed:
            raise failed[0]
