"""What a run learned from: written when training begins, and read by the export for terms and card.

``RUN/manifest.json`` names each set of pictures with its terms (as given to `rtface import --license`, as the set says
picture by picture, or as its publisher says: `rtface.datasets.terms`), how many pictures of it, and the hash of each
file; and the network that the run began with or learned from, with its terms.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtface.datasets import corpus
from rtface.datasets.labelled import LabelledImage
from rtface.datasets.terms import RESEARCH, UNKNOWN, terms_of
from rtface.errors import ModelError
from rtface.models import entries
from rtface.system.files import write_text
from rtface.system.json_text import parse_json
from rtface.train.sources import Source
from rtface.version import __version__

FILE = "manifest.json"
RESEARCH_ONLY = f"{RESEARCH} only"
_RESTRICTED = ("non-commercial", "research", "flickr")


@dataclass(frozen=True, slots=True)
class SetFacts:
    """Pictures of one set in one file: how many, under which terms, and the file's hash."""

    name: str
    terms: str
    pictures: int
    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ParentFacts:
    """A network that a run began with (``init``) or learned from (``teacher``)."""

    part: str
    file: str
    sha256: str
    terms: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a network was made from."""

    network: str
    sets: tuple[SetFacts, ...]
    parents: tuple[ParentFacts, ...] = ()
    version: str = __version__

    def terms(self, licence: str | None = None) -> str:
        """The weights' terms in a line: the strictest of all that they come from, and the sets' names.

        Args:
            licence: Terms of what says none itself: of your own data.
        """
        known = {one.name: licence if licence and UNKNOWN in one.terms else one.terms for one in self.sets}
        told = [*known.values(), *(parent.terms for parent in self.parents)]
        names = ", ".join(sorted(known)) or "nothing"
        begun = "".join(f"; {parent.part} {parent.file} ({parent.terms})" for parent in self.parents)
        return f"{_strictest(told)}: trained on {names}{begun}"


def _strictest(terms: Iterable[str]) -> str:
    told = list(dict.fromkeys(terms))
    unknown = any(UNKNOWN in one for one in told)
    if any(word in one.lower() for one in told for word in _RESTRICTED):
        return f"{RESEARCH_ONLY}, in part {UNKNOWN}" if unknown else RESEARCH_ONLY
    return UNKNOWN if unknown or not told else "; ".join(told)


def describe(
    network: str,
    sources: Sequence[Source],
    used: Callable[[LabelledImage], bool] = lambda row: True,
    *,
    without: Sequence[str] = ("mesh478",),
    **parents: Path | None,
) -> Manifest:
    """The manifest of a run that learns from rows of these sources.

    Args:
        network: What is trained.
        sources: Where from.
        used: Which rows it can learn from.
        without: Labels that `used` does not ask for, and that take time to read.
        parents: By part (init, teacher): a network's file, or the checkpoint of a run.

    Raises:
        SourceError: A file cannot be read.
    """
    sets: dict[tuple[str, str, Path], int] = Counter()
    for source in sources:
        for file in source.files:
            for row in corpus.read(file, used, without=without):
                if source.takes(row):
                    sets[row.source, terms_of(row.source, row.licence), file] += 1
    hashes = {file: _sha256(file) for file in dict.fromkeys(file for _, _, file in sets)}
    return Manifest(
        network,
        tuple(SetFacts(name, terms, count, file.name, hashes[file]) for (name, terms, file), count in sets.items()),
        tuple(_parent(part, path) for part, path in parents.items() if path is not None),
    )


def _parent(part: str, path: Path) -> ParentFacts:
    """A checkpoint has its run's terms, a registered file those of its registry; else they are unknown."""
    digest = _sha256(path) if path.is_file() else ""
    terms = UNKNOWN
    try:
        if path.suffix == ".pt":
            terms = read(path.parent).terms().partition(":")[0]
        elif path.suffix == ".onnx":
            terms = next(one.weights_licence for one in entries(path.parent) if one.sha256 == digest).partition(":")[0]
    except (ModelError, StopIteration):
        pass
    return ParentFacts(part, path.name, digest, terms)


def write(manifest: Manifest, run: Path) -> None:
    """Write RUN/manifest.json whole; a run that goes on writes it again, with what it learns from now."""
    run.mkdir(parents=True, exist_ok=True)
    write_text(run / FILE, json.dumps(asdict(manifest), indent=1) + "\n")


def read(run: Path) -> Manifest:
    """A run's manifest.

    Raises:
        ModelError: There is none, or it is damaged.
    """
    path = run / FILE
    try:
        said: Any = parse_json(path.read_text("utf-8"))
        return Manifest(
            said["network"],
            tuple(SetFacts(**one) for one in said["sets"]),
            tuple(ParentFacts(**one) for one in said["parents"]),
            said["version"],
        )
    except FileNotFoundError as error:
        why = "there is none: an earlier rtface trained this network"
        raise ModelError(str(path), why, "Say under which terms its data are: --license TEXT") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(str(path), f"is damaged ({error})", "Run the same `rtface train` again to write it") from error


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
