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

from rtface.version import __version__ as __version__

TYPE_CHECKING = False  # what checkers take for typing's, which is not imported before it is needed
if TYPE_CHECKING:  # for type checkers and editors; a test compares it with _HOMES
    from typing import Any

    from rtface import errors as errors
    from rtface import labels as labels
    from rtface import options as options
    from rtface import testing as testing
    from rtface import types as types
    from rtface.analyzer import Analyzer as Analyzer
    from rtface.api import analyze as analyze
    from rtface.api import frames as frames
    from rtface.api import live as live
    from rtface.api import run as run
    from rtface.audience.events import Audience as Audience
    from rtface.audience.rules import AudienceOptions as AudienceOptions
    from rtface.audience.visits import Visit as Visit
    from rtface.cameras import Cameras as Cameras
    from rtface.capture.source import Source as Source
    from rtface.drawing import blur as blur
    from rtface.drawing import draw as draw
    from rtface.errors import BudgetMissed as BudgetMissed
    from rtface.errors import EngineError as EngineError
    from rtface.errors import InputError as InputError
    from rtface.errors import ModelError as ModelError
    from rtface.errors import OptionError as OptionError
    from rtface.errors import OutputError as OutputError
    from rtface.errors import RtfaceError as RtfaceError
    from rtface.errors import SourceError as SourceError
    from rtface.errors import UsageError as UsageError
    from rtface.labels import ALL_TASKS as ALL_TASKS
    from rtface.labels import BLENDSHAPES as BLENDSHAPES
    from rtface.labels import EMOTIONS as EMOTIONS
    from rtface.labels import PARSING_CLASSES as PARSING_CLASSES
    from rtface.labels import QUALITY_REASONS as QUALITY_REASONS
    from rtface.labels import TASKS as TASKS
    from rtface.options import Options as Options
    from rtface.outputs.sink import RunInfo as RunInfo
    from rtface.outputs.sink import Sink as Sink
    from rtface.stream import Stream as Stream
    from rtface.types import Emotion as Emotion
    from rtface.types import Event as Event
    from rtface.types import Expression as Expression
    from rtface.types import Face as Face
    from rtface.types import FaceMesh as FaceMesh
    from rtface.types import Frame as Frame
    from rtface.types import FrameResult as FrameResult
    from rtface.types import Gaze as Gaze
    from rtface.types import HeadPose as HeadPose
    from rtface.types import Landmarks as Landmarks
    from rtface.types import Parsing as Parsing
    from rtface.types import Skip as Skip
    from rtface.types import SkipReason as SkipReason
    from rtface.types import Timing as Timing

_HOMES = {
    "analyzer": "Analyzer",
    "api": "analyze frames live run",
    "audience.events": "Audience",
    "audience.rules": "AudienceOptions",
    "audience.visits": "Visit",
    "cameras": "Cameras",
    "capture.source": "Source",
    "drawing": "blur draw",
    "errors": "BudgetMissed EngineError InputError ModelError OptionError OutputError RtfaceError SourceError"
    " UsageError",
    "labels": "ALL_TASKS BLENDSHAPES EMOTIONS PARSING_CLASSES QUALITY_REASONS TASKS",
    "options": "Options",
    "outputs.sink": "RunInfo Sink",
    "stream": "Stream",
    "types": "Emotion Event Expression Face FaceMesh Frame FrameResult Gaze HeadPose Landmarks Parsing Skip SkipReason"
    " Timing",
}
"""The public names, by the module that they are in."""

_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
_MODULES = ("errors", "labels", "options", "testing", "types")

__all__ = sorted(_HOME_OF)


if not TYPE_CHECKING:  # a checker that sees it would take every name for one of ours, the misspelt ones too

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return import_module(f"rtface.{name}")
        if name not in _HOME_OF:
            raise AttributeError(f"module 'rtface' has no attribute {name!r}")
        value = getattr(import_module(f"rtface.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF, *_MODULES})
