"""Several simulated cameras, on painted faces."""

from __future__ import annotations

import json

import pytest

from rtface.analyzer import Analyzer
from rtface.bench.cameras import (
    CameraPlan,
    CamerasRun,
    PlannedCamera,
    cameras_record,
    cameras_table,
    phases,
    run_cameras,
    steady,
)
from rtface.bench.live import LiveRun, LiveSetup, Seen
from rtface.bench.scene import Bursts, Scene
from rtface.errors import SourceError
from rtface.options import Options
from rtface.testing import FakeClock, FakeDetector, FakeEngine, Painted, paint

FACE = Painted(320, 240, 40)


def scene() -> Scene:
    return Scene([paint([FACE])])


def test_a_camera_that_decodes_for_long_hands_its_frames_over_late() -> None:
    clock = FakeClock()
    camera = PlannedCamera(CameraPlan("slow", fps=10.0, decode_s=0.04), scene(), 1.0, 0.02, clock)
    frame = camera.read()
    assert frame is not None and camera.began == pytest.approx(100.02)
    assert frame.captured_at == pytest.approx(100.02) and clock.time == pytest.approx(100.06)


def test_a_camera_that_is_lost_each_second_goes_on_where_it_is_by_then() -> None:
    clock = FakeClock()
    camera = PlannedCamera(CameraPlan("lost", fps=10.0, lost_every_s=0.5), scene(), 2.0, 0.0, clock)
    lost, indices = 0, []
    while True:
        try:
            frame = camera.read()
        except SourceError:
            lost += 1
            assert camera.reopen is not None
            camera.close()
            assert camera.reopen() is camera
            clock.time += 0.1
            continue
        if frame is None:
            break
        indices.append(frame.index)
    assert lost in (3, 4) and indices[-1] == 19 and indices == sorted(set(indices))


def test_a_camera_that_dies_stays_dead() -> None:
    clock = FakeClock()
    camera = PlannedCamera(CameraPlan("dead", fps=10.0, dies_at_s=0.15), scene(), 9.0, 0.0, clock)
    assert camera.read() is not None and camera.read() is not None
    with pytest.raises(SourceError, match="died"):
        while True:
            camera.read()
    assert camera.reopen is not None
    with pytest.raises(SourceError, match="is dead"):
        camera.reopen()


def test_cameras_do_not_grab_at_the_same_moment() -> None:
    starts = phases(8, 30.0)
    assert len(set(starts)) == 8 and all(0 <= start < 1 / 30 for start in starts) and starts == phases(8, 30.0)


def test_a_run_tells_what_each_camera_got() -> None:
    options = Options(budget_ms=500.0)
    plans = [*steady(2), CameraPlan("few", fps=5.0, bursts=Bursts((0,)))]
    analyzer = Analyzer(options, detector=FakeDetector([FACE]), engine=FakeEngine())
    with analyzer:
        run = run_cameras(plans, options, scene(), 0.5, warmup_s=0.0, analyzer=analyzer)
    figures = cameras_record(run)
    json.dumps(figures)
    assert set(figures["cameras"]) == {"camera-0", "camera-1", "few"}
    assert figures["frames"] == sum(one["frames"] for one in figures["cameras"].values())
    assert figures["cameras"]["camera-0"]["frames"] >= 1
    assert figures["cameras"]["few"]["frames"] <= 3
    table = cameras_table(figures)
    assert all(name in table for name in figures["cameras"])


def test_a_run_with_a_camera_that_is_lost_again_and_again_ends() -> None:
    options = Options(budget_ms=500.0)
    plans = [CameraPlan("steady"), CameraPlan("lost", lost_every_s=0.1), CameraPlan("dead", dies_at_s=0.1)]
    analyzer = Analyzer(options, detector=FakeDetector([FACE]), engine=FakeEngine())
    with analyzer:
        run = run_cameras(plans, options, scene(), 0.5, warmup_s=0.0, analyzer=analyzer)
    assert run.each["steady"].seen and run.each["lost"].seen


def test_the_longest_time_without_a_result_and_the_rate_are_told() -> None:
    def seen(at: float) -> Seen:
        return Seen(at, 5.0, 2.0, 0, False, 0, 1, (), 0.0)

    setup = LiveSetup(fps=10.0, seconds=1.0)
    some = [seen(at) for at in (0.0, 0.1, 0.2, 0.6, 0.7)]
    one = LiveRun(setup, some, ("full",), 66.0, 0, 0.0, (None, None, None), {}, {})
    none = LiveRun(setup, [], ("full",), 66.0, 0, 0.0, (None, None, None), {}, {})
    figures = cameras_record(CamerasRun(one, {"door": one, "hall": none}, moves=3, minutes=0.1, threads=9))
    assert figures["cameras"]["door"]["longest_gap_s"] == pytest.approx(0.4)
    assert figures["cameras"]["door"]["results_per_s"] == pytest.approx(5 / 0.8, abs=0.01)
    assert figures["cameras"]["hall"] == {"frames": 0} and "no result" in cameras_table(figures)
    assert figures["moves_per_min"] == 30.0 and figures["threads"] == 9
