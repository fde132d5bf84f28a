"""Weights that may be shipped: what a run learned from must allow commercial use, all of it.

A set counts as open when its rows' licence begins with one of `LICENCES`, says nothing of `FORBIDDEN`, and its
publisher is not one whose terms are known to be narrower (`rtface.datasets.terms`): a licence written beside Helen's
pictures does not open them. The same holds for a network that a run began with or learned from.
"""

from __future__ import annotations

import re
from pathlib import Path

from rtface.datasets.terms import TERMS
from rtface.errors import ModelError
from rtface.train.manifest import FILE, Manifest, read, write

LICENCES = ("CC0", "CC BY ", "CC-BY-", "MIT", "Apache-2.0", "BSD", "US Government work", "public domain")
#: Non-commercial, no-derivatives and share-alike variants, research, and what nobody knows.
FORBIDDEN = re.compile(r"non-?commercial|research|flickr|unknown|\bnc\b|\bnd\b|\bsa\b", re.IGNORECASE)
_HASH = re.compile(r"[0-9a-f]{64}")


def is_open(terms: str) -> bool:
    """Whether these terms allow commercial use of weights, as far as words tell.

    Example:
        >>> is_open("CC BY 3.0 (official portraits)"), is_open("CC BY-NC 4.0"), is_open("unknown")
        (True, False, False)
    """
    return terms.lower().startswith(tuple(one.lower() for one in LICENCES)) and FORBIDDEN.search(terms) is None


def breaches(manifest: Manifest) -> tuple[str, ...]:
    """What in a run's manifest keeps its weights from being open, a line each; empty = they are."""
    out = [] if manifest.sets else ["no set is noted"]
    for one in manifest.sets:
        publisher = TERMS.get(one.name)
        if publisher is not None and not is_open(publisher):
            out.append(f"{one.name} ({one.file}, {one.pictures} pictures): {publisher}, says its publisher")
        elif not is_open(one.terms):
            out.append(f"{one.name} ({one.file}, {one.pictures} pictures): {one.terms}")
        elif one.pictures < 1 or not _HASH.fullmatch(one.sha256):
            out.append(f"{one.name} ({one.file}): its count or hash is missing")
    closed = [one for one in manifest.parents if not is_open(one.terms) or not _HASH.fullmatch(one.sha256)]
    return (*out, *(f"{one.part} {one.file}: {one.terms}" for one in closed))


def require_open(manifest: Manifest) -> None:
    """Refuse a run that would not be open.

    Raises:
        ModelError: A set or a parent network is not; all are named.
    """
    if found := breaches(manifest):
        mend = "Leave them out (--source, [[source]] only = […]), or train without --only-open"
        raise ModelError(manifest.network, f"cannot be open: {'; '.join(found)}", mend)


def note(manifest: Manifest, run: Path, only_open: bool) -> None:
    """Write a run's manifest; with `only_open` not before it is clear that all of the run is open.

    A run that goes on has learned already: what it noted before must be open too.

    Raises:
        ModelError: `only_open`, and a set or a parent network is not, or the run began with one that was not.
    """
    if only_open:
        if (run / "last.pt").is_file() or (run / FILE).is_file():
            require_open(read(run))
        require_open(manifest)
    write(manifest, run)
