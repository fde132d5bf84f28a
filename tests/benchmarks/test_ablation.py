"""The ablation: arms on a made-up corpus, what is done is not done again, and the tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("pyarrow", reason="needs the train extra")

import torch

from benchmarks import ablation, arms
from rtface.train.data.corpus import FaceLabel, Picture
from rtface.train.data.faces import Sample
from rtface.train.nets.mos import cells
from tests.train.made import write_corpus

pytestmark = pytest.mark.train
SMALL = ("--steps", "1", "--batch", "8", "--detector-steps", "1", "--detector-batch", "2")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("ablation"))


def ablate(corpus: Path, folder: Path, *more: str) -> list[dict[str, Any]]:
    places = ("--data", corpus, "--cache", folder / "cache", "--runs", folder / "runs", "--out", folder / "out.jsonl")
    ablation.main([*map(str, places), *SMALL, *more])
    return ablation.read(folder / "out.jsonl")


def test_arms_are_trained_once(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = ablate(corpus, tmp_path, "--arms", "iter1", "task-norm")
    assert [r["arm"] for r in first] == ["iter1", "task-norm"]
    one, normed = first
    assert one["budget"] == {"steps": 1, "batch": 8, "detector_steps": 1, "detector_batch": 2, "seed": 0}
    assert one["rounds"] == 1 and {"landmarks0", "landmarks1", "emotion1"} <= set(one["scores"])
    assert set(normed["scores_by_task_statistics"]) == set(normed["scores"])
    assert one["m_multiply_adds"] > normed["m_multiply_adds"] > 100  # a round of interaction more
    assert one["machine"]["cpu"] and one["seconds"] > 0
    again = ablate(corpus, tmp_path, "--arms", "task-norm", "iter1")
    assert again == first
    assert "arm " not in capsys.readouterr().err.split("task-norm")[-1]
    other = ablate(corpus, tmp_path, "--arms", "mos", "--seed", "5")
    assert len(other) == 3 and other[-1]["budget"]["seed"] == other[-1]["seed"] == 5


def test_unknown_arms_and_missing_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ablate(tmp_path, tmp_path, "--arms", "iter9")
    assert "unknown arm iter9; there are iter0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        ablation.main(["--out", str(tmp_path / "out.jsonl")])
    assert "--data is missing" in capsys.readouterr().err
    (tmp_path / "out.jsonl").write_text("{half")
    with pytest.raises(SystemExit, match="a line is no JSON"):
        ablation.read(tmp_path / "out.jsonl")


def test_the_table_takes_the_last_round_and_the_single_networks_together() -> None:
    scores = {"landmarks0": 9.0, "landmarks1": 8.0, "five0": 5.0, "five1": 4.5, "parsing1": 70.0, "emotion1": 60.0}
    records = [
        {"arm": "iter1", "rounds": 1, "scores": scores},
        {"arm": "single-landmarks", "rounds": 0, "scores": {"landmarks0": 10.0, "five0": 6.0}},
        {"arm": "single-emotion", "rounds": 0, "scores": {"emotion0": 55.0, "landmarks0": 99.0}},
        {"arm": "task-norm", "rounds": 0, "scores": {"parsing0": 1.0}, "scores_by_task_statistics": {"parsing0": 2.0}},
        {"arm": "mos", "scores": {"ap50_16px": 10.0, "ap50_24px": 20.0, "ap50_40px": 30.0}},
    ]
    for record in records:
        record["m_multiply_adds"] = 7.0
    lines = ablation.table(records).splitlines()
    cells_of = {line.split(" | ")[0].strip("| "): line[2:-2].split(" | ")[1:] for line in lines if "|" in line}
    assert cells_of["iFAN: ITER 1"] == ["8.00", "4.50", "70.00", "60.00", "7"]
    assert [c.strip() for c in cells_of["iFAN: a network for each task"]] == ["10.00", "6.00", "", "55.00", ""]
    assert "2.00" in cells_of["iFAN: ITER 0, task-wise batch norm, each set by its own statistics"]
    assert cells_of["MOS: cross-stitch, uncertainty, feedback"] == ["10.00", "20.00", "30.00", "7"]
    assert "RMT-Net: residual on" not in cells_of  # not trained yet


def test_the_table_can_be_printed_without_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = {"arm": "iter0", "rounds": 0, "scores": {"landmarks0": 9.0}, "budget": {"steps": 7}, "m_multiply_adds": 1}
    (tmp_path / "out.jsonl").write_text(json.dumps(record) + "\n")
    ablation.main(["--table", "--out", str(tmp_path / "out.jsonl")])
    out = capsys.readouterr().out
    assert "budget: steps 7" in out and "9.00" in out
    assert json.loads(out.splitlines()[-1])["arms"] == 1


def test_a_single_task_keeps_its_labels_only() -> None:
    picture = Picture("p", "helen", "train", np.zeros((8, 8, 3), np.uint8), parsing=np.zeros((8, 8), np.uint8))
    full = Sample(
        picture,
        "landmarks",
        landmarks=np.zeros((68, 2), np.float32),
        landmark_weight=np.ones(68, np.float32),
        pose=np.zeros(3, np.float32),
        pose_weight=np.ones(3, np.float32),
        emotion=np.eye(8, dtype=np.float32)[0],
    )
    groups = {"landmarks": [full], "emotion": [full], "negative": [full]}
    (points,) = arms.single_task(groups, "landmarks")["landmarks"]
    assert points.landmark_weight is not None and points.emotion is None and points.pose is None
    assert points.picture.parsing is None and picture.parsing is not None
    (mask,) = arms.single_task(groups, "parsing")["landmarks"]
    assert mask.landmarks is not None and mask.landmark_weight is None and mask.picture.parsing is not None
    assert list(arms.single_task(groups, "emotion")) == ["emotion"]


class Planted(torch.nn.Module):
    """A detector that says one box of 24 px about (35.5, 35.5), and faintly its neighbour's duplicate."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        centres, strides = cells(image.shape[1], image.shape[2])
        raw = torch.zeros(1, len(centres), 18)
        raw[..., 0] = -9.0
        at = int(((centres - 35.5).abs().sum(1) + strides[:, 0]).argmin())
        raw[0, at, 0], raw[0, at + 1, 0] = 4.0, 0.0
        raw[0, at : at + 2, 3:5] = float(np.log(12 / 8))
        raw[0, at + 1, 1] = -1.0  # one stride to the left: the same box
        return raw


def test_a_detector_is_scored_by_what_it_finds() -> None:
    def faces(*boxes: tuple[float, float, float, float]) -> Picture:
        labels = [FaceLabel(box=np.array(b, np.float32)) for b in boxes]
        return Picture("w", "wider", "val", np.zeros((64, 90, 3), np.uint8), labels)

    right, two = faces((23.5, 23.5, 47.5, 47.5)), faces((23.5, 23.5, 47.5, 47.5), (60.0, 5, 85, 40))
    assert arms.score_detector(Planted(), [right])["ap50_24px"] == pytest.approx(100.0)  # type: ignore[arg-type]
    scores = arms.score_detector(Planted(), [two])  # type: ignore[arg-type]
    assert scores["ap50_24px"] == pytest.approx(50.0)
    assert arms.score_detector(Planted(), [faces((0.0, 0, 20, 20))])["ap50_16px"] == 0.0  # type: ignore[arg-type]
