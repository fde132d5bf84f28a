"""Cameras on many machines: groups of them in actors that Ray places, and begins again elsewhere when a node dies."""

from __future__ import annotations

import pickle
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from rtface.cameras.cameras import check_shared
from rtface.capture.named import NamedSource, name_for, named, read_cameras
from rtface.capture.source import Source
from rtface.cluster.connection import LOCAL, connected
from rtface.cluster.group import Batch, CameraGroup, at_head
from rtface.errors import UsageError
from rtface.labels import EMOTIONS, PARSING_CLASSES
from rtface.options import Options
from rtface.outputs import records
from rtface.outputs.fanout import Fanout
from rtface.outputs.open import choose, is_for_each_camera
from rtface.outputs.sink import RunInfo, Sink
from rtface.outputs.summary import RunStats
from rtface.stream import Output
from rtface.system.clock import SystemClock, utc_now
from rtface.types import Event, FrameResult, utc_text
from rtface.version import __version__

TAKE_S = 0.2
"""A group that has nothing to tell answers after so long."""

AGAIN_S = 0.5
"""Between two questions to a group that does not answer: its node is gone, or it is being begun again."""

PATIENCE_S = 60.0
"""A group that has not answered for so long is taken down and placed again."""


@dataclass(frozen=True, slots=True)
class Placement:
    """What a group of cameras takes of a node.

    Attributes:
        cameras: In a group: they share networks, and the fate of a node.
        cpus, gpus: That Ray sets aside for the group; threads of the networks follow from `cpus`.
        labels: That the node must have (``ray start --labels site=hall``): for cameras that only some nodes reach.
    """

    cameras: int = 4
    cpus: float = 1.0
    gpus: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Group:
    """A group as the head sees it."""

    number: int
    sources: tuple[NamedSource, ...]
    actor: Any = None
    asked: Any = None
    due_at: float = 0.0
    node: str = ""
    lost_at: float | None = None
    answers: bool = True
    returning: set[str] = field(default_factory=set)
    died_on: str = ""


class ClusterCameras:
    """Results of cameras on many machines as they come. A context manager; iterate over it.

    Use this when one machine has too many cameras, or must be allowed to die. A group is a named actor
    (``rtface-cameras-…``) with ``max_restarts`` without an end: when its node dies, Ray begins it again where there is
    room. Its cameras then have an event "source_lost", with the first result after it "source_back", and where that is
    on another node "camera_moved"; each with how long they were away.

    One thread iterates; `stop`, `enable` and `update` may be called from any. Pictures stay on their nodes: results
    have black ones.

    Args:
        sources: As for `rtface.cameras.Cameras`; they are opened where their group is.
        file: TOML that lists cameras, beside `sources`.
        options: Of the analysis.
        address: Of the Ray cluster (`rtface.cluster.connection.connected`).
        placement: What a group takes.
        outputs: Take the results of all cameras, here.
        overwrite: Whether outputs that are there may be replaced.
        on_event: Called with what happens to cameras, in the thread that iterates.

    Attributes:
        run: What tells this run's actors from others'.

    Raises:
        UsageError: There is no camera, a name is taken, or an output is for each camera.

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
        listed = [*map(named, sources), *(read_cameras(Path(file)) if file is not None else ())]
        self._sources: list[NamedSource] = []
        for one in listed:
            self._sources.append(replace(one, name=name_for(one, [other.name for other in self._sources])))
        if not self._sources:
            raise UsageError("cameras", "there is none", "Name some, or --cameras cameras.toml")
        self._listed = frozenset() if file is None else frozenset(one.name for one in read_cameras(Path(file)))
        self._outputs, self._overwrite = tuple(outputs), overwrite
        for output in self._outputs:
            if not isinstance(output, Sink) and is_for_each_camera(output):
                raise UsageError(str(output), "of a cluster outputs take all cameras", "Leave {camera} out of its name")
        self._placement = placement or Placement()
        options = options or Options.load()
        self._options = replace(options, threads=options.threads or max(1, int(self._placement.cpus)))
        self._address, self._on_event = address, on_event
        self._stats = RunStats(SystemClock())
        self._ready: deque[FrameResult] = deque()
        self._off: set[str] = set()
        self._changes: dict[str, Any] = {}
        self.run, self._stopping = uuid.uuid4().hex[:8], False
        size = max(1, self._placement.cameras)
        parts = [self._sources[at : at + size] for at in range(0, len(self._sources), size)]
        self._groups = [_Group(number, tuple(part)) for number, part in enumerate(parts)]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the cameras."""
        return tuple(one.name for one in self._sources)

    @property
    def listed(self) -> tuple[str, ...]:
        """Of the cameras that the file lists."""
        return tuple(name for name in self.names if name in self._listed)

    @property
    def nodes(self) -> dict[str, str]:
        """Camera → the beginning of the id of the node that it was on last; empty = it has not told yet."""
        return {one.name: group.node for group in self._groups for one in group.sources}

    def __enter__(self) -> ClusterCameras:
        sinks = choose(self._outputs, source="cameras", overwrite=self._overwrite)
        check_shared(sinks)
        self._ray = connected(self._address)
        self._fanout = Fanout(sinks, self._run_info(), live=True, privacy=self._options.privacy, many_cameras=True)
        self._stats.start()
        for group in self._groups:
            self._begin(group)
        return self

    def _run_info(self) -> RunInfo:
        header = records.header_record(
            version=__version__,
            source={"name": "cameras", "cameras": list(self.names), "fps": None, "frame_count": None},
            analyzer={"models": {}, "cluster": self._address, "groups": len(self._groups)},
            options=self._options.to_dict(),
            emotions=EMOTIONS,
            parsing_classes=PARSING_CLASSES,
            started_at=utc_text(utc_now()),
        )
        return RunInfo("cameras", True, False, None, None, header, self._note)

    def _begin(self, group: _Group) -> None:
        """Have Ray place a group; it may wait for room."""
        place = self._placement
        options: dict[str, Any] = {
            "name": f"rtface-cameras-{self.run}-{group.number}",
            "scheduling_strategy": "SPREAD",
            "num_cpus": place.cpus,
            "num_gpus": place.gpus,
            "max_restarts": -1,
            "max_task_retries": 0,  # what it would have told then is old
            "max_concurrency": 4,
        }
        if place.labels:
            options["label_selector"] = dict(place.labels)
        given = pickle.dumps((group.sources, self._options))
        group.actor = self._ray.remote(CameraGroup).options(**options).remote(given, __version__)
        self._ask(group)

    def _ask(self, group: _Group) -> None:
        group.asked = group.actor.take.remote(TAKE_S)

    def __iter__(self) -> Iterator[FrameResult]:
        return self

    def __next__(self) -> FrameResult:
        """
        Raises:
            UsageError: A node has another version of rtface.
        OutputError: An output failed.
        """
        while not self._stopping:
            if self._ready:
                result = self._ready.popleft()
                self._stats.add(result)
                self._fanout.put(result)
                return result
            self._look_after()
            self._fanout.idle()
        raise StopIteration

    def _look_after(self) -> None:
        """Hear those groups that have answered, and ask again those whose pause is over."""
        now = time.monotonic()
        for group in self._groups:
            if group.asked is None and now >= group.due_at:
                self._ask(group)
        asked = {group.asked: group for group in self._groups if group.asked is not None}
        if not asked:
            time.sleep(AGAIN_S / 10)
            return
        answered, _ = self._ray.wait(list(asked), num_returns=1, timeout=TAKE_S)
        for one in answered:
            group = asked[one]
            group.asked = None
            self._hear(group, one)

    def _hear(self, group: _Group, answer: Any) -> None:
        from ray.exceptions import ActorDiedError, RayActorError, RayTaskError

        try:
            batch: Batch = self._ray.get(answer)
        except ActorDiedError as error:
            if "UsageError" in str(error):
                raise UsageError("a node of the cluster", "refused", "Install the same rtface on all nodes") from error
            self._lose(group, "its machine is gone")
        except (RayActorError, RayTaskError):
            self._lose(group, "its machine is gone")
        else:
            self._take(group, batch)
            self._ask(group)

    def _lose(self, group: _Group, why: str) -> None:
        """It does not answer: said once, and asked again after a pause. Ray sees to its being begun again."""
        now = time.monotonic()
        group.due_at = now + AGAIN_S
        if not group.answers:
            if group.lost_at is not None and now - group.lost_at > PATIENCE_S:
                self._ray.kill(group.actor)  # Ray has given it up, or never had room: once more from the start
                self._begin(group)
                group.lost_at = now
            return
        group.lost_at, group.died_on, group.answers = now, group.node, False
        group.returning = {one.name for one in group.sources}
        for one in group.sources:
            self._note(Event("source_lost", now, why, camera=one.name))

    def _take(self, group: _Group, batch: Batch) -> None:
        now = time.monotonic()
        if not group.answers:  # begun again by Ray, as it was at first: what was changed meanwhile stays so
            if self._changes:
                group.actor.update.remote(self._changes)
            for name in self._off & {one.name for one in group.sources}:
                group.actor.enable.remote(name, False)
        group.node, group.answers = batch.node, True
        results, events = at_head(batch, now)
        for event in events:
            self._note(event)
        for result in results:
            if result.camera in self._off:
                continue  # it was on its way
            if result.camera in group.returning:
                self._back(group, result.camera, now)
            self._ready.append(result)
        if batch.error is not None:
            for one in group.sources:
                self._note(Event("camera_failed", now, batch.error, camera=one.name))
            self._ray.kill(group.actor, no_restart=False)
            group.due_at = now + 10 * AGAIN_S

    def _back(self, group: _Group, camera: str, now: float) -> None:
        assert group.lost_at is not None
        group.returning.discard(camera)
        away_s = now - group.lost_at
        self._note(Event("source_back", now, "", duration_s=away_s, camera=camera))
        if group.node != group.died_on:
            moved = f"from node {group.died_on} to {group.node}"
            self._note(Event("camera_moved", now, moved, duration_s=away_s, camera=camera))
        if not group.returning:
            group.lost_at = None

    def _note(self, event: Event) -> None:
        self._stats.add_event(event)
        if self._on_event is not None:
            self._on_event(event)

    def enable(self, name: str, on: bool) -> None:
        """Switch a camera off, or on again. From any thread.

        Raises:
            UsageError: There is none of that name.
        """
        for group in self._groups:
            if any(one.name == name for one in group.sources):
                (self._off.discard if on else self._off.add)(name)
                group.actor.enable.remote(name, on)
                return
        raise UsageError(name, "is no camera of this run", f"Its cameras are: {', '.join(self.names)}")

    def update(self, **changes: Any) -> None:
        """Go on with another budget, or other tasks. From any thread.

        Raises:
            OptionError: A value is none.
        """
        self._options = replace(self._options, **changes)
        self._changes |= changes
        for group in self._groups:
            group.actor.update.remote(changes)

    def stop(self) -> None:
        """End after the results at hand. From any thread."""
        self._stopping = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping = True
        self._stats.end(error)
        try:
            self._fanout.finish(self._stats.record(0))
        finally:
            self._end()

    def _end(self) -> None:
        """Close the cameras, and give the nodes back."""
        actors: Sequence[Any] = [group.actor for group in self._groups if group.actor is not None]
        ended = [actor.stop.remote() for actor in actors]
        self._ray.wait(ended, num_returns=len(ended), timeout=10.0)
        for actor in actors:
            self._ray.kill(actor)
