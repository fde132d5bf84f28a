"""What a network is for, as the registry names it."""

from __future__ import annotations

from collections.abc import Collection

from rtface.labels import MORE_TASKS

DETECTOR, ENGINE, SMALL_ENGINE, ENHANCER = "detector", "engine", "small-engine", "enhancer"
"""`engine` is the multi-task network, `small-engine` the same for smaller crops, a rung of the quality ladder."""

FULL_ENGINE, SMALL_FULL_ENGINE = "full-engine", "small-full-engine"
"""The multi-task network with mesh, expression and gaze beside its own answers, which are the same."""


def engine_role(tasks: Collection[str]) -> str:
    """Which multi-task network has answers to all these tasks, and no others that cost time."""
    return FULL_ENGINE if any(task in MORE_TASKS for task in tasks) else ENGINE
