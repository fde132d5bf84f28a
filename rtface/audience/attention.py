"""Whether somebody looks at the screen, and spells of looking and smiling in seconds."""

from __future__ import annotations

import math
from typing import NamedTuple

from rtface.audience.rules import AudienceOptions
from rtface.types import Face

#: Between the pupils of an adult (mean of the ANSUR II survey, 2012), for a guess of the distance.
EYES_CM = 6.3


class Change(NamedTuple):
    """A spell that began or ended, and when it did so; `seconds` of it that were seen, at its end."""

    began: bool
    at: float
    seconds: float = 0.0


class Spells:
    """A state that must hold for `start_s` to begin a spell and be absent for `end_s` to end it.

    Both are dated back to when they happened: halfway between the two measurements on either side. `total_s` counts
    only the time that the state held, so a glance aside that ends no spell still is no attention.

    Args:
        start_s, end_s: Seconds, see above.
        max_gap_s: Two measurements further apart say nothing of the time between them.
    """

    def __init__(self, start_s: float, end_s: float, max_gap_s: float) -> None:
        self._start_s, self._end_s, self._max_gap_s = start_s, end_s, max_gap_s
        self.on = False
        self.holds = False  # at the last measurement
        self.total_s = 0.0
        self.count = 0
        self._spell_s = 0.0
        self._since: float | None = None
        self._until = self._last_yes = self._at = -math.inf

    def measure(self, at: float, holds: bool) -> list[Change]:
        """The state as measured at `at` seconds."""
        changes: list[Change] = []
        gap = at - self._at
        joined = gap <= self._max_gap_s
        held = self.holds and joined
        if joined:
            self._spell_s += gap * (held + holds) / 2
        else:
            changes += self._end()
        if holds:
            since = self._hold(at, at - gap / 2 if joined and not held else at)
            if not self.on and at - since >= self._start_s:
                self.on = True
                self.count += 1
                changes.append(Change(True, since))
        else:
            if held:
                self._until = at - gap / 2
            changes += self.unseen(at) if self.on else self._end()
        self.holds, self._at = holds, at
        return changes

    def _hold(self, at: float, since: float) -> float:
        """Since when the state holds, which may be 0: a file's first frame."""
        if self._since is None:
            self._since = since
        self._last_yes = self._until = at
        return self._since

    def unseen(self, at: float) -> list[Change]:
        """Nothing could be measured at `at`; a spell ends when that has been so for long enough."""
        return self._end() if at - self._last_yes >= self._end_s else []

    def _end(self) -> list[Change]:
        ended = [Change(False, self._until, self._spell_s)] if self.on else []
        if self.on:
            self.total_s += self._spell_s
        self.on, self._since, self._spell_s = False, None, 0.0
        self.holds, self._at = False, -math.inf  # what comes next begins afresh
        return ended

    def finish(self) -> list[Change]:
        """Nothing more will be measured."""
        return self._end()

    @property
    def seconds(self) -> float:
        """Of all spells so far, a running one included."""
        return self.total_s + (self._spell_s if self.on else 0.0)


class LookMeter:
    """One person's looks at the screen."""

    def __init__(self, rules: AudienceOptions) -> None:
        self._rules = rules
        self.spells = Spells(rules.look_start_s, rules.look_end_s, rules.max_gap_s)
        self.by = "pose"

    def see(self, at: float, face: Face, width_px: int) -> list[Change]:
        """The face as it is on a frame of `width_px` at `at` seconds."""
        angles = _angles(face)
        if angles is None or not measured(face, self._rules, angles[2]):
            return self.spells.unseen(at)
        yaw, pitch, self.by = angles
        ideal_yaw, ideal_pitch = self._ideal(face, width_px)
        off = max(abs(yaw - ideal_yaw), abs(pitch - ideal_pitch))
        limit = self._rules.leave_deg if self.spells.holds else self._rules.enter_deg
        return self.spells.measure(at, off <= limit)

    def _ideal(self, face: Face, width_px: int) -> tuple[float, float]:
        """Yaw and pitch of somebody who looks at the screen's centre."""
        yaw, pitch = self._rules.camera_offset_deg
        right_cm, up_cm = self._rules.camera_offset_cm
        if not right_cm and not up_cm:
            return yaw, pitch
        distance_cm = _distance_cm(face, width_px, self._rules.fov_deg)
        # A camera to the person's right sees the nose turned to the image's right; one above sees it turned down.
        yaw += math.degrees(math.atan2(right_cm, distance_cm))
        return yaw, pitch - math.degrees(math.atan2(up_cm, distance_cm))


def measured(face: Face, rules: AudienceOptions, task: str) -> bool:
    """Whether the task's value is of this very frame, and good enough to count."""
    good = face.quality is None or face.quality >= rules.min_quality
    return not face.predicted and good and face.age_ms.get(task, 0.0) == 0.0


def _angles(face: Face) -> tuple[float, float, str] | None:
    if face.gaze is not None:
        return face.gaze.yaw, face.gaze.pitch, "gaze"
    return None if face.pose is None else (face.pose.yaw, face.pose.pitch, "pose")


def _distance_cm(face: Face, width_px: int, fov_deg: float) -> float:
    left, right = face.points5[0].tolist(), face.points5[1].tolist()
    eyes_px = math.dist(left, right)
    if not eyes_px > 0:  # not known: eyes are some 0.42 of a face's width apart
        x0, _, x1, _ = face.box_xyxy.tolist()
        eyes_px = max(0.42 * (x1 - x0), 1.0)
    if face.pose is not None:  # a turned head's eyes seem closer together
        eyes_px /= max(math.cos(math.radians(face.pose.yaw)), 0.5)
    focal_px = width_px / 2 / math.tan(math.radians(fov_deg) / 2)
    return EYES_CM * focal_px / eyes_px
