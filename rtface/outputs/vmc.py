"""VMC, the Virtual Motion Capture protocol: moves a VRM avatar's head, neck and face (VSeeFace, VMC, Warudo, VNyan, …).

One OSC bundle a frame (protocol.vmc.info, role Performer → Marionette): ``/VMC/Ext/OK``, ``/VMC/Ext/T``,
``/VMC/Ext/Root/Pos``, ``/VMC/Ext/Bone/Pos`` of Neck and Head, and of LeftEye and RightEye once it was seen where eyes
look (the tasks gaze, expression), ``/VMC/Ext/Blend/Val`` and ``/VMC/Ext/Blend/Apply``.
Axes are Unity's: left-handed, y up, z the way the avatar looks, so x is the avatar's right.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cache

from rtface.errors import require
from rtface.geometry.face_model import rotation_quaternion
from rtface.labels import EMOTIONS
from rtface.outputs.blend_shapes import BlendShapes, measured_of
from rtface.outputs.eyes import Eye, Eyes, eyes_of
from rtface.outputs.follow import FaceFollower, frame_time
from rtface.outputs.head import GLIDE
from rtface.outputs.network import DatagramSink
from rtface.outputs.osc import Messages, bundle
from rtface.outputs.output_url import OutputUrl
from rtface.types import Face, FrameResult, HeadPose

PORT = 39539
#: Shares of the head's turn that the neck and the head make.
NECK_SHARE = 0.4
#: Local positions in metres of an adult's skeleton, for receivers that set them; most keep the avatar's own.
NECK_POSITION, HEAD_POSITION = (0.0, 0.12, -0.01), (0.0, 0.09, 0.01)
#: Of the eyes beside the head; x is the avatar's right.
EYE_POSITIONS = {"LeftEye": (-0.032, 0.06, 0.08), "RightEye": (0.032, 0.06, 0.08)}
#: The quaternion of no turn.
AT_REST = (0.0, 0.0, 0.0, 1.0)


class VmcSink(DatagramSink):
    """One person's head and face as VMC messages.

    Args:
        url: ``vmc://host:39539?clips=vrm0,vrm1,arkit&face=ID&mirror=1``; `clips` are the names of the avatar's blend
            shapes: VRM 0's (``A``, ``Blink_L``, ``Joy``), VRM 1's (``aa``, ``blinkLeft``, ``happy``) or ARKit's
            ("perfect sync").
    """

    def __init__(self, url: OutputUrl) -> None:
        url.only("clips", "face", "mirror")
        require("pythonosc", "osc")
        super().__init__(url.shown, url.host or "127.0.0.1", url.port or PORT)
        self._clips = url.some_of("clips", "vrm0", "vrm1", "arkit", default=("vrm0",))
        self._mirror = url.switch("mirror")
        self._follower = FaceFollower(url.whole("face", None))
        self._shapes = BlendShapes()
        self._pose = HeadPose(0.0, 0.0, 0.0)
        self._values: dict[str, float] = {}
        self._eyes: Eyes | None = None
        self._started_at = self._clock.now()

    def packets(self, result: FrameResult) -> Iterable[bytes]:
        at = frame_time(result.frame, self.info.live)
        face = self._follower.update(result, at)
        if face is None:
            return self.idle_packets()
        if face.pose is not None:
            self._pose = face.pose
        self._eyes = eyes_of(face) or self._eyes
        self._values = self._clip_values(face, at)
        return (self._bundle(),)

    def idle_packets(self) -> Iterable[bytes]:
        pose = self._pose
        self._pose = HeadPose(pose.yaw * GLIDE, pose.pitch * GLIDE, pose.roll * GLIDE)
        self._eyes = None if self._eyes is None else self._eyes.scaled(GLIDE)
        self._values = {name: value * GLIDE if value > 0.01 else 0.0 for name, value in self._values.items()}
        return (self._bundle(),)

    def _clip_values(self, face: Face, at: float) -> dict[str, float]:
        shapes = self._shapes.of(face, at)
        probs = dict(zip(EMOTIONS, face.emotion.probs.tolist(), strict=True)) if face.emotion is not None else {}
        values: dict[str, float] = {}
        if "vrm0" in self._clips:
            values |= vrm0_clips(shapes, probs)
        if "vrm1" in self._clips:
            values |= vrm1_clips(shapes, probs)
        if "arkit" in self._clips:
            values |= {name: shapes[name] for name in measured_of(face)}
        return values

    def _bundle(self) -> bytes:
        quaternions = head_quaternions(self._pose, self._mirror)
        values = mirrored_clips(self._values) if self._mirror else self._values
        messages: Messages = [
            ("/VMC/Ext/OK", [1]),
            ("/VMC/Ext/T", [self._clock.now() - self._started_at]),
            ("/VMC/Ext/Root/Pos", ["root", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]),
            ("/VMC/Ext/Bone/Pos", ["Neck", *NECK_POSITION, *quaternions[0]]),
            ("/VMC/Ext/Bone/Pos", ["Head", *HEAD_POSITION, *quaternions[1]]),
        ]
        if self._eyes is not None:
            eyes = self._eyes.mirrored() if self._mirror else self._eyes
            turned = {"LeftEye": eyes.left, "RightEye": eyes.right}
            messages += [
                ("/VMC/Ext/Bone/Pos", [name, *EYE_POSITIONS[name], *eye_quaternion(eye)])
                for name, eye in turned.items()
            ]
        messages += [("/VMC/Ext/Blend/Val", [name, value]) for name, value in values.items()]
        messages.append(("/VMC/Ext/Blend/Apply", []))
        return bundle(messages)


def head_quaternions(pose: HeadPose, mirror: bool = False) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Local rotations x, y, z, w of the neck and the head, which together make the pose, in Unity's axes.

    Picture axes (x right, y down, z away) become Unity's of an avatar that looks out of the picture by turning each
    axis around, which leaves a quaternion's numbers as they are.
    """
    x, y, z, w = rotation_quaternion(pose.yaw, pose.pitch, pose.roll)
    sin = math.sqrt(x * x + y * y + z * z)
    if sin < 1e-9:
        return AT_REST, AT_REST
    half, side = math.atan2(sin, w), -1.0 if mirror else 1.0
    axis = x / sin, side * y / sin, side * z / sin
    return _turn(axis, half * NECK_SHARE), _turn(axis, half * (1.0 - NECK_SHARE))


def eye_quaternion(eye: Eye) -> tuple[float, ...]:
    """Local rotation x, y, z, w of an eye, in Unity's axes."""
    return rotation_quaternion(-eye.yaw, eye.pitch, 0.0)


def vrm0_clips(shapes: Mapping[str, float], emotions: Mapping[str, float]) -> dict[str, float]:
    """VRM 0's preset names. The vowels are a guess from the mouth's shape; Fun has no counterpart and is left out."""
    a, i, u, e, o = _vowels(shapes)
    return {
        "A": a,
        "I": i,
        "U": u,
        "E": e,
        "O": o,
        "Blink_L": shapes["eyeBlinkLeft"],
        "Blink_R": shapes["eyeBlinkRight"],
        "Joy": emotions.get("happiness", 0.0),
        "Angry": emotions.get("anger", 0.0),
        "Sorrow": emotions.get("sadness", 0.0),
    }


def vrm1_clips(shapes: Mapping[str, float], emotions: Mapping[str, float]) -> dict[str, float]:
    """VRM 1's preset names."""
    aa, ih, ou, ee, oh = _vowels(shapes)
    return {
        "aa": aa,
        "ih": ih,
        "ou": ou,
        "ee": ee,
        "oh": oh,
        "blinkLeft": shapes["eyeBlinkLeft"],
        "blinkRight": shapes["eyeBlinkRight"],
        "happy": emotions.get("happiness", 0.0),
        "angry": emotions.get("anger", 0.0),
        "sad": emotions.get("sadness", 0.0),
        "surprised": emotions.get("surprise", 0.0),
    }


def mirrored_clips(values: Mapping[str, float]) -> dict[str, float]:
    """Left and right exchanged in all three families of names."""
    return {_other_side(name): value for name, value in values.items()}


@cache  # the names are few, and the same every frame
def _other_side(name: str) -> str:
    swaps = (("_L", "_R"), ("_R", "_L"), ("Left", "Right"), ("Right", "Left"))
    end, other = next(((end, other) for end, other in swaps if name.endswith(end)), ("", ""))
    return name[: len(name) - len(end)] + other


def _vowels(shapes: Mapping[str, float]) -> tuple[float, float, float, float, float]:
    """a, i, u, e, o: an open mouth is an a, a narrow one an o or u, a wide one an e or i."""
    open_, narrow = shapes["jawOpen"], max(shapes["mouthFunnel"], shapes["mouthPucker"])
    wide = (shapes["mouthStretchLeft"] + shapes["mouthStretchRight"]) / 2.0
    a = open_ * (1.0 - narrow) * (1.0 - wide)
    return a, wide * (1.0 - open_), narrow * (1.0 - open_), wide * open_, narrow * open_


def _turn(axis: tuple[float, float, float], half: float) -> tuple[float, ...]:
    """Quaternion of a turn by twice that angle."""
    x, y, z = axis
    sin = math.sin(half)
    return x * sin, y * sin, z * sin, math.cos(half)


def open_output(url: OutputUrl) -> VmcSink:
    """The output for an address."""
    return VmcSink(url)
