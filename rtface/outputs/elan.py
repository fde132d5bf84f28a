"""ELAN (archive.mpi.nl/tla/elan): when each person shows an emotion, looks and smiles, as tiers beside the video."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from rtface.audience.attention import Change, LookMeter, Spells
from rtface.audience.rules import AudienceOptions
from rtface.labels import EMOTIONS
from rtface.outputs.follow import frame_time
from rtface.outputs.output_url import OutputUrl
from rtface.outputs.sink import RunInfo, Sink
from rtface.system.files import atomic_write, not_written
from rtface.types import Face, FrameResult

#: Seconds that a state must hold to be an interval, be absent to end it, and may go unseen within it.
START_S, END_S, MAX_GAP_S = 0.2, 0.2, 0.5


class _Person:
    """The intervals of one track: tier → (start, end, value) in seconds."""

    def __init__(self, rules: AudienceOptions) -> None:
        self._rules = rules
        self._look = LookMeter(rules)
        self._spells = {name: Spells(START_S, END_S, MAX_GAP_S) for name in (*EMOTIONS[1:], "smile")}
        self._begun: dict[str, float] = {}
        self.intervals: dict[str, list[tuple[float, float, str]]] = defaultdict(list)
        self.last_at = 0.0

    def see(self, face: Face, at: float, width_px: int) -> None:
        self.last_at = at
        self._note("look", "look", self._look.see(at, face, width_px), at)
        if face.emotion is not None and not face.predicted:
            probs = dict(zip(EMOTIONS, face.emotion.probs.tolist(), strict=True))
            for name in EMOTIONS[1:]:
                self._note("emotion", name, self._spells[name].measure(at, face.emotion.label == name), at)
            smiles = self._spells["smile"].measure(at, probs["happiness"] >= self._rules.smile_score)
            self._note("smile", "smile", smiles, at)

    def _note(self, tier: str, value: str, changes: list[Change], at: float) -> None:
        for change in changes:
            if change.began:
                self._begun[value] = change.at
            elif value in self._begun:
                self.intervals[tier].append((self._begun.pop(value), max(change.at, 0.0), value))

    def finish(self) -> None:
        """Intervals that the end cuts off end there."""
        for value, began in self._begun.items():
            tier = value if value in ("look", "smile") else "emotion"
            self.intervals[tier].append((began, self.last_at, value))
        self._begun = {}


class ElanSink(Sink):
    """An .eaf file, written when the run ends.

    Args:
        path: The file.
        overwrite: Whether a file that is there may be replaced.
    """

    picture = "none"

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        self.name = str(path)
        self._path, self._overwrite = path, overwrite
        self._people: dict[int, _Person] = {}
        self._rules = AudienceOptions()
        self._start: float | None = None

    def open(self, info: RunInfo) -> None:
        self._live, self._source = info.live, info.source

    def write(self, result: FrameResult) -> None:
        at = frame_time(result.frame, self._live)
        if self._live or result.frame.media_time is None:
            self._start = at if self._start is None else self._start
            at -= self._start
        for face in result.faces:
            if face.track_id is not None:
                person = self._people.setdefault(face.track_id, _Person(self._rules))
                person.see(face, at, result.frame.image.shape[1])

    def finish(self, summary: dict[str, Any]) -> None:
        from pympi import Elan

        document = Elan.Eaf(author="rtface")
        document.remove_tier("default")
        media = Path(self._source)
        if not self._live and media.is_file():
            kind = "video/mp4" if media.suffix.lower() == ".mp4" else "video/*"
            document.add_linked_file(media.resolve().as_uri(), relpath=media.name, mimetype=kind)
        for track_id, person in sorted(self._people.items()):
            person.finish()
            for tier, intervals in sorted(person.intervals.items()):
                _add_tier(document, f"person {track_id} {tier}", intervals)
        if not document.get_tier_names():
            document.add_tier("nobody")
        try:
            with tempfile.TemporaryDirectory() as folder:  # it leaves a .bak beside what it writes
                document.to_file(str(Path(folder, "whole.eaf")))
                data = Path(folder, "whole.eaf").read_bytes()
            with atomic_write(self._path, overwrite=self._overwrite) as file:
                file.write(data)
        except OSError as error:
            raise not_written(self.name, error) from error


def _add_tier(document: Any, name: str, intervals: list[tuple[float, float, str]]) -> None:
    document.add_tier(name)
    free_ms = 0
    for start, end, value in sorted(intervals):
        start_ms = max(round(start * 1000), free_ms)  # within a tier nothing may overlap
        end_ms = max(round(end * 1000), start_ms + 1)
        document.add_annotation(name, start_ms, end_ms, value)
        free_ms = end_ms


def open_file(path: Path, settings: OutputUrl, *, overwrite: bool) -> Sink:
    """The output for a path."""
    settings.only()
    return ElanSink(path, overwrite=overwrite)
