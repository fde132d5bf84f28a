"""What a network is for, as the registry names it."""

from __future__ import annotations

DETECTOR, ENGINE, SMALL_ENGINE, ENHANCER = "detector", "engine", "small-engine", "enhancer"
"""`engine` is the multi-task network, `small-engine` the same for smaller crops, a rung of the quality ladder."""
