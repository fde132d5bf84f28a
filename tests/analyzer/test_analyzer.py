"""The pipeline on painted faces: values at the right places, ids, budget, tasks, stills, boxes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from skimage import data

from rtface.analyzer import Analyzer
from rtface.errors import InputError
from rtface.geometry.crop import Crop, crop_from_landmarks, warp_crops
from rtface.labels import TASKS
from rtface.models import entry
from rtface.options import Options
from rtface.testing import FakeClock, FakeDetector, FakeEngine, Painted, paint
from rtface.types import Face, Frame, FrameResult

ONE = Painted(200, 180)
TWO = Painted(450, 250, 22)
THREE = [Painted(110, 120, 16), Painted(330, 220, 30), Painted(540, 380, 22)]


class Rig:
    """An analyzer on fakes."""

    def __init__(self, *faces: Painted, **options: object) -> None:
        self.detector, self.engine, self.clock = FakeDetector(faces), FakeEngine(), FakeClock()
        self.analyzer = Analyzer(
            Options(**{"still_tta": 1, "still_parsing": "crop", **options}),
            detector=self.detector,
            engine=self.engine,
            clock=self.clock,  # type: ignore[arg-type]
        )

    def play(self, *frames: tuple[Painted, ...], **more: object) -> Iterator[FrameResult]:
        """The frames at 30 a second, the detector always knowing the truth."""
        for index, faces in enumerate(frames):
            self.detector.faces = list(faces)
            yield self.analyzer.video(paint(faces), at=index / 30, **more)  # type: ignore[arg-type]


def moved(face: Painted, dx: float, dy: float = 0.0) -> Painted:
    return face._replace(x=face.x + dx, y=face.y + dy)


def test_still_finds_every_face_where_it_is() -> None:
    rig = Rig(ONE, TWO)
    result = rig.analyzer.image(paint([ONE, TWO]))
    assert rig.engine.batches == [2, 2]  # two passes, all faces in one call
    for face, truth in zip(result.faces, (ONE, TWO), strict=True):
        assert face.points5 == pytest.approx(truth.points5, abs=0.6)
        assert face.landmarks is not None and face.landmarks.points[30] == pytest.approx(truth.points5[2], abs=0.6)
        assert face.box_xyxy == pytest.approx(truth.box)
        assert face.emotion is not None and face.emotion.label == "happiness"
        assert face.pose is not None and face.pose.yaw == 12 and face.pose.roll == pytest.approx(2, abs=1)
        assert face.parsing is not None and face.parsing.labels.shape == (128, 128)
        assert (face.track_id, face.score, face.quality) == (None, pytest.approx(0.9), pytest.approx(0.8))
        assert face.age_ms == dict.fromkeys(TASKS, 0.0) and not face.predicted
    assert result.timing.total_ms == 0 and result.tasks == TASKS
    json.dumps(result.to_dict())


def test_a_stills_map_goes_on_around_the_crop_by_one_more_look() -> None:
    near, wide = Rig(ONE, TWO), Rig(ONE, TWO, still_parsing="wide")
    picture = paint([ONE, TWO])
    narrow = near.analyzer.image(picture).faces
    for rig, wanted, batches in ((near, None, [2, 2]), (wide, None, [2, 2, 2]), (wide, ("pose",), [2, 2])):
        rig.engine.batches.clear()
        rig.analyzer.image(picture, tasks=wanted)
        assert rig.engine.batches == batches  # no further look where nobody asks for a map
    for face, own in zip(wide.analyzer.image(picture).faces, narrow, strict=True):
        assert face.parsing is not None and own.parsing is not None
        assert face.parsing.labels.shape == (192, 192)
        assert (face.parsing.labels[32:-32, 32:-32] == own.parsing.labels).all()
        assert face.parsing.to_frame @ (95.5, 95.5, 1) == pytest.approx(own.parsing.to_frame @ (63.5, 63.5, 1))
    boxes = wide.analyzer.image(picture, boxes=[ONE.box]).faces
    assert len(boxes) == 1 and boxes[0].parsing is not None and boxes[0].parsing.labels.shape == (192, 192)
    assert wide.analyzer.image(picture, boxes=[]).faces == ()


def test_several_stills_have_wide_maps_too() -> None:
    rig = Rig(ONE, still_parsing="wide")
    results = rig.analyzer.images([Frame(paint([ONE])), Frame(paint([ONE]))])
    shapes = [face.parsing.labels.shape for result in results for face in result.faces if face.parsing is not None]
    assert shapes == [(192, 192)] * 2


def test_a_still_is_seen_in_the_mirror_too() -> None:
    rig = Rig(ONE, TWO, still_tta=2)
    first, second = rig.analyzer.image(paint([ONE, TWO])).faces
    assert rig.engine.batches == [2, 2, 2]  # first pass, second pass, its mirror
    # the fake says yaw 12 of any crop, so of a face and its mirror image it says nothing
    assert first.pose is not None and first.pose.yaw == 0 and first.pose.pitch == -5
    assert second.emotion is not None and second.emotion.label == "happiness"


def test_the_second_pass_mends_a_bad_first_crop() -> None:
    box = ONE.box + np.array([9, -7, 9, -7], np.float32)
    for passes, batches in ((1, [1]), (2, [1, 1])):
        rig = Rig(still_refine=passes)
        face = rig.analyzer.image(paint([ONE]), boxes=[box]).faces[0]
        assert rig.engine.batches == batches and rig.detector.calls == 0
        assert face.points5 == pytest.approx(ONE.points5, abs=0.7)
        centre = face.parsing.to_frame @ [63.5, 63.5, 1]  # type: ignore[union-attr]
        assert (abs(centre[0] - ONE.x) < 1) == (passes == 2)


def test_boxes_are_checked_and_may_be_none() -> None:
    analyzer = Rig().analyzer
    image = paint([ONE])
    assert analyzer.image(image, boxes=[]).faces == ()
    for boxes, why in (
        ([[1, 2, 3]], r"shape \(N, 4\), got \(1, 3\)"),
        ([1, 2, 3, 4], r"shape \(N, 4\), got \(4,\)"),
        ([[0, 0, 9, 9], [5, 5, 5, 9]], r"boxes\[1\].*x0 < x1"),
        ([[0, 0, float("nan"), 9]], "finite"),
        ([["a", 0, 9, 9]], "numbers"),
    ):
        with pytest.raises(InputError, match=why):
            analyzer.image(image, boxes=boxes)


def test_grey_cut_out_with_its_box() -> None:
    grey = paint([Painted(24, 24, 11)], 48, 48).max(axis=2)
    face = Rig().analyzer.image(grey, boxes=[[0, 0, 48, 48]], tasks=("emotion",)).faces[0]
    assert face.emotion is not None and face.landmarks is None and face.parsing is None and face.pose is None
    assert np.isnan(face.points5).all()


@pytest.mark.parametrize("tasks", [("emotion",), ("pose", "landmarks"), TASKS])
def test_only_what_was_asked_is_worked_out(tasks: tuple[str, ...]) -> None:
    asked, options = Rig(ONE), Rig(ONE, tasks=tasks)
    for rig, result in (
        (asked, asked.analyzer.image(paint([ONE]), tasks=tasks)),
        (asked, next(asked.play((ONE,), tasks=tasks))),
        (options, options.analyzer.image(paint([ONE]))),
    ):
        face = result.faces[0]
        assert {task for task in TASKS if getattr(face, task) is not None} == set(tasks) == set(face.age_ms)
        assert set(result.tasks) == set(tasks)
        assert ("parsing" in rig.engine.names) == ("parsing" in tasks)
    with pytest.raises(InputError, match="Did you mean pose"):
        Rig().analyzer.image(paint([]), tasks=("poses",))


def test_video_follows_moving_faces_without_the_detector() -> None:
    rig = Rig(detect_every_ms=300)
    frames = [(moved(ONE, 2 * k, k), moved(TWO, -3 * k)) for k in range(30)]
    results = list(rig.play(*frames))
    assert rig.detector.calls == 4  # at 0, 300, 600 and 900 ms
    assert rig.engine.batches == [2] * 30
    for result, truth in zip(results, frames, strict=True):
        assert [face.track_id for face in result.faces] == [1, 2]
        for face, painted in zip(result.faces, truth, strict=True):
            assert face.points5 == pytest.approx(painted.points5, abs=0.8)
            assert face.box_xyxy == pytest.approx(painted.box, abs=2.5)
    assert [result.frame.index for result in results] == list(range(30))


def test_a_face_that_comes_back_within_half_a_second_keeps_its_id_and_its_values_age() -> None:
    rig = Rig(detect_every_ms=100)
    results = list(rig.play(*[(ONE,)] * 5, *[()] * 9, *[(ONE,)] * 3))
    gone = results[8].faces[0]
    assert gone.predicted and gone.track_id == 1
    assert gone.age_ms["emotion"] == pytest.approx(4e3 / 30) and gone.emotion is not None
    assert results[12].faces == ()  # looked for in vain for more than 0.2 s
    back = results[-1].faces[0]
    assert back.track_id == 1 and not back.predicted and back.age_ms["emotion"] == 0
    assert rig.engine.batches == [1] * 17


def test_a_face_that_stays_away_is_gone() -> None:
    results = list(Rig(detect_every_ms=100).play(*[(ONE,)] * 5, *[()] * 18, *[(ONE,)] * 2, *[()] * 100, *[(ONE,)] * 2))
    assert results[22].faces == ()
    assert results[24].faces[0].track_id == 1  # known again
    assert results[-1].faces[0].track_id == 2  # after three seconds it may be anybody


def test_image_leaves_the_stream_alone() -> None:
    rig = Rig()
    first = next(rig.play((ONE,)))
    rig.analyzer.image(paint([TWO]))
    rig.detector.faces = [ONE]
    assert rig.analyzer.video(paint([ONE]), at=0.05).faces[0].track_id == first.faces[0].track_id
    rig.analyzer.reset()
    assert rig.analyzer.video(paint([ONE]), at=0.1).frame.index == 0


class SlowEngine(FakeEngine):
    """Takes 20 ms of the fake clock."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock

    def run(self, batch: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        self.clock.time += 0.020
        return super().run(batch, names)


def test_what_does_not_fit_the_deadline_is_carried_over() -> None:
    clock = FakeClock()
    engine, detector = SlowEngine(clock), FakeDetector([ONE])
    options = Options(detect_every_ms=0, budget_ms=33, level=0, tasks=("emotion", "pose"))
    analyzer = Analyzer(options, detector=detector, engine=engine, clock=clock)
    start = clock.time

    def frame(age: float) -> FrameResult:
        """A frame that was grabbed `age` seconds ago."""
        clock.time += 0.1
        at = clock.time - age
        return analyzer.video(paint([ONE]), at=at - start, captured_at=at)

    assert frame(0.0).faces[0].age_ms["emotion"] == 0
    tight = frame(0.028)
    assert set(tight.skipped) == {"emotion", "pose"} and "needs 20.0 ms, 5.0 ms left" in tight.skipped["emotion"]
    face = tight.faces[0]
    assert face.emotion is not None and face.age_ms["emotion"] == pytest.approx(92) and not face.predicted
    assert not tight.late and tight.timing.engine_ms == 0
    blind = [frame(0.028) for _ in range(10)]  # there never is time; what grows too old is looked at all the same
    ages = [result.faces[0].age_ms["emotion"] for result in blind]
    assert max(ages) < 500 and ages.count(0.0) == sum(result.late for result in blind) == 2
    again = frame(0.0)
    assert again.faces[0].age_ms["emotion"] == 0 and again.timing.engine_ms == pytest.approx(20)
    assert again.skipped == {} and not again.late


def test_a_result_after_its_deadline_is_late() -> None:
    clock = FakeClock()
    analyzer = Analyzer(detector=FakeDetector([ONE]), engine=SlowEngine(clock), clock=clock)
    assert analyzer.video(paint([ONE]), at=0.0, deadline=clock.time + 0.010).late
    assert not analyzer.video(paint([ONE]), at=0.1).late


def unlabelled(face: Face) -> np.ndarray:
    """Where the network saw the landmarks."""
    assert face.landmarks is not None
    return face.landmarks.points


def test_smoothing_steadies_what_is_shown_but_not_the_tracker() -> None:
    rng = np.random.default_rng(0)
    frames = [(moved(ONE, *rng.normal(0, 0.6, 2)),) for _ in range(40)]
    spread = {}
    for smooth in (False, True):
        rig = Rig(smooth=smooth)
        results = list(rig.play(*frames))
        noses = np.array([result.faces[0].landmarks.points[30] for result in results[10:]])  # type: ignore[union-attr]
        spread[smooth] = noses.std(axis=0).mean()
        assert results[-1].faces[0].points5[2] == pytest.approx(noses[-1], abs=5e-5)  # a float32 or two
    assert spread[True] < 0.6 * spread[False]


def test_a_networks_landmarks_are_shown_where_its_registry_entry_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a network that is handed in nothing is known: its points stay where it sees them."""
    picture, options = data.astronaut()[..., ::-1], Options(precision="fp32", engine="onnx")
    with Analyzer(options) as shipped:
        (shown,) = shipped.image(picture, tasks=("landmarks",)).faces
        with Analyzer(options, detector=shipped.detector, engine=shipped.engine) as own:
            (seen,) = own.image(picture, tasks=("landmarks",)).faces
    assert shown.landmarks is not None and seen.landmarks is not None
    apart = shown.landmarks.points - seen.landmarks.points
    right, down = entry("engine-iter1").landmark_shift
    assert right == 0.0028 and down == 0.0
    side = crop_from_landmarks(seen.landmarks.points).side
    assert apart[:, 0] == pytest.approx(np.full(68, right * side), rel=0.1) and np.abs(apart[:, 1]).max() < 1e-3


def test_smoothed_emotions_come_with_events() -> None:
    rig = Rig(smooth=True)
    results = list(rig.play(*[(ONE,)] * 5, *[()] * 20))
    kinds = [(event.kind, event.what, event.track_id) for result in results for event in result.events]
    assert kinds == [("emotion_onset", "happiness", 1), ("emotion_offset", "happiness", 1)]
    assert [result.events for result in Rig().play((ONE,), (ONE,))] == [(), ()]


@pytest.mark.parametrize("smooth", [False, True])
def test_a_mask_of_before_goes_along_with_the_landmarks(smooth: bool) -> None:
    """Parsing ran on the first frame only; the face has moved since."""
    rig = Rig(smooth=smooth)
    results = []
    for index in range(8):
        image, at = paint([moved(ONE, 3 * index)]), index / 30
        rig.detector.faces = [moved(ONE, 3 * index)]
        if index:  # what is not asked for is not run, and what was known is carried over
            rig.analyzer.video(image, at, tasks=("landmarks",))
            results.append(rig.analyzer._video._face(rig.analyzer._video._tracker.tracks[0], TASKS, at))
        else:
            rig.analyzer.video(image, at)
    last = results[-1]
    assert last.age_ms["parsing"] == pytest.approx(7e3 / 30) and last.age_ms["landmarks"] == 0
    assert set(last.age_ms) <= set(TASKS)
    assert last.parsing is not None and last.landmarks is not None
    centre = last.parsing.to_frame @ (63.5, 63.5, 1.0)
    expected = crop_from_landmarks(unlabelled(last))
    assert centre == pytest.approx((expected.x, expected.y), abs=1.0)
    assert expected.x == pytest.approx(moved(ONE, 21).x, abs=4 if smooth else 1)


@pytest.mark.parametrize(("max_faces", "batches"), [(2, [8, 8, 4]), (12, [12, 8])])
def test_a_crowd_goes_in_several_calls(max_faces: int, batches: list[int]) -> None:
    crowd = [Painted(20 + 40 * (k % 5), 20 + 40 * (k // 5), 8) for k in range(20)]
    rig = Rig(*crowd, still_refine=1, max_faces=max_faces)
    faces = rig.analyzer.image(paint(crowd, 220, 180)).faces
    assert rig.engine.batches == batches
    assert faces[19].points5 == pytest.approx(crowd[19].points5, abs=0.6)


def test_all_faces_of_a_frame_go_in_one_call() -> None:
    crowd = tuple(Painted(20 + 40 * (k % 5), 20 + 40 * (k // 5), 8) for k in range(20))
    rig = Rig(max_faces=20)
    assert len(next(rig.play(crowd)).faces) == 20
    assert rig.engine.batches == [20]


def test_faces_of_earlier_results_never_change() -> None:
    rig = Rig()
    results = list(rig.play((ONE,), (TWO,), (moved(TWO, 30),)))
    kept = results[0].faces[0].parsing.labels.copy()  # type: ignore[union-attr]
    rig.analyzer.video(paint([]), at=1.0)
    assert np.array_equal(results[0].faces[0].parsing.labels, kept)  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="read-only"):
        results[0].faces[0].points5[0] = 0


def test_closing_closes_the_engine() -> None:
    rig = Rig()
    facts = rig.analyzer.describe()
    assert (facts["models"], facts["engine"]) == ({}, "fake") and facts["levels"][0] == "full"
    with rig.analyzer as analyzer:
        assert analyzer.image(np.zeros((1, 1, 3), np.uint8)).faces == ()
    assert rig.engine.closed


class Gpu(FakeEngine):
    """Computes every output at every call, and cuts three faces or more out of the frame itself."""

    prunes = False

    def __init__(self) -> None:
        super().__init__()
        self.cropped: list[int] = []
        self.name = "tensorrt"

    def crops_itself(self, count: int) -> bool:
        return count >= 3

    def run_crops(self, image: np.ndarray, crops: Sequence[Crop], names: Sequence[str]) -> dict[str, np.ndarray]:
        self.cropped.append(len(crops))
        return self.run(warp_crops(image, crops), names)

    def describe(self) -> dict[str, str | int]:
        return {"engine": self.name}


def on_gpu(*faces: Painted, **options: object) -> tuple[Analyzer, Gpu]:
    engine = Gpu()
    return Analyzer(Options(**options), detector=FakeDetector(faces), engine=engine, clock=FakeClock()), engine  # type: ignore[arg-type]


def test_an_engine_that_computes_everything_is_called_once_a_frame() -> None:
    names = Analyzer(Options(), detector=FakeDetector(), engine=FakeEngine()).describe()["levels"]
    level = names.index("parsing every 3rd frame")
    analyzer, engine = on_gpu(*THREE[:2], level=level)
    results = [analyzer.video(paint(THREE[:2]), at=frame / 30) for frame in range(8)]
    assert engine.batches == [2] * 8
    parsed = [[face.age_ms["parsing"] for face in result.faces] for result in results[3:]]
    assert any(0 in ages and max(ages) > 0 for ages in parsed), "some faces are parsed, others are carried over"


def test_a_gpu_cuts_the_faces_out_where_that_pays() -> None:
    for count in (2, 3):
        analyzer, engine = on_gpu(*THREE[:count])
        result = analyzer.video(paint(THREE[:count]), at=0.0)
        assert len(result.faces) == count and engine.cropped == ([3] if count == 3 else [])
        assert sorted(face.points5[2, 0] for face in result.faces) == pytest.approx(
            sorted(face.points5[2, 0] for face in THREE[:count]), abs=1
        )


def test_the_views_of_a_still_are_begun_before_the_first_is_read() -> None:
    """A GPU works on one while the CPU cuts out the next; crops lie in the same memory for all."""
    log: list[str] = []

    class Ahead(FakeEngine):
        def submits(self) -> bool:
            return True

        def submit(self, batch: np.ndarray, names: Sequence[str]) -> SimpleNamespace:
            log.append("begin")
            answers = self.run(batch.copy(), names)
            return SimpleNamespace(collect=lambda: (log.append("collect"), answers)[1])

    faces = [*THREE, *(Painted(60 + 90 * at, 420, 15) for at in range(6))]  # more than one call takes
    results = []
    for engine in (Ahead(), FakeEngine()):
        with Analyzer(Options(still_refine=2), detector=FakeDetector(faces), engine=engine) as analyzer:
            results.append(analyzer.image(paint(faces)))
    assert log[-20:] == ["begin"] * 10 + ["collect"] * 10, "four views and a wide one of nine faces, in two calls each"
    for ours, theirs in zip(*results, strict=True):
        assert np.array_equal(ours.points5, theirs.points5) and ours.pose == theirs.pose
        assert np.array_equal(ours.parsing.labels, theirs.parsing.labels)


def test_another_engine_is_an_event() -> None:
    analyzer, engine = on_gpu(ONE)
    assert analyzer.video(paint([ONE]), at=0.0).events == analyzer.video(paint([ONE]), at=0.1).events == ()
    engine.name = "onnxruntime"
    (event,) = analyzer.video(paint([ONE]), at=0.2).events
    assert (event.kind, event.what, event.at) == ("engine_changed", "tensorrt → onnxruntime", 0.2)
    assert analyzer.video(paint([ONE]), at=0.3).events == ()
