"""``rtface licenses``."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtface.cli import flags
from rtface.system.files import make_folder, not_written
from rtface.system.licences import PackageTerms, packages
from rtface.version import LICENCE, __version__

if TYPE_CHECKING:
    from rtface.models import ModelEntry

licences = typer.Typer(add_completion=False)

EXAMPLES = """
Examples:

  rtface licenses

  rtface licenses --out product/third-party

  rtface licenses --models-dir models --json | jq -r '.packages[] | select(.libraries != [])'
"""


@licences.command(epilog=EXAMPLES)
def licenses_command(
    models_dir: flags.ModelsDir = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Copy the texts there, a folder for each package.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """What a product that contains rtface must carry: terms of its code, its weights and the packages installed here.

    Of a package: what it says of itself, and the libraries under copyleft terms (GPL, LGPL) that its wheel brings. No
    legal advice.
    """
    from rtface.models import entries

    models = list(entries(models_dir))
    found = _installed()
    written = None if out is None else _copy_texts(out, found)
    if as_json:
        print(json.dumps(_record(models, found), default=str))
    else:
        _print(models, found)
    if out is not None:
        print(f"{written} texts in {out}", file=sys.stderr)


def _installed() -> list[PackageTerms]:
    from rtface.errors import RtfaceError

    try:
        return packages("rtface")
    except PackageNotFoundError as error:
        raise RtfaceError("rtface", "runs from a folder, not as an installed package", "pip install .") from error


def _weights(models: Sequence[ModelEntry]) -> dict[str, list[str]]:
    """Terms → names of the networks under them."""
    terms: dict[str, list[str]] = {}
    for model in models:
        terms.setdefault(model.weights_licence, []).append(model.name)
    return terms


def _record(models: Sequence[ModelEntry], found: Sequence[PackageTerms]) -> dict[str, Any]:
    return {
        "rtface": {"version": __version__, "licence": LICENCE},
        "weights": [{"licence": terms, "names": names} for terms, names in _weights(models).items()],
        "packages": [asdict(one) for one in found],
    }


def _print(models: Sequence[ModelEntry], found: Sequence[PackageTerms]) -> None:
    print(f"code: rtface {__version__}, {LICENCE}: its LICENSE goes with every copy")
    for terms, names in _weights(models).items():
        print(f"weights: {', '.join(names)}: {terms}")
    heading = None
    width = max((len(f"{one.name} {one.version}") for one in found), default=0)
    for one in found:
        if one.extra != heading:
            heading = one.extra
            print(f"\npackages of rtface[{heading}] that are installed:" if heading else "\npackages:")
        print(f"  {f'{one.name} {one.version}':<{width}}  {one.licence}")
        by_terms: dict[str, list[str]] = {}
        for name, terms in one.libraries:
            by_terms.setdefault(terms, []).append(name)
        for terms, names in by_terms.items():
            print(f"  {'':<{width}}    brings {', '.join(names)}: {terms}")


def _copy_texts(out: Path, found: Sequence[PackageTerms]) -> int:
    """Copy all texts into a folder that is new or empty; how many there are."""
    from rtface.errors import OutputError

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OutputError(str(out), "there is something already", "Name a new or an empty folder")
    own = distribution("rtface")
    texts = {"rtface": [Path(str(file.locate())) for file in own.files or () if "LICENSE" in file.name]}
    texts |= {one.name: list(one.texts) for one in found}
    count = 0
    for name, paths in texts.items():
        for path in dict.fromkeys(paths):
            if path.is_file():
                folder = out / name
                make_folder(folder)
                target = folder / path.name
                if target.exists():  # of a part of the package, which has a text of its own
                    target = folder / f"{path.parent.name}-{path.name}"
                try:
                    shutil.copyfile(path, target)
                except OSError as error:
                    raise not_written(str(target), error) from error
                count += 1
    return count
