"""What an archive's run has to do: every file that was named, with outputs of its own."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtface.archive.names import check_template, filled, has_fields
from rtface.capture.files import Named, expand, is_picture
from rtface.capture.source import Source
from rtface.errors import UsageError
from rtface.outputs.output_url import split_settings
from rtface.outputs.registry import find
from rtface.system.addresses import shown_address
from rtface.system.paths import expanded

#: Pictures that a worker takes at once: enough to keep the engine's batches full, few enough to lose little by a kill.
TOGETHER = 32


@dataclass(frozen=True, slots=True)
class Job:
    """One source into its outputs.

    Attributes:
        index: Its number among all that were named.
        source: An absolute path, an address, or "demo".
        outputs: Absolute paths, with their settings behind a ``?``.
        overwrite: Whether its outputs may be replaced.
    """

    index: int
    source: str
    outputs: tuple[str, ...]
    overwrite: bool = False

    @property
    def shown(self) -> str:
        """The source as it may be printed: beneath the current folder without that."""
        return shown(self.source)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where its outputs go."""
        return tuple(Path(split_settings(output)[0]) for output in self.outputs)

    @property
    def size(self) -> int | None:
        """Bytes of the source; None where it is no file, or not there."""
        try:
            return Path(self.source).stat().st_size
        except OSError:
            return None


def shown(path: str) -> str:
    """A path or an address for people."""
    if "://" in path:
        return shown_address(path)
    here = os.path.join(os.getcwd(), "")  # noqa: PTH109, PTH118 - text is what is wanted
    return path.removeprefix(here) or path


def plan(
    sources: Named | Iterable[Named], outputs: Sequence[str], *, recursive: bool = False, overwrite: bool = False
) -> list[Job]:
    """The jobs, in order. Nothing is opened or written.

    Args:
        sources: Files, folders, patterns, lists, addresses of files.
        outputs: Templates (`rtface.archive.names`).
        recursive: Also the sub-folders of folders.
        overwrite: Whether outputs that are there may be replaced.

    Raises:
        SourceError: A folder or a pattern has no file.
        UsageError: A source is live; an output is no file, would be written twice, or is a source.
    """
    names = list(dict.fromkeys(names_of(expand(sources, recursive=recursive))))
    templates = [_template(output, len(names)) for output in outputs]
    if not templates:
        raise UsageError("an archive", "goes into files, and none is named", "Name them: -o 'out/{stem}.jsonl'")
    jobs = [
        Job(index, name, tuple(filled(one, name, index) for one in templates), overwrite)
        for index, name in enumerate(names)
    ]
    _check_apart(jobs)
    return jobs


def bundles(jobs: Iterable[Job], most: int = TOGETHER) -> Iterator[list[Job]]:
    """What a worker takes at once: a video, or some pictures in a row."""
    together: list[Job] = []
    for job in jobs:
        if is_still(job):
            together.append(job)
        if together and (len(together) == most or not is_still(job)):
            yield together
            together = []
        if not is_still(job):
            yield [job]
    if together:
        yield together


def is_still(job: Job) -> bool:
    """Whether it is a picture by its name; a GIF may be a clip."""
    return is_picture(job.source) and not job.source.lower().endswith(".gif")


def names_of(sources: Iterable[Named]) -> Iterator[str]:
    for source in sources:
        name = str(source)
        if isinstance(source, (int, Source)) or name.startswith(("/dev/", "gst:")) or _is_live(name):
            shown_name = shown_address(name) if isinstance(source, (int, str)) else type(source).__name__
            raise UsageError(shown_name, "is no file, and may never end", "rtface live takes cameras and streams")
        there = os.path.lexists(expanded(name))
        yield str(expanded(name).absolute()) if there or not ("://" in name or name == "demo") else name


def _is_live(name: str) -> bool:
    if name.isdecimal() and not os.path.lexists(name):
        return True
    return "://" in name and not name.lower().startswith(("http://", "https://", "file://"))


def _template(output: str, count: int) -> str:
    """The output's name as a template of absolute paths.

    Raises:
        UsageError: It is no file, what it needs is not installed, or it is one name for several sources.
    """
    kind = find(output)
    if output == "-" or not kind.is_file:
        raise UsageError(shown_address(output), "several sources at once go into files", "-o 'out/{stem}.jsonl'")
    if kind.continues:
        mend = "Name .jsonl, .csv or .parquet; or run the sources one by one"
        raise UsageError(output, "several runs at once cannot continue one file, nor one that broke off", mend)
    kind.load()
    if count > 1:
        check_template(output)
        if not has_fields(output):
            mend = f"Put {{stem}}, {{parent}} or {{index}} into it: -o '{_with_stem(output)}'"
            raise UsageError(output, f"is one name for {count} sources", mend)
    path = str(expanded(output))
    ending = "/" if output.endswith(("/", os.sep)) else ""
    return str(Path(path).absolute()) + ending


def _with_stem(output: str) -> str:
    path = Path(output)
    return str(path / "{stem}") + "/" if output.endswith("/") else str(path.with_name(f"{{stem}}{path.suffix}"))


def _check_apart(jobs: Sequence[Job]) -> None:
    """
    Raises:
        UsageError: Two sources have one output, or an output is a source.
    """
    sources = {_key(Path(job.source)): job for job in jobs}
    # -o 'frames/' calls its pictures frame_000012.jpg.
    frames = {str(Path(key).parent): job for key, job in sources.items() if Path(key).name.startswith("frame_")}
    taken: dict[str, Job] = {}
    for job in jobs:
        for path in job.paths:
            key = _key(path)
            if source := sources.get(key):
                raise UsageError(shown(str(path)), f"is {source.shown} itself", "Name another folder")
            if source := frames.get(key):
                raise UsageError(shown(str(path)), f"has {source.shown} in it", "Name another folder")
            if key in taken:
                both = f"{taken[key].shown} and {job.shown} would both be written to it"
                if taken[key] is job:
                    both = "is named twice"
                raise UsageError(shown(str(path)), both, "Tell them apart by {parent} or {index} in the name")
            taken[key] = job


@functools.lru_cache(maxsize=4096)
def _real(folder: Path) -> Path:
    return Path(os.path.realpath(folder))


def _key(path: Path) -> str:
    """What tells files apart, whatever links lead to their folders; macOS and Windows take ``A`` for ``a``."""
    key = str(_real(path.parent) / path.name)
    return key.casefold() if sys.platform in ("darwin", "win32") else key
