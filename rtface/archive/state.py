"""The state file of an archive: what was begun and what is done, so that a run goes on where one was killed."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rtface.archive.jobs import Job, shown
from rtface.errors import OutputError
from rtface.options import Options
from rtface.outputs import records
from rtface.outputs.output_url import split_settings
from rtface.system.files import lock
from rtface.system.json_text import parse_json
from rtface.version import __version__

NAME = ".rtface-archive"
SCHEMA = "rtface.archive/1"
STARTED, DONE, FAILED, INTERRUPTED = "started", "done", "failed", "interrupted"
#: What a video has in its name until it is whole (`rtface.system.files.PartFile`).
_PART = re.compile(r"\.part-[0-9a-f]{8}(?=\.\w+$)")
#: Bytes from the end of a JSONL file within which its last line begins, in most cases.
TAIL = 1 << 16


def fingerprint(options: Options, **more: object) -> str:
    """A hash of everything besides the source that a result depends on; how many threads there were is left out."""
    return _hash({**options.to_dict(), **more}, __version__)


def _hash(options: Any, version: object) -> str:
    facts = {**options, "threads": None} if isinstance(options, dict) else {}
    text = json.dumps({"options": facts, "version": version}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job went.

    Attributes:
        source, outputs: Of the job.
        status: "done", "failed" or "interrupted".
        frames, faces: Results, and faces in them.
        seconds: That it took.
        error: Why it failed, in a line.
        corrupt: Frames that could not be decoded and were skipped.
    """

    source: str
    outputs: tuple[str, ...]
    status: str
    frames: int = 0
    faces: int = 0
    seconds: float = 0.0
    error: str | None = None
    corrupt: int = 0


class State:
    """A file of JSON lines, written through to the disk after each job; one run at a time has it. A context manager.

    Args:
        path: The file; made where it is not there.
        options: How the archive is done.
        more: What else results depend on, by name (`fingerprint`).

    Raises:
        OutputError: It cannot be written, is no state file, or another run has it.
    """

    def __init__(self, path: Path, options: Options, **more: object) -> None:
        self.path, self._options, self._hash = path, options, fingerprint(options, **more)
        self._last: dict[tuple[str, ...], dict[str, Any]] = {}
        self._written: set[str] = set()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle: int | None = os.open(path, flags, 0o666)
        except OSError as error:
            raise self._failed(error) from error
        try:
            if not lock(self._handle):
                raise OutputError(str(path), "another run is working on this archive", "Wait for it, or end it")
            self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> None:
        data = self.path.read_bytes()
        lines = data.splitlines(keepends=True)
        for number, line in enumerate(lines):
            if not line.endswith(b"\n"):  # a run was killed while it wrote; nothing was known by it
                self._write(b"\n")
                break
            record = _parsed(line)
            if record is None or (number == 0 and record.get("schema") != SCHEMA):
                if number == 0:
                    raise OutputError(str(self.path), "is no state file of an archive", "Name another: --state FILE")
                continue  # half a line that a later run has ended
            if "outputs" in record:
                self._last[tuple(record["outputs"])] = record
                self._written.update(split_settings(output)[0] for output in record["outputs"])
        if not lines:
            self._write(records.to_line({"schema": SCHEMA, "version": __version__}).encode())

    def is_done(self, job: Job) -> bool:
        """Whether an earlier run has done it: same source by size and time, same options, and the outputs are there."""
        record = self._last.get(job.outputs)
        if record is None or record["status"] != DONE:
            return False
        return self._facts(job).items() <= record.items() and all(path.exists() for path in job.paths)

    def is_output(self, path: str) -> bool:
        """Whether a file is what an earlier run has written, or has left of it when it was killed."""
        return path in self._written or _PART.sub("", path) in self._written

    def may_redo(self, job: Job, path: Path) -> bool:
        """Whether an output that is there is a beginning of this very job, and may be replaced without asking.

        It has to be in this file as begun and not done, and must not be a whole result: one that ends with a summary
        that says so is somebody's, unless it is this job's by its own header (the run was killed between it and
        another output, and the same comes again).
        """
        record = self._last.get(job.outputs)
        if record is None or record["status"] == DONE or record["source"] != job.source:
            return False
        if path.suffix.lower() != ".jsonl" or not is_whole(path):
            return True
        header = _header(path)
        ours = fingerprint(self._options) == _hash(header.get("options"), header.get("version"))
        source = header.get("source")
        return ours and isinstance(source, dict) and source.get("name") == job.source

    def start(self, jobs: Iterable[Job]) -> None:
        """Jobs begin; to be called before anything is written."""
        self._add([{"status": STARTED, **self._facts(job), "outputs": list(job.outputs)} for job in jobs])

    def end(self, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> None:
        """Jobs are over."""
        lines = []
        for job, outcome in zip(jobs, outcomes, strict=True):
            facts = self._last[job.outputs]  # as they were when it began: a file that changed since is done again
            result = {"frames": outcome.frames, "faces": outcome.faces, "seconds": round(outcome.seconds, 3)}
            lines.append({**facts, **result, "status": outcome.status, "error": outcome.error})
        self._add(lines)

    def _facts(self, job: Job) -> dict[str, Any]:
        try:
            facts = Path(job.source).stat()
        except OSError:  # an address, or not there
            return {"source": job.source, "size": None, "mtime_ns": None, "options": self._hash}
        return {"source": job.source, "size": facts.st_size, "mtime_ns": facts.st_mtime_ns, "options": self._hash}

    def _add(self, lines: Sequence[dict[str, Any]]) -> None:
        self._last.update((tuple(line["outputs"]), line) for line in lines)
        self._write("".join(map(records.to_line, lines)).encode())

    def _write(self, data: bytes) -> None:
        assert self._handle is not None
        try:
            os.write(self._handle, data)
            os.fsync(self._handle)
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(str(self.path), f"cannot be written ({error.strerror})", "Make room, or --state FILE")

    def close(self) -> None:
        """Let another run have it; idempotent."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def __enter__(self) -> State:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def sort_out(jobs: Sequence[Job], state: State) -> tuple[list[Job], int]:
    """The jobs that are left to do, and how many an earlier run has done.

    What a job left unfinished is done again, over its own outputs. Sources that are outputs of an earlier run are left
    out.

    Raises:
        OutputError: An output is there already, and is not this archive's to replace.
    """
    left: list[Job] = []
    taken: list[Path] = []
    done = 0
    for job in jobs:
        if state.is_output(job.source):
            continue
        if state.is_done(job):
            done += 1
            continue
        there = [path for path in job.paths if _is_there(path)]
        if there and not job.overwrite:
            taken += [path for path in there if not state.may_redo(job, path)]
            job = replace(job, overwrite=True)
        left.append(job)
    if taken:
        count = f" ({len(taken)} outputs do)" if len(taken) > 1 else ""
        why = f"exists already{count}, and no run that broke off has left it"
        raise OutputError(shown(str(taken[0])), why, "-y (overwrite=True in Python) overwrites them")
    return left, done


def is_whole(path: Path) -> bool:
    """Whether a JSONL file ends with the summary of a run that came to its end."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - TAIL, 0))
            tail = file.read()
            if tail.rfind(b"\n", 0, -1) < 0 < size - TAIL:  # one long line
                file.seek(0)
                tail = file.read()
    except OSError:
        return True  # not ours to judge
    if not tail.endswith(b"\n"):
        return False
    record = _parsed(tail[tail.rfind(b"\n", 0, -1) + 1 :])
    return record is not None and record.get("kind") == "summary" and record.get("complete") is True


def _header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return _parsed(file.readline()) or {}
    except OSError:
        return {}


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = parse_json(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _is_there(path: Path) -> bool:
    """A folder counts when there is something in it."""
    return any(path.iterdir()) if path.is_dir() else os.path.lexists(path)
