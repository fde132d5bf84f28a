"""Where the command line begins: what a signal does is settled before anything that takes time is imported."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # as in rtface/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(args: Sequence[str] | None = None) -> None:
    """Run a command line, by default the process's own, and exit with its code."""
    before = signal.signal(signal.SIGINT, _leave)
    try:
        from rtface.cli.program import run_program
    finally:
        signal.signal(signal.SIGINT, before)
    sys.exit(run_program(list(sys.argv[1:] if args is None else args)))


def _leave(number: int, frame: object) -> None:
    """Ctrl-C while our own modules are imported: there is nothing to close yet, and nobody to raise anything to."""
    try:
        os.write(2, b"rtface: interrupted\n")
    finally:
        os._exit(128 + number)
