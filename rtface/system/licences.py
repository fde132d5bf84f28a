"""What the installed packages say of their terms, and which libraries under copyleft terms their wheels bring along."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

NOT_STATED = "not stated"
TEXTS = re.compile(
    r"^(\w+[-_.])?(licen[cs]e|copying|notice|third[-_]?party[-_]?(notices?|licen[cs]es?)|authors)", re.IGNORECASE
)
"""Names of files that copies of a package have to come with."""

FFMPEG = "avcodec|avdevice|avfilter|avformat|avutil|postproc|swresample|swscale"
COPYLEFT = {
    "x264|x265": "GPL-2.0-or-later",
    f"{FFMPEG}|opencv_videoio_ffmpeg": "LGPL-2.1-or-later",
    "Qt[56]\\w*": "LGPL-3.0-only",
    "gnutls|asound": "LGPL-2.1-or-later",
    "gmp|nettle|hogweed|unistring": "LGPL-3.0-or-later OR GPL-2.0-or-later",
    "mp3lame": "LGPL-2.0-or-later",
    "gfortran|quadmath": "GPL-3.0-or-later WITH GCC-exception-3.1",
}
"""Names of shared libraries, as a pattern → their licence, as their projects state it. Permissive ones are left out:
nothing but a text has to go with them, and that lies in the wheel."""

_LIBRARY = re.compile(r"\.(so|dll|dylib)(\.[\d.]+)?$", re.IGNORECASE)
_KINDS = {re.compile(rf"^(lib)?({names})(?![a-z])", re.IGNORECASE): terms for names, terms in COPYLEFT.items()}
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")


@dataclass(frozen=True, slots=True)
class PackageTerms:
    """A package that is installed here.

    Attributes:
        name, version: Its own.
        licence: As its metadata say it, an SPDX expression where they have one.
        extra: The extra of rtface that asks for it; empty = rtface always does.
        libraries: Name and licence of copyleft libraries that its wheel brings.
        texts: Its licence texts and notices.
    """

    name: str
    version: str
    licence: str
    extra: str
    libraries: tuple[tuple[str, str], ...]
    texts: tuple[Path, ...]


def packages(name: str) -> list[PackageTerms]:
    """What a package needs, what that needs, and so on, as far as it is installed; those always needed first.

    Raises:
        PackageNotFoundError: The package itself is not installed.
    """
    first = distribution(name)
    found: dict[str, tuple[Distribution, str]] = {}
    asked = [(needed, extra) for needed, extra in _needs(first) if _key(needed) != _key(name)]
    asked.sort(key=lambda one: one[1] != "")  # what is always needed is no extra's, though one may name it too
    while asked:
        needed, extra = asked.pop(0)
        if _key(needed) in found or _key(needed) == _key(name):
            continue
        try:
            found[_key(needed)] = one = distribution(needed), extra
        except PackageNotFoundError:
            continue
        # Its own extras are not known to be wanted.
        asked[:0] = [(inner, extra) for inner, inner_extra in _needs(one[0]) if not inner_extra]
    return sorted((_terms(*one) for one in found.values()), key=lambda one: (one.extra, one.name.lower()))


def _needs(one: Distribution) -> Iterator[tuple[str, str]]:
    """Name and extra of each requirement."""
    for text in one.requires or ():
        if match := _REQUIREMENT.match(text):
            extra = _EXTRA.search(text)
            yield match[1], extra[1] if extra else ""


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _terms(one: Distribution, extra: str) -> PackageTerms:
    files = [(file, file.locate()) for file in one.files or ()]
    texts = tuple(Path(str(place)) for file, place in files if TEXTS.match(file.name) and not file.name.endswith(".py"))
    return PackageTerms(
        one.metadata["Name"], one.version, _stated(one), extra, libraries(file for file, _ in files), texts
    )


def _stated(one: Distribution) -> str:
    if expressions := one.metadata.get_all("License-Expression"):
        return str(expressions[0])
    classified = [
        line.rpartition(" :: ")[2] for line in one.metadata.get_all("Classifier", []) if line.startswith("License ::")
    ]
    lines = "\n".join(one.metadata.get_all("License", [])).strip().splitlines()
    return ", ".join(classified) or (lines[0][:60] if lines else NOT_STATED)


def libraries(files: Iterable[PurePosixPath]) -> tuple[tuple[str, str], ...]:
    """Name and licence of each shared library under copyleft terms. FFmpeg built with x264 or x265 is under theirs.

    Example:
        >>> libraries([PurePosixPath("av.libs/libx264-d6.so.165"), PurePosixPath("av.libs/libdav1d-f4.so.7")])
        (('x264', 'GPL-2.0-or-later'),)
    """
    found: dict[str, str] = {}
    for file in files:
        if _LIBRARY.search(file.name):
            for pattern, terms in _KINDS.items():
                if match := pattern.match(file.name):
                    found[match[2]] = terms
    if gpl := next((found[name] for name in ("x264", "x265") if name in found), None):
        found |= {name: gpl for name in found if re.fullmatch(FFMPEG, name)}
    return tuple(sorted(found.items(), key=lambda one: one[0].lower()))
