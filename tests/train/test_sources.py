"""TOML and flags into a mix of sources and a run's options; what is wrong is said with its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from rtface.errors import OptionError
from rtface.train.settings import build
from rtface.train.sources import SPLITS, TASKS, from_flags, load


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.parquet").touch()
    (tmp_path / "more").mkdir()
    for name in ("d1", "d2"):
        (tmp_path / "more" / f"{name}.parquet").touch()
    return tmp_path


def toml(folder: Path, content: str) -> Path:
    path = folder / "train.toml"
    path.write_text(content, encoding="utf-8")
    return path


class TestSources:
    def test_everything_that_can_be_said(self, files: Path) -> None:
        options, (a, more, some) = load(
            toml(
                files,
                """
                minutes = 3
                run = "runs/mine"

                [[source]]
                path = "a.parquet"

                [[source]]
                path = "more"
                share = 12
                tasks = ["landmarks", "pose"]
                only = ["helen", "lfpw"]
                splits = ["train"]
                boxed = true

                [[source]]
                path = "more/d?.parquet"
                name = "other"
                tasks = { emotion = 0.5, parsing = 1 }
                """,
            )
        )
        assert options == {"minutes": 3, "run": "runs/mine"}
        assert (a.name, a.files, a.share, a.splits) == ("a", (files / "a.parquet",), 1.0, SPLITS)
        assert dict(a.tasks) == dict.fromkeys(TASKS, 1.0) and a.only == () and a.boxed is None
        assert (more.name, more.share, more.only, more.splits) == ("more", 12.0, ("helen", "lfpw"), ("train",))
        assert [file.name for file in more.files] == ["d1.parquet", "d2.parquet"] and more.boxed is True
        assert more.tasks == {"landmarks": 1.0, "pose": 1.0}
        assert (some.name, some.files, some.tasks) == ("other", more.files, {"emotion": 0.5, "parsing": 1.0})

    def test_flags_say_the_same(self, files: Path) -> None:
        a, b, c = from_flags([f"{files}/a.parquet", f"{files}/b.parquet=2.5", f"{files}/c.parquet=3:landmarks,pose"])
        assert (a.share, dict(a.tasks)) == (1.0, dict.fromkeys(TASKS, 1.0))
        assert (b.name, b.share) == ("b", 2.5)
        assert (c.share, c.tasks) == (3.0, {"landmarks": 1.0, "pose": 1.0})
        (only_tasks,) = from_flags([f"{files}/a.parquet:emotion"])
        assert (only_tasks.share, only_tasks.tasks) == (1.0, {"emotion": 1.0})

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            ("[[source]]", "source 1: path: expected a text, got None"),
            ('[[source]]\npath = "x.parquet"', "source 1: path: there is no parquet file at .*rtface import"),
            ('[[source]]\npath = "a.parquet"\nshare = 0', "source 1: share: expected more than 0, got 0"),
            ('[[source]]\npath = "a.parquet"\nshare = "much"', "source 1: share: expected a number, got 'much'"),
            ('[[source]]\npath = "a.parquet"\nshare = true', "source 1: share: expected a number, got True"),
            ('[[source]]\npath = "a.parquet"\nshares = 2', "source 1: key 'shares': is unknown. Did you mean share"),
            ('[[source]]\npath = "a.parquet"\ntasks = ["landmark"]', "task 'landmark': is unknown. Did you mean landm"),
            ('[[source]]\npath = "a.parquet"\ntasks = []', r"tasks: expected a list or a table, got {}"),
            ('[[source]]\npath = "a.parquet"\ntasks = { pose = -1 }', "tasks.pose: expected more than 0, got -1"),
            ('[[source]]\npath = "a.parquet"\ntasks = { parsing = 2 }', "tasks.parsing: has no factor but 1"),
            ('[[source]]\npath = "a.parquet"\nsplits = ["train", "val"]', "splits: val and test are for measuring"),
            ('[[source]]\npath = "a.parquet"\nonly = "helen"', "only: expected a list of texts, got 'helen'"),
            ('[[source]]\npath = "a.parquet"\nboxed = "yes"', "boxed: expected true or false, got 'yes'"),
            ('[[source]]\npath = "a.parquet"\n[[source]]\npath = "a.parquet"', "source 'a': is there more than once"),
            ('source = "a.parquet"', r"source: expected \[\[source\]\] tables"),
            ("minutes = ", "is not TOML"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_place(self, files: Path, content: str, says: str) -> None:
        with pytest.raises(OptionError, match=says):
            load(toml(files, content))

    def test_wrong_flags(self, files: Path) -> None:
        with pytest.raises(OptionError, match="share: expected a number, got 'much'"):
            from_flags([f"{files}/a.parquet=much"])
        with pytest.raises(OptionError, match="task 'eyes': is unknown"):
            from_flags([f"{files}/a.parquet=1:eyes"])
        with pytest.raises(OptionError, match=r"nowhere\.toml: No such file"):
            load(files / "nowhere.toml")


@dataclass
class Made:
    """Some of every kind of option."""

    run: Path
    minutes: float | None = 2.0
    steps: int | None = None
    grow_at: tuple[float, float] = (0.2, 0.4)
    device: str = "auto"
    feedback: bool = True
    sources: tuple[str, ...] = ()


class TestBuild:
    def test_values_take_the_types_of_the_class(self) -> None:
        made = build(Made, {"run": "r", "minutes": 3, "grow_at": [0, 0.5], "feedback": False}, "it", sources=("s",))
        assert made == Made(Path("r"), 3.0, None, (0.0, 0.5), "auto", False, ("s",))
        assert isinstance(made.minutes, float) and isinstance(made.grow_at[0], float)
        assert build(Made, {"run": Path("r"), "minutes": None}, "it").minutes is None

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({}, "it: run: is missing. Pass --run"),
            ({"run": "r", "minute": 1}, "it: option 'minute': is unknown. Did you mean minutes"),
            ({"run": "r", "sources": []}, "it: option 'sources': is unknown. Did you mean source"),
            ({"run": "r", "minutes": "two"}, "it: minutes: expected a number, got 'two'"),
            ({"run": "r", "minutes": True}, "it: minutes: expected a number, got True"),
            ({"run": "r", "steps": 1.5}, "it: steps: expected a whole number, got 1.5"),
            ({"run": 3}, "it: run: expected a path, got 3"),
            ({"run": "r", "grow_at": [0.1]}, r"it: grow_at: expected a list of 2 numbers, got \[0.1\]"),
            ({"run": "r", "feedback": 1}, "it: feedback: expected true or false, got 1"),
        ],
    )
    def test_what_does_not_fit_is_named(self, options: dict[str, object], says: str) -> None:
        with pytest.raises(OptionError, match=says):
            build(Made, options, "it", sources=())
