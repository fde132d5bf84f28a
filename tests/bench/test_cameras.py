"""Several simulated cameras, on painted faces."""

from __future__ import annotations

import json

import pytest

from rtface.analyzer import Analyzer
from rtface.bench.cameras import CameraPlan, PlannedCamera, cameras_record, cameras_table, phases, run_cameras, steady
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
        run = run_cameras(plans, options, scene(), 0.6, warmup_s=0.2, analyzer=analyzer)
    figures = cameras_record(run)
    json.dumps(figures)
    assert set(figures["cameras"]) == {"camera-0", "camera-1", "few"}
    assert figures["frames"] == sum(one["frames"] for one in figures["cameras"].values())
    assert figures["cameras"]["few"]["frames"] <= 4
    assert figures["cameras"]["camera-0"]["longest_gap_s"] > 0
    table = cameras_table(figures)
    assert all(name in table for name in figures["cameras"])
