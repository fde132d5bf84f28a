"""As much of Ray as cameras need, in this process: actors are objects, calls threads, nodes names.

It says nothing of Ray; tests of that have a cluster. With it what the head does is tested in seconds, and without Ray.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from types import ModuleType
from typing import Any

import pytest

from rtface.cluster import cameras, group


class RayActorError(Exception):
    """As Ray's."""


class ActorDiedError(RayActorError):
    """As Ray's."""


class RayTaskError(Exception):
    """As Ray's."""

    cause = ""


class FakeActor:
    """An actor, which Ray begins again where there is room."""

    def __init__(self, ray: FakeRay, make: Callable[[], Any], name: str) -> None:
        self.name, self.node = name, ""
        self._ray, self._make = ray, make
        self._pool = ThreadPoolExecutor(8)
        self.object: Any = None

    def begin(self, node: str) -> None:
        self.node = self._ray.making = node
        self.object = self._make()

    def die(self) -> None:
        dead, self.object = self.object, None
        if dead is not None:
            dead.stop()

    def __getattr__(self, name: str) -> Any:
        return FakeMethod(self, name)

    def call(self, name: str, args: Sequence[Any]) -> Future[Any]:
        def work() -> Any:
            called = self.object
            if called is None:
                raise RayActorError(f"{self.name} does not answer")
            answer = getattr(called, name)(*args)
            if self.object is not called:
                raise RayActorError(f"{self.name} died meanwhile")
            return answer

        return self._pool.submit(work)


class FakeMethod:
    """A method of an actor."""

    def __init__(self, actor: FakeActor, name: str) -> None:
        self._actor, self._name = actor, name

    def remote(self, *args: Any) -> Future[Any]:
        return self._actor.call(self._name, args)


class FakeRay:
    """A cluster with room for so many actors on each of its nodes.

    Args:
        nodes: Name → how many actors it has room for.
    """

    def __init__(self, nodes: dict[str, int]) -> None:
        self.nodes, self.actors, self.making = dict(nodes), list[FakeActor](), ""
        self._waiting: list[FakeActor] = []

    # What the head calls.

    def remote(self, made: Any) -> Any:
        ray = self

        class Class:
            def options(self, **how: Any) -> Class:
                self.name = how["name"]
                return self

            def remote(self, *args: Any) -> FakeActor:
                actor = FakeActor(ray, lambda: made(*args), self.name)
                ray.actors.append(actor)
                ray.place(actor)
                return actor

        return Class()

    def wait(self, refs: Sequence[Future[Any]], num_returns: int = 1, timeout: float | None = None) -> Any:
        done, rest = wait(refs, timeout, FIRST_COMPLETED)
        return list(done), list(rest)

    def get(self, ref: Future[Any]) -> Any:
        return ref.result()

    def kill(self, actor: FakeActor, no_restart: bool = True) -> None:
        actor.die()
        if no_restart:
            self.actors.remove(actor)
        else:
            actor.begin(actor.node)

    # What happens to it.

    def place(self, actor: FakeActor) -> None:
        """On the node with the most room; it waits where none has any."""
        room = {name: most - sum(one.node == name for one in self.actors) for name, most in self.nodes.items()}
        best = max(room, key=lambda name: room[name], default="")
        if best and room[best] > 0:
            actor.begin(best)
        else:
            self._waiting.append(actor)

    def lose(self, node: str) -> None:
        """A node dies; its actors are begun again elsewhere, if there is room."""
        del self.nodes[node]
        dead = [actor for actor in self.actors if actor.node == node]
        for actor in dead:
            actor.node = ""
            actor.die()
        for actor in dead:
            self.place(actor)

    def add(self, node: str, room: int) -> None:
        """A further node."""
        self.nodes[node] = room
        for actor in self._waiting[:]:
            self._waiting.remove(actor)
            self.place(actor)


def faked(monkeypatch: pytest.MonkeyPatch, **nodes: int) -> FakeRay:
    """Put one in Ray's place."""
    ray, module, exceptions = FakeRay(nodes), ModuleType("ray"), ModuleType("ray.exceptions")
    for error in (RayActorError, ActorDiedError, RayTaskError):
        setattr(exceptions, error.__name__, error)
    monkeypatch.setitem(sys.modules, "ray", module)
    monkeypatch.setitem(sys.modules, "ray.exceptions", exceptions)
    monkeypatch.setattr(cameras, "connected", lambda address: ray)
    monkeypatch.setattr(group, "_node_name", lambda: ray.making)
    return ray
