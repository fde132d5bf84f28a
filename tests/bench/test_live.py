"""The live bench on painted faces: the simulated camera, what is counted, and the picture of it."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest

from rtface.analyzer import Analyzer
from rtface.bench.camera import LockstepCamera, SimulatedCamera, SteppedClock
from rtface.bench.live import LiveRun, LiveSetup, Seen, record, run_live
from rtface.bench.live_report import live_text
from rtface.bench.load import Load, LoadPlan
from rtface.bench.scene import HEIGHT, WIDTH, Bursts, Scene, parse_bursts
from rtface.bench.steady import steady_memory
from rtface.bench.timeline import timeline
from rtface.errors import InputError
from rtface.options import Options
from rtface.testing import FakeClock, FakeDetector, FakeEngine, Painted, paint
from rtface.types import Skip, SkipReason

FACE = Painted(320, 240, 40)
CLIP = [np.full((HEIGHT, WIDTH, 3), 20 * k, np.uint8) for k in range(5)]


def scene() -> Scene:
    return Scene([paint([FACE])])


def test_bursts() -> None:
    assert parse_bursts("0..8").counts == tuple(range(9))
    assert parse_bursts("3").counts == (3,) and parse_bursts("0,1,8").counts == (0, 1, 8)
    assert [Bursts((1, 5), 2.0).at(time) for time in (0, 1.9, 2.0, 3.9, 4.0)] == [1, 1, 5, 5, 1]
    for text in ("", "ten", "-1", "0..99", "3..1", "1,,2"):
        with pytest.raises(InputError, match="faces: expected numbers from 0 to 9"):
            parse_bursts(text)


def test_the_clip_is_played_to_and_fro() -> None:
    shades = [int(Scene(CLIP).frame(index, 1)[0, 0, 0]) for index in range(10)]
    assert shades == [0, 20, 40, 60, 80, 60, 40, 20, 0, 20]


@pytest.mark.parametrize(("faces", "side"), [(0, 1), (2, 2), (4, 2), (5, 3), (9, 3)])
def test_faces_lie_in_a_grid(faces: int, side: int) -> None:
    frame = Scene([np.zeros((HEIGHT, WIDTH, 3), np.uint8)]).frame(3, faces)
    assert frame.shape == (HEIGHT, WIDTH, 3)
    assert (frame == 0).mean() == pytest.approx(faces / side**2, abs=0.01)


def test_a_frame_comes_when_it_is_due_and_is_lost_when_nobody_waits() -> None:
    clock = FakeClock()
    camera = SimulatedCamera(scene(), Bursts(), 10.0, 8, clock)
    times, indices = [], []
    while (frame := camera.read()) is not None:
        times.append(frame.captured_at - 100.0)
        indices.append(frame.index)
        if frame.index == 2:
            clock.time += 0.35  # the capture thread got no time: three more were due meanwhile
    assert indices == [0, 1, 2, 5, 6, 7]
    assert times == pytest.approx([0, 0.1, 0.2, 0.55, 0.6, 0.7])
    assert camera.missed == 2 and camera.began == 100.0
    camera = SimulatedCamera(scene(), Bursts(), 10.0, 8, clock)
    camera.close()
    assert camera.read() is None


def test_a_lockstep_camera_waits_for_its_frame_to_be_done() -> None:
    clock = SteppedClock(timer=lambda: 0.0)
    camera = LockstepCamera(scene(), Bursts(), 10.0, 3, clock)
    times = []
    for _ in range(3):
        frame = camera.read()
        assert frame is not None
        times.append(frame.captured_at)
        camera.release()
    assert times == pytest.approx([0, 0.1, 0.2])
    assert camera.read() is None
    waiting = threading.Thread(target=camera.read)
    waiting.start()
    camera.close()
    waiting.join(timeout=5.0)
    assert not waiting.is_alive()


def test_a_second_process_works_and_ends() -> None:
    assert [LoadPlan(5.0, 2.0).at(time) for time in (0, 4.9, 5.0, 6.9, 7.0)] == [True, True, False, False, True]
    with Load(LoadPlan(3600.0)) as load:
        process = load._process
        assert process is not None and process.poll() is None
    assert process.poll() is not None
    with Load(None) as idle:
        assert idle._process is None


def painted_analyzer(options: Options, clock: Any) -> Analyzer:
    return Analyzer(options, detector=FakeDetector([FACE]), engine=FakeEngine(), clock=clock)


def test_a_run_on_a_fake_clock() -> None:
    """The camera's waits move the clock, so ages are those of a machine that takes no time."""
    options, clock = Options(budget_ms=33.0), FakeClock()
    setup = LiveSetup(fps=10.0, seconds=2.0, warmup_s=0.5)
    cpu = iter([1.0, 2.0, 2.5])
    run = run_live(
        setup, options, scene(), clock=clock, analyzer=painted_analyzer(options, clock), cpu=lambda: next(cpu)
    )
    assert 1 <= len(run.seen) <= 20 and all(0.5 <= one.at <= 2.5 for one in run.seen)
    assert run.cpu_s == 0.5 and run.levels[0] == "full" and run.budget_ms == 33.0
    figures = record(run)
    assert json.loads(json.dumps(figures)) == figures
    assert figures["faces_per_frame"] == 1.0 and figures["frames"] == len(run.seen)
    assert "late: " in live_text(figures)


def skip(task: str, reason: SkipReason) -> tuple[Skip, ...]:
    return (Skip(task, reason, "for people"),)


def seen(at: float, **more: Any) -> Seen:
    values = {
        "age_ms": 10.0, "work_ms": 5.0, "level": 0, "late": False, "dropped": 0, "faces": 1, "skips": (),
        "landmarks_age_ms": 0.0,
    }  # fmt: skip
    return Seen(at=at, **{**values, **more})


def made_run(load: LoadPlan | None = None) -> LiveRun:
    results = [
        seen(2.0),
        seen(2.1, late=True, age_ms=50.0, dropped=2),
        seen(
            2.2,
            level=1,
            skips=skip("parsing", SkipReason.LEVEL),
            landmarks_age_ms=None,
        ),
        seen(2.3, level=1, skips=skip("parsing", SkipReason.BUDGET), landmarks_age_ms=100.0),
        seen(
            2.4,
            level=2,
            skips=skip("detect", SkipReason.REST),
            faces=0,
            landmarks_age_ms=float("nan"),
        ),
        seen(2.5, faces=3),
    ]
    setup = LiveSetup(fps=10.0, seconds=0.6, load=load)
    return LiveRun(
        setup, results, ("full", "parsing less", "every 2nd frame"), 33.0, 4, 0.3, (100.0, 101.0, 120.0), {}, {}
    )


def test_what_is_counted() -> None:
    figures = record(made_run(LoadPlan(5.0, 5.0)))
    assert (figures["late"], figures["late_pct"], figures["age_ms"]["max"]) == (1, 16.67, 50.0)
    assert figures["drops"] == {"busy": 2, "capture": 4, "rested": 1}
    assert figures["skipped"] == {"detect": {"level": 1}, "parsing": {"level": 1, "budget": 1}}
    assert figures["levels_s"] == {"0 full": 0.3, "1 parsing less": 0.2, "2 every 2nd frame": 0.1}
    assert (figures["moves"], figures["seconds"], figures["moves_per_min"]) == (3, 0.6, 300.0)
    assert figures["largest_face"] == {"landmarks_pct": 80.0, "landmarks_age_p95_ms": 85.0}
    assert figures["cpu_ms_per_frame"] == 50.0
    assert figures["rss_mb"] == {"start": 100.0, "end": 101.0, "peak": 120.0}
    text = live_text(figures)
    assert "late: 1 (16.67 %)" in text and "2 busy, 4 capture, 1 rested" in text and "3 moves" in text
    assert "parsing 1 by level, parsing 1 by budget" in text


def test_no_result_is_no_record() -> None:
    empty = LiveRun(LiveSetup(), [], ("full",), None, 0, 0.0, (None, None, None), {}, {})
    for make in (record, lambda run: timeline(run, "nothing")):
        with pytest.raises(ValueError, match="at least one result"):
            make(empty)


def test_the_timeline_shows_late_results_levels_and_load() -> None:
    def share(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
        return float((picture == colour).all(axis=2).mean())

    busy = timeline(made_run(LoadPlan(3600.0)), "made")
    quiet = timeline(made_run(), "made")
    assert busy.shape == quiet.shape == (720, 1400, 3)
    assert share(busy, (215, 232, 250)) > 0.3 > share(quiet, (215, 232, 250))
    red, blue = (40, 40, 220), (180, 110, 30)
    assert share(quiet, red) > 0 and share(quiet, blue) > 0
    # the late result at 50 ms lies above the budget's line of 33 ms, and others below
    rows = np.flatnonzero((quiet[:, 80:1300] == red).all(axis=2).sum(axis=1) > 0)
    line = int(np.argmax((quiet[:430] == red).all(axis=2).sum(axis=1)))
    assert rows.min() < line


def test_memory_is_taken_every_simulated_minute() -> None:
    sizes = iter([100.0, 101.5, 100.5])
    figures = steady_memory(
        Options(),
        scene(),
        Bursts(),
        fps=1.0,
        minutes=3.0,
        analyzer=painted_analyzer,
        resident_mb=lambda: next(sizes),
    )
    assert (figures["frames"], figures["minutes"]) == (180, 3.0)
    assert figures["rss_mb"] == [100.0, 101.5, 100.5]
    assert (figures["growth_mb"], figures["spread_mb"]) == (0.5, 1.5)
