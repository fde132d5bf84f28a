"""Several cameras: what each is called, and the file that lists them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rtface.capture.source import Source, check_source
from rtface.errors import InputError, UsageError
from rtface.system.addresses import shown_address
from rtface.system.toml import read_toml

_GIVEN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)=(.+)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

WATCH_S = 1.0
"""Between two looks at the file that lists the cameras."""

OWN = ("camera_size", "camera_fps", "camera_fourcc", "rotate", "mirror", "loop", "hwaccel", "tasks", "smooth")
"""Options that a camera may have of its own."""


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A camera among others.

    Attributes:
        source: As `rtface.live` takes it.
        name: Letters, digits, ``-``, ``_`` and ``.``: it stands in file names, topics and labels. Empty = derived from
            the source.
        priority: When there is not time for all, the frames of those with more go first.
        max_level: The lowest level of quality that it may go down to, which has the largest number; None = as the
            options say.
        enabled: It is on.
        options: Of its own, by name: some of `OWN`.

    Raises:
        UsageError: The source, the name or an option is none.
    """

    source: int | str | Path | Source
    name: str = ""
    priority: int = 0
    max_level: int | None = None
    enabled: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_source(self.source)
        if self.name and not _NAME.fullmatch(self.name):
            why = "is no name of a camera: letters, digits, '-', '_' and '.'"
            raise UsageError(repr(self.name), why, "Write door=rtsp://door.local/stream")
        if self.max_level is not None and self.max_level < 0:
            raise UsageError("max_level", f"expected 0 or more, got {self.max_level}", "0 is full quality")
        for name in self.options:
            if name not in OWN:
                raise UsageError(f"option {name!r}", "is none that a camera has of its own", f"It has {', '.join(OWN)}")


def named(text: int | str | Path | Source | NamedSource) -> NamedSource:
    """A camera as the command line names it: ``door=rtsp://door.local/stream``, or a source alone.

    Raises:
        UsageError: It is no source.

    Example:
        >>> named("door=rtsp://door.local/stream").name
        'door'
    """
    if isinstance(text, NamedSource):
        return text
    given = _GIVEN.fullmatch(text) if isinstance(text, str) and not os.path.lexists(text) else None
    return NamedSource(text) if given is None else NamedSource(given[2], given[1])


def name_for(camera: NamedSource, taken: Iterable[str]) -> str:
    """The camera's name: the given one, or one derived from its source that is not `taken`.

    Raises:
        UsageError: The given one is taken.
    """
    used = set(taken)
    if camera.name:
        if camera.name in used:
            raise UsageError(camera.name, "names two cameras", "Give each a name of its own: hall=1")
        return camera.name
    derived = _derived(camera.source)
    name, number = derived, 1
    while name in used:
        number += 1
        name = f"{derived}-{number}"
    return name


def _derived(source: int | str | Path | Source) -> str:
    """What people would call it: camera-0, the host of an address without its password, a file without its ending."""
    if isinstance(source, Source):
        text = source.name
    elif str(source).isdecimal():
        text = f"camera-{source}"
    elif "://" in str(source):
        parts = urlsplit(shown_address(str(source)))
        last = parts.path.rstrip("/").rpartition("/")[2].partition(".")[0]
        text = "-".join(part for part in (parts.hostname or "", last) if part)
    elif str(source).startswith("gst:"):
        text = "gst"
    else:
        text = Path(str(source)).stem
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._") or "camera"


def read_cameras(path: Path) -> list[NamedSource]:
    """The cameras that a TOML file lists, a table each, in its order::

        [door]
        source = "rtsp://door.local/stream"
        priority = 1          # optional, like all below
        max_level = 2
        enabled = true
        rotate = 180

    Raises:
        InputError: The file cannot be read, is no TOML, or says something unknown.
    """
    found = []
    for name, table in read_toml(path).items():
        what = f"{path}: [{name}]"
        if not isinstance(table, dict) or "source" not in table:
            raise InputError(what, "has no source", f'Write [{name}] and below it source = "rtsp://…"')
        found.append(_from_table(what, name, table))
    return found


def changed(now: NamedSource, before: NamedSource, after: NamedSource) -> NamedSource:
    """What a camera is to be when a list names it otherwise; one that was switched off since stays off, unless the
    list itself says otherwise than before.

    Args:
        now: As it is.
        before, after: As the list named it, and names it.
    """
    return after if after.enabled != before.enabled else replace(after, enabled=now.enabled)


class CamerasFile:
    """A file that lists cameras, watched.

    Args:
        path: TOML, as `read_cameras` takes it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._looked_at = path, -math.inf
        self._state = self._state_now()

    def read(self) -> list[NamedSource]:
        """The cameras that it lists now.

        Raises:
            InputError: As `read_cameras`.
        """
        return read_cameras(self._path)

    def changed(self, now: float) -> list[NamedSource] | None:
        """The cameras that it lists, if it has changed since the last look; None = it has not, or was just looked at.

        Args:
            now: Seconds of any clock.

        Raises:
            InputError: As `read_cameras`; once for each change.
        """
        if now - self._looked_at < WATCH_S:
            return None
        self._looked_at = now
        before, self._state = self._state, self._state_now()
        return None if self._state == before else self.read()

    def _state_now(self) -> tuple[int, int]:
        """What changes when the file is written."""
        try:
            facts = self._path.stat()
        except OSError:
            return 0, 0
        return facts.st_mtime_ns, facts.st_size


def _from_table(what: str, name: str, table: Mapping[str, Any]) -> NamedSource:
    kinds = {"source": (int, str), "priority": (int,), "max_level": (int,), "enabled": (bool,)}
    for key, types in kinds.items():
        if key in table and (not isinstance(table[key], types) or (isinstance(table[key], bool) and bool not in types)):
            expected = " or ".join(one.__name__ for one in types)
            raise InputError(f"{what} {key}", f"expected {expected}, got {table[key]!r}", "Change it in the file")
    options = {key: value for key, value in table.items() if key not in kinds}
    fields = {key: table[key] for key in kinds if key in table}
    try:
        return NamedSource(**fields, name=name, options=options)
    except UsageError as error:
        raise InputError(f"{what} {error.what}", error.why, error.mend) from error
