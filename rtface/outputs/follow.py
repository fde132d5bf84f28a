"""Which face an output for one person follows, and numbers for the faces of outputs for several."""

from __future__ import annotations

from rtface.types import Face, Frame, FrameResult

#: A face that is gone for so long is given up.
HOLD_S = 1.0


def frame_time(frame: Frame, live: bool) -> float:
    """Seconds at which the frame was taken: a file's own where it is not played but read as fast as it goes."""
    return frame.captured_at or 0.0 if live or frame.media_time is None else frame.media_time


class FaceFollower:
    """The largest face, kept until it is gone for a second.

    Args:
        track_id: Follow this one only; None = the largest.
        hold_s: Seconds for which the last value of a face that is gone stands.
    """

    def __init__(self, track_id: int | None = None, hold_s: float = HOLD_S) -> None:
        self._wanted = track_id
        self._hold_s = hold_s
        self._face: Face | None = None
        self._seen_at = 0.0

    def update(self, result: FrameResult, at: float) -> Face | None:
        """The face that is followed, or its last value while it is gone for a short time; None = nobody.

        Args:
            result: The newest.
            at: Its time in seconds.
        """
        found = self._find(result.faces)
        if found is None and self._face is not None and 0 <= at - self._seen_at < self._hold_s:
            return self._face
        if found is None and self._wanted is None and result.faces:
            found = max(result.faces, key=_area)
        self._face, self._seen_at = found, at
        return found

    def _find(self, faces: tuple[Face, ...]) -> Face | None:
        wanted = self._wanted if self._wanted is not None else self._face.track_id if self._face else None
        if wanted is None:
            return max(faces, key=_area, default=None)
        return next((face for face in faces if face.track_id == wanted), None)


class Slots:
    """Small numbers for tracks, the lowest free one first; one is free again after its track was gone for a second.

    Args:
        count: Most tracks at a time; None = any number.
    """

    def __init__(self, count: int | None = None, hold_s: float = HOLD_S) -> None:
        self._count = count
        self._hold_s = hold_s
        self._slot_of: dict[int | None, int] = {}
        self._seen_at: dict[int | None, float] = {}

    @property
    def taken(self) -> set[int]:
        """The slots that are a face's, also of one that was seen a moment ago."""
        return set(self._slot_of.values())

    def clear(self) -> list[int]:
        """Free every slot; those that were taken."""
        freed = sorted(self._slot_of.values())
        self._slot_of.clear()
        self._seen_at.clear()
        return freed

    def update(self, result: FrameResult, at: float) -> tuple[dict[int, Face], list[int]]:
        """Slot → face, and the slots that became free.

        Args:
            result: The newest.
            at: Its time in seconds.
        """
        slots = [self._slot_of.get(face.track_id) for face in result.faces]
        if len(slots) == len(self._slot_of) and None not in slots:  # the same as before, as nearly always
            self._seen_at = dict.fromkeys(self._slot_of, at)
            return {slot: face for slot, face in zip(slots, result.faces, strict=True) if slot is not None}, []
        faces = {face.track_id if face.track_id is not None else -1 - i: face for i, face in enumerate(result.faces)}
        gone = [
            track_id
            for track_id, seen_at in self._seen_at.items()
            if track_id not in faces and not 0 <= at - seen_at < self._hold_s
        ]
        freed = [self._slot_of.pop(track_id) for track_id in gone if self._seen_at.pop(track_id) is not None]
        taken = set(self._slot_of.values())
        for track_id in faces:
            if track_id not in self._slot_of and (self._count is None or len(taken) < self._count):
                slot = next(number for number in range(len(taken) + 1) if number not in taken)
                self._slot_of[track_id] = slot
                taken.add(slot)
        held = {track_id: face for track_id, face in faces.items() if track_id in self._slot_of}
        self._seen_at.update(dict.fromkeys(held, at))
        return {self._slot_of[track_id]: face for track_id, face in held.items()}, sorted(freed)


def _area(face: Face) -> float:
    x0, y0, x1, y1 = face.box_xyxy
    return float(max(x1 - x0, 0.0) * max(y1 - y0, 0.0))
