"""What a training draws from: any mix of corpus files, each with its share of a batch and its tasks.

In TOML it is a ``[[source]]`` table beside the run's own options (docs/training.md shows one); on the command line
``--source corpus/wflw.parquet=12:landmarks,pose``, as often as there are sources.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtface.datasets import corpus
from rtface.datasets.labelled import LabelledImage
from rtface.errors import OptionError, SourceError, unknown
from rtface.option_rules import Unfit, keep_by_rules, maybe, number, option, switch, text, wrong
from rtface.system.toml import read_toml
from rtface.train.settings import build

TASKS = ("landmarks", "points5", "parsing", "emotion", "pose")
#: Every pixel of a mask weighs alike in its loss: a share, not a weight, says how much masks count.
UNWEIGHTED = ("parsing",)
SPLITS = ("train", "unlabelled")
_FLAG = re.compile(r"(?P<path>.+?)(=(?P<share>[^=:]*))?(:(?P<tasks>[\w,]+))?")


_ABOVE_0 = number(0, whole=False, above=True)


def _tasks(value: Any) -> dict[str, float]:
    value = dict.fromkeys(map(str, value), 1.0) if isinstance(value, list | tuple) else value
    if not isinstance(value, Mapping) or not value:
        raise Unfit(f"a list or a table of some of {', '.join(TASKS)}")
    tasks = {}
    for task, factor in value.items():
        if task not in TASKS:
            raise unknown("task", task, TASKS, OptionError)
        try:
            tasks[task] = _ABOVE_0(factor)
        except Unfit as unfit:
            raise wrong(f"tasks.{task}", unfit.expected, factor) from None
        if task in UNWEIGHTED and tasks[task] != 1.0:
            raise OptionError(f"tasks.{task}", f"has no factor but 1, got {tasks[task]:g}", "Change the share")
    return tasks


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        raise Unfit("a list of texts")
    return tuple(value)


def _splits(value: Any) -> tuple[str, ...]:
    splits = _texts(value)
    if "val" in splits or "test" in splits:
        raise OptionError("splits", "val and test are for measuring", f"Take some of {', '.join(SPLITS)}")
    return splits


@dataclass(frozen=True)
class Source:
    """One entry of a mix.

    Attributes:
        name: Unique in the mix.
        files: Corpus files that exist.
        share: Of a batch, in proportion to the other sources.
        tasks: Task → factor on its loss; what is not in it is not learned from.
        only: The rows' sources; empty = all.
        splits: The rows' splits.
        boxed: Whether every face in the pictures has a box; None = as is known of the rows' sources.

    Raises:
        OptionError: A value is none of these.
    """

    name: str = option(rule=text)
    files: tuple[Path, ...] = ()
    share: float = option(1.0, _ABOVE_0)
    tasks: Mapping[str, float] = option(rule=_tasks, factory=lambda: dict.fromkeys(TASKS, 1.0))
    only: tuple[str, ...] = option((), _texts)
    splits: tuple[str, ...] = option(SPLITS, _splits)
    boxed: bool | None = option(None, maybe(switch))

    def __post_init__(self) -> None:
        keep_by_rules(self)

    def takes(self, row: LabelledImage) -> bool:
        """Whether a row is one of this source's."""
        return row.split in self.splits and (not self.only or row.source in self.only)


def of_folder(folder: Path, useful: Callable[[LabelledImage], bool]) -> tuple[Source, ...]:
    """A source for each corpus file in a folder, whatever its name, that has a useful row to learn from.

    Raises:
        SourceError: The folder is missing, has no parquet file, or none has a useful row.
    """
    every = (Source(file.stem, (file,)) for file in corpus.corpus_files(folder))
    found = tuple(one for one in every if any(one.takes(row) and useful(row) for row in corpus.read(one.files[0])))
    if not found:
        why = f"has no row of {' or '.join(SPLITS)} with a label for this"
        raise SourceError(str(folder), why, "rtface import FORMAT PATH --check sheet.png shows what a set has")
    return found


def load(path: Path) -> tuple[dict[str, Any], tuple[Source, ...]]:
    """The run's options and the sources of a TOML file; relative paths of sources start at the file's folder.

    Raises:
        OptionError: The file is missing or no TOML, or a source is not as described above; it says which and why.
    """
    options = read_toml(path)
    tables = options.pop("source", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise OptionError(f"{path}: source", "expected [[source]] tables", "Write [[source]] before each of them")
    return options, distinct(
        [_source(table, path.parent, f"{path}: source {at}") for at, table in enumerate(tables, 1)]
    )


def from_flags(flags: Sequence[str]) -> tuple[Source, ...]:
    """Sources of ``--source PATH[=SHARE][:TASK,TASK…]`` flags. Raises OptionError."""
    sources = []
    for flag in flags:
        match = _FLAG.fullmatch(flag)
        if match is None:
            raise OptionError("--source", f"expected PATH[=SHARE][:TASKS], got {flag!r}", "See rtface train --help")
        table: dict[str, Any] = {"path": match["path"]}
        if match["share"] is not None:
            table["share"] = match["share"]
        if match["tasks"] is not None:
            table["tasks"] = match["tasks"].split(",")
        sources.append(_source(table, Path(), f"--source {flag}"))
    return distinct(sources)


def distinct(sources: Sequence[Source]) -> tuple[Source, ...]:
    """The sources, if each has a name of its own. Raises OptionError."""
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f"source {name!r}", "is there more than once", "Give each [[source]] a name of its own")
    return tuple(sources)


def _source(table: Mapping[str, Any], root: Path, where: str) -> Source:
    options = dict(table)
    files = _files(options.pop("path", None), root, where)
    options.setdefault("name", files[0].stem if len(files) == 1 else files[0].parent.name)
    return build(Source, options, where, "path", files=files)


def _files(pattern: Any, root: Path, where: str) -> tuple[Path, ...]:
    if not isinstance(pattern, str) or not pattern:
        raise OptionError(f"{where}: path", f"expected a text, got {pattern!r}", "Name a parquet file")
    path = root / pattern
    if path.is_dir():
        found = sorted(path.glob("*.parquet"))
    elif any(mark in path.name for mark in "*?["):
        found = sorted(path.parent.glob(path.name))
    else:
        found = [path] if path.is_file() else []
    if not found:
        raise OptionError(f"{where}: path", f"there is no parquet file at {path}", "rtface import makes them")
    return tuple(found)
