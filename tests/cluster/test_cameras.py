"""Cameras on three nodes, of which one dies: the others go on, the orphans come back elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import numpy as np
import pytest

from rtface.capture.named import NamedSource
from rtface.cluster.actors import Placement
from rtface.cluster.cameras import ClusterCameras
from rtface.cluster.group import Batch, NodeClock, at_head
from rtface.errors import UsageError
from rtface.options import Options
from rtface.types import Event, Frame, FrameResult
from tests.cluster.simulated import SimulatedCamera

NAMES = [f"c{number}" for number in range(12)]
OPTIONS = Options(tasks=(), detect_width=64, threads=1)


def sources() -> list[NamedSource]:
    return [NamedSource(SimulatedCamera(name), name) for name in NAMES]


def test_no_camera_or_a_name_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="there is none"):
        ClusterCameras([])
    with pytest.raises(UsageError, match="names two cameras"):
        ClusterCameras(["a=demo", "a=0"])


def test_times_of_another_machine_become_this_ones() -> None:
    frame = Frame(np.zeros((0, 0, 3), np.uint8), 7, captured_at=99.5)
    result = FrameResult(frame, camera="door", events=(Event("smile", 99.0, ""),))
    batch = Batch([(result, (480, 640))], [Event("source_lost", 98.0, "")], now=100.0, node="n")
    (moved,), (event,) = at_head(batch, 900.0)
    assert (moved.frame.captured_at, moved.events[0].at, event.at) == (999.5, 999.0, 998.0)
    assert moved.frame.image.shape == (480, 640, 3) and not moved.frame.image.any()
    assert (moved.frame.index, moved.camera) == (7, "door")


def test_a_nodes_clock_is_told_by_what_came_quickest_of_late() -> None:
    def heard(ahead_s: float, now: float, took_s: float) -> float:
        return clock.ahead_s(Batch([], [], now=now - ahead_s - took_s, node="n"), now)

    clock = NodeClock()
    told = [heard(900.0, 1000.0 + second, took_s) for second, took_s in enumerate((0.2, 0.01, 0.5, 0.03))]
    assert told == pytest.approx([900.2, 900.01, 900.01, 900.01])
    told = [heard(960.0, 1020.0 + second, 0.01) for second in range(30)]  # the node was asleep for a minute
    assert told[0] == pytest.approx(900.01) and told[-1] == pytest.approx(960.01)


def test_when_a_node_dies_its_cameras_come_back_on_another_and_the_others_go_on(cluster: Any) -> None:
    cluster.add_node(num_cpus=1)  # where there is room for the orphans
    events: list[Event] = []
    seen: Counter[str] = Counter()
    with ClusterCameras(sources(), options=OPTIONS, address="auto", on_event=events.append) as cameras:
        results = iter(cameras)
        until(results, seen, lambda: len(seen) == len(NAMES))
        before = dict(cameras.nodes)
        assert len(set(before.values())) == 3  # spread
        victims = doom(cluster, before)
        seen.clear()
        until(results, seen, lambda: sum(event.kind == "source_lost" for event in events) >= len(victims))
        seen.clear()
        until(results, seen, lambda: sum(event.kind == "source_back" for event in events) >= len(victims))
        others = set(NAMES) - victims
        until(results, seen, lambda: others <= set(seen))  # orphans may be back before each had its turn
        after = dict(cameras.nodes)
        cameras.stop()
        assert list(results) == []
    assert {event.camera for event in events if event.kind == "source_lost"} == victims
    moved = {event.camera: event for event in events if event.kind == "camera_moved"}
    assert set(moved) == victims
    assert all(event.duration_s is not None and event.duration_s > 0 for event in moved.values())
    assert all(after[name] == before[name] for name in others) and all(after[name] != before[name] for name in victims)


def until(results: Any, seen: Counter[str], over: Any) -> None:
    end = time.monotonic() + 120.0
    while not over():
        seen[next(results).camera] += 1
        assert time.monotonic() < end, f"it does not come: {dict(seen)}"


def doom(cluster: Any, nodes: dict[str, str]) -> set[str]:
    """Kill a node with cameras, not the head; which those are."""
    for node in cluster.list_all_nodes():
        victims = {name for name, where in nodes.items() if node.node_id.startswith(where)}
        if victims and node is not cluster.head_node:
            cluster.remove_node(node, allow_graceful=False)
            return victims
    raise AssertionError(nodes)


def test_placement_reaches_ray(cluster: Any) -> None:
    cluster.add_node(num_cpus=1, labels={"site": "hall"})
    place = Placement(cameras=2, cpus=0.5, labels={"site": "hall"})
    with ClusterCameras(sources()[:2], options=OPTIONS, address="auto", placement=place) as cameras:
        next(cameras)
        (node,) = set(cameras.nodes.values())
        cameras.enable("c0", False)
        with pytest.raises(UsageError, match="is no camera of this run"):
            cameras.enable("c9", False)
        import ray

        (found,) = [one for one in ray.nodes() if one["NodeID"].startswith(node)]
        assert found["Labels"]["site"] == "hall"


def test_what_is_switched_off_stays_off_when_its_group_is_begun_again(cluster: Any) -> None:
    import ray

    events: list[Event] = []
    seen: Counter[str] = Counter()
    with ClusterCameras(sources()[:2], options=OPTIONS, address="auto", on_event=events.append) as cameras:
        results = iter(cameras)
        until(results, seen, lambda: len(seen) == 2)
        cameras.enable("c0", False)
        ray.kill(ray.get_actor(f"rtface-cameras-{cameras.run}-0"), no_restart=False)
        until(results, seen, lambda: any(event.kind == "source_back" and event.camera == "c1" for event in events))
        seen.clear()
        until(results, seen, lambda: seen["c1"] == 10)
        assert set(seen) == {"c1"}
