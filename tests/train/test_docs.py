"""docs/training.md, command by command, on small made data."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from rtface import Options, models
from rtface.train.config import EngineConfig
from rtface.train.settings import build
from rtface.train.sources import load
from tests.conftest import Cli
from tests.datasets import schematic
from tests.datasets.made import save, text

PAGE = Path(__file__).parents[2] / "docs" / "training.md"
SMALL = "--steps 2 --batch 6 --threads 1 --device cpu --cache cache"


def commands() -> list[list[str]]:
    """The page's commands; a training of two hours becomes one of two steps."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("rtface ")]
    made = [
        line.replace("--minutes 120", SMALL).replace("--int8 --data", "--int8 --cache cache --data") for line in lines
    ]
    return [shlex.split(line)[1:] for line in made]


def test_the_pages_file_of_options_can_be_read(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (tmp_path / "corpus").mkdir()
    for name in ("wflw", "mine"):
        (tmp_path / "corpus" / f"{name}.parquet").touch()
    (tmp_path / "mine.toml").write_text(block, "utf-8")
    options, (wflw, mine) = load(tmp_path / "mine.toml")
    config = build(EngineConfig, {"data": "corpus", **options}, "mine.toml", "source", sources=(wflw, mine))
    assert (config.minutes, config.grow_at) == (120.0, (0.2, 0.4))
    assert (wflw.share, dict(wflw.tasks)) == (12.0, {"landmarks": 1.0, "pose": 1.0}) and mine.boxed is True


def folder_of_pictures(root: Path) -> None:
    rows = []
    for at, name in enumerate(("anna", "bob", "cleo", "dora", "emil", "fay")):
        points = schematic.placed(schematic.ibug68(), centre=(95.0 + 3 * at, 80.0), roll=6.0 * at - 15)
        save(root / f"{name}.png", schematic.picture(faces=[points]))
        x0, y0, x1, y1 = schematic.box(points)
        cells = " ".join(f"{value:.2f}" for value in points.ravel())
        rows.append(f"{name}.png,{'val' if at == 1 else 'train'},{x0:.1f},{y0 - 20:.1f},{x1:.1f},{y1:.1f},{cells}")
    text(root / "labels.csv", "image,split,x0,y0,x1,y1,landmarks68", *rows)


def test_every_command_of_the_page_runs(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder_of_pictures(tmp_path / "mine")
    verbs = []
    for command in commands():
        done = cli(*command)
        assert done.code == 0, (command, done.err)
        verbs.append(command[0])
    assert verbs == ["import", "import", "train", "export", "eval", "run"]

    own = models.find("engine", Options().iterations, "int8", tmp_path / "models")
    header = json.loads((tmp_path / "anna.jsonl").read_text("utf-8").splitlines()[0])
    assert own.sha256 in json.dumps(header)  # the clip was analysed by these weights
    assert own.weights_licence == "CC-BY-4.0: trained on folder"
    card = models.card(own.name, tmp_path / "models")
    assert "| folder | CC-BY-4.0 | 5 | `mine.parquet` |" in card and own.sha256 in card
    assert (tmp_path / "mine.png").is_file() and np.isfinite(own.bytes)
