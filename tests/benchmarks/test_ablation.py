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
from benchmarks.ablation_table import tables
from rtface.datasets.labelled import FaceLabel
from rtface.train.data.pixel_cache import Picture
from rtface.train.data.samples import Sample
from rtface.train.nets.mos import cells
from tests.train.made import a_picture, write_corpus

pytestmark = pytest.mark.train
SMALL = ("--steps", "1", "--batch", "8", "--detector-steps", "1", "--detector-batch", "2", "--enhancer-steps", "2")


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
    assert one["budget"] == {"steps": 1, "batch": 8, "seed": 0}
    assert one["rounds"] == 1 and {"landmarks0", "landmarks1", "emotion1"} <= set(one["scores"])
    assert set(normed["scores_by_task_statistics"]) == set(normed["scores"])
    assert one["m_multiply_adds"] > normed["m_multiply_adds"] > 100  # a round of interaction more
    assert one["machine"]["cpu"] and one["seconds"] > 0
    again = ablate(corpus, tmp_path, "--arms", "task-norm", "iter1")
    assert again == first
    assert "arm " not in capsys.readouterr().err.split("task-norm")[-1]
    other = ablate(corpus, tmp_path, "--arms", "mos", "--seed", "5")
    assert len(other) == 3 and other[-1]["budget"]["seed"] == other[-1]["seed"] == 5


def test_a_record_that_names_the_other_networks_budget_too_counts(corpus: Path, tmp_path: Path) -> None:
    budget = {"steps": 1, "batch": 8, "detector_steps": 77, "seed": 0}
    record = {"arm": "iter0", "rounds": 0, "seed": 0, "scores": {}, "m_multiply_adds": 1.0, "budget": budget}
    (tmp_path / "out.jsonl").write_text(json.dumps(record) + "\n")
    assert ablate(corpus, tmp_path, "--arms", "iter0") == [record]
    assert len(ablate(corpus, tmp_path, "--arms", "iter0", "--batch", "9")) == 2


def test_enhancers_learn_their_own_terms_and_are_scored_through_the_engine(corpus: Path, tmp_path: Path) -> None:
    records = ablate(
        corpus, tmp_path, "--enhancer-batch", "2", "--arms", "no-enhancer", "bicubic", "pixel", "super-fan"
    )
    by_arm = {record["arm"]: record for record in records}
    assert all(r["budget"] == {"enhancer_steps": 2, "enhancer_batch": 2, "seed": 0} for r in records)
    plain, pixel = by_arm["no-enhancer"], by_arm["pixel"]
    assert any(name.startswith("engine") for name in plain["models"])
    assert plain["m_multiply_adds"] == 0 and pixel["m_multiply_adds"] == pytest.approx(182, abs=5)
    assert plain["scores"]["landmark_faces"] == plain["scores"]["parsing_faces"] == 1
    assert len({record["scores"]["nme_pct"] for record in records}) == 4  # every arm shows the engine another face
    heads = {}
    for arm in ("pixel", "super-fan"):
        heads[arm] = (tmp_path / "runs" / f"{arm}-2-2-0" / "log.csv").read_text().splitlines()[0].split(",")
    assert not {"perceptual", "heat", "gan"} & set(heads["pixel"])
    assert {"pixel", "perceptual", "heat", "gan"} <= set(heads["super-fan"])


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


def made(arm: str, scores: dict[str, float], seed: int = 0, **more: Any) -> dict[str, Any]:
    """A record of a finished arm."""
    budget = {"steps": 1000, "batch": 32, "detector_steps": 9, "enhancer_steps": 7, "seed": 0}
    return {"arm": arm, "scores": scores, "seed": seed, "budget": budget, "m_multiply_adds": 7.0, **more}


def rows_of(text: str) -> dict[str, list[str]]:
    """Cells by the label that they stand behind."""
    lines = [[cell.strip() for cell in line[2:-2].split(" | ")] for line in text.splitlines() if line.startswith("|")]
    return {label: cells for label, *cells in lines}


def test_the_table_takes_the_last_round_and_the_single_networks_together() -> None:
    scores = {"landmarks0": 9.0, "landmarks1": 8.0, "five0": 5.0, "five1": 4.5, "parsing1": 70.0, "emotion1": 60.0}
    whole = {"landmarks0": 10.0, "five0": 6.0, "parsing0": 50.0}
    records = [
        made("iter1", scores, rounds=1),
        made("single-landmarks", whole, rounds=0),
        made("single-emotion", {"emotion0": 55.0, "landmarks0": 99.0}, rounds=0),
        made("task-norm", {"parsing0": 1.0}, rounds=0, scores_by_task_statistics={"parsing0": 2.0}),
        made("mos", {"ap50_16px": 10.0, "ap50_24px": 20.0, "ap50_40px": 30.0}),
    ]
    cells = rows_of(tables(records))
    assert cells["iFAN: ITER 1"] == ["8.00", "4.50", "70.00", "60.00", "7"]
    assert cells["iFAN: a network for each task"] == ["10.00", "6.00", "", "55.00", ""]
    assert cells["iFAN: ITER 0, task-wise batch norm, each set by its own statistics"][2] == "2.00"
    assert cells["the same in one pass, statistics of the mix"][2] == "1.00"
    assert cells["MOS: cross-stitch, uncertainty, feedback"] == ["10.00", "20.00", "30.00", "7"]
    assert "RMT-Net: residual on" not in cells  # not trained yet
    whole_single = rows_of(tables([*records, made("single-parsing", whole, rounds=0)]))
    assert whole_single["iFAN: a network for each task"] == ["10.00", "6.00", "50.00", "55.00", "21"]


def test_figures_are_told_from_the_plain_arms_and_from_the_noise_of_seeds() -> None:
    records = [
        made("iter0", {"landmarks0": 8.0, "emotion0": 40.0}, rounds=0),
        made("residual", {"landmarks0": 7.5, "emotion0": 43.0}, rounds=0),
    ]
    alone = tables(records)
    assert rows_of(alone)["RMT-Net: residual on"] == ["7.50 (-0.50)", "", "", "43.00 (+3.00)", ""]
    assert "nothing says which differences" in alone and "two seeds of one arm differ by" not in alone
    # seeds come as arms of their own or by --seed
    for name in ("iter0-seed1", "iter0"):
        text = tables([*records, made(name, {"landmarks0": 8.1, "emotion0": 44.0}, seed=1, rounds=0)])
        cells = rows_of(text)
        assert cells["iFAN: ITER 0 (one network, no interaction), 2 seeds"][0] == "8.05 ± 0.07"
        assert cells["*two seeds of one arm differ by*"] == ["0.10", "", "", "4.00", ""]
        assert cells["RMT-Net: residual on"][0] == "7.50 (**-0.55**)"  # beyond 3 x 0.10
        assert cells["RMT-Net: residual on"][3] == "43.00 (+1.00)"  # within 3 x 4.00
        assert "bold: more than 3 times" in text
    third = tables([*records, *(made("iter0", {"landmarks0": 8.0 + s, "emotion0": 40.0}, s, rounds=0) for s in (1, 2))])
    assert rows_of(third)["*two seeds of one arm differ by*"][0] == "1.33"  # 1, 1 and 2 on average


def test_every_kind_of_network_and_budget_has_a_table_of_its_own() -> None:
    figures = {"psnr_db": 24.0, "ssim": 0.7, "nme_pct": 7.0, "failure8_pct": 20.0, "parsing_f": 66.0}
    longer = made("iter0", {"landmarks0": 6.0}, rounds=0)
    longer["budget"] = longer["budget"] | {"steps": 5000}
    records = [
        made("pixel", figures),
        made("no-enhancer", {**figures, "psnr_db": 23.5, "parsing_f": None}),
        made("iter0", {"landmarks0": 8.0}, rounds=0),
        longer,
    ]
    text = tables(records)
    budgets = [line for line in text.splitlines() if line.startswith("budget")]
    assert budgets == [
        "budget: steps 1000, batch 32",
        "budget: steps 5000, batch 32",
        "budget: enhancer_steps 7, enhancer_batch None",
    ]
    cells = rows_of(text)
    assert cells["Super-FAN: pixel loss"][:3] == ["24.000", "0.700", "7.000"]
    assert cells["none: the crop as the runtime cuts it (bilinear)"][0] == "23.500 (-0.500)"
    assert cells["none: the crop as the runtime cuts it (bilinear)"][4] == ""


def test_the_table_can_be_printed_without_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = {"arm": "iter0", "rounds": 0, "scores": {"landmarks0": 9.0}, "budget": {"steps": 7}, "m_multiply_adds": 1}
    (tmp_path / "out.jsonl").write_text(json.dumps(record) + "\n")
    ablation.main(["--table", "--out", str(tmp_path / "out.jsonl")])
    out = capsys.readouterr().out
    assert "budget: steps 7" in out and "9.00" in out
    assert json.loads(out.splitlines()[-1])["arms"] == 1


def test_a_single_task_keeps_its_labels_only() -> None:
    picture = a_picture("p", "helen", "train", np.zeros((8, 8, 3), np.uint8), parsing=np.zeros((8, 8), np.uint8))
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
        labels = [FaceLabel(box_xyxy=np.array(b, np.float32)) for b in boxes]
        return a_picture("w", "wider", "val", np.zeros((64, 90, 3), np.uint8), labels)

    right, two = faces((23.5, 23.5, 47.5, 47.5)), faces((23.5, 23.5, 47.5, 47.5), (60.0, 5, 85, 40))
    assert arms.score_detector(Planted(), [right])["ap50_24px"] == pytest.approx(100.0)  # type: ignore[arg-type]
    scores = arms.score_detector(Planted(), [two])  # type: ignore[arg-type]
    assert scores["ap50_24px"] == pytest.approx(50.0)
    assert arms.score_detector(Planted(), [faces((0.0, 0, 20, 20))])["ap50_16px"] == 0.0  # type: ignore[arg-type]
