"""The networks that ship with rtface, and what is known of each: `registry.toml` beside the ONNX files."""

from rtface.models.registry import (
    PACKAGE_DIR,
    Metric,
    ModelEntry,
    available,
    card,
    entries,
    entry,
    find,
    load,
    read_network,
    verify,
)

__all__ = [
    "PACKAGE_DIR",
    "Metric",
    "ModelEntry",
    "available",
    "card",
    "entries",
    "entry",
    "find",
    "load",
    "read_network",
    "verify",
]
