"""Samples of a mix carry what their source is there for, and nothing more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtface.datasets.labelled import FaceLabel, LabelledImage, votes_for
from rtface.datasets.writer import Settings, write
from rtface.errors import InputError
from rtface.train.data.faces import Augment
from rtface.train.data.mixed import active_tasks, grouped_samples, mixed_samples, mixed_scenes
from rtface.train.data.samples import Sample
from rtface.train.data.scenes import SceneMaker
from rtface.train.sampling import Sampler
from rtface.train.sources import TASKS, Source
from tests.datasets.test_masks import face_mask
from tests.train.made import a_picture, placed


def source(corpus: Path, name: str, **more: object) -> Source:
    return replace(Source(name, (corpus / f"{name}.parquet",)), **more)  # type: ignore[arg-type]


def test_each_source_has_its_samples_with_all_their_labels(corpus: Path, cache: Path) -> None:
    mixed = mixed_samples([source(corpus, "landmarks", share=3.0), source(corpus, "emotion")], cache)
    assert {name: len(samples) for name, samples in mixed.samples.items()} == {"landmarks": 3, "emotion": 4}
    assert mixed.shares == {"landmarks": 3.0, "emotion": 1.0}
    assert {tuple(active_tasks(sample)) for sample in mixed.samples["landmarks"]} == {("landmarks", "parsing", "pose")}
    assert mixed.table().splitlines() == [
        "landmarks: 75 % of a batch, 3 samples: landmarks 3, parsing 3, pose 3",
        "emotion: 25 % of a batch, 4 samples: emotion 4",
    ]
    groups = mixed.by_group("emotion")
    assert groups["emotion"] == mixed.samples["emotion"] and set(groups) == {"landmarks", "emotion"}
    few = mixed_samples([source(corpus, "landmarks", tasks={"pose": 1.0}), source(corpus, "emotion")], cache)
    assert set(few.by_group("emotion")) == {"emotion"}  # a teacher of emotions leaves the others alone
    only = few.of_group("emotion")
    assert only.samples == {"emotion": few.samples["emotion"]} and "100 % of a batch" in only.table()
    with pytest.raises(InputError, match="sources landmarks, emotion: hold no samples of video"):
        few.of_group("video")


@pytest.mark.parametrize("task", ["landmarks", "pose", "parsing"])
def test_one_task_leaves_only_its_label(corpus: Path, cache: Path, task: str) -> None:
    mixed = mixed_samples([source(corpus, "landmarks", tasks={task: 1.0})], cache)
    assert {tuple(active_tasks(sample)) for sample in mixed.samples["landmarks"]} == {(task,)}
    item = Augment(64, np.random.default_rng(0))(mixed.samples["landmarks"][0])  # points still cut the crop
    known = {
        "landmarks": bool(item.landmark_weight.any()),
        "pose": bool(item.pose_weight.any()),
        "parsing": bool((item.parsing != 255).any()),
    }
    assert [name for name, there in known.items() if there] == [task]


def test_factors_weigh_the_labels(corpus: Path, cache: Path) -> None:
    factors = {"landmarks": 0.5, "points5": 0.25, "emotion": 2.0}
    names = ("landmarks", "points5", "emotion")
    plain = mixed_samples([source(corpus, name) for name in names], cache)
    weighted = mixed_samples([source(corpus, name, tasks=factors) for name in names], cache)
    before, after = plain.samples["landmarks"][0], weighted.samples["landmarks"][0]
    assert before.landmark_weight is not None and after.landmark_weight is not None
    np.testing.assert_allclose(after.landmark_weight, 0.5 * before.landmark_weight)
    assert weighted.samples["points5"][0].points5_weight == 0.25 * plain.samples["points5"][0].points5_weight
    assert weighted.samples["emotion"][0].emotion_weight == 2.0
    assert Augment(64, np.random.default_rng(0))(weighted.samples["emotion"][0]).emotion_weight == 2.0


def test_only_and_splits_choose_rows(corpus: Path, cache: Path) -> None:
    (sample,) = mixed_samples([source(corpus, "landmarks", only=("lfpw",))], cache).samples["landmarks"]
    assert sample.picture.source == "lfpw"
    with pytest.raises(InputError, match=r"source 'landmarks': no row of .*landmarks\.parquet \(unlabelled\) has a"):
        mixed_samples([source(corpus, "landmarks", splits=("unlabelled",))], cache)
    with pytest.raises(InputError, match="has a label for emotion"):
        mixed_samples([source(corpus, "landmarks", tasks={"emotion": 1.0})], cache)


def test_a_file_serves_two_sources_with_their_own_tasks(corpus: Path, cache: Path) -> None:
    one = source(corpus, "landmarks", tasks={"landmarks": 1.0})
    other = replace(one, name="posed", tasks={"pose": 0.5})
    mixed = mixed_samples([one, other], cache)
    assert [active_tasks(mixed.samples[name][0]) for name in ("landmarks", "posed")] == [["landmarks"], ["pose"]]


def test_pictures_without_faces_stay_whatever_the_tasks(corpus: Path, cache: Path) -> None:
    mixed = mixed_samples([source(corpus, "negatives", tasks={"pose": 1.0})], cache, ("val",))
    assert [active_tasks(sample) for sample in mixed.samples["negatives"]] == [["no face"]] * 2


def test_the_sampler_draws_by_the_shares(corpus: Path, cache: Path) -> None:
    mixed = mixed_samples([source(corpus, "emotion", share=3.0), source(corpus, "landmarks")], cache)
    sampler = Sampler(mixed.samples, 8, 0, mixed.shares)
    assert sampler.counts == {"emotion": 6, "landmarks": 2}
    _, targets = sampler(0, 64)
    assert int((targets.emotion_weight > 0).sum()) == 6


def test_rare_emotions_are_drawn_more_often_beside_samples_without_votes(corpus: Path, cache: Path) -> None:
    both = Source("all", (corpus / "emotion.parquet", corpus / "negatives.parquet"))
    mixed = mixed_samples([both], cache)
    sampler = Sampler(mixed.samples, 6, 0, mixed.shares)
    (chances,) = sampler.weights.values()
    assert chances is not None and len(chances) == 6 and chances.sum() == pytest.approx(1.0)
    labels = [None if s.emotion is None else int(s.emotion.argmax()) for s in mixed.samples["all"]]
    by_label = dict(zip(labels, chances.tolist(), strict=True))
    assert by_label[0] < by_label[1] and by_label[None] == pytest.approx(chances.mean())


def test_validation_is_by_group_and_reads_a_file_once(corpus: Path, cache: Path) -> None:
    some = [source(corpus, name) for name in ("landmarks", "emotion")]
    groups = grouped_samples([*some, replace(some[0], name="again", tasks={"pose": 1.0})], cache, ("val",))
    assert {group: len(samples) for group, samples in groups.items()} == {"landmarks": 1, "emotion": 1}
    assert "landmarks" in active_tasks(groups["landmarks"][0])


class TestScenes:
    def test_sources_are_drawn_by_their_shares(self, corpus: Path, cache: Path) -> None:
        groups, shares = mixed_scenes(
            [source(corpus, "detection", share=3.0), source(corpus, "negatives", boxed=True)], cache
        )
        assert {name: len(pictures) for name, pictures in groups.items()} == {"detection": 3, "negatives": 2}
        maker = SceneMaker(groups, 64, np.random.default_rng(0), shares)
        drawn = [bool(maker._pick().faces) for _ in range(400)]
        assert sum(drawn) / 400 == pytest.approx(0.75, abs=0.08)
        assert maker().image.shape == (64, 64, 3)

    def test_tasks_leave_boxes(self, corpus: Path, cache: Path) -> None:
        groups, _ = mixed_scenes([source(corpus, "landmarks", tasks={"pose": 1.0})], cache)
        face = groups["landmarks"][0].faces[0]
        assert np.isnan(face.points).all() and np.isfinite(face.pose).all() and np.isfinite(face.half).all()
        groups, _ = mixed_scenes([source(corpus, "landmarks", tasks={"points5": 1.0})], cache)
        face = groups["landmarks"][0].faces[0]
        assert np.isfinite(face.points).all() and np.isnan(face.pose).all()

    def test_boxed_says_where_a_detection_is_wrong(self, corpus: Path, cache: Path) -> None:
        def trusted(**more: object) -> set[bool]:
            groups, _ = mixed_scenes([source(corpus, "landmarks", **more)], cache)
            return {picture.trusted for picture in groups["landmarks"]}

        assert trusted() == {False} and trusted(boxed=True) == {True}

    def test_crops_of_emotions_are_no_boxes(self, corpus: Path, cache: Path) -> None:
        with pytest.raises(InputError, match=r"source 'emotion': no row of .* has a box or five points"):
            mixed_scenes([source(corpus, "emotion")], cache)


def test_imported_sets_that_the_corpus_does_not_know_are_learned_from(tmp_path: Path) -> None:
    """A mask without points, and an emotion whose face is a part of the picture, from files to crops."""
    boxed = FaceLabel(box_xyxy=np.array((10.0, 20.0, 50.0, 60.0)), box_source="human")
    records = [
        LabelledImage("m", "helenmask", np.zeros((64, 64, 3), np.uint8), mask=face_mask, parsing_scheme="celebamask19"),
        LabelledImage("e", "rafdb", np.zeros((80, 70, 3), np.uint8), (boxed,), emotion_votes=votes_for("fear")),
    ]
    write(records, tmp_path / "made.parquet", Settings())
    mixed = mixed_samples([Source("made", (tmp_path / "made.parquet",))], tmp_path / "cache")
    emotion, masked = sorted(mixed.samples["made"], key=lambda sample: sample.group)
    assert (emotion.group, active_tasks(emotion)) == ("emotion", ["emotion"])
    assert emotion.box is not None and emotion.box.tolist() == [10, 20, 50, 60]
    assert (masked.group, active_tasks(masked)) == ("parsing", ["parsing"])
    crop = Augment(64, np.random.default_rng(0), strength=0.0)(masked).parsing
    assert {4, 5, 2, 12} <= set(np.unique(crop).tolist())  # eyes, nose, lip: the crop is on the face


def test_five_hand_set_points_are_learned_beside_a_teachers_68(tmp_path: Path) -> None:
    own, five = placed(60, 60, 20), placed(63, 60, 20)[[36, 45, 30, 48, 54]]

    def samples(source: str, tasks: dict[str, float] | None = None) -> list[Sample]:
        face = FaceLabel(points5=five, points5_source="human", landmarks68=own, landmarks68_source=source)
        path = tmp_path / f"{source}.parquet"
        write([LabelledImage("a", "made", np.zeros((120, 120, 3), np.uint8), (face,))], path, Settings())
        made = Source("made", (path,), tasks=tasks or dict.fromkeys(TASKS, 1.0))
        return mixed_samples([made], tmp_path / "cache").samples["made"]

    (both,) = samples("own+mesh")
    assert active_tasks(both) == ["landmarks", "points5"] and both.points5_weight == 1.0
    item = Augment(64, np.random.default_rng(0), strength=0.0)(both)
    assert item.points5_weight == 1.0 and item.landmark_weight.all()
    assert np.abs(item.points5[2] - item.landmarks[30]).max() > 0.01  # the two are each their own
    (human,) = samples("human")
    assert active_tasks(human) == ["landmarks"]  # the five follow from the 68
    (weighted,) = samples("own", {"landmarks": 1.0, "points5": 0.25})
    assert weighted.points5_weight == 0.25
    (without,) = samples("own", {"landmarks": 1.0})
    assert active_tasks(without) == ["landmarks"]


def test_every_task_is_told_from_a_sample() -> None:

    mask = np.zeros((4, 4), np.uint8)
    everything = Sample(
        a_picture("a", "made", "train", np.zeros((4, 4, 3), np.uint8), parsing=mask),
        "landmarks",
        landmark_weight=np.ones(68, np.float32),
        points5_weight=1.0,
        pose_weight=np.ones(3, np.float32),
        emotion=np.eye(8, dtype=np.float32)[0],
    )
    assert set(active_tasks(everything)) == set(TASKS)
