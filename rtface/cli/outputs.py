"""``rtface outputs``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from rtface.outputs.registry import KINDS, OutputKind

outputs = typer.Typer(add_completion=False)

EXAMPLES = """
Examples:

  rtface outputs

  rtface outputs --json | jq -r 'select(.usable) | .names[0]'

  rtface live -o opentrack:// -o mqtt://broker.local/rtface/door
"""


@outputs.command(epilog=EXAMPLES)
def outputs_command(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON line for each output.")] = False,
) -> None:
    """List the outputs that -o takes: files by their ending, addresses by their scheme, and what each needs here."""
    if as_json:
        for kind in KINDS:
            print(json.dumps(_record(kind)))
        return
    names = {kind: ", ".join(kind.names if kind.is_file else [f"{name}:" for name in kind.names]) for kind in KINDS}
    width = max(map(len, names.values()))
    for kind in KINDS:
        missing = kind.missing()
        print(f"{names[kind]:<{width}}  {kind.about}" + (f"  [{missing}]" if missing else ""))
        print(f"{'':<{width}}    -o {kind.example}")


def _record(kind: OutputKind) -> dict[str, object]:
    missing = kind.missing()
    return {
        "names": kind.names,
        "about": kind.about,
        "example": kind.example,
        "extra": kind.extra or None,
        "usable": missing is None,
        "missing": missing,
    }
