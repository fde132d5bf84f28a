"""Stable ids: detections make tracks, the engine's landmarks carry them, time ends them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.geometry.crop import Crop, crop_from_box, crop_from_points5
from rtface.track.association import associate
from rtface.track.config import TrackerConfig
from rtface.track.face_shape import descriptor
from rtface.track.reid import ALIKE, REMEMBER_SECONDS, ReId
from rtface.track.track import Track, TrackState

Floats = NDArray[np.float32]


class Tracker:
    """The faces of one stream.

    A frame is `predict`, then `update_detections` when `wants_detection`, then `update_landmarks`, then `confirm`.

    Where the detector's answer comes a frame later, it is `update_detections` with `late` before the next `predict`:
    the tracks still stand where they were on the frame that it is of, and move on from there together.

    `tracks` are all that the engine should look at; `visible` are those of them that are faces, and `confirm` names
    them.

    Args:
        detect_every: Longest time between two looks of the detector, in seconds; `TrackerConfig.full_factor`
            times that while there are `max_faces`.
        max_faces: Most tracks at a time.
        config: The tunables.
    """

    def __init__(self, detect_every: float = 0.3, max_faces: int = 8, config: TrackerConfig | None = None) -> None:
        self._config = config or TrackerConfig()
        self._detect_every, self._max_faces = detect_every, max_faces
        self._next_id = 1
        self.reset()

    def reset(self) -> None:
        """Forget every face; ids go on."""
        self.tracks: list[Track] = []
        self._memory = ReId()
        self._rejected: list[tuple[Crop, float]] = []  # and until when
        self._size: tuple[int, int] | None = None
        self._at = float("-inf")
        self._detected_at = float("-inf")
        self._gap = float("inf")
        self._late = False

    def predict(self, at: float, width: int, height: int) -> None:
        """Move every track on to `at` (seconds) on a frame of `width`×`height` px; a clock set back starts again.

        Tracks and memories of longer ago than a lost face is remembered for end here: who is seen now is another
        visitor. A frame that is later than others, but not by so much, may still show the face. A picture that has
        become larger or smaller takes the tracks along; one of another form ends them.
        """
        if at < self._at:
            self.reset()
        self._resize(width, height)
        self._prune()
        self.tracks = [track for track in self.tracks if at - track.seen_at <= REMEMBER_SECONDS]
        self._memory.forget(at)
        self._gap, self._at = at - self._at, at
        for track in self.tracks:
            track.predict(at, detected=self._late and track.detected)
        self._late = False
        inside = [0 <= t.crop.x < width and 0 <= t.crop.y < height for t in self.tracks]
        self._keep(inside, outside=True)

    def _resize(self, width: int, height: int) -> None:
        before, self._size = self._size, (width, height)
        if before is None or before == self._size:
            return
        factor, upright = width / before[0], height / before[1]
        if abs(upright - factor) > self._config.same_form * factor:
            at, size = self._at, self._size
            self.reset()
            self._at, self._size = at, size
            return
        self._memory, self._rejected = ReId(), []
        self._detected_at = float("-inf")
        for track in self.tracks:
            track.scale(factor)

    @property
    def wants_detection(self) -> bool:
        """Whether the detector should look at this frame: its time has come, or a track is missing or in doubt."""
        full = len(self.tracks) >= self._max_faces
        due = self._at - self._detected_at >= self._detect_every * (self._config.full_factor if full else 1.0)
        found = [track for track in self.tracks if track.found]
        return due or not found or any(self._unsure(t) or t.state is not TrackState.CONFIRMED for t in found)

    @property
    def detection_can_wait(self) -> bool:
        """Whether the detector's answer to this frame may come a frame later: frames come fast, every face is known and
        sure, and the look is only due. Who is missed or doubted is looked for at once."""
        sure = all(track.state is TrackState.CONFIRMED and not self._unsure(track) for track in self.tracks)
        return bool(self.tracks) and sure and self._gap <= self._config.near_s

    def update_detections(self, boxes_xyxy: Floats, scores: Floats, points5: Floats, *, late: bool = False) -> None:
        """What the detector saw on this frame: (N, 4) px, (N,), (N, 5, 2) px; NaN points where it has none.

        `late`: it comes after the engine's word of the frame, which stands.
        """
        self._detected_at, self._late = self._at, late
        for known in self.tracks:
            known.detected = False
        crops = [first_crop(box, points) for box, points in zip(boxes_xyxy, points5, strict=True)]
        matched = {detection: self.tracks[track] for track, detection in self._pairs(boxes_xyxy, points5)}
        for index, crop in enumerate(crops):
            track = matched.get(index)
            if track is None:
                full = len(self.tracks) >= self._max_faces
                if full or not crop.finite or self._known_false(crop, float(scores[index])):
                    continue
                track = self._begin(crop, float(scores[index]))
            elif late and track.predicted and track.confidence < self._config.doubt:
                continue
            engines_own = track.state is TrackState.DENIED or (track.found and not self._unsure(track))
            score = float(scores[index])
            track.update_detections(boxes_xyxy[index], points5[index], crop, score, keep_crop=engines_own)
        for track in self.tracks:
            track.misses += track.state is not TrackState.CONFIRMED and not track.detected

    def update_landmarks(
        self,
        crops: Sequence[Crop],
        points5: Floats,
        face: Sequence[float],
        points: Floats | None = None,
        *,
        tracks: Sequence[Track] | None = None,
        looks: Sequence[Floats | None] = (),
    ) -> None:
        """What the engine saw in the crops of `tracks`, in their order; None = of all.

        `crops` are the squares cut from its landmarks, `points5` (N, 5, 2) px theirs, `face` how sure it is that the
        crop held a well-placed face; `points` (N, P, 2) px all landmarks, for the face's shape; None = the five;
        `looks` (`look_of`) tell that another face has taken a track's place, which then is another track.
        """
        looked = tracks or self.tracks
        landmarks = points5 if points is None else points
        seen = zip(looked, crops, points5, face, landmarks, looks or [None] * len(looked), strict=True)
        for track, crop, five, sure, all_points, look in seen:
            track.confidence = sure
            if crop.finite and (sure >= self._config.sure or (sure >= self._config.doubt and track.detected)):
                # Landmarks of a face that is half hidden have not its shape.
                shape = descriptor(all_points, crop) if sure >= self._config.sure else None
                track.update_landmarks(crop, five, shape, look, alone=self._alone(track, crop))
                if sure >= self._config.clear or self._twice_seen(track, sure):
                    track.state = TrackState.CONFIRMED
            else:
                track.reject(crop)
        self._resolve_duplicates()
        for track in self.tracks:
            if track.replaced and not track.predicted:
                track.begin_anew()
        self._prune()
        self.confirm()

    def _twice_seen(self, track: Track, sure: float) -> bool:
        return (
            track.detected and track.sightings > 1 and (sure >= self._config.sure or track.score >= self._config.firm)
        )

    @property
    def visible(self) -> list[Track]:
        """The tracks that are faces: seen just now, or nobody has looked since.

        Not those that the engine looked for and did not find where another face is seen: they are behind it.
        """

        def seen(track: Track) -> bool:
            lately = not track.predicted or self._at - track.seen_at <= self._config.hide_s
            doubtful = track.state in (TrackState.DENIED, TrackState.DOUBTFUL)
            return not doubtful and (lately or not self._unsure(track)) and not self._covered(track)

        return [track for track in self.tracks if seen(track)]

    def confirm(self) -> list[Track]:
        """Give each visible face its id, an old one if it was here before; the faces that have one.

        A track whose face has been found under another one ends here.
        """
        faces = self.visible
        newcomers = [track for track in faces if not track.track_id]
        hidden = [
            track for track in self.tracks if track.track_id and track.predicted and self._may_be_elsewhere(track)
        ]
        crowded = [track for track in newcomers if not self._alone(track, track.crop)]
        waiting = self._memory.assign_ids(newcomers, hidden, crowded)
        self.tracks = [track for track in self.tracks if track.track_id or track not in hidden]
        for track in newcomers:
            if not track.track_id and track not in waiting:
                track.track_id = self._next_id
                self._next_id += 1
        return [track for track in faces if track.track_id]

    def _may_be_elsewhere(self, track: Track) -> bool:
        """A face that was missed before, or has had so much time since it was seen that it may have gone farther than a
        detection is matched at."""
        return not track.confirmed_before or self._at - track.seen_at > self._config.seldom_s

    def _alone(self, track: Track, crop: Crop) -> bool:
        others = (other for other in self.tracks if other is not track)
        return not any(crop.near(other.crop, centre=self._config.alone, ratio=4.0) for other in others)

    def _unsure(self, track: Track) -> bool:
        """The engine doubts the crop (or has said no number); the detector should look again."""
        return not track.confidence >= self._config.sure

    def _covered(self, track: Track) -> bool:
        others = (other for other in self.tracks if not other.predicted)
        return track.predicted and self._unsure(track) and any(_same_place(track, other) for other in others)

    def _pairs(self, boxes_xyxy: Floats, points5: Floats) -> list[tuple[int, int]]:
        if not self.tracks:
            return []
        return associate(
            np.stack([track.box_xyxy for track in self.tracks]),
            np.stack([track.points5 for track in self.tracks]),
            np.array([track.crop.side for track in self.tracks]),
            boxes_xyxy,
            points5,
        )

    def _known_false(self, crop: Crop, score: float) -> bool:
        lately = (place for place, until in self._rejected if until >= self._at)
        return score < self._config.firm and any(crop.near(place, centre=0.4, ratio=1.8) for place in lately)

    def _begin(self, crop: Crop, score: float) -> Track:
        track = Track(score, crop, self._at)
        self.tracks.append(track)
        return track

    def _resolve_duplicates(self) -> None:
        """One face, one track: of two tracks on one face, the one that jumped there falls back to its prediction.

        When two faces cross, the hidden one's landmarks land on the other; it coasts until it shows again, or is lost.
        """
        seen = [track for track in self.tracks if not track.predicted]
        if not any(_same_place(track, other) for track, other in combinations(seen, 2)):
            return
        held: list[Track] = []
        for track in sorted(seen, key=_claim_priority):
            if any(_same_place(track, other) for other in held):
                if not track.track_id:
                    track.state = TrackState.DENIED  # a newcomer there was never a face of its own
                track.reject(track.crop)
                track.confidence = 0.0
            else:
                held.append(track)

    def _prune(self) -> None:
        def lives(track: Track) -> bool:
            if track.state is TrackState.DENIED:
                return self._at - track.born_at <= self._config.trial_s
            if track.state is TrackState.DOUBTFUL and track.misses:  # where it seldom looks, wait for its next word
                return self._at - track.born_at <= self._config.trial_s
            return not track.predicted or self._at - track.seen_at <= self._config.lost_s

        doubtful = (track for track in self.tracks if track.state is TrackState.DOUBTFUL)
        doubted = [track for track in doubtful if self._at - track.born_at > self._config.doubt_s]
        self._rejected = [(place, until) for place, until in self._rejected if until >= self._at]
        self._rejected += [(track.crop, self._at + self._config.reject_s) for track in doubted]
        self._keep([lives(track) and track not in doubted for track in self.tracks])

    def _keep(self, which: Sequence[bool], *, outside: bool = False) -> None:
        """Let go of the other tracks, and remember their faces."""
        for track, stays in zip(self.tracks, which, strict=True):
            if not stays:
                self._memory.put(track, outside=outside)
        self.tracks = [track for track, stays in zip(self.tracks, which, strict=True) if stays]


def _same_place(track: Track, other: Track) -> bool:
    return track.crop.near(other.crop, centre=0.25, ratio=1.6)


def first_crop(box_xyxy: NDArray[Any], points5: NDArray[Any]) -> Crop:
    """A detection's crop: of its five points, or of its box where a detector has no points."""
    crop = crop_from_points5(points5)
    return crop if crop.finite else crop_from_box(box_xyxy)


def _claim_priority(track: Track) -> tuple[bool, bool, float, float]:
    """Who keeps a face that two tracks claim: the known, the one seen lately, the one whose place and shape it has,
    the older."""
    unlike = track.surprise + track.descriptor_distance / ALIKE
    return (not track.track_id, not track.confirmed_before, round(unlike, 2), track.born_at)
