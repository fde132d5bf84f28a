"""Text that ships beside the code: `calibration/` and `engines/`, from a clone's root or from inside the wheel."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent.parent


def package_data(name: str) -> Path:
    """The folder `name` of the repository's root; in an installed wheel it lies in `rtface/text/`."""
    inside = _PACKAGE / "text" / name
    return inside if inside.is_dir() else _PACKAGE.parent / name
