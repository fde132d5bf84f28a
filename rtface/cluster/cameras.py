"""Cameras on many machines: groups of them in actors that Ray places, and begins again elsewhere when a node dies."""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from rtface.capture.named import CamerasFile, NamedSource, changed, name_for, named
from rtface.capture.source import Source
from rtface.cluster.actors import TAKE_S, Group, Host, Placement, begin_actor
from rtface.cluster.connection import LOCAL, connected
from rtface.cluster.group import Batch, NodeClock, at_head
from rtface.cluster.outputs import HeadOutputs
from rtface.errors import OutputError, RtfaceError, UsageError
from rtface.labels import BLENDSHAPES, EMOTIONS, PARSING_CLASSES
from rtface.options import Options
from rtface.outputs import records
from rtface.outputs.sink import RunInfo
from rtface.outputs.summary import RunStats
from rtface.stream import Output
from rtface.system.clock import SystemClock, utc_now
from rtface.types import Event, FrameResult, utc_text
from rtface.version import __version__

AGAIN_S = 0.5
"""Between two questions to an actor that does not answer: its node is gone, or it is being begun again."""

PATIENCE_S = 60.0
"""An actor that has not answered for so long is taken down and placed again."""

LOOK_S = 3.0
"""After the last look at a camera its pictures travel for so long."""


class ClusterCameras:
    """Results of cameras on many machines as they come. A context manager; iterate over it.

    Use this when one machine has too many cameras, or must be allowed to die. A group of cameras lives in a named actor
    (``rtface-cameras-…``) with ``max_restarts`` without an end. When its node dies, an actor that stands by takes its
    cameras over, and Ray begins the dead one again where there is room, to stand by. Its cameras then have an event
    "source_lost", with the first result after it "source_back", and where that is on another node "camera_moved"; each
    with how long they were away.

    One thread iterates; `stop`, `enable`, `update` and `look` may be called from any. Results have black pictures:
    those stay on their nodes, but for cameras that somebody looks at.

    Args:
        sources: A list of cameras, or a mapping of names to them; they are opened where their group is.
        file: TOML that lists cameras, beside `sources`; it is watched while the run goes on.
        options: Of the analysis.
        address: Of the Ray cluster (`rtface.cluster.connection.connected`).
        placement: What a group takes, and how many stand by; on a cluster of this machine alone none does.
        outputs: Take the results of all cameras, here; those with ``{camera}`` in their name those of one.
        overwrite: Whether outputs that are there may be replaced.
        on_event: Called with what happens to cameras, mostly in the thread that iterates.

    Attributes:
        run: What tells this run's actors from others'.

    Raises:
        UsageError: There is no camera, or a name is taken.

    Example:
        >>> from rtface.cluster.cameras import ClusterCameras
        >>> with ClusterCameras(file="cameras.toml", address="auto") as cameras:  # doctest: +SKIP
        ...     for result in cameras:
        ...         print(result.camera, len(result))
    """

    def __init__(
        self,
        sources: Iterable[int | str | Path | Source | NamedSource] = (),
        *,
        file: str | Path | None = None,
        options: Options | None = None,
        address: str = LOCAL,
        placement: Placement | None = None,
        outputs: Iterable[Output] = (),
        overwrite: bool = False,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        self._file = None if file is None else CamerasFile(Path(file))
        listed = [] if self._file is None else self._file.read()
        found: list[NamedSource] = []
        for one in [*map(named, sources), *listed]:
            found.append(replace(one, name=name_for(one, [other.name for other in found])))
        if not found:
            raise UsageError("cameras", "there is none", "Name some, or --cameras cameras.toml")
        self._listed = {one.name: one for one in listed}  # as the file names them
        place = placement or Placement()
        self._placement = replace(place, spares=0) if address == LOCAL else place
        options = options or Options.load()
        self._options = replace(options, threads=options.threads or max(1, int(place.cpus)))
        self._begun_with = self._options
        self._address, self._on_event = address, on_event
        self._outputs = HeadOutputs(outputs, overwrite=overwrite, privacy=options.privacy, info_of=self._run_info)
        self._stats = RunStats(SystemClock())
        self._ready: deque[FrameResult] = deque()
        self._changes: dict[str, Any] = {}
        self._looked: dict[str, tuple[float, str]] = {}
        self._pictures: dict[str, tuple[FrameResult, bytes, str]] = {}
        self._newest_at: dict[str, float] = {}
        self._lock = threading.RLock()  # of who has which cameras
        self.run, self._stopping = uuid.uuid4().hex[:8], False
        self._hosts: list[Host] = []
        self._numbers = itertools.count()
        self._groups: list[Group] = []
        for one in found:
            self._join(one)

    # Who has which cameras.

    def _join(self, camera: NamedSource) -> Group:
        """Into a group that has room, or a new one."""
        size = max(1, self._placement.cameras)
        group = next((one for one in self._groups if len(one.cameras) < size), None)
        if group is None:
            host = next((one for one in self._hosts if one.group is None and one.answers), None)
            group = Group(host or self._new_host(), {})
            group.host.group = group
            self._groups.append(group)
        group.cameras[camera.name] = camera
        return group

    def _new_host(self) -> Host:
        host = Host(next(self._numbers), None)
        self._hosts.append(host)
        return host

    def _begin(self, host: Host) -> None:
        name = f"rtface-cameras-{self.run}-{host.number}"
        host.actor = begin_actor(self._ray, name, self._placement, self._begun_with)
        self._tell(host)
        host.ask({})

    def _tell(self, host: Host, *, new: bool = True) -> None:
        with self._lock:
            if host.actor is not None:
                host.send(self._changes, new=new)

    def _move(self, group: Group, host: Host) -> None:
        """From a host that is silent to one that stands by."""
        with self._lock:
            group.host.group, group.host.list_number = None, group.host.list_number + 1
            group.host, host.group = host, group
            self._tell(host)

    def _group_of(self, name: str) -> Group:
        """
        Raises:
            UsageError: There is no camera of that name.
        """
        for group in self._groups:
            if name in group.cameras:
                return group
        raise UsageError(name, "is no camera of this run", f"Its cameras are: {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the cameras."""
        return tuple(name for group in list(self._groups) for name in list(group.cameras))

    @property
    def listed(self) -> tuple[str, ...]:
        """Of the cameras that the file lists."""
        return tuple(name for name in self.names if name in self._listed)

    @property
    def nodes(self) -> dict[str, str]:
        """Camera → the beginning of the id of the node that it was on last; empty = it has not told yet."""
        return {name: group.host.node for group in list(self._groups) for name in list(group.cameras)}

    @property
    def standing_by(self) -> int:
        """How many actors have their networks open and no camera."""
        return sum(host.group is None and host.ready for host in list(self._hosts))

    # The run.

    def __enter__(self) -> ClusterCameras:
        self._outputs.open(self.names)
        self._ray = connected(self._address)
        self._stats.start()
        for host in self._hosts:
            self._begin(host)
        return self

    def _run_info(self, cameras: Sequence[str]) -> RunInfo:
        header = records.header_record(
            version=__version__,
            source={"name": "cameras", "cameras": list(cameras), "fps": None, "frame_count": None},
            analyzer={"models": {}, "cluster": self._address, "groups": len(self._groups)},
            options=self._options.to_dict(),
            emotions=EMOTIONS,
            parsing_classes=PARSING_CLASSES,
            blendshapes=BLENDSHAPES if "expression" in self._options.tasks else (),
            started_at=utc_text(utc_now()),
        )
        return RunInfo("cameras", True, False, None, None, header, self._note)

    def __iter__(self) -> Iterator[FrameResult]:
        return self

    def __next__(self) -> FrameResult:
        """
        Raises:
            UsageError: A node has another version of rtface.
            OutputError: An output of all failed.
        """
        while not self._stopping and not self._outputs.done:
            if self._ready:
                result = self._ready.popleft()
                if self._put(result):
                    return result
                continue
            self._watch()
            self._stand_by()
            self._look_after()
            self._outputs.idle()
        raise StopIteration

    def _put(self, result: FrameResult) -> bool:
        """To the outputs; False = an output of the camera's own failed, and it ends alone."""
        try:
            self._outputs.put_own(result)
        except OutputError as error:
            self._note(Event("camera_failed", time.monotonic(), str(error), camera=result.camera))
            self._leave(result.camera, error)
            return False
        self._stats.add(result)
        self._outputs.put(result)
        return True

    def _look_after(self) -> None:
        """Hear those that have answered, and ask again those whose pause is over."""
        now = time.monotonic()
        for host in self._hosts:
            if host.asked is None and now >= host.due_at:
                host.ask(self._looked_at(now))
        asked = {host.asked: host for host in self._hosts if host.asked is not None}
        if not asked:
            time.sleep(AGAIN_S / 10)
            return
        answered, _ = self._ray.wait(list(asked), num_returns=1, timeout=TAKE_S)
        for one in answered:
            host = asked[one]
            host.asked = None
            self._hear(host, one)

    def _looked_at(self, now: float) -> dict[str, str]:
        return {name: how for name, (at, how) in list(self._looked.items()) if now - at <= LOOK_S}

    def _hear(self, host: Host, answer: Any) -> None:
        from ray.exceptions import ActorDiedError, RayActorError, RayTaskError

        try:
            batch: Batch = self._ray.get(answer)
        except ActorDiedError as error:
            if "UsageError" in str(error):
                raise UsageError("a node of the cluster", "refused", "Install the same rtface on all nodes") from error
            self._lose(host)
        except (RayActorError, RayTaskError):
            self._lose(host)
        else:
            self._take(host, batch)
            if host.asked is None and batch.error is None:
                host.ask(self._looked_at(time.monotonic()))

    def _lose(self, host: Host) -> None:
        """It does not answer: its cameras go to one that stands by. Ray sees to its being begun again."""
        now = time.monotonic()
        host.due_at, host.answers, host.ready = now + AGAIN_S, False, False
        if host.silent_since is None:
            host.silent_since = now
            if host.group is not None:
                self._orphan(host.group, now)
        elif now - host.silent_since > PATIENCE_S:
            self._ray.kill(host.actor)  # Ray has given it up, or never had room: once more from the start
            host.silent_since, host.sending = now, None
            self._begin(host)
        spares = [one for one in self._hosts if one.group is None and one.answers]
        if host.group is not None and spares:
            self._move(host.group, max(spares, key=lambda one: one.ready))

    def _orphan(self, group: Group, now: float) -> None:
        group.lost_at, group.died_on = now, group.host.node
        group.returning = {name for name, camera in group.cameras.items() if camera.enabled}
        for name in group.returning:
            self._note(Event("source_lost", now, "its machine is gone", camera=name))

    def _take(self, host: Host, batch: Batch) -> None:
        now = time.monotonic()
        if host.node != batch.node:
            host.clock = NodeClock()
        host.node, host.answers, host.ready, host.silent_since = batch.node, True, batch.ready, None
        if host.group is None:
            orphans = next((one for one in self._groups if not one.host.answers and one.lost_at is not None), None)
            if orphans is not None:
                self._move(orphans, host)
        if batch.error is not None:
            self._fail(host, batch.error)
        elif batch.number != host.list_number:
            self._tell_again(host)
        if host.group is not None:
            self._gather(host.group, batch, now)

    def _gather(self, group: Group, batch: Batch, now: float) -> None:
        """Results and events; not those of cameras that have moved on, or were switched off."""
        results, events = at_head(batch, group.host.clock.ahead_s(batch, now))
        for event in events:
            if event.camera in group.cameras and event.kind != "camera_removed":
                self._note(event)
        for result in results:
            camera = group.cameras.get(result.camera)
            if camera is None or not camera.enabled:
                continue
            if result.camera in group.returning:
                self._back(group, result.camera, now)
            result = self._after_the_last(result)
            self._ready.append(result)
            if result.camera in batch.pictures:
                how = self._looked.get(result.camera, (0.0, ""))[1]
                self._pictures[result.camera] = result, batch.pictures[result.camera], how

    def _after_the_last(self, result: FrameResult) -> FrameResult:
        """A camera's time does not go back, though what is known of its node's clock becomes better."""
        at = self._newest_at[result.camera] = max(self._newest_at.get(result.camera, 0.0), result.captured_at)
        return result if at == result.captured_at else replace(result, frame=replace(result.frame, captured_at=at))

    def _fail(self, host: Host, why: str) -> None:
        """Its networks cannot run: it is begun again after a pause."""
        now = time.monotonic()
        for name in host.group.cameras if host.group is not None else ():
            self._note(Event("camera_failed", now, why, camera=name))
        self._ray.kill(host.actor, no_restart=False)
        host.due_at = now + 10 * AGAIN_S

    def _tell_again(self, host: Host) -> None:
        """It was begun again, or has not heard of its list."""
        if host.sending is not None:
            done, _ = self._ray.wait([host.sending], timeout=0)
            if not done:
                return
            why = self._refusal(host.sending)
            if why and host.group is not None and host.refused != host.list_number:
                host.refused = host.list_number
                for name in host.group.cameras:
                    self._note(Event("camera_failed", time.monotonic(), why, camera=name))
        if host.refused != host.list_number:
            self._tell(host, new=False)

    def _refusal(self, sent: Any) -> str:
        """Why a list could not be taken, other than that the actor died; empty = it was."""
        from ray.exceptions import RayActorError, RayTaskError

        try:
            self._ray.get(sent)
        except RayActorError:
            return ""
        except RayTaskError as error:
            return " ".join(str(error.cause).split())[:300]
        return ""

    def _back(self, group: Group, camera: str, now: float) -> None:
        assert group.lost_at is not None
        group.returning.discard(camera)
        away_s = now - group.lost_at
        self._note(Event("source_back", now, "", duration_s=away_s, camera=camera))
        if group.host.node != group.died_on:
            moved = f"from node {group.died_on} to {group.host.node}"
            self._note(Event("camera_moved", now, moved, duration_s=away_s, camera=camera))
        if not group.returning:
            group.lost_at = None

    def _stand_by(self) -> None:
        """Actors that stand by, once those with cameras have found room; one too many goes."""
        idle = [host for host in self._hosts if host.group is None]
        if len(idle) < self._placement.spares and all(group.host.answers for group in self._groups):
            self._begin(self._new_host())
        elif len(idle) > self._placement.spares:
            host = idle[-1]
            self._hosts.remove(host)
            self._ray.kill(host.actor)

    # Coming and going.

    def _watch(self) -> None:
        """Take over what has changed in the file; what is wrong in it is said, and changes nothing."""
        if self._file is None:
            return
        try:
            specs = self._file.changed(time.monotonic())
        except RtfaceError as error:
            self._unread(f"{error.what}: {error.why}; the cameras stay as they are")
            return
        if specs is not None:
            self._relist({one.name: one for one in specs})

    def _relist(self, wanted: Mapping[str, NamedSource]) -> None:
        told: list[Host] = []
        with self._lock:
            for name in self._listed.keys() - wanted.keys():
                self._note(Event("camera_removed", time.monotonic(), "", camera=name))
                self._leave(name)
            for name, spec in wanted.items():
                if name in self._listed:
                    group = self._group_of(name)
                    wished = changed(group.cameras[name], self._listed[name], spec)
                    self._listed[name] = spec
                    if group.cameras[name] != wished:
                        group.cameras[name] = wished
                        told.append(group.host)
                elif name in self.names:
                    self._unread(f"{name}: names two cameras")
                else:
                    self._listed[name] = spec
                    told.append(self._join(spec).host)
        for host in dict.fromkeys(told):
            self._begin(host) if host.actor is None else self._tell(host)

    def _leave(self, name: str, error: BaseException | None = None) -> None:
        """No more of this camera: its outputs become whole."""
        with self._lock:
            self._listed.pop(name, None)
            group = self._group_of(name)
            del group.cameras[name]
            self._newest_at.pop(name, None)
            group.returning.discard(name)
            if not group.cameras:
                self._groups.remove(group)
                group.host.group = None
            self._tell(group.host)
        try:
            self._outputs.close(name, error)
        except OutputError as met:
            if error is None:
                self._note(Event("camera_failed", time.monotonic(), str(met), camera=name))

    def _unread(self, why: str) -> None:
        self._note(Event("cameras_unread", time.monotonic(), why))

    def _note(self, event: Event) -> None:
        self._stats.add_event(event)
        if self._on_event is not None:
            self._on_event(event)

    def enable(self, name: str, on: bool) -> None:
        """Switch a camera off, or on again. From any thread.

        Raises:
            UsageError: There is none of that name.
        """
        with self._lock:
            group = self._group_of(name)
            group.cameras[name] = replace(group.cameras[name], enabled=on)
            if not on:
                group.returning.discard(name)
            self._tell(group.host)

    def update(self, **changes: Any) -> None:
        """Go on with another budget, or other tasks. From any thread.

        Raises:
            OptionError: A value is none.
        """
        self._options = replace(self._options, **changes)
        self._changes |= changes
        for host in list(self._hosts):
            if host.actor is not None:
                host.actor.update.remote(changes)

    def look(self, name: str, privacy: str) -> tuple[FrameResult, bytes] | None:
        """Have a camera's pictures travel for a while, and the newest that has: its result and a JPEG. From any thread.

        Args:
            name: Of the camera.
            privacy: The mode in which it is shown.
        """
        self._looked[name] = time.monotonic(), privacy
        found = self._pictures.get(name)
        if found is None or found[2] != privacy or time.monotonic() - (found[0].captured_at or 0.0) > LOOK_S:
            return None
        return found[0], found[1]

    def stop(self) -> None:
        """End after the results at hand. From any thread."""
        self._stopping = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping = True
        self._stats.end(error)
        try:
            self._outputs.finish(self._stats.record(0), error)
        finally:
            self._end()

    def _end(self) -> None:
        """Close the cameras, and give the nodes back."""
        actors: Sequence[Any] = [host.actor for host in self._hosts if host.actor is not None]
        ended = [actor.stop.remote() for actor in actors]
        self._ray.wait(ended, num_returns=len(ended), timeout=10.0)
        for actor in actors:
            self._ray.kill(actor)
