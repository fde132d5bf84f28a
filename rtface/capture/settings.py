"""What a camera is asked for, and how its pictures are turned."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CaptureSettings:
    """How a source is opened, and what is done to each of its pictures.

    Attributes:
        size_wh: Width and height in px that a camera is asked for; None = as it comes.
        fps: Frames per second that a camera is asked for; None = as it comes.
        fourcc: How a camera shall send its pictures, such as "MJPG": USB carries 1080p at 30 fps only so.
        rotate: Degrees clockwise that every picture is turned by: 0, 90, 180 or 270.
        mirror: Every picture is mirrored, left for right, after it was turned.
        loop: A file begins again when it has ended.
        hwaccel: What decodes a file's frames: "none" = the CPU; "cuda", "qsv", "videotoolbox", …; "auto" = the first
            that is here, else the CPU.
    """

    size_wh: tuple[int, int] | None = None
    fps: float | None = None
    fourcc: str | None = None
    rotate: int = 0
    mirror: bool = False
    loop: bool = False
    hwaccel: str = "none"


#: Nothing asked for, nothing turned.
AS_IT_COMES = CaptureSettings()
