"""The actors that cameras live in, as the machine that gathers their results sees them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rtface.capture.named import NamedSource
from rtface.cluster.group import CameraGroup, NodeClock, packed
from rtface.options import Options
from rtface.version import __version__

TAKE_S = 0.2
"""A group that has nothing to tell answers after so long."""


@dataclass(frozen=True, slots=True)
class Placement:
    """What a group of cameras takes of a node.

    Attributes:
        cameras: In a group: they share networks, and the fate of a node.
        cpus, gpus: That Ray sets aside for the group; threads of the networks follow from `cpus`.
        labels: That the node must have (``ray start --labels site=hall``): for cameras that only some nodes reach.
        spares: Actors that stand by, each with a group's share of a node and its networks open. They take over from one
            that dies at once; to begin another takes Ray as long as Python and the networks need to start.
    """

    cameras: int = 4
    cpus: float = 1.0
    gpus: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    spares: int = 1


@dataclass(slots=True, eq=False)
class Group:
    """Cameras that live together.

    Attributes:
        host: Where they are.
        cameras: By name.
        lost_at: When their host fell silent, monotonic seconds; None = all are back.
        died_on: The node that they were on then.
        returning: Those that have given no result since.
    """

    host: Host
    cameras: dict[str, NamedSource]
    lost_at: float | None = None
    died_on: str = ""
    returning: set[str] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Host:
    """An actor, with the cameras of a group or none.

    Attributes:
        number: Of the actor: a part of its name.
        actor: Ray's handle.
        asked: The answer that is awaited; None = it is asked again at `due_at`.
        node: The beginning of the id of the node that it was on last.
        clock: Of that node.
        answers: It has answered, and not failed since …
        ready: … and its networks are open.
        silent_since: Since when it does not answer.
        group: Whose cameras it has.
        list_number: Of the newest list of cameras for it.
        sending: That list on its way.
        refused: The number of a list that it could not take.
    """

    number: int
    actor: Any
    asked: Any = None
    due_at: float = 0.0
    node: str = ""
    clock: NodeClock = field(default_factory=NodeClock)
    answers: bool = False
    ready: bool = False
    silent_since: float | None = None
    group: Group | None = None
    list_number: int = 0
    sending: Any = None
    refused: int = 0

    def ask(self, looked_at: Mapping[str, str]) -> None:
        """What it has to tell, and pictures of cameras that somebody looks at."""
        mine = {} if self.group is None else self.group.cameras
        self.asked = self.actor.take.remote(TAKE_S, {name: how for name, how in looked_at.items() if name in mine})

    def send(self, changes: Mapping[str, Any], *, new: bool = True) -> None:
        """Tell it which cameras it has.

        Args:
            changes: Of the options, since it was begun.
            new: Something of the list has changed.
        """
        self.list_number += new
        cameras = [] if self.group is None else [packed(spec) for spec in self.group.cameras.values()]
        self.sending = self.actor.assign.remote(self.list_number, cameras, dict(changes))


def begin_actor(ray: Any, name: str, place: Placement, options: Options) -> Any:
    """Have Ray place an actor; it may wait for room."""
    how: dict[str, Any] = {
        "name": name,
        "scheduling_strategy": "SPREAD",
        "num_cpus": place.cpus,
        "num_gpus": place.gpus,
        "max_restarts": -1,
        "max_task_retries": 0,  # what it would have told then is old
        "max_concurrency": 8,
    }
    if place.labels:
        how["label_selector"] = dict(place.labels)
    return ray.remote(CameraGroup).options(**how).remote(pickle.dumps(options), place.cameras, __version__)
