"""`rtface eval` on parquet files made here, with an analyzer that knows the answers or does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rtface.cli.app import main
from rtface.errors import ModelError
from rtface.labels import EMOTIONS
from rtface.options import Options
from rtface.types import Emotion, FrameResult
from tests.evaluate.made import face, record, result, write


class KnowingAnalyzer:
    """Reads the answer from the picture: its grey value is the emotion's index; finds one face that fills it."""

    made: list[Options] = []  # noqa: RUF012 - one for all, emptied by the fixture

    def __init__(self, options: Options) -> None:
        self.made.append(options)

    def __enter__(self) -> KnowingAnalyzer:
        return self

    def __exit__(self, *_: object) -> None: ...

    def image(self, image: np.ndarray, boxes: Any = None, tasks: Any = None) -> FrameResult:
        height, width = image.shape[:2]
        index = int(image[0, 0, 0])
        return result(face([0, 0, width, height], emotion=Emotion(EMOTIONS[index], np.eye(8)[index])))


@pytest.fixture(autouse=True)
def knowing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtface.analyzer.Analyzer", KnowingAnalyzer)
    KnowingAnalyzer.made.clear()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three emotions, of which the last is labelled as another; and a picture with a box that fills it."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    rows = [
        record(f"e{shown}", np.full((48, 48, 3), shown, np.uint8), source="ferplus", emotion_votes=votes)
        for shown, votes in ((0, [10] + [0] * 9), (1, [0, 10] + [0] * 8), (2, [0, 10] + [0] * 8))
    ]
    write(folder / "emotion.parquet", rows)
    box = {"box_xyxy": [0.0, 0.0, 60.0, 60.0], "box_source": "human"}
    write(folder / "detection.parquet", [record("d", np.zeros((60, 60, 3), np.uint8), source="wider", faces=[box])])
    return folder


def evaluate(*args: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["eval", *map(str, args)])
    return int(ended.value.code or 0)


def test_prints_a_table_and_then_one_json_line(data: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file, worst = tmp_path / "figures.jsonl", tmp_path / "worst.png"
    assert evaluate("emotion", "--data", data, "--json", file, "--worst", worst) == 0
    captured = capsys.readouterr()
    head, *table, line = captured.out.splitlines()
    said = json.loads(line)
    assert head == "emotion on ferplus val: 3 pictures"
    assert said["metrics"]["accuracy_pct"] == pytest.approx(66.6667)
    assert any("accuracy, majority vote, %" in row and "66.67" in row for row in table)
    assert json.loads(file.read_text()) == said
    assert cv2.imread(str(worst)) is not None
    assert "emotion: 3 pictures" in captured.err


def test_all_measures_what_the_data_has_labels_for(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("all", "--data", data, "--set", "iterations=0") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [said["task"] for said in lines] == ["emotion", "detection"]
    assert lines[1]["metrics"]["ap50_40px_pct"] == 100.0
    plain, low = KnowingAnalyzer.made
    assert plain.iterations == low.iterations == 0
    assert plain.still_score_threshold == Options().still_score_threshold
    assert (low.still_score_threshold, low.still_max_faces) == (0.02, 500)


def test_a_task_that_no_network_is_there_for_is_left_out_of_all(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Partial(KnowingAnalyzer):
        def __init__(self, options: Options) -> None:
            super().__init__(options)
            if options.still_max_faces == 500:
                raise ModelError("detector", "no model of the registry fits", "Add one")

    monkeypatch.setattr("rtface.analyzer.Analyzer", Partial)
    assert evaluate("all", "--data", data) == 0
    said = capsys.readouterr()
    assert "emotion on ferplus" in said.out and "detection: left out: detector: no model" in said.err
    assert evaluate("all", "--data", data / "detection.parquet") == 4  # nothing is left
    capsys.readouterr()
    assert evaluate("detection", "--data", data) == 4
    assert "left out" not in capsys.readouterr().err


def test_limit_source_and_split(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("emotion", "--data", data / "emotion.parquet", "--limit", "2", "--source", "ferplus") == 0
    assert "ferplus val: 2 pictures" in capsys.readouterr().out
    assert evaluate("emotion", "--data", data, "--split", "train") == 3
    assert "has no rows for emotion" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["emotions", "--data", "DATA"], 2, "Did you mean emotion?"),
        (["emotion", "--data", "nowhere"], 3, "does not exist"),
        (["emotion"], 2, "--data"),
        (["emotion", "--data", "DATA", "--worst", "DATA"], 1, "is a folder"),
        (["emotion", "--data", "DATA", "--json", "DATA/emotion.parquet"], 1, "exists already"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    data: Path, capsys: pytest.CaptureFixture[str], args: list[str], code: int, says: str
) -> None:
    assert evaluate(*(arg.replace("DATA", str(data)) for arg in args)) == code
    assert says in capsys.readouterr().err
    assert not KnowingAnalyzer.made
