"""Joining a Ray cluster, or one on this machine alone."""

from __future__ import annotations

import logging
import os
import re
import socket
from typing import Any

from rtface.errors import UsageError, require
from rtface.version import __version__

LOCAL = "local"
"""The address of a cluster of this machine alone, which ends with the program."""

_ADDRESS = re.compile(r"local|auto|ray://\S+|[\w.\-]+:\d+|\[[0-9A-Fa-f:.]+\]:\d+")


def is_address(text: str) -> bool:
    """Whether a word is where a cluster may be: ``local``, ``auto``, ``ray://head:10001``, ``head:6379``."""
    return _ADDRESS.fullmatch(text) is not None


def connected(address: str, *, cpus: int | None = None) -> Any:
    """The module ``ray``, connected. What is connected already stays so.

    Ray's usage statistics are off, unless RAY_USAGE_STATS_ENABLED says otherwise.

    Args:
        address: As `is_address` takes it; "auto" finds the cluster that runs on this machine.
        cpus: Of a local cluster; None = the machine's.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a node's GPUs stay visible to who asks for none
    os.environ.setdefault("RAY_worker_niceness", "0")  # of a cluster begun here; by default everything else goes first
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what is wrong comes as an exception
    ray = require("ray", extra="ray")
    if ray.is_initialized():
        return ray
    _check_reachable(address)
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address == LOCAL:
            ray.init(address=LOCAL, num_cpus=cpus, include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise _nobody(address, error) from error
    return ray


def _check_reachable(address: str) -> None:
    """Ray itself tries for minutes.

    Raises:
        UsageError: Nothing listens there.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=5.0).close()
    except (OSError, OverflowError) as error:
        raise _nobody(address, error) from error


def _nobody(address: str, error: Exception) -> UsageError:
    why = f"no Ray cluster answers there ({' '.join(str(error).split())[:200]})"
    return UsageError(f"--ray {address}", why, "ray start --head starts one; --ray local needs none")


def check_version(version: str) -> None:
    """
    Raises:
        UsageError: This node has another rtface than the program that asks.
    """
    if version != __version__:
        why = f"has rtface {__version__}, and the program that asks has {version}"
        raise UsageError("a node of the cluster", why, "Install the same version on all nodes")
