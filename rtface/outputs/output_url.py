"""An output named by an address: ``scheme://user@host:port/path?setting=value``."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from rtface.errors import UsageError, unknown
from rtface.system.addresses import shown_address
from rtface.system.paths import is_there

T = TypeVar("T")

_TRUE, _FALSE = ("1", "true", "yes", "on", ""), ("0", "false", "no", "off")


@dataclass(frozen=True, slots=True)
class OutputUrl:
    """An address taken apart.

    Attributes:
        shown: As it may be printed.
        scheme: In lower case.
        host, port, user, password, path: None or "" where the address does not name them; unescaped.
        settings: The query.
        raw: As it was given; holds secrets.
    """

    shown: str
    scheme: str
    host: str | None
    port: int | None
    user: str | None
    password: str | None
    path: str
    settings: Mapping[str, str]
    raw: str

    @property
    def name(self) -> str:
        """What stands in ``scheme:name`` or ``scheme://name``, before a ?; for outputs that are no places."""
        return unquote(self.raw.partition(":")[2].partition("?")[0].strip("/"))

    def only(self, *names: str) -> None:
        """Refuse settings that this output does not know.

        Raises:
            UsageError: One is not among `names`.
        """
        for name in self.settings:
            if name not in names:
                # Not its value, nor the others': it may be a password whose name has a slip in it.
                raise unknown(f"{self.shown.partition('?')[0]}: setting", name, names or ("none",), UsageError)

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """A setting that is a number from `low` to `high`.

        Raises:
            UsageError: It is not.
        """
        return self._read(name, default, f"a number from {low:g} to {high:g}", lambda text: _number(text, low, high))

    def whole(self, name: str, default: int | None, low: int = 0, high: int = 2**31 - 1) -> int | None:
        """A setting that is a whole number from `low` to `high`.

        Raises:
            UsageError: It is not.
        """
        expected = f"a whole number from {low} to {high}"
        return self._read(name, default, expected, lambda text: int(_number(str(int(text)), low, high)))

    def switch(self, name: str, default: bool = False) -> bool:
        """A setting that is on or off: 1, yes, true, on, or nothing after its name; 0, no, false, off.

        Raises:
            UsageError: It is none of these.
        """
        return self._read(name, default, "1 or 0", _switch)

    def one_of(self, name: str, *values: str) -> str:
        """A setting that is one of a few words; the first is the default.

        Raises:
            UsageError: It is another word.
        """
        value = self.settings.get(name, values[0])
        if value not in values:
            raise unknown(f"{self.shown}: {name}", value, values, UsageError)
        return value

    def some_of(self, name: str, *values: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A setting that is some of a few words, with commas between them.

        Raises:
            UsageError: One is another word.
        """
        if name not in self.settings:
            return default
        words = tuple(word for word in self.settings[name].split(",") if word)
        for word in words:
            if word not in values:
                raise unknown(f"{self.shown}: {name}", word, values, UsageError)
        return words

    def _read(self, name: str, default: T, expected: str, read: Callable[[str], T]) -> T:
        if name not in self.settings:
            return default
        try:
            return read(self.settings[name])
        except ValueError as error:
            why = f"expected {name} to be {expected}, got {self.settings[name]!r}"
            raise UsageError(self.shown, why, "Change it in the address") from error


def parse_output_url(address: str, *, port: int | None = None, host: str | None = "127.0.0.1") -> OutputUrl:
    """Take an address apart; what it does not name has the defaults.

    ``scheme:rest`` without ``//`` has `rest` as its path.

    Raises:
        UsageError: The address cannot be read.
    """
    shown = shown_address(address)
    try:
        parts = urlsplit(address)
        named_port = parts.port
        pairs = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError as error:
        raise UsageError(shown, "is no address: the host or the port cannot be read", "See rtface outputs") from error
    return OutputUrl(
        shown=shown,
        scheme=parts.scheme.lower(),
        host=parts.hostname or host,
        port=named_port if named_port is not None else port,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
        path=unquote(parts.path),
        settings=dict(pairs),
        raw=address,
    )


def split_settings(output: str | Path) -> tuple[str, OutputUrl]:
    """A file's name, and its settings where it has some: ``faces.csv?columns=openface``.

    A ``Path``, and a name that is there as it stands, are taken as they are.
    """
    name, _, query = str(output).partition("?")
    if isinstance(output, Path) or not query or is_there(str(output)):
        name, query = str(output), ""
    return name, OutputUrl(name, "", None, None, None, None, name, dict(parse_qsl(query, keep_blank_values=True)), name)


def _number(text: str, low: float, high: float) -> float:
    value = float(text)
    if not low <= value <= high:  # NaN too
        raise ValueError(text)
    return value


def _switch(text: str) -> bool:
    if text.lower() not in _TRUE + _FALSE:
        raise ValueError(text)
    return text.lower() in _TRUE


def scheme_of(output: str) -> str | None:
    """The scheme of an address in lower case, or None where the text is a path (``C:\\faces.jsonl`` too)."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.\-]+):", output)
    return found[1].lower() if found else None
