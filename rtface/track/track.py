"""One face over time."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from rtface.geometry.crop import Crop
from rtface.track.face_look import likeness
from rtface.track.face_shape import descriptor_distance

VELOCITY_SECONDS = 0.1
"""Time constant of the velocity estimate: three frames at 30 fps, so one frame's jitter weighs little."""

STRIDE_SECONDS = 0.7
"""Time constant of the velocity by which a lost face is looked for: one that slides behind a post seems to stop."""

COAST_SECONDS = 0.25
"""A predicted face slows down with this time constant: heads turn back sooner than they fly on."""

SHAPE_SECONDS = 1.0
"""Time constant of the remembered shape: longer than it takes to slide behind somebody."""

JUMP = 0.012
"""A shape that differs by more than this from the frame before changed at once: the same face in motion does so in few
frames of a hundred …"""

UNLIKE = 0.6
"""… and hardly ever with a look that correlates by less than this."""

CHANGE_SECONDS = 0.15
"""What has changed so for this long is another face; a hand, a blur or a flash has gone by then."""

BOX_BLEND = 0.5
"""Weight of a new detection's box against the track's: detectors breathe by a few per cent from frame to frame."""

Floats = NDArray[np.float32]


class TrackState(Enum):
    """What detector and engine have said of a face so far; it begins as TENTATIVE.

    The engine's first look makes it DENIED or DOUBTFUL; it may find a denied face later. CONFIRMED stays.
    """

    TENTATIVE = "the detector saw it, the engine has not looked"
    DENIED = "the engine has looked, and never found a face"
    DOUBTFUL = "the engine has found a face, but both have said too little for it to be shown"
    CONFIRMED = "engine and detector have said enough; see `Tracker.update_landmarks`"


@dataclass(frozen=True, slots=True)
class Motion:
    """Where a face was seen last, when, how fast it went (px/s), and how fast over a longer time (`stride_x`, …)."""

    crop: Crop
    at: float
    vx: float = 0.0
    vy: float = 0.0
    stride_x: float = 0.0
    stride_y: float = 0.0

    def extrapolate(self, at: float) -> Crop:
        """The crop at a later time: on by the velocity, which dies away."""
        travel = COAST_SECONDS * (1.0 - math.exp(-(at - self.at) / COAST_SECONDS))
        crop = self.crop
        return Crop(crop.x + self.vx * travel, crop.y + self.vy * travel, crop.side, crop.roll)

    def seen(self, crop: Crop, at: float) -> Motion:
        """The face was seen again: blend what it did since into the velocity."""
        elapsed = at - self.at
        if elapsed <= 0.0:
            return replace(self, crop=crop)
        weight, slow = (1.0 - math.exp(-elapsed / seconds) for seconds in (VELOCITY_SECONDS, STRIDE_SECONDS))
        vx, vy = (crop.x - self.crop.x) / elapsed, (crop.y - self.crop.y) / elapsed
        return Motion(
            crop,
            at,
            vx=self.vx + weight * (vx - self.vx),
            vy=self.vy + weight * (vy - self.vy),
            stride_x=self.stride_x + slow * (vx - self.stride_x),
            stride_y=self.stride_y + slow * (vy - self.stride_y),
        )


@dataclass(slots=True)
class _Change:
    """A face changed from one frame to the next: what it was like, since when, and how often it was seen since."""

    shape: Floats
    look: Floats
    since: float
    times: int = 0


@dataclass(slots=True, eq=False)
class Track:
    """What is known of one face now.

    Attributes:
        track_id: Never used twice; 0 until the face is shown for the first time.
        score: The detector's score when it last saw the face.
        crop: The face's square at `at`: a prediction until detector or engine confirm it.
        at: The present, in seconds.
        state: What detector and engine have said of it.
        confidence: The engine's last opinion of the crop, 0..1: the probability of a well-placed face.
        predicted: Neither detector nor engine have confirmed the face at `at`.
        detected: The detector saw the face at `at`.
        born_at: When the detector first saw the face.
        sightings: Frames on which the detector saw it.
        misses: Frames on which the detector looked and did not, as long as it is not CONFIRMED.
        shape: The shape of its landmarks before `at`; None = not known.
    """

    score: float
    crop: Crop
    at: float
    track_id: int = 0
    state: TrackState = TrackState.TENTATIVE
    confidence: float = 1.0
    predicted: bool = False
    detected: bool = True
    sightings: int = 0
    misses: int = 0
    shape: Floats | None = None
    born_at: float = field(init=False)
    _before: float = field(init=False)  # the time of the frame before
    _last: Motion = field(init=False)
    _box: Floats | None = field(default=None, init=False)  # in sides of the crop, about its centre
    _points: Floats = field(init=False)  # in sides of the crop, about its centre
    _new_shape: Floats | None = field(default=None, init=False)  # of this frame
    _old_shape: Floats | None = field(default=None, init=False)  # of the frame before
    _alone: bool = field(default=True, init=False)
    _look: Floats | None = field(default=None, init=False)
    _change: _Change | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.born_at = self._before = self.at
        self._last = Motion(self.crop, self.at)
        self._points = np.full((5, 2), np.nan, np.float32)

    @property
    def seen(self) -> Motion:
        """Where the face was last confirmed, and how it moved there."""
        return self._last if self.predicted else self._last.seen(self.crop, self.at)

    @property
    def seen_at(self) -> float:
        """When the face was last confirmed."""
        return self._last.at if self.predicted else self.at

    @property
    def found(self) -> bool:
        """Whether the engine has found the face at some time."""
        return self.state in (TrackState.DOUBTFUL, TrackState.CONFIRMED)

    @property
    def confirmed_before(self) -> bool:
        """Whether the face was confirmed on the frame before."""
        return self._last.at >= self._before

    @property
    def replaced(self) -> bool:
        """Whether another face has taken its place: it changed at once, was seen again, and has stayed so."""
        change = self._change
        return change is not None and change.times > 1 and self.at - change.since >= CHANGE_SECONDS

    @property
    def shape_now(self) -> Floats | None:
        """The shape of the landmarks at `at`, or before where the face was not seen; None = not known."""
        return self.shape if self._new_shape is None else self._new_shape

    @property
    def descriptor_distance(self) -> float:
        """How far the landmarks of this frame differ from the face's own shape, in sides of the crop."""
        return descriptor_distance(self.shape, self._new_shape)

    @property
    def surprise(self) -> float:
        """How far the crop lies from where it was expected, in sides of the crop."""
        expected = self._last.extrapolate(self.at)
        return math.hypot(self.crop.x - expected.x, self.crop.y - expected.y) / self.crop.side

    @property
    def box_xyxy(self) -> Floats:
        """(4,) px: the detector's box, carried along by the crop."""
        if self._box is None:
            raise ValueError("a track begins with a detection")
        return _absolute(self._box.reshape(2, 2), self.crop).reshape(4)

    @property
    def points5(self) -> Floats:
        """(5, 2) px: the last five points, carried along by the crop."""
        return _absolute(self._points, self.crop)

    def predict(self, at: float, *, detected: bool = False) -> None:
        """Move on to `at`; from here on the face's place is a prediction. `detected`: the detector's sight of it on the
        frame before counts for this one."""
        if not self.predicted:
            self._learn(self.at - self._last.at)
            self._last = self._last.seen(self.crop, self.at)
        self._before, self.at, self.crop = self.at, at, self._last.extrapolate(at)
        self.predicted, self.detected = True, detected

    def update_detections(
        self, box_xyxy: Floats, points5: Floats, crop: Crop, score: float, *, keep_crop: bool = False
    ) -> None:
        """The detector sees the face; `keep_crop`: the engine's crop stays, unless it is far from the detector's."""
        if not (keep_crop and self.crop.near(crop, centre=0.25, ratio=1.4)):
            self.crop = crop
        box = _relative(box_xyxy.reshape(2, 2), self.crop).reshape(4)
        self._box = box if self._box is None else self._box + np.float32(BOX_BLEND) * (box - self._box)
        self._points = _relative(points5, self.crop)
        self.score, self.detected, self.predicted = score, True, False
        self.sightings += 1

    def update_landmarks(
        self,
        crop: Crop,
        points5: Floats,
        shape: Floats | None = None,
        look: Floats | None = None,
        *,
        alone: bool = True,
    ) -> None:
        """The engine sees the face in `crop` with these points; `alone`: no other face is near, which it might be."""
        self._watch(shape, look, alone)
        self.crop, self._new_shape, self._alone = crop, shape, alone
        if self.shape is None:
            self.shape = shape
        self._points = _relative(points5, crop)
        self.predicted = False
        if not self.found:
            self.state = TrackState.DOUBTFUL

    def _watch(self, shape: Floats | None, look: Floats | None, alone: bool) -> None:
        """Notice that another face is in this one's place: shape and look change at once, and stay so."""
        change, before, was_like = self._change, self._old_shape, self._look
        self._old_shape, self._look = shape, look
        if shape is None or look is None or not alone:
            self._change = None
        elif change is not None:
            if descriptor_distance(change.shape, shape) < JUMP or likeness(change.look, look) > UNLIKE:
                self._change = None
                return
            change.times += 1
        elif (
            (was_like is not None and self.shape is not None)
            and descriptor_distance(before, shape) > JUMP
            and likeness(was_like, look) < UNLIKE
        ):
            self._change = _Change(self.shape, was_like, self.at)

    def begin_anew(self) -> None:
        """From here on it is another face's track, without an id yet."""
        self.track_id, self.born_at, self._change = 0, self.at, None
        self.shape = self._new_shape
        self._last = Motion(self.crop, self.at)

    def scale(self, factor: float) -> None:
        """The picture has become `factor` times as large: the crop is in doubt until somebody has looked."""
        crop, last = self.crop, self._last
        self.crop = Crop(crop.x * factor, crop.y * factor, crop.side * factor, crop.roll)
        seen = Crop(last.crop.x * factor, last.crop.y * factor, last.crop.side * factor, last.crop.roll)
        speeds = (speed * factor for speed in (last.vx, last.vy, last.stride_x, last.stride_y))
        self._last = Motion(seen, last.at, *speeds)
        self.confidence = 0.0

    def reject(self, crop: Crop) -> None:
        """The engine sees no face, and would cut `crop` if it had to: a newcomer tries that, others fall back."""
        self.predicted, self._new_shape = True, None
        if self.found:
            self.crop = self._last.extrapolate(self.at)
        else:
            self.state = TrackState.DENIED
            # A detector's first crop may be too poor for the engine to know the face, yet lead it there.
            if crop.finite and crop.near(self.crop, centre=0.4, ratio=1.8):
                self.crop = crop
            self._last = Motion(self.crop, self.at)

    def _learn(self, elapsed: float) -> None:
        """The shape of the frame before was the face's: nobody has claimed it, and nobody was before it."""
        new, known = self._new_shape if self._alone else None, self.shape
        self._new_shape = None
        if new is not None and known is not None and new.shape == known.shape:
            self.shape = known + np.float32(1.0 - math.exp(-max(elapsed, 0.0) / SHAPE_SECONDS)) * (new - known)


def _relative(xy: Floats, crop: Crop) -> Floats:
    inside: Floats = (xy - np.array((crop.x, crop.y), np.float32)) / np.float32(crop.side)
    return inside


def _absolute(xy: Floats, crop: Crop) -> Floats:
    placed: Floats = xy * np.float32(crop.side) + np.array((crop.x, crop.y), np.float32)
    return placed
