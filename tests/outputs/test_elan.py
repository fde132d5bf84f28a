"""ELAN's files, read again by pympi."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.errors import OutputError
from rtface.outputs.open import choose
from tests.outputs.made import a_face, a_result, a_run, run_through

pytest.importorskip("pympi", reason="needs pympi-ling (pip install 'rtface[elan]')")


def written(path: Path, results: list[object], **more: object) -> object:
    from pympi import Elan

    (sink,) = choose([path], source="demo")
    run_through(sink, results, a_run(live=False))  # type: ignore[arg-type]
    return Elan.Eaf(str(path))


def test_emotions_looks_and_smiles_are_intervals_of_each_person(tmp_path: Path) -> None:
    def face(index: int, track_id: int):  # type: ignore[no-untyped-def]
        emotion = "happiness" if 25 <= index < 75 else "neutral"
        return a_face(track_id=track_id, emotion=emotion, pose=(50.0 if index >= 100 else 0.0, 0.0, 0.0))

    results = [a_result(face(index, 1), index=index, media_time=index * 0.04) for index in range(150)]
    document = written(tmp_path / "visit.eaf", results)
    assert sorted(document.get_tier_names()) == ["person 1 emotion", "person 1 look", "person 1 smile"]  # type: ignore[attr-defined]

    def tier(name: str) -> list[tuple[int, int, str]]:
        return [tuple(one[:3]) for one in document.get_annotation_data_for_tier(name)]  # type: ignore[attr-defined]

    ((start, end, value),) = tier("person 1 emotion")
    assert value == "happiness" and start == pytest.approx(1000, abs=40) and end == pytest.approx(3000, abs=40)
    ((start, end, value),) = tier("person 1 look")
    assert value == "look" and start == 0 and end == pytest.approx(4000, abs=60)
    ((start, end, value),) = tier("person 1 smile")
    assert value == "smile" and (start, end) == pytest.approx((1000, 3000), abs=40)


def test_what_the_end_cuts_off_ends_there(tmp_path: Path) -> None:
    results = [a_result(a_face(emotion="anger"), index=index, media_time=index * 0.04) for index in range(26)]
    document = written(tmp_path / "visit.eaf", list(results))
    ((start, end, value),) = document.get_annotation_data_for_tier("person 1 emotion")  # type: ignore[attr-defined]
    assert (start, end, value) == (0, 1000, "anger")


def test_nobody_makes_a_file_that_can_be_read(tmp_path: Path) -> None:
    document = written(tmp_path / "visit.eaf", [a_result()])
    assert list(document.get_tier_names()) == ["nobody"]  # type: ignore[attr-defined]


def test_a_file_that_appears_meanwhile_is_left_alone(tmp_path: Path) -> None:
    (sink,) = choose([tmp_path / "visit.eaf"], source="demo")
    with sink:
        sink.open(a_run())
        (tmp_path / "visit.eaf").write_text("mine")
        with pytest.raises(OutputError, match="appeared while the run went on"):
            sink.finish({})
    assert (tmp_path / "visit.eaf").read_text() == "mine"
    (kept,) = (file for file in tmp_path.iterdir() if file.name != "visit.eaf")
    assert "<ANNOTATION_DOCUMENT" in kept.read_text()
