"""People whose comings, goings and looks are known, as the results that an analyzer would make of them.

The audience's truth: what it counts is compared with what they did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rtface.labels import EMOTIONS
from rtface.types import Emotion, Face, Frame, FrameResult, HeadPose

Span = tuple[float, float]
IMAGE = np.zeros((180, 320, 3), np.uint8)
IMAGE.setflags(write=False)


@dataclass(frozen=True)
class Person:
    """What one person does, in spans of seconds.

    Attributes:
        track_id: The tracker's number.
        here, looks, smiles: When in view, when turned to the screen, when smiling.
        hidden: When the tracker only predicts the face.
        blurred: When the face is of low quality.
        side: Of the face's box, px of 320.
        x, y: Its centre, px of 320 x 180.
    """

    track_id: int
    here: Sequence[Span]
    looks: Sequence[Span] = ()
    smiles: Sequence[Span] = ()
    hidden: Sequence[Span] = ()
    blurred: Sequence[Span] = ()
    side: float = 60.0
    x: float = 160.0
    y: float = 90.0

    @property
    def dwell_s(self) -> float:
        """Seconds in view."""
        return sum(end - start for start, end in self.here)

    @property
    def attention_s(self) -> float:
        """Seconds turned to the screen."""
        return sum(end - start for start, end in self.looks)

    def face(self, at: float, rng: np.random.Generator) -> Face | None:
        """The face as it is measured at `at` seconds; None = not in view."""
        if not within(self.here, at):
            return None
        yaw, pitch = (4.0, -6.0) if within(self.looks, at) else (48.0, -10.0)
        happy = 0.8 if within(self.smiles, at) else 0.05
        half = self.side / 2
        eyes = np.array([[-0.2, -0.15], [0.2, -0.15], [0, 0], [-0.15, 0.25], [0.15, 0.25]], np.float32) * self.side
        probs = np.full(len(EMOTIONS), (1 - happy) / 7 * 0.5, np.float32)
        probs[EMOTIONS.index("happiness")] = happy
        probs[0] += 1 - probs.sum()
        return Face(
            box_xyxy=np.array([self.x - half, self.y - half, self.x + half, self.y + half]),
            score=0.9,
            points5=eyes + np.array([self.x, self.y], np.float32),
            track_id=self.track_id,
            pose=HeadPose(yaw + rng.normal(0, 2), pitch + rng.normal(0, 2), 0.0),
            emotion=Emotion(EMOTIONS[int(probs.argmax())], probs),
            age_ms={"pose": 0.0, "emotion": 0.0},
            quality=0.05 if within(self.blurred, at) else 0.8,
            predicted=within(self.hidden, at),
        )


def within(spans: Sequence[Span], at: float) -> bool:
    """Whether the moment is in one of the spans."""
    return any(start <= at < end for start, end in spans)


def results(
    people: Sequence[Person],
    seconds: float,
    fps: float = 30.0,
    *,
    dropped: float = 0.0,
    seed: int = 0,
    outages: Sequence[Span] = (),
    start: float = 1000.0,
) -> Iterator[FrameResult]:
    """Results of frames at `fps` with a camera's jitter.

    Args:
        people: Who comes and goes.
        seconds: How long.
        fps: Frames in a second.
        dropped: Share of frames that are lost.
        seed: Of jitter, noise and losses.
        outages: Spans in which no frame comes.
        start: The grab's clock at 0 s.
    """
    rng = np.random.default_rng(seed)
    for index in range(int(seconds * fps)):
        at = (index + rng.uniform(-0.1, 0.1)) / fps
        if rng.random() < dropped or within(outages, at):
            continue
        faces = tuple(face for face in (person.face(at, rng) for person in people) if face is not None)
        frame = Frame(IMAGE, index=index, captured_at=start + at)
        yield FrameResult(frame, faces, tasks=("emotion", "pose"))
