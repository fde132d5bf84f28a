"""The quality ladder at work in the analyzer, on painted faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.analyzer import Analyzer, engines
from rtface.errors import OptionError
from rtface.labels import TASKS
from rtface.networks import open as networks
from rtface.networks.selection import SelectedNetwork
from rtface.options import Options
from rtface.tasks.parsing import labels_in_frame
from rtface.testing import FakeClock, FakeDetector, FakeEngine, Painted, paint
from rtface.types import Frame, FrameResult

FACES = (Painted(110, 120, 16), Painted(330, 220, 30), Painted(540, 380, 22))
LARGEST = 1
NAMES = Analyzer(detector=FakeDetector(), engine=FakeEngine()).describe()["levels"]


class DearEngine(FakeEngine):
    """Takes time for every face, and more for every face that is parsed."""

    def __init__(self, clock: FakeClock, look: float, parse: float) -> None:
        super().__init__()
        self.clock, self.look, self.parse = clock, look, parse
        self.asked: list[tuple[int, bool]] = []

    def run(self, batch: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        self.asked.append((len(batch), "parsing" in names))
        self.clock.time += len(batch) * (self.look + self.parse * ("parsing" in names))
        return super().run(batch, names)


class Rig:
    """An analyzer whose engine takes the fake clock's time."""

    def __init__(self, *faces: Painted, look: float = 0.0, parse: float = 0.0, **options: object) -> None:
        self.clock = FakeClock()
        self.detector, self.engine = FakeDetector(faces), DearEngine(self.clock, look, parse)
        self.image = paint(faces)
        self.analyzer = Analyzer(
            Options(**options),  # type: ignore[arg-type]
            detector=self.detector,
            engine=self.engine,
            clock=self.clock,
        )

    def play(self, frames: int, fps: float = 30.0) -> list[FrameResult]:
        """Frames at their pace; one that is analysed past the next one's grab holds that up, not its time stamp."""
        results = []
        for _ in range(frames):
            grabbed = self.clock.time
            results.append(self.analyzer.video(self.image, at=grabbed, captured_at=grabbed))
            self.clock.time = max(self.clock.time, grabbed + 1 / fps)
        return results


def level(name: str) -> int:
    return int(NAMES.index(name))


def test_without_a_budget_all_runs_on_every_frame() -> None:
    rig = Rig(*FACES, look=1.0, detect_every_ms=0)
    results = rig.play(10)
    assert all(result.level == 0 and not result.late and not result.skipped for result in results)
    assert rig.detector.calls == 10 and rig.engine.asked == [(3, True)] * 10


def test_parsing_less_often_is_spread_over_the_faces_and_ages() -> None:
    rig = Rig(*FACES, level=level("parsing every 3rd frame"))
    results = rig.play(12)[3:]
    assert rig.engine.asked[-2:] == [(1, True), (2, False)]
    for result in results:
        assert sorted(round(face.age_ms["parsing"]) for face in result.faces) == [0, 33, 67]
        assert all(face.parsing is not None and face.age_ms["landmarks"] == 0 for face in result.faces)
        assert result.level == level("parsing every 3rd frame")
        assert result.skipped["parsing"] == f"level {result.level}: parsing every 3rd frame"


def test_values_stay_with_their_faces_when_the_turns_change() -> None:
    rig = Rig(*FACES, level=level("parsing every 3rd frame"))
    for result in rig.play(12):
        for face, painted in zip(result.faces, FACES, strict=True):
            assert face.points5 == pytest.approx(painted.points5, abs=0.8)
            assert face.landmarks is not None
            assert face.landmarks.points[30] == pytest.approx(painted.points5[2], abs=0.8)


def test_detection_less_often() -> None:
    rig = Rig(*FACES, level=level("detection every 4th frame at most"), detect_every_ms=0)
    results = rig.play(12)
    assert rig.detector.calls == 3
    assert ["detect" in result.skipped for result in results[:5]] == [False, True, True, True, False]


def test_fewer_faces_a_frame_and_nobody_starves() -> None:
    rig = Rig(*FACES, level=level("1 face a frame"))
    results = rig.play(60)
    assert max(count for count, _ in rig.engine.asked[3:]) == 1
    for result in results[15:]:
        ages = [face.age_ms["landmarks"] for face in result.faces]
        assert len(ages) == 3 and max(ages) < 500
        assert "1 face a frame" in result.skipped["faces"]
    largest = [result.faces[LARGEST].age_ms["landmarks"] for result in results[15:]]
    assert np.mean(largest) < min(
        np.mean([result.faces[k].age_ms["landmarks"] for result in results[15:]]) for k in (0, 2)
    )


def test_every_second_frame_carries_values_over() -> None:
    rig = Rig(FACES[0], level=level("every 2nd frame"))
    results = rig.play(20)[10:]
    asked = [set(result.skipped) >= set(TASKS) | {"detect"} for result in results]
    assert asked == [asked[0], not asked[0]] * 5
    for result in results:
        assert result.faces[0].track_id == 1 and result.faces[0].landmarks is not None
        assert result.faces[0].points5 == pytest.approx(FACES[0].points5, abs=0.8)


def test_overload_ends_at_a_level_that_fits() -> None:
    rig = Rig(*FACES, look=0.004, parse=0.010, budget_ms=33)
    results = rig.play(120)
    assert results[0].level == 0 and results[-1].level > 0
    steady = results[60:]
    assert sum(result.late for result in steady) == 0
    assert all(face.landmarks is not None for result in steady for face in result.faces)
    assert len({result.level for result in steady}) <= 2


def test_the_floor_holds_and_a_fixed_level_too() -> None:
    for options, worst in (({"max_level": 1}, 1), ({"level": 0}, 0)):
        results = Rig(*FACES, look=0.05, budget_ms=10, **options).play(100)
        assert max(result.level for result in results) == worst


def test_a_tight_budget_still_serves_the_largest_face() -> None:
    rig = Rig(*FACES, look=0.006, parse=0.006, budget_ms=8)
    results = rig.play(200)[100:]
    ages = [result.faces[LARGEST].age_ms.get("landmarks", 1e3) for result in results]
    assert np.median(ages) <= 100 and max(ages) < 500


def test_levels_that_there_are_not() -> None:
    for name in ("level", "max_level"):
        with pytest.raises(OptionError, match=rf"^{name}: expected 0 to 7, got 8. The levels are: 0 full, 1 parsing"):
            Rig(**{name: 8})
    with pytest.raises(OptionError, match="priority"):
        Options(priority=5)  # type: ignore[arg-type]
    assert Options(priority="parsing, pose").priority == ("parsing", "pose")  # type: ignore[arg-type]


def test_fewer_iterations_are_a_rung_where_the_registry_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[FakeEngine] = []

    def open_fake(chosen: SelectedNetwork, options: Options, streams: int = 1) -> tuple[object, object]:
        opened.append(FakeEngine())
        return opened[-1], chosen.model

    for module in (networks, engines):
        monkeypatch.setattr(module, "open_network", open_fake)
    options = Options(iterations=1, budget_ms=33)
    analyzer = Analyzer(options, detector=FakeDetector([FACES[0]]))
    names = analyzer.describe()["levels"]
    networks_of = [name for name in names if name.startswith("network")]
    assert networks_of == ["network engine-iter0", "network engine-96"]
    fixed = Analyzer(Options(iterations=1, level=len(names) - 1), detector=FakeDetector([FACES[0]]))
    fixed.video(paint([FACES[0]]), at=0.0)
    best, cheap, small = opened[-3:]
    assert (best.batches, cheap.batches, small.batches) == ([], [], [1])
    fixed.close()
    assert best.closed and cheap.closed and small.closed
    before = len(opened)
    dearest = Analyzer(Options(iterations=2), detector=FakeDetector([FACES[0]])).describe()["levels"]
    assert [name for name in dearest if name.startswith("network")] == ["network engine-iter1", *networks_of]
    before = len(opened)
    plain = Analyzer(Options(iterations=1), detector=FakeDetector([FACES[0]]))
    assert plain.describe()["levels"] == names  # numbers mean the same with and without a budget
    assert len(opened) == before + 1  # but nothing is opened that is not needed


def test_the_engine_for_smaller_crops_sees_the_face_in_the_same_place() -> None:
    """With the networks that ship, on a face of a package that tests install."""
    from skimage import data

    portrait = np.ascontiguousarray(data.astronaut()[..., ::-1])
    with Analyzer(Options(budget_ms=1000)) as analyzer:
        names = analyzer.describe()["levels"]
    small = next(number for number, name in enumerate(names) if name.startswith("network engine-96"))
    results = []
    for number in (0, small):
        with Analyzer(Options(budget_ms=1000, level=number)) as analyzer:
            results.append([analyzer.process(Frame(portrait, media_time=frame / 30)) for frame in range(9)][-1])
    full, cheap = (result.faces[0] for result in results)
    assert full.parsing is not None and cheap.parsing is not None and full.landmarks is not None
    assert cheap.landmarks is not None and cheap.parsing.labels.shape == (96, 96)
    assert full.parsing.labels.shape == (128, 128)
    eyes = float(np.linalg.norm(full.points5[0] - full.points5[1]))
    assert np.abs(full.landmarks.points - cheap.landmarks.points).mean() < 0.05 * eyes
    maps = [labels_in_frame(face.parsing, 512, 512) for face in (full, cheap) if face.parsing is not None]
    face = maps[0] > 0
    assert (maps[0] == maps[1])[face].mean() > 0.85


def test_the_level_is_in_the_json_and_the_header(tmp_path: Path) -> None:
    rig = Rig(FACES[0], level=2)
    record = rig.play(1)[0].to_dict()
    assert record["level"] == 2 and {"late", "dropped", "skipped"} <= set(record)
    assert record["faces"][0]["age_ms"] == dict.fromkeys(TASKS, 0.0)
