"""The list of outputs, and what is said of one that is not on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rtface.errors import UsageError
from rtface.outputs import registry
from rtface.outputs.open import choose
from rtface.outputs.registry import KINDS, OutputKind, find
from rtface.system.toml import read_toml
from tests.conftest import Cli

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.names[0])
def test_every_kind_is_found_by_each_of_its_names(kind: OutputKind) -> None:
    for name in kind.names:
        output = name if name == "-" else f"faces{name}" if kind.is_file else f"{name}://host"
        assert find(output) is kind
    assert find(kind.example) is kind


def test_every_extra_installs_what_its_outputs_need() -> None:
    project = read_toml(ROOT / "pyproject.toml")["project"]
    for kind in KINDS:
        assert bool(kind.extra or kind.install) == bool(kind.needs)
        if kind.extra:
            assert kind.extra in project["optional-dependencies"]


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("opentrak://host:1", "no output is named opentrak://. Did you mean opentrack://?"),
        ("vmx://host", "Did you mean vmc://?"),
        ("wss://:8766", "no output is named wss://. Did you mean ws://?"),
        ("zzzzz://me:secret@host", "zzzzz://…@host: no output is named zzzzz://. Use opentrack://"),
        ("faces.jsnl", "no output is written to .jsnl. Did you mean .jsonl?"),
        ("faces", "no output is written to a name without an ending. Use .jsonl"),
        (".jsonl", "a name without an ending"),
        ("ros:rtface", "ros:rtface: no output is named ros:. Did you mean ros2:?"),
        ("ls:kiosk", "Did you mean lsl:?"),
        ("mqtt:me:secret@broker/door", "…@broker/door: has no // after its scheme. Write mqtt://…@broker/door"),
        ("osc:9000", "has no // after its scheme. Write osc://:9000"),
    ],
)
def test_what_is_unknown_is_refused_with_the_nearest_name(output: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        choose([output], source="demo")
    assert says in str(caught.value)


def test_what_is_not_installed_is_said_in_a_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    with pytest.raises(UsageError) as caught:
        choose(["osc://host"], source="demo")
    assert str(caught.value) == "output osc: cannot be used here. pip install 'rtface[osc]'"


def test_an_address_may_be_named_once_only() -> None:
    with pytest.raises(UsageError, match="is named twice"):
        choose(["opentrack://a:1", "opentrack://a:1"], source="demo")


def test_the_list_names_all_and_what_is_missing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    done = cli("outputs")
    assert done.code == 0
    for kind in KINDS:
        assert kind.about in done.out and f"-o {kind.example}" in done.out
    assert "[pip install 'rtface[osc]']" in done.out
    lines = cli("outputs", "--json").out.splitlines()
    assert len(lines) == len(KINDS)
    assert any('"usable": false' in line for line in lines)


def test_no_output_is_imported_before_it_is_used() -> None:
    code = "import sys, rtface.outputs.open, rtface.cli.outputs; print(*(m for m in sys.modules if '.' not in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.split())
    assert not loaded & {name for kind in KINDS for name in kind.needs}


def test_no_output_that_shows_no_picture_asks_for_one(tmp_path: Path) -> None:
    named = ["opentrack://", "openseeface://", "ifacialmocap://", "http://host/x", tmp_path / "a.csv"]
    assert {sink.picture for sink in choose([*map(str, named)], source="demo")} == {"none"}
    clips = [tmp_path / "a.webm", tmp_path / "a.gif", f"{tmp_path}/frames/"]
    assert {sink.picture for sink in choose(clips, source="demo")} == {"private"}
    windows, events = choose(["http://host/x?what=windows", "http://host/x?what=windows,events"], source="demo")
    assert windows.tells_groups_only and not events.tells_groups_only


def test_no_password_of_an_output_is_printed(cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("paho.mqtt.client", reason="needs paho-mqtt (pip install 'rtface[mqtt]')")
    address = "mqtt://me:hunter2@127.0.0.1:1/door"
    done = cli("run", "demo", "--max-frames", 2, "--tasks", "pose", "-o", address, "-o", tmp_path / "faces.jsonl")
    assert done.code == 0 and "mqtt://…@127.0.0.1:1/door: connection refused" in done.err
    assert "hunter2" not in done.out + done.err + (tmp_path / "faces.jsonl").read_text()
    wrong = cli("run", "demo", "-o", "mqtt://me:hunter2@broker/x?nonsense=1")
    assert wrong.code == 2 and "hunter2" not in wrong.err and "'nonsense': is unknown" in wrong.err
