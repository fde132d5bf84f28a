"""Completion, asked by the shells themselves."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Cli

TIME_LIMIT_S = 60.0


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A home of its own, and `rtface` on the path that runs this checkout."""
    program = tmp_path / "bin" / "rtface"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rtface "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PATH": path, "HOME": str(tmp_path), "PYTHONPATH": root, "TERM": "dumb"}


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def said(environment: dict[str, str], *command: str) -> list[str]:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=TIME_LIMIT_S)
    assert done.stderr == ""
    return done.stdout.split("\n")


BASH = """
eval "$(rtface completion bash)"
complete -p rtface >/dev/null || exit 1
COMP_WORDS=({words}); COMP_CWORD={last}
_rtface_completion rtface
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("rtface mo", ["models"]),
        ("rtface models ve", ["verify"]),
        ("rtface run --eng", ["--engine"]),
        ("rtface run --precision f", ["fp32", "fp16"]),
        ("rtface completion p", ["powershell"]),
    ],
)
def test_bash_completes_verbs_options_and_values(environment: dict[str, str], words: str, expected: list[str]) -> None:
    program = BASH.format(words=words, last=len(words.split()) - 1)
    assert said(environment, shell("bash"), "--norc", "-c", program)[:-1] == expected


def test_fish_completes_with_what_each_verb_does(environment: dict[str, str]) -> None:
    program = "rtface completion fish | source; complete -C 'rtface mo'; complete -C 'rtface run --eng'"
    lines = said(environment, shell("fish"), "--no-config", "-c", program)
    assert lines[0] == "models\tThe networks: list, show, verify"
    assert lines[1].startswith("--engine\t")


def test_zsh_completes_what_is_typed(environment: dict[str, str]) -> None:
    pty = pytest.importorskip("pty", reason="no terminals here")
    program = shell("zsh")
    child, terminal = pty.fork()
    if child == 0:
        os.execve(program, [program, "-f", "-i"], environment)
    try:
        os.write(terminal, b'autoload -Uz compinit; compinit -u; eval "$(rtface completion zsh)"; echo re"ady"\n')
        until(terminal, "\nready")
        os.write(terminal, b"rtface mod\t")
        until(terminal, "rtface models")
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def until(terminal: int, words: str) -> None:
    """Reads what the shell shows until the words are among it."""
    seen, ends = "", time.monotonic() + TIME_LIMIT_S
    while words not in seen.replace("\r", "") and time.monotonic() < ends:
        if select.select([terminal], [], [], 1.0)[0]:
            seen += os.read(terminal, 4096).decode(errors="replace")
    assert words in seen.replace("\r", ""), seen


def test_powershell_completes_verbs(environment: dict[str, str]) -> None:
    ask = "[System.Management.Automation.CommandCompletion]::CompleteInput('rtface mo', 9, $null)"
    program = f"rtface completion powershell | Out-String | iex; {ask}.CompletionMatches.CompletionText"
    assert "models" in said(environment, shell("pwsh"), "-NoProfile", "-Command", program)


def test_a_script_for_each_shell_and_an_unknown_one_is_named(cli: Cli) -> None:
    for name in ("bash", "zsh", "fish", "powershell"):
        done = cli("completion", name)
        assert (done.code, done.err) == (0, "")
        assert "_RTFACE_COMPLETE" in done.out
    done = cli("completion", "bsh")
    assert (done.code, done.err) == (2, "rtface: shell 'bsh': is unknown. Did you mean bash?\n")


def test_help_of_a_verb_by_either_name(cli: Cli) -> None:
    whole = cli("run", "--help")
    assert "rtface run" in whole.out
    assert cli("run", "-h") == whole
    assert cli("help", "run") == whole
    assert "rtface models list" in cli("models", "list", "-h").out
    assert cli("help", "rum").err == "rtface: verb 'rum': is unknown. Did you mean run?\n"
