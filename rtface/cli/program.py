"""Finds the verb, runs it, and turns what went wrong into one line and an exit code.

Verbs are imported when they run. ``rtface --help`` needs none of them, nor typer, numpy or OpenCV.
"""

from __future__ import annotations

import _thread
import errno
import os
import select
import signal
import sys
import threading
import traceback
import warnings
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from types import FrameType
from typing import Any

from rtface.cli.verbs import VERBS
from rtface.errors import RtfaceError, UsageError, unknown
from rtface.system.addresses import shown_address, shown_text
from rtface.version import __version__

EXIT_FAILED, EXIT_USAGE, EXIT_INTERRUPTED = 1, 2, 130

SHORTLY_S = 0.02
"""After so long a signal that came during an import is looked at again."""


HELP = """\
rtface: faces from a camera or a file, with landmarks, parsing, emotion and head pose.

Usage: rtface VERB [OPTIONS]

{verbs}

rtface help VERB says more. rtface --version prints the version.

Examples:
  rtface run demo -o faces.jsonl -o faces.mp4
  rtface run group.jpg -o group-faces.jpg
  rtface live --camera 0 --budget 33ms

Options come from flags, else RTFACE_* variables, else the TOML file of --config.
Exit codes: 0 ok, 1 failed, 2 usage, 3 source, 4 model or engine, 5 budget missed,
  129, 130, 143 hang-up, Ctrl-C, termination.
RTFACE_DEBUG=1 shows tracebacks.
"""


def run_program(args: list[str]) -> int:
    """Run a command line; returns its exit code."""
    if "_RTFACE_COMPLETE" in os.environ:  # a shell asks how the line may go on
        from rtface.cli import lazy

        return lazy.complete()
    if len(args) > 1 and args[0] == "help":
        args = [*args[1:], "--help"]
    _speakable()
    with warnings.catch_warnings(), _Interrupts() as interrupts:
        # What other libraries will drop one day is their callers' business; what was renamed here is the user's.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("always", "the option ", category=DeprecationWarning)
        warnings.showwarning = _warn  # type: ignore[assignment]  # it needs the first of its arguments
        try:
            code = _run(args)
            if sys.stdout is not None:
                sys.stdout.flush()  # at Python's own end nobody could say what is wrong
            return code
        except KeyboardInterrupt:
            return interrupts.said()
        except Exception as error:
            if interrupts.came and not isinstance(error, RtfaceError):
                return interrupts.said()  # a library that was interrupted
            code = _failed(error)
            return interrupts.code if interrupts.came else code


def _speakable() -> None:
    """Messages have somewhere to go where stderr is closed, and a place for letters that the encoding lacks."""
    if sys.stderr is None:  # print() would take stdout instead
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the process lives
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace" if stream is sys.stderr else "replace")


def _warn(message: Warning | str, *_: object) -> None:
    """A warning in one line, without the place in the code that another program's author would want."""
    print(f"rtface: warning: {' '.join(str(message).split())}", file=sys.stderr)


def _run(words: list[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        print(HELP.format(verbs="\n".join(f"  {verb:<10} {VERBS[verb].about}" for verb in VERBS)), end="")
        return 0 if words else EXIT_USAGE
    if words[0] in ("--version", "-V"):
        print(f"rtface {__version__}")
        return 0
    verb, args = words[0], words[1:]
    if verb not in VERBS:
        raise unknown("verb", verb, VERBS, UsageError)
    import typer

    from rtface.cli import lazy

    try:
        code = lazy.run([verb, *args])
    except typer.Abort:  # what older typers make of Ctrl-C
        raise KeyboardInterrupt from None
    except Exception as error:
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        raise UsageError(f"rtface {verb}", _first_lower(message()), f"rtface {verb} --help") from error
    if code == EXIT_INTERRUPTED:  # and what newer ones make of it
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0


def _first_lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _failed(error: Exception) -> int:
    if os.environ.get("RTFACE_DEBUG") == "1":
        traceback.print_exception(error)
    if isinstance(error, RtfaceError):
        print(f"rtface: {error}", file=sys.stderr)
        return error.exit_code
    if _is_of_cv2(error):
        why = " ".join(str(error).split())
        print(f"rtface: cv2: cannot be imported ({why}). {_CV2_MEND}", file=sys.stderr)
        return EXIT_FAILED
    if isinstance(error, OSError) and error.filename and error.strerror:
        print(f"rtface: {shown_address(str(error.filename))}: {error.strerror}", file=sys.stderr)
        return EXIT_FAILED
    if isinstance(error, OSError) and error.errno in _FULL:
        return _full(error)
    line = shown_text(" ".join(str(error).split()))
    print(f"rtface: {type(error).__name__}: {line}. RTFACE_DEBUG=1 shows where, for a bug report", file=sys.stderr)
    return EXIT_FAILED


_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO, errno.EPIPE)


def _full(error: OSError) -> int:
    """A file that is open, mostly stdout, takes no more. A reader of stdout that left, as ``head`` does, has enough."""
    code = EXIT_FAILED
    if error.errno == errno.EPIPE and _reader_left():
        code = 0
    else:
        why = f"cannot be written ({error.strerror})"
        print(f"rtface: output: {why}. Make room, or name a file elsewhere", file=sys.stderr)
    try:
        sys.stdout.flush()
    except (OSError, AttributeError, ValueError):
        with suppress(OSError, AttributeError, ValueError):  # what its buffer holds would fail at Python's end as well
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _reader_left() -> bool:
    try:
        asked = select.poll()
        asked.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & select.POLLERR for _, event in asked.poll(0))
    except (OSError, AttributeError, ValueError):  # Windows has no such question
        return False


_CV2_MEND = (
    "pip install --force-reinstall --no-deps opencv-python; where libGL or libgthread is missing: "
    "apt install libgl1 libglib2.0-0"
)


def _is_of_cv2(error: Exception) -> bool:
    """Whether OpenCV is missing, damaged by another owner of its files, or lacks a library of the system."""
    if isinstance(error, ImportError):
        said = f"{error.name} {error.path} {error}"
        if any(word in said for word in ("cv2", "libGL", "libgthread", "libglib")):
            return True
    if isinstance(error, AttributeError) and "module 'cv2' has no" in str(error):  # what an uninstall left of it
        return True
    frames = (frame.f_code for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(code.co_name == "<module>" and "cv2" in Path(code.co_filename).parts[-2:] for code in frames)


def _ending_signals() -> list[signal.Signals]:
    """Ctrl-C, a supervisor's request to end, and the terminal's end, unless `nohup` has it ignored."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return numbers


class _Interrupts:
    """The first signal ends the run and closes outputs, which a second one does not disturb; a third gives up.

    One that comes during an import waits for its end: libraries in C make an ImportError of it, or lose it.
    """

    def __init__(self) -> None:
        self._count = 0
        self._first = signal.SIGINT
        self._before: dict[signal.Signals, Any] = {}
        self._later: threading.Timer | None = None

    def __enter__(self) -> _Interrupts:
        self._before = {number: signal.signal(number, self) for number in _ending_signals()}
        return self

    def __exit__(self, *_: object) -> None:
        if self._later is not None:
            self._later.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __call__(self, number: int, frame: FrameType | None) -> Any:
        if not self._count and _is_importing(frame):
            self._later = threading.Timer(SHORTLY_S, _thread.interrupt_main, (number,))
            self._later.daemon = True
            self._later.start()
            return
        self._count += 1
        if self._count == 1:
            self._first = signal.Signals(number)
        if self._count == 2:
            _tell("rtface: closing outputs; once more to give up")
            return
        raise KeyboardInterrupt

    @property
    def came(self) -> bool:
        """Whether there was one."""
        return self._count > 0

    @property
    def code(self) -> int:
        """The exit code of a run that the first of them ended."""
        return 128 + self._first

    def said(self) -> int:
        """The exit code of what ended the run, which is said."""
        words = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}
        _tell(f"rtface: {words[self._first.name]}; what was written is whole")
        return self.code


def _is_importing(frame: FrameType | None) -> bool:
    """Whether something that we called is being imported in this frame."""
    while frame is not None and frame.f_code is not run_program.__code__:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def _tell(line: str) -> None:
    with suppress(OSError, ValueError):  # the terminal may be gone
        print(line, file=sys.stderr, flush=True)
