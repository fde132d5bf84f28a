"""What counts as a visit, a look and a smile."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from rtface.errors import OptionError


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceOptions:
    """The definitions; `docs/audience.md` explains them with the industry's words.

    Use this when your idea of a visit or a look is another, or the camera is not at the screen.

    Attributes:
        enter_deg: A look begins when head (or gaze) is turned from the screen by no more than this, in yaw and pitch.
        leave_deg: It ends when it is turned by more than this.
        look_start_s: A look is one when it has held for so long ...
        look_end_s: ... and is over when nobody looked for so long.
        arrive_s: A face is a visit when it has been there for so long.
        grace_s: A visit is over when its face was not seen for so long; the grace is no dwell. The tracker knows a face
            again for 3 s.
        max_gap_s: Between two sightings (or two measured looks) up to this far apart the person is taken to have been
            there (to have looked) all the time; a longer gap counts as nothing.
        min_face_px: Smaller faces (longer side of the box, px) begin no visit.
        near_px: From this size on a visitor is near, below it far.
        min_quality: Faces of lower quality (0..1) are no evidence of a look or a smile.
        camera_offset_deg: How far head and nose are turned, seen by the camera, when somebody looks at the screen's
            centre: yaw (+ towards the image's right) and pitch (+ up).
        camera_offset_cm: Where the camera is, seen from the screen's centre by somebody before it: cm to the right and
            cm up. Becomes an angle by the person's distance, which is guessed from the eyes' distance and `fov_deg`.
        fov_deg: The camera's horizontal field of view, for `camera_offset_cm`.
        smile_score: A smile begins from this `Expression.smile`, or probability of happiness where there is none.

    Raises:
        OptionError: A value is not what its option takes.

    Example:
        >>> import rtface
        >>> rules = rtface.AudienceOptions(grace_s=5, camera_offset_cm=(0, 25))
        >>> rtface.Options(audience=True, audience_rules=rules).audience_rules.grace_s
        5
    """

    enter_deg: float = 20.0
    leave_deg: float = 30.0
    look_start_s: float = 0.3
    look_end_s: float = 0.5
    arrive_s: float = 0.3
    grace_s: float = 3.0
    max_gap_s: float = 1.0
    min_face_px: float = 0.0
    near_px: float = 80.0
    min_quality: float = 0.2
    camera_offset_deg: tuple[float, float] = (0.0, 0.0)
    camera_offset_cm: tuple[float, float] = (0.0, 0.0)
    fov_deg: float = 60.0
    smile_score: float = 0.6

    def __post_init__(self) -> None:
        for option in fields(self):
            value = getattr(self, option.name)
            numbers = value if option.name.startswith("camera_offset") else (value,)
            if not all(isinstance(number, int | float) and math.isfinite(number) for number in numbers):
                raise _wrong(option.name, "a finite number", value)
            if not option.name.startswith("camera_offset") and value < 0:
                raise _wrong(option.name, "a number of at least 0", value)
        if self.leave_deg < self.enter_deg:
            raise _wrong("leave_deg", f"at least enter_deg ({self.enter_deg:g})", self.leave_deg)
        if not 0 < self.fov_deg < 180:
            raise _wrong("fov_deg", "degrees between 0 and 180", self.fov_deg)


def _wrong(name: str, expected: str, got: object) -> OptionError:
    return OptionError(f"audience {name}", f"expected {expected}, got {got!r}", "Change it")
