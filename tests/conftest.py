"""Runs command lines in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from rtface.cli import app


class Done(NamedTuple):
    """How a command line ended."""

    code: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    """``cli("run", "demo")`` → exit code, stdout, stderr."""

    def run(*args: object) -> Done:
        with pytest.raises(SystemExit) as caught:
            app.main([str(arg) for arg in args])
        assert isinstance(caught.value.code, int)
        return Done(caught.value.code, *capfd.readouterr())

    return run
