"""Open Sound Control: faces for TouchDesigner, Max, SuperCollider, Resolume and the like.

A bundle a frame (OSC 1.0, by python-osc). ``/rtface/faces`` is the number of faces; the others are of one face, whose
slot is 0 for the first one, and stays its own while it is there:

=====================================  ==============================================================================
``/rtface/face/<slot>/id``             the track's id
``/rtface/face/<slot>/box``            x, y, width, height in shares of the picture, 0..1
``/rtface/face/<slot>/pose``           yaw, pitch, roll in degrees, as ``rtface.HeadPose``
``/rtface/face/<slot>/gaze``           yaw, pitch in degrees, and how likely at the camera; with the task gaze
``/rtface/face/<slot>/head``           x, y, z cm: to the owner's right, up, away from the camera
``/rtface/face/<slot>/emotion``        the strongest one's name, and how sure
``/rtface/face/<slot>/emotions``       8 numbers in the order of ``rtface.EMOTIONS``
``/rtface/face/<slot>/gesture``        eye left closed, eye right closed, mouth open, smile, brows up: 0..1
``/rtface/face/<slot>/blend/<name>``   ``?blend=1``: each of ARKit's blend shapes that is known
``/rtface/face/<slot>/landmarks``      ``?landmarks=1``: 136 numbers x0 y0 x1 y1 … in shares of the picture
``/rtface/face/<slot>/gone``           1, once, when the slot is free again
=====================================  ==============================================================================

A face that is gone leaves its last values for a second; then pose, gaze, gesture and blend shapes glide to 0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Any, NamedTuple

from rtface.errors import require
from rtface.labels import BLENDSHAPES
from rtface.outputs.blend_shapes import BlendShapes, measured_of
from rtface.outputs.follow import Slots, frame_time
from rtface.outputs.head import DEFAULT_FOV_DEG, GLIDE, head_of
from rtface.outputs.network import DatagramSink
from rtface.outputs.output_url import OutputUrl
from rtface.types import Face, FrameResult

PORT = 9000
#: Of a UDP packet; larger ones would be cut.
MOST_BYTES = 60_000
#: What glides to 0 when its face is gone, and where it has arrived there.
GLIDING, ARRIVED = ("pose", "gaze", "gesture", "blend/"), 0.005
#: Beats without a frame after which the faces count as gone: a second of a camera that is lost.
IDLE_BEATS = 2
BLEND_NAMES = {name: f"blend/{name}" for name in BLENDSHAPES}

Value = int | float | str
#: Of a message; bytes are many floats, packed already.
Values = Sequence[Value] | bytes
Messages = list[tuple[str, Values]]
#: Of one face: what its messages are called below its slot, and their values.
Told = Sequence[tuple[str, Values]]


def bundle(messages: Messages) -> bytes:
    """An OSC bundle, to be applied at once; floats are 32 bits, ints 32 bits, texts come first in a message.

    python-osc writes addresses, types and texts, once: they are the same from frame to frame. Its own builders cost
    more than all the rest of an output.
    """
    values = list(chain.from_iterable([own for _, own in messages if not isinstance(own, bytes)]))
    packed = iter([own for _, own in messages if isinstance(own, bytes)])
    kinds = tuple(map(type, values))
    texts = tuple([values[place] for place in _places_of_texts(kinds)])
    lengths = tuple([-len(own) if isinstance(own, bytes) else len(own) for _, own in messages])
    layout = _layout(tuple([address for address, _ in messages]), lengths, kinds, texts)
    numbers = layout.numbers.pack(*[value for value in values if value.__class__ is not str])
    parts = [layout.beginning]
    for head, start, end in layout.messages:
        parts += (head, next(packed) if start < 0 else numbers[start:end])
    return b"".join(parts)


class _Layout(NamedTuple):
    """What is the same in every bundle of the same messages.

    Attributes:
        beginning: Of the bundle.
        messages: Of each all but its numbers, its length first, and where among the packed numbers its own are; -1
            where they come packed.
        numbers: Packs the numbers of all.
    """

    beginning: bytes
    messages: Sequence[tuple[bytes, int, int]]
    numbers: struct.Struct


@lru_cache(maxsize=128)
def _places_of_texts(kinds: tuple[type, ...]) -> list[int]:
    return [place for place, kind in enumerate(kinds) if kind is str]


@lru_cache(maxsize=128)
def _layout(
    addresses: tuple[str, ...], lengths: tuple[int, ...], kinds: tuple[type, ...], texts: tuple[str, ...]
) -> _Layout:
    types: Any = require("pythonosc.parsing.osc_types", "osc")
    tags = "".join(["s" if kind is str else "i" if issubclass(kind, int) else "f" for kind in kinds])
    text, end, messages = iter(texts), 0, []
    own_tags = iter(tags)
    for address, length in zip(addresses, lengths, strict=True):
        if length < 0:
            head = types.write_string(address) + types.write_string("," + "f" * (-length // 4))
            messages.append((types.write_int(len(head) - length) + head, -1, -1))
            continue
        own = "".join(islice(own_tags, length))
        start, end = end, end + 4 * (length - own.count("s"))
        strings = (address, "," + own, *islice(text, own.count("s")))
        head = b"".join(types.write_string(one) for one in strings)
        messages.append((types.write_int(len(head) + end - start) + head, start, end))
    beginning: bytes = types.write_string("#bundle") + types.write_date(types.IMMEDIATELY)
    return _Layout(beginning, messages, struct.Struct(">" + tags.replace("s", "")))


class OscSink(DatagramSink):
    """All faces as OSC messages.

    Args:
        url: ``osc://host:9000?prefix=/rtface&blend=1&landmarks=1&mirror=1&fov=60``.
    """

    def __init__(self, url: OutputUrl) -> None:
        url.only("prefix", "blend", "landmarks", "mirror", "fov")
        require("pythonosc", "osc")
        super().__init__(url.shown, url.host or "127.0.0.1", url.port or PORT)
        self._prefix = "/" + url.settings.get("prefix", "rtface").strip("/")
        self._blend = url.switch("blend")
        self._landmarks = url.switch("landmarks")
        self._mirror = url.switch("mirror")
        self._fov = url.number("fov", DEFAULT_FOV_DEG, 10.0, 170.0)
        self._slots = Slots()
        self._shapes = BlendShapes(self._mirror)
        self._shown: dict[int, Told] = {}  # by slot, also of faces that are gone
        self._idle_beats = 0

    def packets(self, result: FrameResult) -> Iterable[bytes]:
        at = frame_time(result.frame, self.info.live)
        faces, freed = self._slots.update(result, at)
        messages: Messages = [(f"{self._prefix}/faces", [len(faces)])]
        self._idle_beats, count = 0, 0
        messages += self._parting(freed, self._slots.taken)
        for slot, face in sorted(faces.items()):
            self._shown[slot] = told = list(self._face(result, face, at))
            one_count = sum([len(values) // 4 if isinstance(values, bytes) else len(values) for _, values in told])
            if (count + one_count) * 40 > MOST_BYTES:
                yield bundle(messages)
                messages, count = [], 0
            messages += self._messages(slot, told)
            count += one_count
        yield bundle(messages)

    def _messages(self, slot: int, told: Told) -> Messages:
        names = tuple([name for name, _ in told])
        return list(zip(_addresses(self._prefix, slot, names), [values for _, values in told], strict=True))

    def idle_packets(self) -> Iterable[bytes]:
        self._idle_beats += 1
        if self._idle_beats >= IDLE_BEATS and self._shown:
            messages = self._parting(self._slots.clear(), set())
            yield bundle([(f"{self._prefix}/faces", [0]), *messages])

    def _parting(self, freed: Iterable[int], taken: set[int]) -> Messages:
        """What is told of slots without a face: that it is gone, and its values on their way to 0."""
        messages: Messages = [(f"{self._prefix}/face/{slot}/gone", [1]) for slot in freed]
        for slot in [slot for slot in self._shown if slot not in taken]:
            nearer = [
                (name, list(map(_nearer, values))) for name, values in self._shown[slot] if name.startswith(GLIDING)
            ]
            messages += self._messages(slot, nearer)
            self._shown[slot] = nearer
            if not any(any(values) for _, values in nearer):
                del self._shown[slot]
        return messages

    def _face(self, result: FrameResult, face: Face, at: float) -> Iterable[tuple[str, Values]]:
        height, width = result.frame.image.shape[:2]
        x0, y0, x1, y1 = face.box_xyxy.tolist()
        yield "id", [face.track_id if face.track_id is not None else -1]
        left = 1.0 - x1 / width if self._mirror else x0 / width
        yield "box", [left, y0 / height, (x1 - x0) / width, (y1 - y0) / height]
        if face.pose is not None:
            sign = -1.0 if self._mirror else 1.0
            yield "pose", [sign * face.pose.yaw, face.pose.pitch, sign * face.pose.roll]
        if face.gaze is not None:
            sign = -1.0 if self._mirror else 1.0
            yield "gaze", [sign * face.gaze.yaw, face.gaze.pitch, face.gaze.on_camera]
        head = head_of(face, (width, height), self._fov)
        yield "head", list((head.mirrored() if self._mirror else head)[:3])
        if face.emotion is not None:
            probs: list[float] = face.emotion.probs.tolist()
            yield "emotion", [face.emotion.label, max(probs)]
            yield "emotions", probs
        if face.landmarks is not None or face.expression is not None:
            yield from self._shape_messages(face, at)
        if face.landmarks is not None and self._landmarks:
            shares = face.landmarks.points / (width, height)
            shares[:, 0] = 1.0 - shares[:, 0] if self._mirror else shares[:, 0]
            yield "landmarks", shares.astype(">f4").tobytes()

    def _shape_messages(self, face: Face, at: float) -> Iterable[tuple[str, Values]]:
        shapes = self._shapes.of(face, at)
        smile = (shapes["mouthSmileLeft"] + shapes["mouthSmileRight"]) / 2.0
        eyes = [shapes["eyeBlinkLeft"], shapes["eyeBlinkRight"]]
        yield "gesture", [*eyes, shapes["jawOpen"], smile, shapes["browInnerUp"]]
        if self._blend:
            yield from [(BLEND_NAMES[name], [shapes[name]]) for name in measured_of(face)]


@lru_cache(maxsize=64)
def _addresses(prefix: str, slot: int, names: tuple[str, ...]) -> list[str]:
    return [f"{prefix}/face/{slot}/{name}" for name in names]


def _nearer(value: Value) -> float:
    """A step on the way to 0."""
    moved = float(value) * GLIDE
    return moved if abs(moved) > ARRIVED else 0.0


def open_output(url: OutputUrl) -> OscSink:
    """The output for an address."""
    return OscSink(url)
