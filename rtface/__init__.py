"""Real-time face understanding: boxes, 68 landmarks, 19-class parsing, emotion and head pose.

     camera / file / rtsp
            │  capture/   a thread stamps each frame at grab; a one-slot mailbox keeps only the newest
            ▼
         Frame ──► detect/  boxes, 5 points, head pose (every k-th frame)
            │      track/   stable ids; between detections the crop follows the last landmarks
            ▼
         crops ──► engine/  one multi-task network, all faces in one batch
            ▼
       tensors ──► tasks/   landmarks · parsing · emotion · head pose → typed results
            ▼
       results ──► smooth/  optional, per track, in seconds
            ▼
     FrameResult ─► outputs/ window, jsonl, mp4

     budget/ decides, before each stage, whether it still fits the frame's deadline

Names are imported when first used, so ``import rtface`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from rtface.version import __version__ as __version__

if TYPE_CHECKING:
    from rtface.analyzer import Analyzer
    from rtface.api import analyze, live, run
    from rtface.drawing import draw
    from rtface.errors import (
        BudgetMissed,
        EngineError,
        InputError,
        ModelError,
        OptionError,
        OutputError,
        RtfaceError,
        SourceError,
        UsageError,
    )
    from rtface.labels import EMOTIONS, PARSING_CLASSES, TASKS
    from rtface.options import Options
    from rtface.types import Emotion, Face, Frame, FrameResult, HeadPose, Landmarks, Parsing, Timing

_HOMES = {
    "analyzer": ("Analyzer",),
    "api": ("analyze", "live", "run"),
    "drawing": ("draw",),
    "errors": (
        "BudgetMissed",
        "EngineError",
        "InputError",
        "ModelError",
        "OptionError",
        "OutputError",
        "RtfaceError",
        "SourceError",
        "UsageError",
    ),
    "labels": ("EMOTIONS", "PARSING_CLASSES", "TASKS"),
    "options": ("Options",),
    "types": (
        "Emotion",
        "Event",
        "Face",
        "Frame",
        "FrameResult",
        "HeadPose",
        "Landmarks",
        "Parsing",
        "Timing",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "EMOTIONS",
    "PARSING_CLASSES",
    "TASKS",
    "Analyzer",
    "BudgetMissed",
    "Emotion",
    "EngineError",
    "Face",
    "Frame",
    "FrameResult",
    "HeadPose",
    "InputError",
    "Landmarks",
    "ModelError",
    "OptionError",
    "Options",
    "OutputError",
    "Parsing",
    "RtfaceError",
    "SourceError",
    "Timing",
    "UsageError",
    "analyze",
    "draw",
    "live",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'rtface' has no attribute {name!r}")
    value = getattr(import_module(f"rtface.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
