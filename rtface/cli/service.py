"""``rtface service``."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from rtface.errors import OptionError, UsageError
from rtface.system.addresses import shown_address, shown_text

service = typer.Typer(add_completion=False)

EXAMPLES = """
Examples:

  rtface service -- serve 0 --privacy blur -o visits.db | sudo tee /etc/systemd/system/rtface.service

  rtface service --name door -- live rtsp://door.local/stream --no-show -o mqtt://broker.local

Then: sudo systemctl daemon-reload && sudo systemctl enable --now rtface
"""
VERBS = ("serve", "live")
GROUPS = ("video", "render")


@service.command(epilog=EXAMPLES, context_settings={"allow_interspersed_args": False})
def service_command(
    command: Annotated[
        list[str], typer.Argument(metavar="serve|live [OPTIONS]...", help="What the service runs, after --.")
    ],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Of the service and its folders.")] = "rtface",
) -> None:
    """Print a systemd unit that keeps serve or live running.

    It is started at boot, again when it fails, and when no frame was analysed for 20 s. Files named without a folder
    are in /var/lib/NAME.
    """
    from rtface.system.unit import unit_text

    if command[0] not in VERBS:
        raise UsageError(f"rtface service: {command[0]}", "is no verb for a service", f"Use {' or '.join(VERBS)}")
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,30}", name):
        raise OptionError("--name", f"expected small letters, digits, - and _, got {name!r}", "Choose another")
    arguments = list(command)
    if arguments[0] == "live" and "--no-show" not in arguments:
        arguments.append("--no-show")  # there is no screen
    about = f"{arguments[0]} {next((word for word in arguments[1:] if not word.startswith('-')), '')}".strip()
    about = shown_text(about).replace("%", "%%")  # anybody may read a unit's description
    print(unit_text(_program(), arguments, name=name, about=about, groups=_groups()), end="")
    if any(shown_address(word) != word for word in arguments):
        mend = f"sudo chmod 600 /etc/systemd/system/{name}.service, or --cameras FILE with the addresses in a file"
        print(f"rtface: the unit holds a password, which all may read who can read it: {mend}", file=sys.stderr)


def _program() -> Path:
    beside = Path(sys.executable).parent / "rtface"
    found = shutil.which("rtface")
    return beside if beside.is_file() or found is None else Path(found).absolute()


def _groups() -> list[str]:
    try:
        import grp
    except ImportError:  # Windows, where the unit may be written for another machine
        return list(GROUPS)
    there = {group.gr_name for group in grp.getgrall()}
    return [group for group in GROUPS if group in there] or ["video"]
