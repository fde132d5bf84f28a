"""The engine's hybrid sampler, and the validation of its averaged weights."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rtface.errors import InputError, ModelError
from rtface.train.config import EngineConfig
from rtface.train.data.faces import Augment
from rtface.train.data.pixel_cache import read_pictures
from rtface.train.data.samples import Sample, build_samples
from rtface.train.export import export_engine, load_engine
from rtface.train.multitask import train_engine, validate
from rtface.train.nets.ifan import EngineNet
from rtface.train.nets.norms import TaskNorm
from rtface.train.run import Run, Schedule
from rtface.train.sampling import MIX, Sampler, collate
from tests.train.made import a_picture, placed

FILES = ("landmarks", "video_landmarks", "parsing", "unlabelled", "points5", "emotion", "negatives")
BLANK = a_picture("blank", "made", "train", np.zeros((48, 48, 3), np.uint8))
BOX = np.array((0, 0, 48, 48), np.float32)


def faces(group: str, count: int, emotion: int | None = None) -> list[Sample]:
    votes = None if emotion is None else np.eye(8, dtype=np.float32)[emotion]
    return [Sample(BLANK, group, box=BOX, emotion=votes) for _ in range(count)]


def test_every_set_has_its_share_of_a_batch() -> None:
    sampler = Sampler({g: faces(g, 100, 0 if g == "emotion" else None) for g in (*MIX, "other")}, batch=64, seed=0)
    assert sampler.counts == MIX
    images, targets = sampler(0, 64)
    assert images.shape == (64, 64, 64, 3) and images.dtype == torch.uint8
    assert int(targets.emotion_weight.sum()) == MIX["emotion"]
    assert sampler(1, 96)[0].shape == (64, 96, 96, 3)


def test_missing_sets_leave_their_share_to_the_others() -> None:
    sampler = Sampler({"landmarks": faces("landmarks", 9), "parsing": faces("parsing", 9)}, batch=28, seed=0)
    assert sampler.counts == {"landmarks": 16, "parsing": 12}


def test_nothing_to_train_on() -> None:
    with pytest.raises(InputError, match="no labelled faces"):
        Sampler({"other": faces("other", 3)}, batch=8, seed=0)


def test_a_set_is_gone_through_before_it_repeats() -> None:
    samples = faces("landmarks", 24)
    sampler = Sampler({"landmarks": samples}, batch=8, seed=0)
    drawn = [id(s) for number in range(3) for s in sampler.draw("landmarks", number)]
    assert sorted(drawn) == sorted(id(s) for s in samples)
    assert drawn != [id(s) for s in samples]


def test_rare_emotions_are_drawn_more_often_than_they_occur() -> None:
    common, rare = faces("emotion", 1600, emotion=0), faces("emotion", 100, emotion=5)
    sampler = Sampler({"emotion": common + rare}, batch=1700, seed=0)
    drawn = Counter(
        int(s.emotion.argmax()) for number in range(4) for s in sampler.draw("emotion", number) if s.emotion is not None
    )
    # 16 times rarer, 16 ** 0.25 = 2 times likelier each: one draw in nine instead of one in seventeen
    assert drawn[5] / drawn.total() == pytest.approx(1 / 9, abs=0.02)


def test_a_seed_draws_the_same_batches(corpus: Path, cache: Path) -> None:
    groups = build_samples(read_pictures([corpus / f"{n}.parquet" for n in FILES], cache))
    first, again, other = (Sampler(groups, 16, seed)(0, 64)[0] for seed in (3, 3, 4))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_batch_depends_on_seed_and_number_only(corpus: Path, cache: Path) -> None:
    groups = build_samples(read_pictures([corpus / f"{n}.parquet" for n in FILES], cache))
    whole, later = Sampler(groups, 16, 3), Sampler(groups, 16, 3)
    seen = [whole(number, 64)[0] for number in range(6)]
    assert torch.equal(later(5, 64)[0], seen[5])  # as a run sees it that goes on there
    assert not any(torch.equal(seen[5], other) for other in seen[:5])


def test_rows_with_points_and_rows_with_masks_lie_together(corpus: Path, cache: Path) -> None:
    groups = build_samples(read_pictures([corpus / f"{n}.parquet" for n in FILES], cache))
    rows = Sampler(groups, 32, 0)(0, 64)[1].rows()
    assert isinstance(rows.landmarks, slice) and isinstance(rows.parsing, slice)


def test_fixed_rows_hold_those_of_every_batch(corpus: Path, cache: Path) -> None:
    groups = build_samples(read_pictures([corpus / f"{n}.parquet" for n in FILES], cache))
    sampler = Sampler(groups, 32, 0)
    fixed = sampler.rows()
    for number in range(4):
        rows = sampler(number, 64)[1].rows()
        for wide, narrow in ((fixed.landmarks, rows.landmarks), (fixed.parsing, rows.parsing)):
            assert isinstance(wide, slice) and isinstance(narrow, slice)
            assert wide.start <= narrow.start and narrow.stop <= wide.stop <= sum(sampler.counts.values())
    assert fixed.landmarks.start == sampler.counts["emotion"] + sampler.counts["negative"]  # what has neither
    nothing = Sampler({"emotion": groups["emotion"]}, 8, 0).rows()
    assert nothing.landmarks == nothing.parsing == slice(8, 8)


def test_unlabelled_fields_weigh_nothing(corpus: Path, cache: Path) -> None:
    groups = build_samples(read_pictures([corpus / f"{n}.parquet" for n in FILES], cache))
    assert set(groups) == set(MIX) - {"faces"}  # too few faces for the mesh map
    augment = Augment(64, np.random.default_rng(0), strength=0.0)
    _, t = collate([augment(groups[g][0]) for g in ("landmarks", "video", "five", "emotion", "negative")])
    assert t.landmark_weight.amax(1).tolist() == pytest.approx([1, 0.35, 0, 0, 0])
    assert t.points5_weight.tolist() == [0, 0, 1, 0, 0]
    assert t.emotion_weight.tolist() == [0, 0, 0, 1, 0]
    assert (t.pose_weight.amax(1) > 0).tolist() == [True, True, False, False, False]
    assert (t.parsing != 255).flatten(1).any(1).tolist() == [True, False, False, False, False]
    assert t.is_face.tolist() == [1, 1, 1, 1, 0]


def test_interaction_begins_at_its_share_of_the_run(corpus: Path, cache: Path, tmp_path: Path) -> None:
    for share, learns in ((0.5, True), (2.0, False)):
        folder = tmp_path / str(share)
        config = EngineConfig(corpus, folder, cache, minutes=None, steps=2, batch=8, device="cpu", grow_at=(2.0, 2.0))
        train_engine(replace(config, interact_at=share))
        saved = torch.load(folder / "last.pt", weights_only=True)
        assert bool(saved["net"]["integrate.conv.bn.weight"].any()) is learns  # it starts at zero


@pytest.mark.parametrize(
    "parts",
    [{"residual": True, "association": True, "task_norm": True}, {"network": "ifan-paper"}, {"reencode": False}],
    ids=["rmt", "paper", "bare"],
)
def test_switched_parts_train_resume_and_export(
    parts: dict[str, Any], corpus: Path, cache: Path, tmp_path: Path
) -> None:
    config = EngineConfig(corpus, tmp_path, cache, minutes=None, steps=2, batch=8, device="cpu", grow_at=(2.0, 2.0))
    config = replace(config, interact_at=0.5, joint=True, iterations=2, warmup=1, **parts)
    checkpoint = train_engine(config)
    train_engine(replace(config, steps=3))  # goes on
    log = (tmp_path / "log.csv").read_text().splitlines()
    assert "parsing2" in log[0] and len(log) == 3
    assert ("consistent_shape" in log[0]) == parts.get("association", False)
    net = load_engine(checkpoint)
    saved = torch.load(checkpoint, weights_only=True)["ema"]
    served = net.state_dict()
    assert all(torch.equal(value, saved[name]) for name, value in served.items())
    if config.task_norm:
        assert served["encoder.s2.bn.running_mean"].any() and saved["encoder.s2.bn.task_mean"].any()
        assert not any("task" in name for name in served)
    assert export_engine(checkpoint, tmp_path / "engine.onnx", 1).difference["landmarks"] <= 1e-3


def test_a_run_begins_with_another_runs_weights(corpus: Path, cache: Path, tmp_path: Path) -> None:
    config = EngineConfig(
        corpus, tmp_path / "a", cache, minutes=None, steps=1, batch=8, device="cpu", grow_at=(2.0, 2.0)
    )
    first = train_engine(config)
    # a rate of next to nothing: what the second run has, it was given
    second = train_engine(replace(config, run=tmp_path / "b", init=first, rate=1e-9))
    before, after = (torch.load(path, weights_only=True) for path in (first, second))
    for name in ("encoder.s2.conv.weight", "landmarks.head.weight"):
        torch.testing.assert_close(after["net"][name], before["ema"][name])
    assert after["step"] == 1
    with pytest.raises(ModelError, match="is of another network"):
        train_engine(replace(config, run=tmp_path / "c", init=first, network="ifan-paper"))


def test_a_frozen_network_learns_no_associations(corpus: Path, cache: Path, tmp_path: Path) -> None:
    config = EngineConfig(corpus, tmp_path, cache, minutes=None, steps=1, batch=8, device="cpu", grow_at=(2.0, 2.0))
    train_engine(replace(config, interact_at=0.0, association=True, residual=True))
    assert "consistent" not in (tmp_path / "log.csv").read_text()
    saved = torch.load(tmp_path / "last.pt", weights_only=True)["net"]
    assert not saved["residual.points.weight"].any()


def test_rows_know_their_task() -> None:
    sampler = Sampler({g: faces(g, 100, 0 if g == "emotion" else None) for g in MIX}, batch=64, seed=0)
    _, targets = sampler(0, 64)
    assert torch.bincount(targets.task).tolist() == [30, 12, 22]
    assert targets.task[targets.emotion_weight > 0].eq(2).all()


def test_validation_scores_the_averaged_weights(tmp_path: Path) -> None:
    """With heads at zero every point is said to be in the middle, every pixel background, every emotion neutral."""
    torch.manual_seed(0)
    net = EngineNet()
    run = Run(tmp_path, net, torch.optim.SGD(net.parameters()), Schedule(1.0, steps=1))
    for name, value in run.ema.state.items():
        if name.startswith(("landmarks.head", "parsing.head", "vector.emotion.3")):
            value.zero_()

    points = placed(64, 56, 22).astype(np.float32)
    blank, mask = np.zeros((128, 128, 3), np.uint8), np.zeros((128, 128), np.uint8)
    picture = a_picture("p", "afw", "val", blank, parsing=mask, parsing_scheme="celebamask19")
    face = Sample(picture, "landmarks", landmarks=points, landmark_weight=np.ones(68, np.float32))
    happy = Sample(picture, "emotion", box=BOX, emotion=np.eye(8, dtype=np.float32)[1])
    neutral = Sample(picture, "emotion", box=BOX, emotion=np.eye(8, dtype=np.float32)[0])
    groups = {"landmarks": [face, face], "emotion": [happy, neutral, neutral], "parsing": [face]}
    config = EngineConfig(tmp_path, tmp_path, tmp_path)
    metrics = validate(run, groups, torch.device("cpu"), 64, config)

    where = Augment(64, np.random.default_rng(0), strength=0.0)(face).landmarks
    expected = 100 * np.linalg.norm(where, axis=1).mean() / np.linalg.norm(where[36] - where[45])
    assert metrics["landmarks0"] == metrics["landmarks1"] == pytest.approx(expected, rel=1e-3)
    assert metrics["emotion0"] == pytest.approx(200 / 3)
    assert metrics["parsing0"] == 0.0  # no component was there to be found
    assert set(metrics) == {"landmarks0", "landmarks1", "emotion0", "emotion1", "parsing0", "parsing1"}


def test_a_frozen_interaction_learns_on_the_statistics_of_the_mix(
    corpus: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[tuple[int, bool]] = []
    forward = EngineNet.forward

    def watched(net: EngineNet, crops: torch.Tensor, iterations: int = 0, **more: Any) -> list[Any]:
        norm = net.encoder.s2.bn
        assert isinstance(norm, TaskNorm)
        if more.get("rows") is not None:  # a step, neither validation nor the measuring of the mix
            named.append((iterations, norm.ids.rows is not None))
            if iterations:
                assert not norm.training and norm.running_mean is not None and norm.running_mean.any()
        return forward(net, crops, iterations, **more)

    monkeypatch.setattr(EngineNet, "forward", watched)
    config = EngineConfig(corpus, tmp_path, cache, minutes=None, steps=4, batch=8, device="cpu", grow_at=(2.0, 2.0))
    train_engine(replace(config, interact_at=0.5, task_norm=True))
    assert named == [(0, True), (0, True), (1, False), (1, False)]
