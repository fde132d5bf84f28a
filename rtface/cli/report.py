"""``rtface report``."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtface.cli import flags
from rtface.errors import OptionError, UsageError

if TYPE_CHECKING:
    from datetime import tzinfo

    from rtface.outputs.report.data import Report

report = typer.Typer(add_completion=False)

EXAMPLES = """
Examples:

  rtface report visits.db

  rtface report visits.db -o today.html --since today

  rtface report visits.db -o week.png --since 7d --window 1d

  rtface report visits.db -o hours.csv --window 1h --k 5
"""
ENDINGS = (".html", ".png", ".csv", ".json", ".parquet")


@report.command(epilog=EXAMPLES)
def report_command(
    database: Annotated[Path, typer.Argument(metavar="VISITS.DB", help="What -o visits.db wrote.")],
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", metavar="OUT", help=f"One of {', '.join(ENDINGS)}; repeatable."),
    ] = None,
    overwrite: flags.Overwrite = False,
    window: Annotated[
        str | None, typer.Option("--window", metavar="SPAN", help="15min, 1h or 1d; default by the period's length.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="2026-11-30, 2026-11-30T08:00, today, 24h or 7d.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="As --since; default the end.")] = None,
    camera: Annotated[str | None, typer.Option("--camera", metavar="NAME", help="One camera only.")] = None,
    zone: Annotated[
        str | None,
        typer.Option("--zone", metavar="ZONE", help="Whose clock, e.g. Europe/Berlin; default this machine's."),
    ] = None,
    k: Annotated[
        int, typer.Option("--k", metavar="N", min=0, help="Suppress what tells of fewer than N visits; 0 = nothing.")
    ] = 0,
) -> None:
    """What a database of visits tells: a page, a picture or a table; without -o a few lines."""
    from rtface.audience.windows import SPANS
    from rtface.outputs.report.data import read
    from rtface.outputs.visit_store import VisitStore

    if window is not None and window not in SPANS:
        raise OptionError("--window", f"expected one of {', '.join(SPANS)}, got {window!r}", "Name one of them")
    clock = _zone(zone)
    for path in output or []:
        _check(path, overwrite)
    with VisitStore(database, write=False) as store:
        begin, end = _time(since, clock, 0.0), _time(until, clock, 1e12)
        made = read(store, span=window, since=begin, until=end, camera=camera, zone=clock, k=k)
    for path in output or []:
        _write(path, made)
        print(f"rtface: {path} is written", file=sys.stderr)
    if not output:
        _print(made)


def _check(path: Path, overwrite: bool) -> None:
    from rtface.outputs.open import check_writable

    if path.suffix.lower() not in ENDINGS:
        raise UsageError(
            str(path),
            f"no report is written to {path.suffix or 'a name without an ending'}",
            f"Use {', '.join(ENDINGS)}",
        )
    check_writable(path, overwrite)


def _write(path: Path, made: Report) -> None:
    from rtface.outputs.report import page, picture, tables
    from rtface.system.files import write_private

    makers = {
        ".html": lambda: page.page(made).encode(),
        ".png": lambda: picture.picture(made),
        ".csv": lambda: tables.as_csv(made),
        ".json": lambda: tables.as_json(made),
        ".parquet": lambda: tables.as_parquet(made),
    }
    write_private(path, makers[path.suffix.lower()]())


def _zone(name: str | None) -> tzinfo | None:
    if name is None:
        return None
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise OptionError(
            "--zone", f"{name!r} is no time zone that is known here", "Write it as Europe/Berlin"
        ) from error


def _time(text: str | None, zone: tzinfo | None, default: float) -> float:
    """Seconds since 1970 of a date, a time, `today`, or so many hours (`24h`) or days (`7d`) ago."""
    if text is None:
        return default
    now = datetime.now(zone)
    if text == "today":
        return now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    number, unit = text[:-1], text[-1:]
    if number.isdigit() and unit in "hd":
        return (now - timedelta(**{"hours" if unit == "h" else "days": int(number)})).timestamp()
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        expected = "a time such as 2026-11-30, 2026-11-30T08:00, today, 24h or 7d"
        raise OptionError("--since, --until", f"expected {expected}, got {text!r}", "Write it so") from None
    return (time if time.tzinfo else time.replace(tzinfo=zone)).timestamp()


def _print(made: Report) -> None:
    from rtface.outputs.report.data import seconds
    from rtface.outputs.report.page import label

    print(
        f"{'window':<16} {'camera':<10} {'visits':>7} {'watchers':>9} {'attraction':>11} {'attention':>10} {'dwell':>8}"
    )
    for record in made.windows:
        attention, dwell = ((record[name] or {}).get("mean") for name in ("attention_s", "dwell_s"))
        ratio = record["attraction_ratio"]
        print(
            f"{label(made, seconds(record['start'])):<16} {record['camera'] or '-':<10} {record['visits']:>7} "
            f"{_said(record['watchers'], ''):>9} {_said(None if ratio is None else 100 * ratio, ' %'):>11} "
            f"{_said(attention, ' s'):>10} {_said(dwell, ' s'):>8}"
        )


def _said(value: float | None, unit: str) -> str:
    return (
        "-"
        if value is None
        else f"{value:.0f}{unit}"
        if isinstance(value, int) or unit == " %"
        else f"{value:.1f}{unit}"
    )
