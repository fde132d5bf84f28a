"""A Ray cluster of three nodes on this machine; tests that need one are left out where Ray is not installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def cluster() -> Iterator[Any]:
    """Three nodes of one CPU, the first of them the head; connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    pytest.importorskip("ray", reason="needs the extra ray: pip install 'rtface[ray]'")
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        for _ in range(2):
            made.add_node(num_cpus=1)
        ray.init(address=made.address, logging_level="error", log_to_driver=False)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def kill_a_node(cluster: Any) -> None:
    """One that is not the head, with all its processes, as a loss of power would."""
    node = next(node for node in cluster.list_all_nodes() if node is not cluster.head_node)
    cluster.remove_node(node, allow_graceful=False)
