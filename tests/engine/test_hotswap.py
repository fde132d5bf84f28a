"""An engine that gives way to a better one between two calls."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import pytest

from rtface.engine import Engine, prunes
from rtface.engine.hotswap import HotSwapEngine
from rtface.errors import EngineError

BATCH = np.zeros((1, 1), np.uint8)


class Named:
    """Answers with its name."""

    outputs = ("who",)

    def __init__(self, name: str) -> None:
        self.name, self.closed = name, False

    def run(self, batch: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        assert not self.closed
        return {"who": np.array([self.name])}

    def describe(self) -> dict[str, str | int]:
        return {"engine": self.name}

    def close(self) -> None:
        self.closed = True


def who(engine: HotSwapEngine) -> str:
    answer = str(engine.run(BATCH, ("who",))["who"][0])
    assert engine.describe()["engine"] == answer
    return answer


def test_it_swaps_when_the_better_one_is_ready_and_not_before(caplog: pytest.LogCaptureFixture) -> None:
    first, better, ready = Named("slow"), Named("fast"), threading.Event()

    def prepare(stop: threading.Event) -> Engine:
        ready.wait(10)
        return better

    engine = HotSwapEngine("net", first, prepare)
    assert [who(engine), who(engine)] == ["slow", "slow"] and not first.closed
    ready.set()
    assert engine.wait(10)
    assert who(engine) == "fast" and first.closed and "net runs on fast" in caplog.text
    engine.close()
    assert better.closed


@pytest.mark.parametrize("error", [EngineError("net", "no memory", "Buy some"), ZeroDivisionError("oops")])
def test_a_failure_is_said_once_and_the_first_stays(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    def prepare(stop: threading.Event) -> Engine:
        raise error

    engine = HotSwapEngine("net", Named("slow"), prepare)
    assert engine.wait(10) and who(engine) == "slow" and who(engine) == "slow"
    assert caplog.text.count("stays on slow") == 1


def test_closing_stops_the_preparation_and_closes_what_it_made() -> None:
    first, better, started = Named("slow"), Named("fast"), threading.Event()

    def prepare(stop: threading.Event) -> Engine:
        started.set()
        assert stop.wait(10)
        return better

    engine = HotSwapEngine("net", first, prepare)
    assert started.wait(10)
    engine.close()
    assert engine.wait(10) and first.closed and better.closed


def test_what_was_made_is_ready_for_the_stream_before_it_is_swapped_in() -> None:
    went, made = [], threading.Event()

    class Prepared(Named):
        def prepare(self, *names: Sequence[str]) -> None:
            went.append((self.name, names))

    def prepare(stop: threading.Event) -> Engine:
        made.wait(10)
        return Prepared("fast")

    engine = HotSwapEngine("net", Prepared("slow"), prepare)
    engine.prepare(("who",), ())
    made.set()
    assert engine.wait(10) and went == [("slow", (("who",), ())), ("fast", (("who",), ()))]
    assert who(engine) == "fast"
    engine.close()


def test_whether_it_prunes_is_the_engines_that_runs() -> None:
    first, better = Named("slow"), Named("fast")
    first.prunes = True  # type: ignore[attr-defined]
    engine = HotSwapEngine("net", first, lambda stop: better)
    assert engine.wait(10) and prunes(engine)
    who(engine)
    assert not prunes(engine)
    engine.close()
