"""Archives on many machines, by Ray Data: a pool of actors, each with the networks loaded once.

Names of files travel, frames never: all nodes see the files by the same paths, and write the outputs to where all see
them.
"""

from __future__ import annotations

import json
import logging
import pickle
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtface.archive.jobs import Job, names_of
from rtface.archive.state import FAILED, Outcome
from rtface.archive.work import Orders, Worker
from rtface.capture.files import Named, expand
from rtface.cluster.connection import LOCAL, check_version, connected
from rtface.errors import OutputError, RtfaceError, require
from rtface.options import Options
from rtface.version import __version__

if TYPE_CHECKING:
    import ray.data

    from rtface.archive.processes import Bundle

ATTEMPTS = 3
"""Actors that die at the same file, with their nodes or by it, before it is given up. Ray tries without an end."""

AHEAD = 2
"""Bundles that wait at an actor while it works on one."""


class RayRunner:
    """Does bundles of jobs on a cluster (`rtface.archive.run.Runner`). A context manager.

    Args:
        orders: How jobs are done.
        on_start: Called with all jobs before the first begins.
        address: Of the cluster (`connected`).
        actors: At most; None = one for each CPU of the cluster.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """

    def __init__(
        self, orders: Orders, on_start: Callable[[Bundle], None], *, address: str = LOCAL, actors: int | None = None
    ) -> None:
        self._ray = connected(address)
        self._orders = replace(orders, options=_one_thread(orders.options))
        self._on_start, self._actors = on_start, actors

    def __enter__(self) -> RayRunner:
        return self

    def __exit__(self, *_: object) -> None:
        """The connection stays: others may use it."""

    def run(self, bundles: Iterable[list[Job]]) -> Iterator[tuple[list[Job], list[Outcome]]]:
        """Bundles as they are done; each once, whatever dies meanwhile.

        Raises:
            ModelError, EngineError: The networks cannot run.
            UsageError: A node has another version of rtface.
        """
        # A try whose node died may have left a beginning.
        left = dict(enumerate([replace(job, overwrite=True) for job in bundle] for bundle in bundles))
        self._on_start([job for bundle in left.values() for job in bundle])
        rows = [{"number": number, "jobs": _to_text(bundle)} for number, bundle in left.items()]
        attempts = _new_attempts(self._ray)
        actor = {"orders": pickle.dumps(self._orders), "version": __version__, "attempts": attempts}
        for row in _mapped(self._ray, rows, _ArchiveActor, actor, self._actors).iter_rows():
            if row["fatal"]:
                raise pickle.loads(row["fatal"])
            bundle = left.pop(row["number"], [])
            if bundle:
                yield bundle, [_outcome(one) for one in json.loads(row["outcomes"])]
        for bundle in left.values():  # Ray gave it up: its own log says why
            yield bundle, [_gave_up(job, "is missing in what the cluster has answered") for job in bundle]

    def interrupt(self) -> Iterator[tuple[list[Job], list[Outcome]]]:
        """The actors end with the data set; the next run goes on from the state file."""
        yield from ()


def dataset(
    sources: Named | Iterable[Named],
    *,
    options: Options | None = None,
    address: str = LOCAL,
    actors: int | None = None,
    recursive: bool = False,
    max_frames: int | None = None,
) -> ray.data.Dataset:
    """Faces of many files as a Ray data set: a row a face and frame, to go on with in Ray Data.

    Columns are those of ``-o faces.parquet``, and ``source`` and ``error`` beside them: a file that cannot be read is
    one row with its error and nothing else.

    Args:
        sources: File, folder, pattern, address, or several of those; paths that all nodes see.
        options: How; None = the defaults with RTFACE_* variables.
        address: Of the cluster; a connection that is open already is taken.
        actors: At most; None = one for each CPU of the cluster.
        recursive: Also the sub-folders of folders.
        max_frames: End each source after so many frames.

    Raises:
        SourceError: A folder or a pattern has no file.
        UsageError: Ray is not installed, there is no such cluster, or a source is live.

    Example:
        >>> from rtface.cluster.archive import dataset
        >>> faces = dataset("visits/**/*.mp4", address="auto")  # doctest: +SKIP
        >>> faces.write_parquet("s3://results/visits")  # doctest: +SKIP
    """
    rows = [{"source": name} for name in names_of(expand(sources, recursive=recursive))]
    ray = connected(address)
    orders = Orders(_one_thread(options or Options.load()), max_frames)
    actor = {"orders": pickle.dumps(orders), "version": __version__}
    return _mapped(ray, rows, _RowsActor, actor, actors)


def write_rows(
    sources: Named | Iterable[Named], folder: Path, *, overwrite: bool = False, **how: Any
) -> dict[str, str]:
    """The rows of `dataset` into a folder of Parquet files, as Ray and Spark write them and pandas reads them.

    Args:
        sources: File, folder, pattern, address, or several of those; paths that all nodes see.
        folder: Where all nodes see it.
        overwrite: Whether Parquet files that are in it may be replaced.
        how: The other arguments of `dataset`.

    Returns:
        Why files could not be read, by source.

    Raises:
        OutputError: There are Parquet files in the folder already.
    """
    import pyarrow.dataset

    old = sorted(folder.glob("*.parquet")) if folder.is_dir() else []
    if old and not overwrite:
        raise OutputError(str(folder), "holds Parquet files already", "-y (overwrite=True in Python) replaces them")
    rows = dataset(sources, **how)
    for path in old:
        path.unlink()
    rows.write_parquet(str(folder.absolute()))
    field = pyarrow.dataset.field("error")
    failed = pyarrow.dataset.dataset(folder, format="parquet").to_table(["source", "error"], filter=field.is_valid())
    return dict(zip(failed["source"].to_pylist(), failed["error"].to_pylist(), strict=True))


def _one_thread(options: Options) -> Options:
    """As Ray counts them: an actor has a CPU."""
    return replace(options, budget_ms=None, threads=options.threads or 1)


def _mapped(ray: Any, rows: list[dict[str, Any]], actor: type, about: dict[str, Any], most: int | None) -> Any:
    """A data set of what actors make of each row."""
    require("ray.data", extra="ray")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # a row that kills every process costs itself
    context.execution_options.preserve_order = False
    cpus = int(ray.cluster_resources().get("CPU", 1))
    count = max(1, min(most or cpus, cpus, len(rows)))
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=count, max_tasks_in_flight_per_actor=AHEAD)
    named = ray.data.from_items(rows, override_num_blocks=max(len(rows), 1))
    return named.map_batches(actor, fn_constructor_kwargs=about, batch_size=1, num_cpus=1, compute=pool)


class _Attempts:
    """Counts how often each row was begun; lives where the program does, which outlives all nodes that matter."""

    def __init__(self) -> None:
        self._begun: Counter[int] = Counter()

    def begin(self, number: int) -> int:
        """How often, this time included."""
        self._begun[number] += 1
        return self._begun[number]


def _new_attempts(ray: Any) -> Any:
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return ray.remote(_Attempts).options(num_cpus=0, scheduling_strategy=here).remote()


class _ArchiveActor:
    """Does bundles of jobs; each answer is a row."""

    def __init__(self, orders: bytes, version: str, attempts: Any) -> None:
        self._fatal, self._attempts = b"", attempts
        try:
            check_version(version)
            self._worker = Worker(pickle.loads(orders))
        except RtfaceError as error:
            self._fatal = pickle.dumps(error)  # raised here, Ray would try again and again

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        outcomes: list[Outcome] = []
        if not self._fatal:
            try:
                outcomes = self._do(int(batch["number"][0]), _from_text(str(batch["jobs"][0])))
            except RtfaceError as error:
                self._fatal = pickle.dumps(error)
        text = json.dumps([asdict(one) for one in outcomes])
        return {"number": batch["number"], "fatal": [self._fatal], "outcomes": [text]}

    def _do(self, number: int, bundle: list[Job]) -> list[Outcome]:
        import ray

        if ray.get(self._attempts.begin.remote(number)) > ATTEMPTS:
            why = f"the processes that read it died, {ATTEMPTS} times. It may be damaged, or the memory too small"
            return [_gave_up(job, why) for job in bundle]
        return self._worker.do(bundle, lambda *_: None)


class _RowsActor:
    """Makes rows of files."""

    def __init__(self, orders: bytes, version: str) -> None:
        check_version(version)
        self._worker = Worker(pickle.loads(orders))

    def __call__(self, batch: dict[str, Any]) -> Any:
        import pyarrow
        import pyarrow.parquet

        source = str(batch["source"][0])
        with tempfile.TemporaryDirectory(prefix="rtface-rows-") as folder:
            path = Path(folder) / "rows.parquet"
            (outcome,) = self._worker.do([Job(0, source, (str(path),))], lambda *_: None)
            table = pyarrow.parquet.read_table(path) if path.exists() else _no_rows()
        error: str | None = None
        if outcome.status == FAILED:
            nothing = {
                name: pyarrow.nulls(1, kind) for name, kind in zip(table.schema.names, table.schema.types, strict=True)
            }
            table, error = pyarrow.table(nothing), outcome.error
        count = len(table)
        table = table.append_column("source", pyarrow.array([source] * count, pyarrow.string()))
        return table.append_column("error", pyarrow.array([error] * count, pyarrow.string()))


def _no_rows() -> Any:
    """The columns, of a file of which there is not one row."""
    from rtface.outputs.columns import LAYOUTS
    from rtface.outputs.table import schema_of

    return schema_of(LAYOUTS["rtface"]).empty_table()


def _gave_up(job: Job, why: str) -> Outcome:
    return Outcome(job.source, job.outputs, FAILED, error=f"{job.shown}: {why}")


def _to_text(bundle: list[Job]) -> str:
    return json.dumps([asdict(job) for job in bundle])


def _from_text(text: str) -> list[Job]:
    return [Job(one["index"], one["source"], tuple(one["outputs"]), one["overwrite"]) for one in json.loads(text)]


def _outcome(facts: dict[str, Any]) -> Outcome:
    return Outcome(**{**facts, "outputs": tuple(facts["outputs"])})
