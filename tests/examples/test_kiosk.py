"""The kiosk examples, as they stand, over people who are known."""

from __future__ import annotations

import importlib.util
import json
import time
from pathlib import Path

import pytest

from rtface.audience.publish import WindowPublisher
from rtface.bench.people import Person, results

EXAMPLES = Path(__file__).parents[2] / "examples" / "kiosk"


def load(name: str):
    spec = importlib.util.spec_from_file_location(f"kiosk_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Stream(list):
    is_live = True


def stream(people, seconds=20.0):
    return Stream(results(people, seconds, fps=10, start=time.monotonic()))


GUEST = Person(1, here=[(1, 8)], looks=[(2, 7)], smiles=[(4, 6)])


def test_who_looks_is_greeted():
    greet = load("greet")
    said = [greet.SAID[kind] for kind in ("someone", "look_start", "smile", "nobody")]
    assert list(greet.greetings(stream([GUEST]))) == said


def test_the_screen_is_dimmed_when_nobody_is_there():
    levels = []
    load("dim").dim(stream([GUEST]), levels.append)
    assert levels == [1.0, 0.1]


def test_hours_are_counted(capsys):
    people = [Person(n, here=[(n, n + 3)], looks=[(n + 1, n + 2)]) for n in range(1, 8)]
    load("count").count(stream(people), WindowPublisher("1h"))
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {record["span"] for record in records} <= {"1h", "1d"}
    assert records[-1]["visits"] == 7


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_each_is_short(path):
    assert len(path.read_text().splitlines()) <= 40
