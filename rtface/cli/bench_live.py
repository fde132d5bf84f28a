"""``rtface bench --live``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtface.errors import SourceError
from rtface.option_rules import parse_ms
from rtface.options import Options

if TYPE_CHECKING:
    from rtface.bench.load import LoadPlan


def live_figures(
    source: str, options: Options, seconds: float, fps: float, faces: str, load: str | None, timeline_png: Path | None
) -> tuple[dict[str, Any], str]:
    """Run it; the JSON record, and the text for people.

    Raises:
        InputError: `faces` are no numbers.
        OptionError: `load` is no time.
        SourceError: The clip cannot be opened, or not one frame was analysed.
        OutputError: The timeline cannot be written.
    """
    from rtface.bench.live import SCHEMA, LiveSetup, record, run_live
    from rtface.bench.live_report import live_text
    from rtface.bench.scene import parse_bursts, scene_of
    from rtface.system import machine
    from rtface.version import __version__

    setup = LiveSetup(fps=fps, seconds=seconds, bursts=parse_bursts(faces), load=_load(load))
    facts = machine.facts()  # before anything runs: a figure's machine is the machine without us
    run = run_live(setup, options, scene_of(source))
    if not run.seen:
        raise SourceError(source, "not one frame was analysed", "Give more --seconds")
    figures = record(run)
    if timeline_png is not None:
        _draw(run, f"{source}, {faces} faces, load {load or 'none'}", timeline_png)
    whole = {
        "schema": SCHEMA,
        "version": __version__,
        "source": source,
        **figures,
        "tasks": list(options.tasks),
        "analyzer": run.analyzer,
        "machine": facts,
    }
    return whole, live_text(figures)


def cameras_figures(
    source: str, options: Options, seconds: float, fps: float, faces: str, load: str | None, count: int
) -> tuple[dict[str, Any], str]:
    """The same with several cameras on one set of networks.

    Raises:
        InputError: `faces` are no numbers.
        OptionError: `load` is no time.
        SourceError: The clip cannot be opened, or not one frame was analysed.
    """
    from rtface.bench.cameras import SCHEMA, cameras_record, cameras_table, run_cameras, steady
    from rtface.bench.live_report import live_text
    from rtface.bench.load import Load
    from rtface.bench.scene import parse_bursts, scene_of
    from rtface.system import machine
    from rtface.version import __version__

    plans = steady(count, fps, parse_bursts(faces))
    facts = machine.facts()
    with Load(_load(load)):
        run = run_cameras(plans, options, scene_of(source), seconds)
    if not run.whole.seen:
        raise SourceError(source, "not one frame was analysed", "Give more --seconds")
    figures = cameras_record(run)
    whole = {
        "schema": SCHEMA,
        "version": __version__,
        "source": source,
        **figures,
        "tasks": list(options.tasks),
        "analyzer": run.whole.analyzer,
        "machine": facts,
    }
    return whole, f"{live_text(figures)}; {figures['threads']} threads\n{cameras_table(figures)}"


def _load(text: str | None) -> LoadPlan | None:
    from rtface.bench.load import LoadPlan

    if text is None:
        return None
    if text == "always":
        return LoadPlan(3600.0)
    seconds = parse_ms(text) / 1e3
    return LoadPlan(seconds, seconds)


def _draw(run: Any, title: str, path: Path) -> None:
    from rtface.bench.timeline import timeline
    from rtface.system.images import write_png

    write_png(path, timeline(run, title))
