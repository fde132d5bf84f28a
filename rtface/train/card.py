"""The card of networks that were exported: what they are, from what, under which terms. People's own cards stay."""

from __future__ import annotations

from pathlib import Path

from rtface.models import ModelEntry, entries
from rtface.system.files import write_text
from rtface.train.manifest import Manifest
from rtface.train.register import card_of

MARK = "<!-- written by rtface export -->"
_UNKNOWN = "Not noted: there is no manifest of the run that made them."
_TITLES = {
    "detector": "Detector: faces, five points, head pose",
    "engine": "Multi-task network: landmarks, parsing, emotion, pose",
    "heads": "Heads: mesh and expression on the multi-task network",
    "enhancer": "Enhancer: small faces to larger ones",
}
_MEASURE = {
    "detector": ("rtface eval detection --data CORPUS --set models_dir={folder}",),
    "engine": ("rtface eval all --data CORPUS --set models_dir={folder}",),
    "heads": (
        "rtface eval mesh --data CORPUS --set models_dir={folder}",
        "rtface eval expression --data CORPUS --set models_dir={folder}",
    ),
    "enhancer": (),
}


def write_card(folder: Path, role: str, terms: str, manifest: Manifest | None) -> Path | None:
    """Write `folder`/cards/`role`.md, or leave a card that people wrote; None then.

    Args:
        folder: The models folder.
        role: detector, engine, heads or enhancer.
        terms: Of the weights, in a line.
        manifest: What the run learned from; None when that was not noted.
    """
    path = folder / "cards" / f"{role}.md"
    if path.is_file() and MARK not in path.read_text("utf-8"):
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    models = [model for model in entries(folder) if card_of(model.role) == role]
    lines = [f"# {_TITLES[role]}", MARK, "", f"**Terms of the weights:** {terms}", "", *_files(models)]
    lines += ["", "## Trained on", *_sets(manifest), "", "## Figures", *_figures(role, folder)]
    write_text(path, "\n".join(lines) + "\n")
    return path


def note_added(folder: Path, role: str) -> None:
    """Write the card of networks that came without a run; one that says what they were trained on stays."""
    path = folder / "cards" / f"{role}.md"
    if not path.is_file() or _UNKNOWN in path.read_text("utf-8"):
        terms = dict.fromkeys(model.weights_licence for model in entries(folder) if card_of(model.role) == role)
        write_card(folder, role, "; ".join(terms), None)


def _files(models: list[ModelEntry]) -> list[str]:
    rows = [f"| `{one.path.name}` | {one.precision} | {one.bytes} | `{one.sha256}` |" for one in models]
    return ["## Files", "| file | precision | bytes | SHA-256 |", "|---|---|---|---|", *rows]


def _sets(manifest: Manifest | None) -> list[str]:
    if manifest is None:
        return [_UNKNOWN]
    rows = [f"| {one.name} | {one.terms} | {one.pictures} | `{one.file}` | `{one.sha256}` |" for one in manifest.sets]
    parents = [f"{one.part}: `{one.file}` (`{one.sha256}`), {one.terms}" for one in manifest.parents]
    head = ["| set | terms | pictures | file | SHA-256 |", "|---|---|---|---|---|"]
    return [*head, *rows, *([""] if parents else []), *parents, "", f"With rtface {manifest.version}."]


def _figures(role: str, folder: Path) -> list[str]:
    commands = [f"`{command.format(folder=folder)}`" for command in _MEASURE[role]]
    return ["Not measured yet.", *(f"Measure them on pictures that were not trained on: {line}" for line in commands)]
