"""Finding verbs, help, errors and exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
import typer

from rtface import errors
from rtface.cli import program
from rtface.version import __version__
from tests.conftest import Cli

LIGHT = """
import sys
from rtface.cli.app import main
try:
    main(sys.argv[1:])
except SystemExit as ended:
    print([name for name in ("numpy", "cv2", "onnxruntime", "typer", "rich", "torch") if name in sys.modules])
"""


def test_help_names_every_verb_and_loads_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT, "--help"], capture_output=True, text=True, check=True)
    for verb in program.VERBS:
        assert f"\n  {verb} " in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("verb", ["run", "live", "models", "cameras", "doctor"])
def test_a_verbs_help_has_examples_and_loads_no_networks(verb: str) -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT, verb, "--help"], capture_output=True, text=True, check=True)
    assert f"rtface {verb}" in done.stdout
    if verb != "models":  # its own verbs have them
        assert "Example" in done.stdout
    assert done.stdout.splitlines()[-1] == "['typer', 'rich']"


def test_help_speaks_the_terminals_language(cli: Cli) -> None:
    """Switches take no <bool>, nothing is None, and no module is named: that is for Python's users."""
    _, shown, _ = cli("live", "--help")
    shown = " ".join(shown.replace("│", " ").split())
    assert "--no-smooth" in shown and "<bool>" not in shown
    assert "None" not in shown and "rtface.budget" not in shown and "default: the" in shown


def test_every_verb_is_there_to_be_run() -> None:
    for verb, home in program.VERBS.items():
        assert home.about[0].isupper(), verb
        if not home.module.startswith("rtface.train"):  # needs torch
            module = __import__(home.module, fromlist=[home.name])
            assert callable(getattr(module, home.name))


def test_version_help_and_no_verb(cli: Cli) -> None:
    assert cli("--version") == (0, f"rtface {__version__}\n", "")
    assert cli("--help").code == 0
    assert cli().code == 2


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["rum"], "rtface: verb 'rum': is unknown. Did you mean run?"),
        (["run"], "rtface: rtface run: missing argument 'SOURCE...'. rtface run --help"),
        (["run", "demo", "--max-frames", "0"], "invalid value for '--max-frames'"),
        (["cameras", "--loud"], "rtface: rtface cameras: no such option"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(cli: Cli, args: list[str], line: str) -> None:
    done = cli(*args)
    assert (done.code, done.out) == (2, "")
    assert line in done.err
    assert done.err.count("\n") == 1


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    fails = typer.Typer(add_completion=False)

    @fails.command()
    def fail() -> None:
        raise error

    monkeypatch.setattr("rtface.cli.cameras.cameras", fails)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.OutputError, 1),
        (errors.UsageError, 2),
        (errors.SourceError, 3),
        (errors.ModelError, 4),
        (errors.BudgetMissed, 5),
    ],
)
def test_each_error_has_its_exit_code(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, kind: type[errors.RtfaceError], code: int
) -> None:
    raising(monkeypatch, kind("what", "why", "mend"))
    assert cli("cameras") == (code, "", "rtface: what: why. mend\n")


def test_a_file_that_the_system_refuses_is_no_bug(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, PermissionError(13, "Permission denied", "me:s3cret@cam.local/x"))
    assert cli("cameras") == (1, "", "rtface: …@cam.local/x: Permission denied\n")


def test_a_renamed_option_is_told_and_other_libraries_deprecations_are_not(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTFACE_STILL_LOOKS", "2")
    done = cli("run", "nothere.mp4")
    assert done.err.splitlines()[0] == "rtface: warning: the option still_looks is called still_tta now"
    warns = typer.Typer(add_completion=False)

    @warns.command()
    def warn() -> None:
        warnings.warn("get_binary_stream will be removed", DeprecationWarning, stacklevel=1)

    monkeypatch.setattr("rtface.cli.cameras.cameras", warns)
    assert cli("cameras").err == ""


def test_a_warning_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    warns, before = typer.Typer(add_completion=False), warnings.showwarning

    @warns.command()
    def warn() -> None:
        warnings.warn("something\nis odd", stacklevel=1)

    monkeypatch.setattr("rtface.cli.cameras.cameras", warns)
    assert cli("cameras") == (0, "", "rtface: warning: something is odd\n")
    assert warnings.showwarning is before


def test_an_unexpected_error_is_one_line_and_a_traceback_on_demand(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, ZeroDivisionError("by\nzero"))
    done = cli("cameras")
    assert done.code == 1
    assert done.err == "rtface: ZeroDivisionError: by zero. RTFACE_DEBUG=1 shows where, for a bug report\n"
    monkeypatch.setenv("RTFACE_DEBUG", "1")
    assert "Traceback" in cli("cameras").err


def test_ctrl_c_is_exit_code_130_and_leaves_the_handlers_as_they_were(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGINT)
    raising(monkeypatch, KeyboardInterrupt())
    done = cli("cameras")
    assert (done.code, done.err) == (130, "rtface: interrupted; what was written is whole\n")
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_does_not_disturb_the_closing_and_a_third_gives_up(
    capsys: pytest.CaptureFixture[str],
) -> None:
    interrupts = program._Interrupts()
    with pytest.raises(KeyboardInterrupt):
        interrupts(signal.SIGINT, None)
    interrupts(signal.SIGINT, None)
    assert "once more to give up" in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt):
        interrupts(signal.SIGINT, None)


def test_a_library_that_is_interrupted_while_it_is_imported_ends_as_interrupted(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise ImportError("initialization failed")

    monkeypatch.setattr("rtface.cli.lazy.run", fail)
    assert cli("cameras") == (130, "", "rtface: interrupted; what was written is whole\n")


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_a_run_that_is_told_to_end_and_cannot_close_an_output_has_the_signals_code(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        raise errors.OutputError("pipe", "made no headway for 5 s and was given up", "Check what it writes to")

    monkeypatch.setattr("rtface.cli.lazy.run", fail)
    assert cli("cameras") == (
        143,
        "",
        "rtface: pipe: made no headway for 5 s and was given up. Check what it writes to\n",
    )


def test_a_signal_amid_an_import_waits_for_its_end(tmp_path: Path) -> None:
    """Libraries in C make an ImportError of a KeyboardInterrupt, or lose it."""
    (tmp_path / "slow.py").write_text(
        "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\n"
        "except KeyboardInterrupt:\n    print('came amid it')\n"
    )
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from rtface.cli import lazy\n"
        "def run(args):\n    import slow\n    print('imported', flush=True)\n    time.sleep(60)\n"
        "lazy.run = run\nfrom rtface.cli.app import main\nmain(['cameras'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (130, "imported\n")
    assert done.stderr == "rtface: interrupted; what was written is whole\n"


RUN = "import sys; {}; from rtface.cli.app import main; main(['run', 'demo', '--max-frames', '2'])"


@pytest.mark.skipif(sys.platform == "win32", reason="closes descriptors as a shell does")
@pytest.mark.parametrize(("closing", "code"), [("sys.stdout = None", 1), ("sys.stderr = None", 0)])
def test_a_closed_stdout_is_an_error_and_a_closed_stderr_is_none(closing: str, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", RUN.format(closing)], capture_output=True, text=True)
    assert done.returncode == code
    if code:
        assert done.stderr == "rtface: stdout: is closed. Name a file: -o faces.jsonl\n" and not done.stdout
    else:
        assert all(line.startswith('{"schema":') for line in done.stdout.splitlines())
        assert len(done.stdout.splitlines()) == 4 and not done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is full")  # noqa: PTH110
@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("args", [["--version"], ["--help"], ["models", "list"]])
def test_a_stdout_that_takes_no_more_is_one_line(args: list[str], buffered: str) -> None:
    code = f"from rtface.cli.app import main; main({args})"
    env = {**os.environ, "PYTHONUNBUFFERED": buffered}
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, env=env)
    assert done.returncode == 1
    assert done.stderr == (
        "rtface: output: cannot be written (No space left on device). Make room, or name a file elsewhere\n"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="pipes that tell that their reader left")
@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_reader_that_left_had_enough(buffered: str) -> None:
    code = "from rtface.cli.app import main; main(['--version'])"
    env = {**os.environ, "PYTHONUNBUFFERED": buffered}
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, text=True, env=env)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "args",
    [
        ["run", "demo", "--config=~/x.toml"],
        ["models", "list", "--models-dir=~/x"],
        ["eval", "landmarks", "--data=~/x"],
        ["report", "~/x.db"],
        ["import", "pts", "~/x", "--out=~/y"],
        ["bench", "--frames", "1", "--json=~/x/b.json"],
    ],
)
def test_a_tilde_is_the_home_in_every_path(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    done = cli(*args)
    assert done.code and str(tmp_path / "x") in done.err and "~" not in done.err.partition(". ")[0]


@pytest.mark.parametrize("left", ["", "import numpy\nraise AttributeError('_ARRAY_API not found')", "1 / 0"])
@pytest.mark.parametrize("args", [["run", "demo"], ["doctor", "--no-measure"], ["cameras"]])
def test_what_is_left_of_a_cv2_is_one_line_with_the_mend(tmp_path: Path, left: str, args: list[str]) -> None:
    folder = tmp_path / "cv2"
    folder.mkdir()
    (folder / "__init__.py").write_text(left)
    code = f"from rtface.cli.app import main; main({args})"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), os.environ.get("PYTHONPATH", "")))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("rtface: cv2: cannot be imported (") and "pip install" in done.stderr


def test_help_in_an_encoding_without_its_letters() -> None:
    code = "from rtface.cli.app import main; main(['run', '--help'])"
    env = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=env)
    assert done.returncode == 0 and b"rtface run" in done.stdout


@pytest.mark.parametrize(
    "error",
    [
        ImportError("libGL.so.1: cannot open shared object file"),
        ModuleNotFoundError("No module named 'cv2'", name="cv2"),
        ImportError("cannot import name 'gapi'", path="/site-packages/cv2/__init__.py"),
    ],
)
def test_an_opencv_that_cannot_be_imported_is_one_line_with_the_mend(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, error: ImportError
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr("rtface.cli.lazy.run", fail)
    done = cli("doctor")
    assert done.code == 1 and done.err.count("\n") == 1
    assert done.err.startswith("rtface: cv2: cannot be imported") and "opencv-python" in done.err
