"""Where a cluster is, and what is said where there is none."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rtface.cluster.connection import check_version, connected, is_address
from rtface.errors import UsageError
from rtface.version import __version__
from tests.conftest import Cli


def test_which_words_are_addresses() -> None:
    assert all(map(is_address, ("local", "auto", "ray://head:10001", "head.local:6379", "[::1]:6379", "10.0.0.1:6379")))
    assert not any(map(is_address, ("visit.mp4", "-o", "--jobs", "visits/", "http://host/a.mp4", "2")))


def test_a_node_with_another_version_is_refused() -> None:
    check_version(__version__)
    with pytest.raises(UsageError, match="Install the same version on all nodes"):
        check_version("0.0.1")


def test_without_ray_the_error_names_what_installs_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    done = cli("run", "demo", "-o", "{stem}.jsonl", "--ray")
    assert (done.code, done.err) == (2, "rtface: ray: is not installed. pip install 'rtface[ray]'\n")


def test_an_address_where_no_cluster_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="needs the extra ray: pip install 'rtface[ray]'")
    with pytest.raises(UsageError, match="no Ray cluster answers there"):
        connected("127.0.0.1:1")


def test_the_command_line_loads_no_ray_until_it_is_asked_for() -> None:
    code = "import sys, rtface.cli.run, rtface.archive.run, rtface.cluster.archive; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
