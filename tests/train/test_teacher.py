"""The emotion teacher: a run leaves a checkpoint that the engine can learn from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rtface.errors import ModelError
from rtface.train.config import EngineConfig, TeacherConfig
from rtface.train.data.samples import Sample
from rtface.train.multitask import TAUGHT_WEIGHT, distill, train_engine
from rtface.train.nets.emotion import EmotionNet, load_teacher
from rtface.train.sources import Source
from rtface.train.teacher import train_teacher, validate
from tests.train.made import a_picture


@pytest.fixture(scope="module")
def teacher(corpus: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teacher")
    return train_teacher(TeacherConfig(corpus, folder, cache, minutes=None, steps=2, batch=8, device="cpu"))


def test_a_run_logs_and_loads(teacher: Path) -> None:
    header = (teacher.parent / "log.csv").read_text().splitlines()[0]
    assert {"emotion", "accuracy", "recall"} <= set(header.split(","))
    crops = torch.zeros(2, 128, 128, 3, dtype=torch.uint8)
    assert load_teacher(teacher)(crops).shape == (2, 8)
    with pytest.raises(ModelError, match="no such checkpoint"):
        load_teacher(teacher.parent / "other.pt")


def test_the_engine_refuses_another_networks_checkpoint(teacher: Path, tmp_path: Path) -> None:
    torch.save({"ema": {"x": torch.zeros(1)}}, tmp_path / "last.pt")
    with pytest.raises(ModelError, match="holds no EmotionNet"):
        load_teacher(tmp_path / "last.pt")


def test_votes_and_teacher_share_a_target() -> None:
    class Sure(EmotionNet):
        def forward(self, crops: torch.Tensor) -> torch.Tensor:
            return torch.eye(8)[3].repeat(len(crops), 1) * 50  # sadness, whatever it sees

    picture = a_picture("p", "made", "train", np.zeros((48, 48, 3), np.uint8))
    box = np.array((0, 0, 48, 48), np.float32)
    voted = Sample(picture, "emotion", box=box, emotion=np.eye(8, dtype=np.float32)[1])
    photo, none = Sample(picture, "faces", box=box), Sample(picture, "negative", box=box, is_face=False)
    distill(Sure().eval(), {"emotion": [voted], "faces": [photo], "negative": [none]})
    assert voted.emotion == pytest.approx(np.float32([0, 0.5, 0, 0.5, 0, 0, 0, 0]), abs=1e-6)
    assert photo.emotion == pytest.approx(np.eye(8)[3], abs=1e-6) and photo.emotion_weight == TAUGHT_WEIGHT
    assert voted.emotion_weight == 1.0 and none.emotion is None


def test_the_engine_trains_with_a_teacher(teacher: Path, corpus: Path, cache: Path, tmp_path: Path) -> None:
    config = EngineConfig(corpus, tmp_path, cache, minutes=None, steps=1, batch=8, device="cpu", teacher=teacher)
    assert train_engine(config).is_file()


def test_the_teacher_trains_on_a_mix(corpus: Path, cache: Path, tmp_path: Path) -> None:
    files = (corpus / "emotion.parquet", corpus / "negatives.parquet")
    sources = (Source("all", files), Source("five", (corpus / "points5.parquet",)))
    config = TeacherConfig(corpus, tmp_path, cache, minutes=None, steps=1, batch=4, device="cpu", sources=sources)
    assert train_teacher(config).is_file()
    header = (tmp_path / "log.csv").read_text().splitlines()[0]
    assert "accuracy" in header


def test_nothing_to_validate_on_gives_no_figures() -> None:
    assert validate(None, [], torch.device("cpu")) == {}  # type: ignore[arg-type]
