"""Every kind of output: how it is named, what it needs, and which file makes it."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from rtface.errors import UsageError
from rtface.outputs.output_url import scheme_of
from rtface.system.addresses import shown_address
from rtface.system.paths import is_there


@dataclass(frozen=True, slots=True)
class OutputKind:
    """A kind of output.

    Attributes:
        names: Endings with their dot, or schemes without colon; the first is its main one.
        module: Where it is made, in ``rtface.outputs``.
        about: What it gives, in a line.
        example: As it is written after ``-o``.
        extra: The extra of rtface that installs what it needs; "" = nothing more.
        needs: Python packages, by the name that is imported.
        install: What installs these where no extra of ours can.
        programs: Programs that must be there.
        continues: A file that is there is gone on with, not replaced.
        systems: Values of ``sys.platform`` it works on; empty = all.
    """

    names: tuple[str, ...]
    module: str
    about: str
    example: str
    extra: str = ""
    needs: tuple[str, ...] = ()
    install: str = ""
    programs: tuple[str, ...] = ()
    systems: tuple[str, ...] = ()
    continues: bool = False

    @property
    def is_file(self) -> bool:
        """Whether it is named by a path."""
        return self.names[0].startswith((".", "/"))

    def missing(self) -> str | None:
        """Why it cannot be used here, with the command that mends it; None = it can."""
        if self.systems and sys.platform not in self.systems:
            return f"not on {sys.platform}"
        if any(find_spec(name) is None for name in self.needs):
            return self.install or f"pip install 'rtface[{self.extra}]'"
        for program in self.programs:
            if shutil.which(program) is None:
                return f"{program} is not installed"
        return None

    def load(self) -> Any:
        """The module that makes it.

        Raises:
            UsageError: What it needs is not here.
        """
        missing = self.missing()
        if missing is not None:
            raise UsageError(f"output {self.names[0]}", "cannot be used here", missing)
        return import_module(f"rtface.outputs.{self.module}")


KINDS: tuple[OutputKind, ...] = (
    OutputKind((".jsonl", "-"), "jsonl", "JSON lines, schema rtface.result/1; - is stdout", "faces.jsonl"),
    OutputKind(
        (".csv",), "table", "a table, a row a face and frame; columns of rtface, OpenFace or py-feat", "faces.csv"
    ),
    OutputKind((".parquet",), "table", "the same table, a third of the size", "faces.parquet", "eval", ("pyarrow",)),
    OutputKind((".mp4",), "video", "an annotated video", "faces.mp4"),
    OutputKind((".db",), "visits", "visits in an SQLite database, for rtface report", "visits.db", continues=True),
    OutputKind((".webm", ".gif"), "clip", "an annotated clip for web pages and messages", "faces.gif?width=320"),
    OutputKind(("/",), "clip", "a folder of annotated pictures, named with a / at its end", "frames/"),
    OutputKind((".eaf",), "elan", "ELAN: emotion, look and smile intervals", "visit.eaf", "elan", ("pympi",)),
    OutputKind((".coco.json",), "coco", "COCO-WholeBody annotations: CVAT, FiftyOne, …", "faces.coco.json"),
    OutputKind((".rosbag",), "rosbag", "a ROS 2 bag (MCAP) of REP-155 messages", "visit.rosbag", "ros", ("rosbags",)),
    OutputKind((".rrd",), "rerun", "a recording for the Rerun viewer", "visit.rrd", "rerun", ("rerun",)),
    OutputKind((".jpg", ".jpeg", ".png"), "video", "an annotated picture, of one picture", "faces.jpg"),
    OutputKind(
        ("opentrack",), "opentrack", "head tracking for games and simulators (UDP over network)", "opentrack://"
    ),
    OutputKind(
        ("openseeface",), "openseeface", "VSeeFace and others that take OpenSeeFace's packets", "openseeface://"
    ),
    OutputKind(("lsl",), "lsl", "Lab Streaming Layer, beside EEG and eye trackers", "lsl:rtface", "lsl", ("pylsl",)),
    OutputKind(
        ("ros2",),
        "ros2",
        "a ROS 2 node that publishes REP-155 messages (ROS 4 HRI)",
        "ros2:rtface",
        needs=("rclpy", "hri_msgs"),
        install="needs ROS 2: source /opt/ros/$ROS_DISTRO/setup.bash, apt install ros-$ROS_DISTRO-hri-msgs",
    ),
    OutputKind(
        ("v4l2",),
        "virtual_camera",
        "a virtual camera for video calls (v4l2loopback)",
        "v4l2:/dev/video10",
        programs=("ffmpeg",),
        systems=("linux",),
    ),
    OutputKind(("vts",), "vtube_studio", "VTube Studio's plugin API, Live2D avatars", "vts://", "vts", ("websockets",)),
    OutputKind(
        ("ws",),
        "result_server",
        "listens: results as JSON over a WebSocket, for web pages and programs",
        "ws://:8766",
        "serve",
        ("starlette", "uvicorn", "websockets"),
    ),
    OutputKind(
        ("sse",),
        "result_server",
        "listens: results as JSON in Server-Sent Events, for an EventSource or curl",
        "sse://:8767?what=results,events",
        "serve",
        ("starlette", "uvicorn"),
    ),
    OutputKind(("ifacialmocap",), "ifacialmocap", "plays the iFacialMocap phone for who asks", "ifacialmocap://"),
    OutputKind(
        ("mqtt", "mqtts"),
        "mqtt",
        "home automation: state, events, Home Assistant discovery",
        "mqtt://broker.local/rtface/door",
        "mqtt",
        ("paho",),
    ),
    OutputKind(
        ("https", "http"),
        "webhook",
        "a webhook: events as signed CloudEvents, kept until delivered",
        "https://example.com/hook?what=events",
    ),
    OutputKind(
        ("osc",), "osc", "Open Sound Control: TouchDesigner, Max, …", "osc://127.0.0.1:9000", "osc", ("pythonosc",)
    ),
    OutputKind(
        ("vmc",), "vmc", "VRM avatars: head, neck, blend shapes", "vmc://127.0.0.1:39539", "osc", ("pythonosc",)
    ),
)


def find(output: str) -> OutputKind:
    """The kind of output that a path or an address names.

    Raises:
        UsageError: It names none; the message has the nearest name.
    """
    scheme = scheme_of(output)
    if output == "-":
        return KINDS[0]
    if scheme is None and output.endswith(("/", "\\")):
        return next(kind for kind in KINDS if "/" in kind.names)
    name = scheme if scheme is not None and ("://" in output or _is_scheme(scheme)) else ending_of(output)
    for kind in KINDS:
        if name in kind.names:
            return kind
    raise _unknown(output, name)


def refuse_missing_slashes(output: str, kind: OutputKind) -> None:
    """What follows ``mqtt:`` would be taken for a path, and the host for this machine.

    Raises:
        UsageError: An address of a kind that has hosts is without its ``//``.
    """
    if "://" in kind.example and "://" not in output:
        scheme, _, rest = output.partition(":")
        meant = f"{scheme}://:{rest}" if rest.isdecimal() else f"{scheme}://{rest}"
        shown = shown_address(f"{scheme}://{rest}").replace("://", ":", 1)
        raise UsageError(shown, "has no // after its scheme", f"Write {shown_address(meant)}")


def ending_of(path: str) -> str:
    """The ending of a path with its dot, in lower case; "" where it has none. What follows a ? is no part of it."""
    name = (path if is_there(path) else path.partition("?")[0]).replace("\\", "/").rpartition("/")[2]
    if name.lower().endswith(".coco.json"):
        return ".coco.json"
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""


def _is_scheme(name: str) -> bool:
    return any(name in kind.names for kind in KINDS if not kind.is_file)


def _unknown(output: str, name: str) -> UsageError:
    scheme = scheme_of(output)
    schemes = [name for kind in KINDS if not kind.is_file for name in kind.names]
    if "://" not in output and not name and scheme is not None:  # ros:rtface, as lsl:rtface and ros2:rtface are written
        near = get_close_matches(scheme, schemes, n=1, cutoff=0.6)
        if near:
            return UsageError(shown_address(output), f"no output is named {scheme}:", f"Did you mean {near[0]}:?")
    address = "://" in output
    known = [name for kind in KINDS for name in kind.names if address != kind.is_file and name not in "-/"]
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    why = (
        f"no output is named {name}://" if address else f"no output is written to {name or 'a name without an ending'}"
    )
    spelled = [f"{name}://" if address else name for name in near or known]
    mend = f"Did you mean {spelled[0]}?" if near else f"Use {', '.join(spelled)}; rtface outputs says more"
    return UsageError(shown_address(output), why, mend)
