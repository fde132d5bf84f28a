"""The networks that ship with rtface, and what is known of each: `registry.toml` beside the ONNX files.

A model's bytes are hashed on the way into the engine, so a damaged file is never run and checking costs no second
read. `models_dir` names another folder of the same layout (a registry and its files) instead of the package's own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rtface.errors import ModelError
from rtface.models.external_data import refuse_external_data
from rtface.models.onnx_bytes import with_weights
from rtface.system.machine import runs_int8_fast
from rtface.system.toml import parse_toml

PACKAGE_DIR = Path(__file__).parent
_MEND = (
    "Restore it (`git checkout -- rtface/models` in a clone, else `pip install --force-reinstall rtface`); "
    "`rtface models verify` checks every model"
)


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured figure of a model: what, how much, on which data, and the command that measures it again."""

    name: str
    value: float
    data: str
    command: str


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One network of the registry.

    Attributes:
        name: What the registry and the command line call it.
        role: `detector` (whole pictures), `engine` (face crops), `small-engine` (smaller face crops, for the quality
            ladder), `full-engine` and `small-full-engine` (these with mesh, expression and gaze) or `enhancer` (small
            crops to large ones).
        path: The ONNX file.
        sha256: Its hash, hexadecimal.
        bytes: Its size.
        code_licence: Licence of the code that made it.
        weights_licence: Terms of the weights, which follow the data they were trained on.
        precision: Of weights and arithmetic: `fp32` or `int8`.
        iterations: Rounds of re-encoding between the tasks (iFAN's ITER); None for networks without them.
        inputs: The graph's inputs, as "name dtype shape".
        outputs: The graph's outputs, as "name dtype shape".
        metrics: Measured figures.
        card_path: The model card, or None.
        weights: Name of the model that lends this one its weights; None = its file holds them.
        weights_sha256: Hash of that model's file when this one was made; None = not noted.
        lender: That model's entry.
        size: Width and height of the crops it takes, px; None for networks that take any.
        landmark_shift: Where the labels that its landmarks are compared with lie beside its own points, right and down
            in sides of the crop, beyond what it can learn: one that learns on mirrored pictures takes no side. Of the
            shipped networks 300-W's points lie 0.0028 right (the median over Helen's and LFPW's 1,675 training faces;
            AFW's lie 0.0046 right), as though the original files' counting pixels from 1 were still in them.
        emotion_temperature: What the emotions' logits are divided by so that confidences are honest (Guo et al., "On
            Calibration of Modern Neural Networks", ICML 2017, eq. 9); the strongest stays the strongest.
    """

    name: str
    role: str
    path: Path
    sha256: str
    bytes: int
    code_licence: str
    weights_licence: str
    precision: str
    iterations: int | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    metrics: tuple[Metric, ...]
    card_path: Path | None
    weights: str | None = None
    size: int | None = None
    weights_sha256: str | None = None
    landmark_shift: tuple[float, float] = (0.0, 0.0)
    emotion_temperature: float = 1.0
    lender: ModelEntry | None = None


def entries(models_dir: str | Path | None = None) -> tuple[ModelEntry, ...]:
    """Every model of the registry in its order.

    Raises:
        ModelError: the registry is missing, is not TOML, or lacks a key.
    """
    folder = Path(models_dir) if models_dir is not None else PACKAGE_DIR
    path = folder / "registry.toml"
    try:
        tables: Iterable[dict[str, Any]] = parse_toml(path.read_text("utf-8")).get("model", ())
        found = [_entry(folder, table) for table in tables]
    except OSError as error:
        raise ModelError(str(path), error.strerror or str(error), _MEND) from error
    except (TypeError, ValueError) as error:
        raise ModelError(str(path), f"is not a readable registry: {error}", _MEND) from error
    except KeyError as error:
        raise ModelError(str(path), f"a [[model]] has no key {error}", _MEND) from error
    by_name = {one.name: one for one in found}
    return tuple(replace(one, lender=by_name.get(one.weights)) if one.weights else one for one in found)


def available(models_dir: str | Path | None = None) -> tuple[ModelEntry, ...]:
    """What there is to run: the folder's models, and of roles that it has none of those that ship with rtface.

    Networks for smaller crops and for more tasks go with their own: a folder with a multi-task network gets no other's.

    Raises:
        ModelError: a registry cannot be read.
    """
    own = entries(models_dir)
    if models_dir is None or Path(models_dir) == PACKAGE_DIR:
        return own
    roles = {_family(one.role) for one in own}
    return (*own, *(one for one in entries() if _family(one.role) not in roles))


def _family(role: str) -> str:
    return role.removeprefix("small-").removeprefix("full-")


def entry(name: str, models_dir: str | Path | None = None) -> ModelEntry:
    """The model called `name`.

    Raises:
        ModelError: the registry has no such model, or cannot be read.
    """
    known = entries(models_dir)
    for one in known:
        if one.name == name:
            return one
    names = ", ".join(one.name for one in known) or "none"
    raise ModelError(name, "is not a model of the registry", f"Expected one of: {names}")


def find(
    role: str,
    iterations: int | None = None,
    precision: str = "auto",
    models_dir: str | Path | None = None,
    *,
    known: Sequence[ModelEntry] | None = None,
) -> ModelEntry:
    """The first model of a role with these `iterations` (None = any) and `precision` (fp32, int8).

    `auto` is int8 where the processor multiplies it fast, else fp32, and the other where there is no such model.
    `known` are the registry's entries, where they were read already.

    Raises:
        ModelError: no model fits, or the registry cannot be read.
    """
    known = entries(models_dir) if known is None else known
    fitting = [one for one in known if one.role == role and iterations in (None, one.iterations)]
    if precision == "auto":
        first = "int8" if runs_int8_fast() else "fp32"
        fitting.sort(key=lambda one: one.precision != first)
    else:
        fitting = [one for one in fitting if one.precision == precision]
    if fitting:
        return fitting[0]
    wanted = f"{role} (iterations {iterations}, precision {precision})"
    raise ModelError(wanted, "no model of the registry fits", f"Choose among: {', '.join(one.name for one in known)}")


def load(model: str | ModelEntry, models_dir: str | Path | None = None) -> bytes:
    """The bytes of a model, checked against the registry's size and SHA-256, with the weights that another lends it.

    Raises:
        ModelError: a file is missing, cut short, or another one than the registry names.
    """
    one = entry(model, models_dir) if isinstance(model, str) else model
    data = _checked(one)
    if one.weights is None:
        return data
    try:
        lender = one.lender or entry(one.weights, one.path.parent)
        if one.weights_sha256 not in (None, lender.sha256):
            why = f"was exported with other weights than {lender.name} has now"
            raise ModelError(str(one.path), why, "rtface export engine --iterations 2 writes both again")
        return with_weights(data, load(lender))
    except ValueError as error:  # with the hash that the registry names
        raise ModelError(str(one.path), str(error), _MEND) from error


def read_network(path: Path) -> bytes:
    """The bytes of an ONNX file, with the weights that another lends it where a registry beside it says so.

    Raises:
        ModelError: The registry cannot be read, or a file that it names is missing or another one.
        OSError: The file cannot be read.
    """
    if path.with_name("registry.toml").is_file():
        for one in entries(path.parent):
            if one.weights is not None and one.path.name == path.name:
                return load(one)
    return path.read_bytes()


def _checked(one: ModelEntry) -> bytes:
    try:
        data = one.path.read_bytes()
    except FileNotFoundError as error:
        raise ModelError(str(one.path), "is missing", _MEND) from error
    except OSError as error:
        raise ModelError(str(one.path), error.strerror or str(error), _MEND) from error
    if len(data) < one.bytes:
        raise ModelError(str(one.path), f"is cut short: {len(data)} of {one.bytes} bytes", _MEND)
    digest = hashlib.sha256(data).hexdigest()
    if digest != one.sha256.lower():
        raise ModelError(str(one.path), f"has SHA-256 {digest[:12]}…, the registry names {one.sha256[:12]}…", _MEND)
    refuse_external_data(data, one.path)
    return data


def verify(models_dir: str | Path | None = None) -> list[tuple[ModelEntry, ModelError | None]]:
    """Check every model's file; None where it is whole.

    Raises:
        ModelError: the registry itself cannot be read.
    """
    report: list[tuple[ModelEntry, ModelError | None]] = []
    for one in entries(models_dir):
        try:
            load(one)
        except ModelError as error:
            report.append((one, error))
        else:
            report.append((one, None))
    return report


def card(name: str, models_dir: str | Path | None = None) -> str:
    """The model card's Markdown.

    Raises:
        ModelError: the model is unknown or has no card.
    """
    one = entry(name, models_dir)
    if one.card_path is None or not one.card_path.is_file():
        raise ModelError(name, "has no card", _MEND)
    return one.card_path.read_text("utf-8")


def _entry(folder: Path, table: dict[str, Any]) -> ModelEntry:
    metrics = tuple(
        Metric(str(m["name"]), float(m["value"]), str(m["data"]), str(m["command"])) for m in table.get("metrics", ())
    )
    iterations, weights, size = (table.get(key) for key in ("iterations", "weights", "size"))
    return ModelEntry(
        name=str(table["name"]),
        role=str(table["role"]),
        path=folder / table["file"],
        sha256=str(table["sha256"]),
        bytes=int(table["bytes"]),
        code_licence=str(table["code_licence"]),
        weights_licence=str(table["weights_licence"]),
        precision=str(table.get("precision", "fp32")),
        iterations=None if iterations is None else int(iterations),
        inputs=tuple(str(i) for i in table["inputs"]),
        outputs=tuple(str(o) for o in table["outputs"]),
        metrics=metrics,
        card_path=folder / table["card"] if "card" in table else None,
        weights=None if weights is None else str(weights),
        weights_sha256=table.get("weights_sha256"),
        size=None if size is None else int(size),
        landmark_shift=_pair(table.get("landmark_shift", (0.0, 0.0))),
        emotion_temperature=float(table.get("emotion_temperature", 1.0)),
    )


def _pair(values: Any) -> tuple[float, float]:
    right, down = values
    return float(right), float(down)
