"""Names of outputs made from the names of their sources: ``out/{parent}/{stem}.jsonl``."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from rtface.errors import UsageError, unknown
from rtface.system.addresses import shown_address

FIELDS = ("stem", "parent", "index")
"""What a template may hold: the source's name without folder and ending, its folder's name, its number from 0.

A number may have a width: ``{index:04d}``."""

_FIELD = re.compile(r"\{(stem|parent|index)(?::(0?\d{1,2})d?)?\}")
_WORD = re.compile(r"\{(\w+)[^{}]*\}")
_UNFIT = re.compile(r"[?\x00-\x1f]")
"""``?`` would begin the settings of an output."""


def has_fields(output: str) -> bool:
    """Whether an output's name is a template."""
    return _FIELD.search(output) is not None


def check_template(output: str) -> None:
    """
    Raises:
        UsageError: There is something in braces that is no field.
    """
    for found in _WORD.finditer(_FIELD.sub("", output)):
        raise unknown(f"{output}: field", found[1], FIELDS, UsageError)


def filled(template: str, source: str, index: int) -> str:
    """The name for one source.

    Args:
        template: With fields of `FIELDS`; text without any comes back as it is.
        source: A path, an address, or "demo".
        index: The source's number among all.

    Example:
        >>> filled("out/{parent}-{stem}-{index:03d}.jsonl", "visits/monday/door.mp4", 7)
        'out/monday-door-007.jsonl'
    """
    stem, parent = _names(source)
    values = {"stem": stem, "parent": parent}

    def value(field: re.Match[str]) -> str:
        return values.get(field[1]) or f"{index:{field[2] or ''}d}"

    return _FIELD.sub(value, template)


def fixed_folder(template: str) -> Path:
    """The folder that all names of a template are in."""
    begin = _FIELD.split(template, maxsplit=1)[0]
    return Path(begin if begin.endswith(("/", os.sep)) else os.path.dirname(begin) or ".")  # noqa: PTH120 - keeps ""


def _names(source: str) -> tuple[str, str]:
    """Stem and parent, fit for a file's name."""
    if "://" in source:
        path: Path | PurePosixPath = PurePosixPath(unquote(urlsplit(shown_address(source)).path))
        host = urlsplit(shown_address(source)).hostname or "url"
    else:
        path, host = Path(source).absolute(), "root"
    stem, parent = path.stem.replace("/", "_"), path.parent.name
    return _UNFIT.sub("_", stem) or host, _UNFIT.sub("_", parent) or host
