"""Several streams on one set of networks: their faces in one engine call, their frames in one detector call.

Each stream keeps a pipeline of its own (ids, values carried over). Frames that are analysed together go through it side
by side: all are tracked on, then the detector sees those that ask for it, then the engine looks at the faces of all.
On a GPU that is two calls: while it works on the second, the CPU goes on with the frames of the first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.analyzer.engines import EngineLadder
from rtface.analyzer.video import (
    Box,
    FindFaces,
    LookAtFaces,
    Request,
    Steps,
    VideoPipeline,
    begin_looking,
    look_at_faces,
)
from rtface.budget import BoxLadder, Company, Costs, Ladder, LadderConfig, Level
from rtface.detect import BatchDetector, Detections, Detector
from rtface.engine import Engine, Tensors, prunes
from rtface.engine.tickets import Submitting, submitter
from rtface.options import Options
from rtface.system.clock import Clock
from rtface.tasks import parsing
from rtface.types import Frame, FrameResult

CALLS = 2
"""Calls that a GPU has at a time: one that it works on, and the next."""

QUIET_WEIGHT = 0.1
"""Weight of a frame in what a stream's frames usually take: about the last ten count."""

STEEP = 90
"""Ticks (3 s) within which a way down that goes on grows steeper: cameras come by the dozen, faces do not."""


@dataclass(slots=True, eq=False)
class StreamFrame:
    """A stream's next frame, to be analysed together with others'.

    Attributes:
        stream: Whose it is.
        frame, at, deadline, wanted: As for `VideoPipeline.process`.
        judged: It says something of the level; not one that came from its source when it was late already.
    """

    stream: StreamPipeline
    frame: Frame
    at: float
    deadline: float | None
    wanted: tuple[str, ...]
    judged: bool = True
    steps: Steps | None = field(default=None, init=False)


@dataclass(slots=True, eq=False)
class StreamPipeline:
    """One stream of those that share the networks.

    Attributes:
        pipeline: Its own.
        usual_s: What its frames usually take, without detection.
    """

    pipeline: VideoPipeline
    usual_s: float = 0.0

    def note(self, result: FrameResult) -> None:
        """What this frame took."""
        took = (result.timing.total_ms - result.timing.detect_ms) / 1e3
        self.usual_s += (QUIET_WEIGHT if self.usual_s else 1.0) * (took - self.usual_s)

    def set_floor(self, max_level: int | None) -> None:
        """The lowest quality allowed, which has the largest number; None = the box's."""
        self.pipeline.scheduler.max_level = max_level


class Together:
    """The streams of one box.

    Args:
        options: Of the box: its levels.
        detector, engines, enhancer, levels, clock, lock: The analyzer's; the lock is held while a network runs.
    """

    def __init__(
        self,
        options: Options,
        detector: Detector,
        engines: EngineLadder,
        enhancer: Engine | None,
        levels: Sequence[Level],
        clock: Clock,
        lock: AbstractContextManager[object],
    ) -> None:
        self._clock, self._levels, self._lock = clock, levels, lock
        self._detector, self._engines, self._enhancer = detector, engines, enhancer
        ladder = Ladder(len(levels), options.max_level, options.level, LadderConfig(steep=STEEP))
        self._crops: dict[int, NDArray[np.uint8]] = {}  # of several streams, by their side
        self._box = Box(BoxLadder(clock, ladder), Costs())

    @property
    def level(self) -> int:
        """Of the box, 0 = full."""
        return self._box.ladder.level

    @property
    def moves(self) -> int:
        """How often the level has moved."""
        return self._box.ladder.moves

    def costs(self) -> dict[str, dict[str, float]]:
        """What stages cost a stream lately; see `Costs.table`."""
        return self._box.costs.table()

    def stream(self, options: Options) -> StreamPipeline:
        """A further stream; its `max_level` is how far its own quality may go down."""
        return StreamPipeline(
            VideoPipeline(options, self._detector, self._engines, self._enhancer, self._levels, self._clock, self._box)
        )

    def process(self, frames: Sequence[StreamFrame]) -> Iterator[tuple[StreamFrame, FrameResult | Exception]]:
        """The results of frames of different streams, each as soon as it is there; those with early deadlines first.

        What goes wrong with one frame is that frame's answer; what a network meets is every one's.
        """
        order = sorted(frames, key=lambda one: np.inf if one.deadline is None else one.deadline)
        company = _company(order, self._clock.now())
        asked: list[tuple[StreamFrame, Request]] = []
        for one in order:
            budget = one.stream.pipeline.scheduler.budget
            budget.company, one.stream.pipeline.scheduler.judged = company, one.judged
            one.steps = one.stream.pipeline.steps(one.frame, one.at, one.deadline, one.wanted)
            yield from self._go_on(one, None, asked)
        while asked:
            kind = FindFaces if any(isinstance(request, FindFaces) for _, request in asked) else LookAtFaces
            turn = [(one, request) for one, request in asked if isinstance(request, kind)]
            asked = [(one, request) for one, request in asked if not isinstance(request, kind)]
            for row, answer, share_s in self._answers([request for _, request in turn]):
                one = turn[row][0]
                one.stream.pipeline.scheduler.budget.resume(share_s)
                yield from self._go_on(one, answer, asked)
            if company is not None:
                company.reserved_s = 0.0
                if kind is FindFaces:
                    company.usual_s = 0.0  # from here on they fit, or they do not

    def _go_on(
        self, one: StreamFrame, answer: Any, asked: list[tuple[StreamFrame, Request]]
    ) -> Iterator[tuple[StreamFrame, FrameResult | Exception]]:
        """The frame's next step: a further request, or its end."""
        assert one.steps is not None
        try:
            with self._lock:  # on a GPU a step may use a network
                request = one.steps.throw(answer) if isinstance(answer, Exception) else one.steps.send(answer)
        except StopIteration as end:
            one.stream.note(end.value)
            yield one, end.value
        except Exception as error:
            yield one, error
        else:
            asked.append((one, request))

    def _answers(self, requests: Sequence[Request]) -> Iterator[tuple[int, Any, float]]:
        """The networks' answers, or what they met, as they come: of which request, and its share of the seconds."""
        looks = [request for request in requests if isinstance(request, LookAtFaces)]
        if not looks:
            found = self._found([request for request in requests if isinstance(request, FindFaces)])
            yield from ((row, *one) for row, one in enumerate(found))
            return
        answers: dict[int, tuple[Any, float]] = {}
        under_way: deque[_Call] = deque()
        for rows in _alike(looks):
            engine = self._engines.engine(looks[rows[0]].network)
            able = None if prunes(engine) else submitter(engine)
            if able is None:
                answers |= zip(rows, self._looked(engine, [looks[row] for row in rows]), strict=True)
                continue
            for part in _parts(looks, rows):
                under_way.append(self._begun(able, part, [looks[row] for row in part]))
                if len(under_way) == CALLS:
                    yield from self._collected(under_way.popleft())
        while under_way:
            yield from self._collected(under_way.popleft())
        yield from ((row, *answers[row]) for row in sorted(answers))

    def _begun(self, engine: Submitting, rows: Sequence[int], looks: Sequence[LookAtFaces]) -> _Call:
        """A call for some requests, which are alike."""
        with self._lock:
            began = self._clock.now()
            asked = looks[0] if len(looks) == 1 else self._joined(looks)
            (answer,) = _tried(lambda: [begin_looking(engine, asked)], 1)
            return _Call(rows, looks, answer, self._clock.now() - began)

    def _collected(self, call: _Call) -> Iterator[tuple[int, Any, float]]:
        """Its answers; their frames go on while the GPU works on the next call."""
        answers: Sequence[Tensors | Exception] = [call.answer] * len(call.looks)  # type: ignore[list-item]
        with self._lock:
            began = self._clock.now()
            if callable(wait := call.answer):
                one = len(call.looks) == 1
                answers = _tried(lambda: [wait()] if one else _apart(wait(), call.looks), len(call.looks))
            shares = _shares(call.looks, call.spent_s + self._clock.now() - began)
        yield from zip(call.rows, answers, shares, strict=True)

    def _found(self, requests: Sequence[FindFaces]) -> list[tuple[Any, float]]:
        images = [request.image for request in requests]
        detector, found = self._detector, list[Detections | Exception]()
        with self._lock:
            began = self._clock.now()
            if len(images) > 1 and isinstance(detector, BatchDetector):
                batch = detector.detect_batch
                found += _tried(lambda: batch(images), len(images))
            else:
                for image in images:
                    found += _tried(lambda image=image: [detector.detect(image)], 1)  # type: ignore[misc]
            share_s = (self._clock.now() - began) / len(requests)
        return [(one, share_s) for one in found]

    def _looked(self, engine: Engine, looks: Sequence[LookAtFaces]) -> list[tuple[Any, float]]:
        """Of requests that are alike."""
        answers: Sequence[Tensors | Exception]
        with self._lock:
            began = self._clock.now()
            if len(looks) == 1:
                answers = _tried(lambda: [look_at_faces(engine, looks[0])], 1)
            else:
                answers = _tried(lambda: _apart(look_at_faces(engine, self._joined(looks)), looks), len(looks))
            spent_s = self._clock.now() - began
        return list(zip(answers, _shares(looks, spent_s), strict=True))

    def _joined(self, looks: Sequence[LookAtFaces]) -> LookAtFaces:
        """One request for all: first all crops that are parsed, then all that are not; in memory that is kept."""
        pixels = [(np.asarray(look.crops), look.parsed) for look in looks]
        parts = [crops[:parsed] for crops, parsed in pixels] + [crops[parsed:] for crops, parsed in pixels]
        count, size = sum(len(look.crops) for look in looks), parts[0].shape[1]
        kept = self._crops.get(size)
        if kept is None or len(kept) < count:
            kept = self._crops[size] = np.zeros((count, *parts[0].shape[1:]), np.uint8)
        crops = np.concatenate(parts, out=kept[:count])
        return LookAtFaces(looks[0].network, crops, looks[0].names, sum(look.parsed for look in looks))


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """An engine's call that has begun: for which requests, what waits for its answer (or what it met), and the seconds
    that this took."""

    rows: Sequence[int]
    looks: Sequence[LookAtFaces]
    answer: Callable[[], Tensors] | Exception
    spent_s: float


def _alike(looks: Sequence[LookAtFaces]) -> Iterator[list[int]]:
    """Rows of requests for the same outputs of the same network, of pixels; one by one those of a frame's squares."""
    for network in sorted({look.network for look in looks}):
        for names in dict.fromkeys(look.names for look in looks if look.network == network):
            rows = [row for row, look in enumerate(looks) if (look.network, look.names) == (network, names)]
            if pixels := [row for row in rows if looks[row].image is None]:
                yield pixels
            yield from ([row] for row in rows if looks[row].image is not None)


def _parts(looks: Sequence[LookAtFaces], rows: Sequence[int]) -> list[list[int]]:
    """The requests in two calls of about as many faces, those with early deadlines first; one cannot be parted."""
    ends = np.cumsum([len(looks[row].crops) for row in rows])
    first = int(np.searchsorted(ends, ends[-1] / 2)) + 1
    return [part for part in (list(rows[:first]), list(rows[first:])) if part]


def _shares(looks: Sequence[LookAtFaces], spent_s: float) -> list[float]:
    """Each request's share of the seconds that a call took: parsing a face costs about as much as the rest."""
    weights = [len(look.crops) + look.parsed for look in looks]
    return [spent_s * weight / sum(weights) for weight in weights]


def _company(frames: Sequence[StreamFrame], now: float) -> Company | None:
    """Of frames in order of their deadlines; None where there is none, or one frame alone.

    A deadline that cannot be met any more binds nobody else.
    """
    if len(frames) < 2:
        return None
    open_ends = [
        one.deadline for one in frames if one.deadline is not None and now + one.stream.usual_s <= one.deadline
    ]
    return Company(min(open_ends), sum(one.stream.usual_s for one in frames)) if open_ends else None


def _tried(work: Callable[[], Sequence[Any]], count: int) -> Sequence[Any]:
    """What the work gives, or for each of `count` requests what it met."""
    try:
        return work()
    except Exception as error:
        return [error] * count


def _apart(tensors: Tensors, looks: Sequence[LookAtFaces]) -> list[Tensors]:
    """Each request's own tensors out of those of all."""
    first = np.cumsum([0, *(look.parsed for look in looks)])
    rest = first[-1] + np.cumsum([0, *(len(look.crops) - look.parsed for look in looks)])
    answers = []
    for row in range(len(looks)):
        parsed, others = slice(first[row], first[row + 1]), slice(rest[row], rest[row + 1])
        answers.append(
            {
                name: value[parsed]
                if name == parsing.OUTPUT or others.start == others.stop
                else np.concatenate([value[parsed], value[others]])
                for name, value in tensors.items()
            }
        )
    return answers
