"""The options of the pipeline: one frozen object, from flags, RTFACE_* variables or a TOML file."""

from __future__ import annotations

import math
import os
import textwrap
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rtface import option_rules as rules
from rtface.audience.rules import AudienceOptions
from rtface.errors import OptionError, unknown
from rtface.labels import ALL_TASKS, TASKS
from rtface.option_rules import keep_by_rules, option
from rtface.system.paths import expanded
from rtface.system.toml import read_toml

ENV_PREFIX = "RTFACE_"
#: Variables with our prefix that are not options.
ENV_OTHER = frozenset(
    {"RTFACE_CONFIG", "RTFACE_DEBUG", "RTFACE_MQTT_PASSWORD", "RTFACE_TOKEN", "RTFACE_WEBHOOK_SECRET"}
)

ENGINES: tuple[str, ...] = ("auto", "onnx", "openvino", "trt", "onnx-cuda", "onnx-trt")
PRIVACY: tuple[str, ...] = ("full", "blur", "aggregate")
PRECISIONS: tuple[str, ...] = ("fp32", "fp16", "int8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the pipeline does, and how hard it tries.

    Use this when the defaults do not do: it goes to `analyze`, `live`, `run`, `frames` and `Analyzer` alike.

    Each option has a flag or ``--set NAME=VALUE``, a variable ``RTFACE_NAME``, and a key in the TOML file of
    ``--config``, in this order of precedence (`Options.load`). In Python they are keywords.

    Raises:
        OptionError: A value is not what its option takes.

    Example:
        >>> from rtface import Options
        >>> Options(max_faces=2, tasks="pose").tasks
        ('pose',)
    """

    tasks: tuple[str, ...] = option(
        TASKS,
        rules.task_names,
        "Which of landmarks, parsing, emotion, pose, mesh, expression, gaze to work out; by default the first four; "
        "all = every one, none = detection only.",
        metavar="TASKS",
        choices=(*ALL_TASKS, "all"),
    )
    max_faces: int = option(
        8,
        rules.number(1, 1024, whole=True),
        "Most faces analysed in a frame of a stream (1..1024), best score first.",
        metavar="N",
    )
    still_max_faces: int = option(
        256,
        rules.number(1, 1024, whole=True),
        "Most faces analysed in a still (1..1024).",
        flag="--max-faces",
        metavar="N",
    )
    detect_every_ms: float = option(
        300.0,
        rules.number(0, math.inf, whole=False),
        "Longest time between two runs of the detector in a stream, four times that while `max_faces` are "
        "followed; 0 = on every frame.",
    )
    detect_width: int = option(
        320,
        rules.multiple(32, 64, 4096),  # of the network's largest stride: what lies between costs as much and shows less
        "Longer side in px at which the detector sees a frame of a stream: a multiple of 32 (64..4096).",
    )
    still_width: int = option(
        640,
        rules.multiple(32, 64, 4096),
        "Longer side in px at which the detector sees a still: a multiple of 32 (64..4096).",
    )
    score_threshold: float = option(
        0.44,
        rules.number(0, 1, whole=False),
        "Detections below this score (0..1) are not faces, in a stream.",
    )
    still_score_threshold: float = option(
        0.36,
        rules.number(0, 1, whole=False),
        "Detections below this score (0..1) are not faces, in a still, where no track outlives a false one.",
    )
    still_min_confidence: float = option(
        0.19,
        rules.number(0, 1, whole=False),
        "Nor is what has score times quality to the power of 0.35 below this, in a still: the engine has looked too.",
        was="still_trust",
    )
    nms_iou: float = option(
        0.5,
        rules.number(0, 1, whole=False),
        "Of two boxes that overlap by more than this IoU (0..1) the better is kept.",
    )
    min_face_px: int = option(
        16,
        rules.number(1, 4096, whole=True),
        "Smaller faces (longer side, px) are left out.",
    )
    iterations: int = option(
        0,
        rules.number(0, 2, whole=True),
        "Rounds of interaction between the tasks in the engine (0, 1 or 2; more is slower).",
    )
    still_refine: int = option(
        2,
        rules.number(1, 2, whole=True),
        "Passes of the engine over a still (1 or 2): the second on a crop cut from the first's landmarks.",
        was="still_passes",
    )
    still_tta: int = option(
        4,
        rules.number(1, 4, whole=True),
        "Looks of a still's last pass (1, 2 or 4): also its mirror image, also two closer ones.",
        was="still_looks",
    )
    still_parsing: str = option(
        "wide",
        rules.one_of("wide", "crop"),
        'How far a still\'s label map goes: "wide", a second look half as wide again, for hair, neck and clothes; '
        '"crop", to the end of the face\'s crop.',
        choices=("wide", "crop"),
    )
    detector: str = option(
        "mos",
        rules.one_of("mos", "mediapipe"),
        '"mos", the one that ships; "mediapipe" is refused with what to do instead.',
        metavar="NAME",
    )
    engine: str = option(
        "auto",
        rules.one_of(*ENGINES),
        'What runs the networks: "onnx" (ONNX Runtime on the CPU), "openvino", "trt" (TensorRT or '
        'TensorRT-RTX), "onnx-cuda" and "onnx-trt" (ONNX Runtime\'s GPU providers), or "auto", the fastest '
        "that was measured here.",
        metavar="NAME",
        choices=ENGINES,
    )
    precision: str = option(
        "auto",
        rules.one_of("auto", *PRECISIONS),
        '"fp32", "fp16", "int8", or "auto": on a GPU fp16, on a CPU int8 where it computes it fast (VNNI).',
        metavar="NAME",
        choices=("auto", *PRECISIONS),
    )
    enhance: bool = option(
        False,
        rules.switch,
        "Super-resolve faces under 36 px (longer side) before the engine looks at them (`rtface.tasks.enhance`).",
    )
    smooth: bool = option(
        False,
        rules.switch,
        "Smooth landmarks, pose and emotion along a track.",
    )
    budget_ms: float | None = option(
        None,
        rules.maybe(rules.budget),
        "Milliseconds from grab to result in a live stream, e.g. 33 or 33ms; None = no deadline.",
        flag="--budget",
        metavar="TIME",
    )
    level: int | None = option(
        None,
        rules.maybe(rules.number(0, 99, whole=True)),
        "Quality level to stay at (0 = full; `Analyzer.describe` names them); None = as the budget demands.",
        metavar="N",
    )
    max_level: int | None = option(
        None,
        rules.maybe(rules.number(0, 99, whole=True)),
        "Lowest level (the highest number) that a missed budget may lead to; None = the last.",
        metavar="N",
        was="floor",
    )
    priority: tuple[str, ...] = option(
        (),
        rules.priority,
        "Tasks that matter most, first; what is given up first follows from it (`rtface.budget.levels`).",
        metavar="TASKS",
        choices=ALL_TASKS,
    )
    camera_size: tuple[int, int] | None = option(
        None,
        rules.maybe(rules.size),
        'Width and height in px that a camera is asked for, "1280x720"; None = as it comes.',
        flag="--size",
        metavar="WxH",
    )
    camera_fps: float | None = option(
        None,
        rules.maybe(rules.number(0.1, 1000, whole=False)),
        "Frames per second that a camera is asked for; None = as it comes.",
        flag="--fps",
        metavar="N",
    )
    camera_fourcc: str | None = option(
        None,
        rules.maybe(rules.fourcc),
        'How a camera shall send its pictures, such as "MJPG": USB carries 1080p at 30 fps only so.',
        flag="--fourcc",
        metavar="CODE",
    )
    rotate: int = option(
        0,
        rules.turn,
        "Degrees clockwise by which every picture is turned: 0, 90, 180 or 270.",
        metavar="DEGREES",
    )
    mirror: bool = option(
        False,
        rules.switch,
        "Mirror every picture, left for right, after it was turned.",
    )
    hwaccel: str = option(
        "none",
        rules.one_of("none", "auto", "cuda", "qsv", "videotoolbox", "d3d11va", "vaapi", "amf"),
        "What decodes the frames of video files: the CPU, a device by name, or the first that is here.",
    )
    wait: bool = option(
        False,
        rules.switch,
        "Wait for a camera or stream that is not there at the start.",
    )
    loop: bool = option(
        False,
        rules.switch,
        "Begin a file again when it has ended.",
    )
    reconnect_s: float | None = option(
        None,
        rules.maybe(rules.number(0, math.inf, whole=False)),
        "How long a camera or stream that is lost is tried again, in s; 0 = not at all, None = for ever.",
    )
    threads: int | None = option(
        None,
        rules.maybe(rules.number(1, 64, whole=True)),
        "Threads of the inference engine (1..64); None = chosen for the machine.",
        metavar="N",
    )
    models_dir: str | None = option(
        None,
        rules.maybe(rules.folder),
        "Folder with other models and their registry.toml; None = the ones that ship.",
        metavar="DIR",
    )
    profile: str | None = option(
        None,
        rules.maybe(rules.name),
        "Build profile whose TensorRT plans run, by name or .toml file; None = that of the machine's kind.",
        metavar="NAME",
    )
    audience: bool = option(
        False,
        rules.switch,
        "Make events of who comes, looks, smiles and leaves (`rtface.Audience`), in records and all outputs.",
    )
    audience_rules: AudienceOptions = option(
        rule=rules.audience_rules,
        text="What counts as a visit, a look, a smile: an `AudienceOptions`, a table of its values, or text "
        'such as "grace_s=5,camera_offset_cm=0/25".',
        factory=AudienceOptions,
    )
    privacy: str = option(
        "full",
        rules.one_of(*PRIVACY),
        'What leaves the process: "full"; "blur", pictures with faces blurred; "aggregate", only windows '
        "of many visits (`docs/privacy.md`).",
        metavar="MODE",
        choices=PRIVACY,
    )
    calibration_dir: str | None = option(
        None,
        rules.maybe(rules.folder),
        "Folder with int8 ranges and gates, from `rtface calibrate`; None = the ones that ship.",
    )

    def __post_init__(self) -> None:
        keep_by_rules(self)
        if self.level is not None and self.max_level is not None and self.level > self.max_level:
            mend = "Leave one of them out: a fixed level does not move"
            raise OptionError("level", f"{self.level} lies beyond max_level {self.max_level}", mend)
        if self.iterations and set(self.tasks) - set(TASKS):
            more = ", ".join(task for task in self.tasks if task not in TASKS)
            why = f"expected 0 with the tasks mesh, expression and gaze, got {self.iterations} with {more}"
            mend = f"Leave iterations out (no network has rounds of interaction and these tasks), or leave {more} out"
            raise OptionError("iterations", why, mend)

    @classmethod
    def load(
        cls, toml_path: str | Path | None = None, env: Mapping[str, str] | None = None, **overrides: Any
    ) -> Options:
        """Options from a flag, else an RTFACE_* variable, else the TOML file, else the default.

        Args:
            toml_path: File with the options at its top level or in a table ``[rtface]``; RTFACE_CONFIG names one too.
            env: Where RTFACE_MAX_FACES and the like are looked up; None = the process's environment.
            **overrides: Options by name; None = not given.

        Raises:
            OptionError: An option is unknown, a value is wrong, or the file cannot be read.
        """
        env = os.environ if env is None else env
        toml_path = toml_path or env.get("RTFACE_CONFIG")
        values = _renamed(_from_toml(expanded(toml_path))) if toml_path else {}
        values.update(_renamed(_from_env(env)))
        values.update(_renamed({name: value for name, value in overrides.items() if value is not None}))
        for name in values:
            if name not in OPTIONS:
                raise unknown("option", name, OPTIONS, OptionError)
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """By name, as in a run's header: renamed ones under their old name too, for one release."""
        values = asdict(self)
        return values | {old: values[name] for old, name in RENAMED.items()}


OPTIONS = {one.name: one for one in fields(Options)}
"""Every option by name; its `metadata` holds what `rtface.option_rules.option` was told."""

RENAMED: dict[str, str] = {one.metadata["was"]: name for name, one in OPTIONS.items() if one.metadata["was"]}
"""Names of the last release → names now."""


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values under today's names; an old name is said once, and goes before nothing."""
    now = {name: value for name, value in values.items() if name not in RENAMED}
    for old in values.keys() & RENAMED.keys():
        warnings.warn(f"the option {old} is called {RENAMED[old]} now", DeprecationWarning, stacklevel=3)
        now[RENAMED[old]] = values[old]
    return now


def _understand_old_names() -> None:
    """`Options(floor=2)` and `options.floor` for one release more; type checkers know only today's names."""
    init = Options.__init__

    def renamed_init(self: Options, **given: Any) -> None:
        init(self, **(_renamed(given) if given.keys() & RENAMED.keys() else given))

    def old(name: str) -> property:
        return property(lambda self: getattr(self, RENAMED[name]), doc=f"Called {RENAMED[name]} now.")

    Options.__init__ = renamed_init  # type: ignore[method-assign]
    for name in RENAMED:
        setattr(Options, name, old(name))


def _reference() -> str:
    lines = []
    for name, one in OPTIONS.items():
        text = f"{name}: {one.metadata['text']}"
        lines += textwrap.wrap(text, 110, initial_indent=" " * 8, subsequent_indent=" " * 12)
    return "Attributes:\n" + "\n".join(lines) + "\n\n    Raises:"


_understand_old_names()
Options.__doc__ = (Options.__doc__ or "").replace("Raises:", _reference(), 1)


def _from_toml(path: Path) -> dict[str, Any]:
    content = read_toml(path)
    table = content.get("rtface", content)
    if not isinstance(table, dict):
        raise OptionError(str(path), "expected a table [rtface]", "Write the options below a line [rtface]")
    return dict(table)


def _from_env(env: Mapping[str, str]) -> dict[str, Any]:
    values = {
        key.removeprefix(ENV_PREFIX).lower(): value
        for key, value in env.items()
        if key.startswith(ENV_PREFIX) and key not in ENV_OTHER
    }
    for name in values.keys() - OPTIONS.keys() - RENAMED.keys():
        # Not an error: another program, or a newer rtface, may have set it.
        near = get_close_matches(name, OPTIONS, n=1)
        mean = f"; did you mean {ENV_PREFIX}{near[0].upper()}?" if near else ""
        warnings.warn(f"{ENV_PREFIX}{name.upper()} is no option and left out{mean}", stacklevel=3)
        del values[name]
    return values
