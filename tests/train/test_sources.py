"""TOML and flags into a mix of sources and a run's options; what is wrong is said with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.errors import OptionError
from rtface.train.config import EngineConfig
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
            ('[[source]]\npath = "a.parquet"\nshare = 0', "source 1: share: expected a number above 0, got 0"),
            ('[[source]]\npath = "a.parquet"\nshare = "much"', "1: share: expected a number above 0, got 'much'"),
            ('[[source]]\npath = "a.parquet"\nshare = true', "source 1: share: expected a number above 0, got True"),
            ('[[source]]\npath = "a.parquet"\nshares = 2', "source 1: option 'shares': is unknown. Did you mean share"),
            ('[[source]]\npath = "a.parquet"\ntasks = ["landmark"]', "task 'landmark': is unknown. Did you mean landm"),
            (
                '[[source]]\npath = "a.parquet"\ntasks = []',
                "tasks: expected a list or a table of some of landm",
            ),
            ('[[source]]\npath = "a.parquet"\ntasks = { pose = -1 }', "tasks.pose: expected a number above 0, got -1"),
            ('[[source]]\npath = "a.parquet"\ntasks = { parsing = 2 }', "tasks.parsing: has no factor but 1"),
            ('[[source]]\npath = "a.parquet"\nsplits = ["train", "val"]', "splits: val and test are for measuring"),
            ('[[source]]\npath = "a.parquet"\nonly = "helen"', "only: expected a list of texts, got 'helen'"),
            ('[[source]]\npath = "a.parquet"\nboxed = "perhaps"', "boxed: expected true or false, got 'perhaps'"),
            ('[[source]]\npath = "a.parquet"\n[[source]]\npath = "a.parquet"', "source 'a': is there more than once"),
            ('source = "a.parquet"', r"source: expected \[\[source\]\] tables"),
            ("minutes = ", "is not TOML"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_place(self, files: Path, content: str, says: str) -> None:
        with pytest.raises(OptionError, match=says):
            load(toml(files, content))

    def test_wrong_flags(self, files: Path) -> None:
        with pytest.raises(OptionError, match="share: expected a number above 0, got 'much'"):
            from_flags([f"{files}/a.parquet=much"])
        with pytest.raises(OptionError, match="task 'eyes': is unknown"):
            from_flags([f"{files}/a.parquet=1:eyes"])
        with pytest.raises(OptionError, match=r"nowhere\.toml: No such file"):
            load(files / "nowhere.toml")


class TestBuild:
    def test_values_are_kept_as_their_rules_say(self) -> None:
        made = build(
            EngineConfig, {"data": "d", "run": "r", "minutes": 3, "grow_at": [0, 0.5], "joint": True}, "it", ""
        )
        assert (made.run, made.minutes, made.grow_at, made.joint) == (Path("r"), 3.0, (0.0, 0.5), True)
        assert isinstance(made.minutes, float) and isinstance(made.grow_at[0], float)
        assert build(EngineConfig, {"data": "d", "run": Path("r"), "minutes": None}, "it", "").minutes is None

    @pytest.mark.parametrize(
        ("options", "says"),
        [
            ({"data": "d"}, "it: run: is missing. Pass --run"),
            ({"run": "r", "minute": 1}, "it: option 'minute': is unknown. Did you mean minutes"),
            ({"run": "r", "sources": []}, "it: option 'sources': is unknown. Did you mean source"),
            ({"run": "r", "minutes": "two"}, "it: minutes: expected a number of at least 0.1, got 'two'"),
            ({"run": "r", "minutes": True}, "it: minutes: expected a number of at least 0.1, got True"),
            ({"run": "r", "steps": 1.5}, "it: steps: expected a whole number of at least 1, got 1.5"),
            ({"run": 3}, "it: run: expected a path, got 3"),
            ({"run": "r", "grow_at": [0.1]}, r"it: grow_at: expected two numbers such as .*, got \[0.1\]"),
            ({"run": "r", "joint": 2}, "it: joint: expected true or false, got 2"),
            ({"run": "r", "network": "ifan-paper", "residual": True}, "it: network: ifan-paper has no residual"),
        ],
    )
    def test_what_does_not_fit_is_named(self, options: dict[str, object], says: str) -> None:
        with pytest.raises(OptionError, match=says):
            build(EngineConfig, {"data": "d", **options}, "it", "source", sources=())

    def test_python_is_told_the_same(self) -> None:
        with pytest.raises(OptionError, match="batch: expected a whole number of at least 1, got 0"):
            EngineConfig(Path("d"), Path("r"), batch=0)
