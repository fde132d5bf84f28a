"""Build profiles: `engines/*.toml`, what a plan is built for."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from rtface.errors import OptionError
from rtface.option_rules import nearest_multiples
from rtface.options import ENGINES, PRECISIONS
from rtface.system.package_data import package_data
from rtface.system.toml import parse_toml

Sizes = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Profile:
    """What plans are built for.

    Attributes:
        name: The file's, without its ending.
        engine: As the option.
        precision: As the option.
        faces: Smallest, usual and largest number of faces in one call.
        detector_px: Smallest side, usual width and largest side of the detector's canvas; multiples of 32.
        workspace_mb: Most memory of the GPU for scratch.
    """

    name: str
    engine: str
    precision: str
    faces: Sizes
    detector_px: Sizes
    workspace_mb: int


def default_profile(precision: str) -> str:
    """The profile's name for this machine's kind of GPU."""
    from rtface.engine.cuda import on_jetson

    kind = "orin" if on_jetson() else "desktop"
    return f"{kind}-{'int8' if precision == 'int8' else 'fp16'}"


def names() -> list[str]:
    """Profiles that ship."""
    return sorted(path.stem for path in package_data("engines").glob("*.toml"))


def read_profile(name: str | Path) -> Profile:
    """A profile that ships, by name, or one's own, by path.

    Raises:
        OptionError: There is no such file, or it is not a profile.
    """
    path = Path(name) if str(name).endswith(".toml") else package_data("engines") / f"{name}.toml"
    known = {field.name for field in fields(Profile)} - {"name"}
    try:
        table = parse_toml(path.read_text("utf-8"))
        if set(table) != known:
            raise ValueError(f"expected the keys {', '.join(sorted(known))}, got {', '.join(sorted(table))}")
        return Profile(
            name=path.stem,
            engine=_one_of(table["engine"], ENGINES),
            precision=_one_of(table["precision"], ("auto", *PRECISIONS)),
            faces=_sizes(table["faces"], 1),
            detector_px=_sizes(table["detector_px"], 32),
            workspace_mb=int(table["workspace_mb"]),
        )
    except FileNotFoundError as error:
        raise OptionError(
            str(name), "is no build profile", f"Known are {', '.join(names())}, or a .toml file"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise OptionError(str(path), f"is not a build profile ({error})", "Compare it with engines/cpu.toml") from error


def _one_of(value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"expected one of {', '.join(known)}, got {value!r}")
    return str(value)


def _sizes(value: Any, grid: int) -> Sizes:
    least, usual, most = (int(size) for size in value)
    if between := [size for size in (least, usual, most) if size % grid]:
        near = nearest_multiples(between[0], grid)
        raise ValueError(f"expected multiples of {grid}, got {between[0]}: the nearest are {near}")
    if not 0 < least <= usual <= most:
        raise ValueError(f"expected three rising numbers, got {value!r}")
    return least, usual, most
