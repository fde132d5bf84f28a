"""What a network is for, as the registry names it."""

from __future__ import annotations

ENGINE, SMALL_ENGINE = "engine", "small-engine"
"""Roles of the multi-task networks: that of the whole job, and that for smaller crops."""
