"""The options of the pipeline: one frozen object, from flags, RTFACE_* variables or a TOML file."""

from __future__ import annotations

import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from rtface.audience.rules import AudienceOptions
from rtface.errors import InputError, OptionError, UsageError
from rtface.labels import TASKS
from rtface.system.paths import expanded

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

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

    Attributes:
        tasks: Which of landmarks, parsing, emotion, pose to work out.
        max_faces: Most faces analysed in a frame of a stream (1..1024), best score first.
        still_max_faces: Likewise in a still.
        detect_every_ms: Longest time between two runs of the detector in a stream, four times that while `max_faces`
            are followed; 0 = on every frame.
        detect_width: Width in px at which the detector sees a frame of a stream (64..4096).
        still_width: Width in px at which the detector sees a still (64..4096).
        score_threshold: Detections below this score (0..1) are not faces, in a stream.
        still_score_threshold: Likewise in a still, where no track outlives a false one.
        still_trust: Nor is what has score times root of quality below this, in a still: the engine has looked too.
        nms_iou: Of two boxes that overlap by more than this IoU (0..1) the better is kept.
        min_face_px: Smaller faces (longer side, px) are left out.
        iterations: Rounds of interaction between the tasks in the engine (0, 1 or 2; more is slower).
        still_passes: Passes of the engine over a still (1 or 2): the second on a crop cut from the first's landmarks.
        still_looks: Looks of a still's last pass (1, 2 or 4): also its mirror image, also two closer ones.
        detector: "mos", the one that ships; "mediapipe" is refused with what to do instead.
        engine: What runs the networks: "onnx" (ONNX Runtime on the CPU), "openvino", "trt" (TensorRT or TensorRT-RTX),
            "onnx-cuda" and "onnx-trt" (ONNX Runtime's GPU providers), or "auto", the fastest that was measured here.
        precision: "fp32", "fp16", "int8", or "auto": on a GPU fp16, on a CPU int8 where it computes it fast (VNNI).
        enhance: Super-resolve faces under 36 px (longer side) before the engine looks at them (`tasks.enhance`).
        smooth: Smooth landmarks, pose and emotion along a track.
        budget_ms: Milliseconds from grab to result in a live stream, e.g. 33; None = no deadline.
        level: Quality level to stay at (0 = full; `Analyzer.describe` names them); None = as the budget demands.
        floor: Lowest level (the highest number) that a missed budget may lead to; None = the last.
        priority: Tasks that matter most, first; what is given up first follows from it (`rtface.budget.levels`).
        camera_size: Width and height in px that a camera is asked for, "1280x720"; None = as it comes.
        camera_fps: Frames per second that a camera is asked for; None = as it comes.
        camera_fourcc: How a camera shall send its pictures, such as "MJPG": USB carries 1080p at 30 fps only so.
        rotate: Degrees clockwise by which every picture is turned: 0, 90, 180 or 270.
        mirror: Mirror every picture, left for right, after it was turned.
        wait: Wait for a camera or stream that is not there at the start.
        loop: Begin a file again when it has ended.
        reconnect_s: How long a camera or stream that is lost is tried again, in s; 0 = not at all, None = for ever.
        threads: Threads of the inference engine (1..64); None = chosen for the machine.
        models_dir: Folder with other models and their registry.toml; None = the ones that ship.
        profile: Build profile whose TensorRT plans run, by name or .toml file; None = that of the machine's kind.
        audience: Make events of who comes, looks, smiles and leaves (`rtface.Audience`), in records and all outputs.
        audience_rules: What counts as a visit, a look, a smile: an `AudienceOptions`, a table of its values, or text
            such as "grace_s=5,camera_offset_cm=0/25".
        privacy: What leaves the process: "full"; "blur", pictures with faces blurred; "aggregate", only windows of
            many visits (`docs/privacy.md`).
        calibration_dir: Folder with int8 ranges and gates, from `rtface calibrate`; None = the ones that ship.

    Raises:
        OptionError: A value is not what its option takes.
    """

    tasks: tuple[str, ...] = TASKS
    max_faces: int = 8
    still_max_faces: int = 256
    detect_every_ms: float = 300.0
    detect_width: int = 320
    still_width: int = 640
    score_threshold: float = 0.48
    still_score_threshold: float = 0.24
    still_trust: float = 0.16
    nms_iou: float = 0.5
    min_face_px: int = 16
    iterations: int = 0
    still_passes: int = 2
    still_looks: int = 4
    detector: str = "mos"
    engine: str = "auto"
    precision: str = "auto"
    enhance: bool = False
    smooth: bool = False
    budget_ms: float | None = None
    level: int | None = None
    floor: int | None = None
    priority: tuple[str, ...] = ()
    camera_size: tuple[int, int] | None = None
    camera_fps: float | None = None
    camera_fourcc: str | None = None
    rotate: int = 0
    mirror: bool = False
    wait: bool = False
    loop: bool = False
    reconnect_s: float | None = None
    threads: int | None = None
    models_dir: str | None = None
    profile: str | None = None
    audience: bool = False
    audience_rules: AudienceOptions = field(default_factory=AudienceOptions)
    privacy: str = "full"
    calibration_dir: str | None = None

    def __post_init__(self) -> None:
        for name, rule in _RULES.items():
            try:
                object.__setattr__(self, name, rule(getattr(self, name)))
            except _Unfit as unfit:
                raise _wrong(name, unfit.expected, getattr(self, name)) from None

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
        values = _from_toml(expanded(toml_path)) if toml_path else {}
        values.update(_from_env(env))
        values.update({name: value for name, value in overrides.items() if value is not None})
        for name in values:
            if name not in _RULES:
                raise unknown("option", name, _RULES, OptionError)
        return cls(**values)


def check_tasks(tasks: Iterable[str]) -> tuple[str, ...]:
    """The tasks in their fixed order, once each; a name alone is one, "none" and () are none: detection only.

    Raises:
        InputError: A name is not a task.
    """
    names = [name.strip() for name in tasks.split(",")] if isinstance(tasks, str) else list(tasks)
    names = [] if names == ["none"] else [name for name in names if name]
    for name in names:
        if name not in TASKS:
            raise unknown("task", str(name), TASKS, InputError)
    return tuple(task for task in TASKS if task in names)


def parse_ms(text: str | float) -> float:
    """Milliseconds from ``33``, ``"33"``, ``"33ms"`` or ``"0.5s"``.

    Raises:
        OptionError: It is not a positive time.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ms|s)?\s*", str(text))
    ms = float(match[1]) * (1000.0 if match[2] == "s" else 1.0) if match else 0.0
    if not 0.0 < ms < math.inf:
        raise _wrong("time", "a positive time such as 33ms or 0.5s", text)
    return ms


def unknown(kind: str, name: str, known: Iterable[str], error: type[UsageError]) -> UsageError:
    """The error for a name that is not among the known ones, with the nearest of them."""
    known = list(known)
    near = get_close_matches(name, known, n=1)
    mend = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}"
    return error(f"{kind} {name!r}", "is unknown", mend)


def _wrong(name: str, expected: str, got: object) -> OptionError:
    return OptionError(name, f"expected {expected}, got {got!r}", "Change the flag, variable or TOML entry")


def _from_toml(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise OptionError(str(path), error.strerror or "cannot be read", "Name a TOML file that exists") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OptionError(str(path), f"is not TOML ({error})", "Mend the file or leave it out") from error
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
    for name in [name for name in values if name not in _RULES]:
        # Not an error: another program, or a newer rtface, may have set it.
        near = get_close_matches(name, _RULES, n=1)
        mean = f"; did you mean {ENV_PREFIX}{near[0].upper()}?" if near else ""
        warnings.warn(f"{ENV_PREFIX}{name.upper()} is no option and left out{mean}", stacklevel=3)
        del values[name]
    return values


class _Unfit(Exception):
    def __init__(self, expected: str) -> None:
        self.expected = expected


Rule = Callable[[Any], Any]


def _number(low: float, high: float, *, whole: bool) -> Rule:
    kind = "a whole number" if whole else "a number"
    expected = f"{kind} from {low:g} to {high:g}" if math.isfinite(high) else f"{kind} of at least {low:g}"

    def rule(value: Any) -> Any:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise _Unfit(expected) from None
        if (
            isinstance(value, bool | bytes)
            or not low <= number <= high
            or math.isinf(number)
            or (whole and number != int(number))
        ):
            raise _Unfit(expected)
        return int(number) if whole else number

    return rule


def _maybe(rule: Rule) -> Rule:
    def maybe(value: Any) -> Any:
        return None if value is None or (isinstance(value, str) and value.lower() in ("", "none")) else rule(value)

    return maybe


def _budget(value: Any) -> float:
    try:
        return parse_ms(value)
    except OptionError:
        raise _Unfit("a positive time such as 33ms or 0.5s, or none") from None


def _switch(value: Any) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    word = str(value).lower()
    if word not in words:
        raise _Unfit("true or false")
    return words[word]


def _one_of(*names: str) -> Rule:
    def rule(value: Any) -> str:
        if value not in names:
            raise _Unfit(f"one of {', '.join(names)}")
        return str(value)

    return rule


def _task_names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",") if name.strip()]
    if not isinstance(value, Iterable):
        raise _Unfit(f"some of {', '.join(TASKS)}")
    return check_tasks(value)


def _priority(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",") if name.strip()]
    if not isinstance(value, Iterable):
        raise _Unfit(f"some of {', '.join(TASKS)}, the one that matters most first")
    names = [str(name) for name in value]
    if names:
        check_tasks(names)
    return tuple(dict.fromkeys(names))


def _size(value: Any) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d{1,5})\s*[x×]\s*(\d{1,5})\s*", value.lower()) if isinstance(value, str) else None
    pair = match.groups() if match else value
    try:
        width, height = (int(side) for side in pair)
    except (TypeError, ValueError, OverflowError):
        width = height = 0
    if not (0 < width <= 32766 and 0 < height <= 32766):
        raise _Unfit("width and height in px such as 1280x720")
    return width, height


def _fourcc(value: Any) -> str:
    if not (isinstance(value, str) and len(value) == 4 and value.isascii() and value.isprintable()):
        raise _Unfit("four letters such as MJPG, YUYV or H264")
    return value.upper()


def _turn(value: Any) -> int:
    turns = {str(degrees): degrees for degrees in (0, 90, 180, 270)}
    if isinstance(value, bool) or str(value) not in turns:
        raise _Unfit("0, 90, 180 or 270 degrees clockwise")
    return turns[str(value)]


def _folder(value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise _Unfit("a folder")
    return str(expanded(os.fspath(value)))


def _name(value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise _Unfit("a name or a file")
    return os.fspath(value)


def _audience_rules(value: Any) -> AudienceOptions:
    if isinstance(value, AudienceOptions):
        return value
    try:
        table = dict(_named_numbers(value)) if isinstance(value, str) else dict(value)
        lists = {name: tuple(numbers) for name, numbers in table.items() if isinstance(numbers, list)}
        return AudienceOptions(**{**table, **lists})
    except OptionError as error:
        raise _Unfit(f"rules of an audience ({error.what}: {error.why})") from None
    except (TypeError, ValueError):
        known = ", ".join(option.name for option in fields(AudienceOptions))
        raise _Unfit(f"name=number, with commas between them, of {known}") from None


def _named_numbers(text: str) -> Iterable[tuple[str, Any]]:
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        numbers = tuple(float(number) for number in value.split("/"))
        yield name.strip(), numbers if len(numbers) > 1 else numbers[0]


_RULES: dict[str, Rule] = {
    "tasks": _task_names,
    "max_faces": _number(1, 1024, whole=True),
    "still_max_faces": _number(1, 1024, whole=True),
    "detect_every_ms": _number(0, math.inf, whole=False),
    "detect_width": _number(64, 4096, whole=True),
    "still_width": _number(64, 4096, whole=True),
    "score_threshold": _number(0, 1, whole=False),
    "still_score_threshold": _number(0, 1, whole=False),
    "still_trust": _number(0, 1, whole=False),
    "nms_iou": _number(0, 1, whole=False),
    "min_face_px": _number(1, 4096, whole=True),
    "iterations": _number(0, 2, whole=True),
    "still_passes": _number(1, 2, whole=True),
    "still_looks": _number(1, 4, whole=True),
    "detector": _one_of("mos", "mediapipe"),
    "engine": _one_of(*ENGINES),
    "precision": _one_of("auto", *PRECISIONS),
    "enhance": _switch,
    "smooth": _switch,
    "budget_ms": _maybe(_budget),
    "level": _maybe(_number(0, 99, whole=True)),
    "floor": _maybe(_number(0, 99, whole=True)),
    "priority": _priority,
    "camera_size": _maybe(_size),
    "camera_fps": _maybe(_number(0.1, 1000, whole=False)),
    "camera_fourcc": _maybe(_fourcc),
    "rotate": _turn,
    "mirror": _switch,
    "wait": _switch,
    "loop": _switch,
    "reconnect_s": _maybe(_number(0, math.inf, whole=False)),
    "threads": _maybe(_number(1, 64, whole=True)),
    "models_dir": _maybe(_folder),
    "profile": _maybe(_name),
    "audience": _switch,
    "audience_rules": _audience_rules,
    "privacy": _one_of(*PRIVACY),
    "calibration_dir": _maybe(_folder),
}
if set(_RULES) != {option.name for option in fields(Options)}:
    raise AssertionError("every option has a rule, and every rule an option")
