"""What both trainings share: schedule, averaged weights, checkpoints, logging, prefetching.

A run is a folder: `last.pt` (everything needed to go on), `log.csv`, `log.png`. The schedule follows time or steps
spent so far, which the checkpoint carries, so an interrupted run goes on where it was.
"""

from __future__ import annotations

import csv
import ctypes
import io
import math
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import cv2
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from rtface.errors import ModelError, OptionError, OutputError
from rtface.system.files import atomic_write, not_written, write_text
from rtface.train import parallel
from rtface.train.config import RunConfig

A = TypeVar("A")
T = TypeVar("T")
_MEND = "Delete it, or choose another --run folder"
FIRST_SAVE_S, SAVE_EVERY_S = 120.0, 300.0  # of training: a run that is killed loses no more


@dataclass
class Schedule:
    """Learning rate over a run: linear warm-up, cosine to `end` of the peak. The run ends after `minutes` or `steps`,
    the sooner."""

    peak: float
    minutes: float | None = None
    steps: int | None = None
    warmup: int = 300
    end: float = 0.02

    def progress(self, step: int, seconds: float) -> float:
        """Share of the run that is done, 0..1."""
        by_time = seconds / (60.0 * self.minutes) if self.minutes else 0.0
        by_step = step / self.steps if self.steps else 0.0
        return min(1.0, max(by_time, by_step))

    def rate(self, step: int, progress: float) -> float:
        """Learning rate of a step at a `progress` of 0..1."""
        cosine = self.end + (1 - self.end) * 0.5 * (1 + math.cos(math.pi * progress))
        return self.peak * min(1.0, (step + 1) / self.warmup) * cosine


def prepare(config: RunConfig) -> None:
    """Seed, threads, the other processes under torchrun, and on Linux an allocator that keeps its memory."""
    parallel.join(config.device)
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    torch.set_float32_matmul_precision("high")  # TF32 on GPUs that have it, for what bfloat16 is not used for
    torch.backends.cudnn.benchmark = True  # crops come in three sizes: the quickest convolution is looked for once each
    cv2.setNumThreads(1)  # batches are made in one thread beside the training's own
    if sys.platform == "linux":
        # glibc gives every large tensor back to the system and gets it again, page by page, in the next step: a step
        # of the engine on one core took 0.98 s, and takes 0.64 s without (malloc.h: no mmap, never trim).
        with suppress(OSError, AttributeError):
            libc = ctypes.CDLL(None)
            libc.mallopt(-4, 0)  # M_MMAP_MAX
            libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


def optimizer(net: nn.Module, rate: float, decay: float = 0.02) -> torch.optim.Optimizer:
    """AdamW; weights decay, biases and batch norms do not. On a GPU one kernel does it."""
    weights = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, rate, fused=weights[0].is_cuda or None)


class Ema:
    """Exponential moving average of weights and batch-norm statistics, with a short memory at the start."""

    def __init__(self, net: nn.Module, decay: float = 0.999) -> None:
        self.decay = decay
        self.copy(net)

    def copy(self, net: nn.Module) -> None:
        """Begin again with the network as it is."""
        self.state = {k: v.detach().clone() for k, v in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module, step: int) -> None:
        average = get_ema_multi_avg_fn(min(self.decay, (1 + step) / (10 + step)))  # type: ignore[no-untyped-call]
        values = net.state_dict()
        learned = [name for name, value in values.items() if value.dtype.is_floating_point]
        average([self.state[name] for name in learned], [values[name] for name in learned], step)
        for name in values.keys() - set(learned):
            self.state[name].copy_(values[name])


class Run:
    """One training run's folder and counters."""

    def __init__(self, folder: Path, net: nn.Module, optimizer: torch.optim.Optimizer, schedule: Schedule) -> None:
        self.folder, self.net, self.optimizer, self.schedule = folder, net, optimizer, schedule
        folder.mkdir(parents=True, exist_ok=True)
        self.ema = Ema(net)
        self.facts: dict[str, str] = {}  # what the checkpoint says beside the weights, of what they were learned on
        self.step, self.seconds = 0, 0.0
        self._mark = time.monotonic()
        self._sums: dict[str, Tensor] = {}  # on the network's device: a step waits for no figure
        self._count, self._seen, self._reported = 0, 0, 0.0
        self._checked = 0.0
        self._save_at = FIRST_SAVE_S

    @property
    def checkpoint(self) -> Path:
        return self.folder / "last.pt"

    @property
    def progress(self) -> float:
        return self.schedule.progress(self.step, self.seconds)

    def resume(self) -> bool:
        """Load `last.pt` where there is one. Raises ModelError where it is damaged or of another network."""
        if not self.checkpoint.is_file():
            return False
        saved = read_checkpoint(self.checkpoint, ("net", "ema", "optimizer", "step", "seconds"))
        try:
            self.net.load_state_dict(saved["net"])
            self.optimizer.load_state_dict(saved["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise ModelError(str(self.checkpoint), f"is of another network: {_first_line(error)}", _MEND) from error
        device = next(self.net.parameters()).device
        self.ema.state = {k: v.to(device) for k, v in saved["ema"].items()}
        self.step, self.seconds = saved["step"], saved["seconds"]
        self._reported = self._checked = self.seconds
        self._save_at = self.seconds + SAVE_EVERY_S
        return True

    def save(self) -> None:
        """Write `last.pt` whole, or leave the earlier one. Raises OutputError where it cannot be written."""
        self._save_at = self.seconds + SAVE_EVERY_S
        if not parallel.leads():
            return
        state = {
            "net": self.net.state_dict(),
            "ema": self.ema.state,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "facts": self.facts,
        }
        write_checkpoint(self.checkpoint, state)

    def update(self, losses: dict[str, Tensor], seen: int) -> None:
        """One optimisation step on the sum of `losses`; saves when it is time to (`FIRST_SAVE_S`, `SAVE_EVERY_S`)."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.step, self.progress) * group.get("rate_scale", 1.0)
        total = torch.stack(tuple(losses.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        parallel.average_gradients(self.net)
        norm = nn.utils.clip_grad_norm_(self.net.parameters(), 10.0)
        if bool(torch.isfinite(norm)):
            self.optimizer.step()
            self.ema.update(self.net, self.step)
        self.step += 1
        self._count += 1
        self._seen += seen
        for name, value in losses.items():
            self._sums[name] = self._sums[name] + value.detach() if name in self._sums else value.detach()
        now = time.monotonic()
        self.seconds = parallel.agree(self.seconds + now - self._mark)
        self._mark = now
        if self.seconds >= self._save_at:
            self._save_in_passing()

    def _save_in_passing(self) -> None:
        """A disk that is full for a while ends no night's training; at the run's end `save` itself raises."""
        try:
            self.save()
        except OutputError as error:
            parallel.tell(f"{error}; training goes on and tries again in {SAVE_EVERY_S / 60:.0f} minutes")

    def pause(self) -> None:
        """Leave out of the schedule what passes until `unpause` (validation)."""
        self.seconds += time.monotonic() - self._mark

    def unpause(self) -> None:
        """Go on; under torchrun all wait here for the first, which validates and saves alone."""
        self.seconds = parallel.agree(self.seconds)
        self._mark = time.monotonic()

    def maybe_validate(self, every_minutes: float, measure: Callable[[], Mapping[str, float]]) -> None:
        """After a step: where it is time, and at the end, report `measure`'s figures and save; else, every 100
        steps, report. The schedule's clock stands still meanwhile."""
        if self.seconds - self._checked > 60 * every_minutes or self.progress >= 1.0:
            self.pause()
            self.report(measure() if parallel.leads() else None)
            self._save_in_passing()
            self.unpause()
            self._checked = self.seconds
        elif self.step % 100 == 0:
            self.report()

    def report(self, metrics: Mapping[str, float] | None = None) -> None:
        """A line on stderr and a row in log.csv: mean losses and speed since the last report, time left, `metrics`."""
        means = {name: float(total) / self._count for name, total in self._sums.items()}
        speed = parallel.team().size * self._seen / max(self.seconds - self._reported, 1e-6)
        left = self.seconds / max(self.progress, 1e-6) * (1 - self.progress) / 60
        figures = [f"{name} {value:.3f}" for name, value in means.items()]
        figures += [f" {name} {value:.2f}" for name, value in (metrics or {}).items()]
        line = f"step {self.step} {self.progress:5.1%} {speed:.0f}/s, {left:.0f} min left  {' '.join(figures)}"
        parallel.tell(line)
        row = {"step": self.step, "minutes": round(self.seconds / 60, 2), "per_second": round(speed, 1)}
        if parallel.leads():
            try:
                _append_csv(self.folder / "log.csv", {**row, **means, **(metrics or {})})
            except OSError as error:
                parallel.tell(f"{not_written(str(self.folder / 'log.csv'), error)}; this row is left out")
        self._sums.clear()
        self._count, self._seen, self._reported = 0, 0, self.seconds


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint whole, or leave the earlier one. Raises OutputError where it cannot be written."""
    # In memory first: on a full disk torch.save itself ends with a RuntimeError about positions in its archive.
    whole = io.BytesIO()
    torch.save(state, whole)
    try:
        with atomic_write(path) as file:
            file.write(whole.getbuffer())
    except OSError as error:
        raise not_written(str(path), error) from error


def read_checkpoint(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """A run's `last.pt`. Raises ModelError where it is missing, damaged, or lacks one of `keys`."""
    if not path.is_file():
        raise ModelError(str(path), "there is no such checkpoint", "Run `rtface train` first, or name another --run")
    try:
        saved: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damage leads the unpickler to almost any of them
        raise ModelError(str(path), f"is no readable checkpoint: {_first_line(error)}", _MEND) from error
    if not isinstance(saved, dict) or not saved.keys() >= set(keys):
        raise ModelError(str(path), "is no checkpoint of `rtface train`", _MEND)
    return saved


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__} {str(error).partition(chr(10))[0]}".strip()


def _append_csv(path: Path, row: dict[str, Any]) -> None:
    """Append a row; a new column rewrites the file, so that validation may come less often than losses."""
    rows: list[dict[str, Any]] = []
    if path.is_file():
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    rows.append({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
    names = list(dict.fromkeys(k for r in rows for k in r))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names)
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def plot_log(folder: Path) -> Path | None:
    """Draw every column of log.csv over steps into log.png; None where nothing is logged yet."""
    if not (folder / "log.csv").is_file():
        return None
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with (folder / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [n for n in rows[0] if n not in ("step", "minutes", "per_second")]
    columns = 4
    figure, axes = plt.subplots(-(-len(names) // columns), columns, figsize=(16, 2.6 * -(-len(names) // columns)))
    for axis, name in zip(axes.flat, names, strict=False):
        points = [(int(r["step"]), float(r[name])) for r in rows if r[name]]
        axis.plot(*zip(*points, strict=True))
        axis.set_title(name, fontsize=9)
    figure.tight_layout()
    figure.savefig(folder / "log.png", dpi=80)
    plt.close(figure)
    return folder / "log.png"


@contextmanager
def run_session(run: Run, batches: Generator[Any, None, None]) -> Iterator[None]:
    """Run the body with the schedule's clock going; however it ends, stop the batches, save and plot."""
    try:
        parallel.share(run.net)
        run.unpause()
        yield
    except KeyboardInterrupt:
        parallel.tell("stopped; run the same command to go on")
        raise
    finally:
        batches.close()
        run.save()
        if parallel.leads():
            plot_log(run.folder)
        parallel.leave()


def prefetch(make: Callable[[], T], depth: int = 3) -> Generator[T, None, None]:
    """Yield `make()` for ever, made ahead in a thread (OpenCV and numpy release the interpreter's lock).

    `close()` ends the thread. What `make` raises is raised here.
    """
    box: queue.Queue[T | BaseException] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: T | BaseException) -> None:
        while not stop.is_set():
            with suppress(queue.Full):
                box.put(item, timeout=0.2)
                return

    def work() -> None:
        while not stop.is_set():
            try:
                put(make())
            except BaseException as error:  # active_tasks to the reader, who raises it
                put(error)
                return

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item = box.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        thread.join()


def load(
    make: Callable[[int, A], T], first: int, argument: Callable[[], A], workers: int = 0, pinned: bool = False
) -> Generator[T, None, None]:
    """Yield `make(number, argument())` for number = `first`, `first` + 1 … for ever, in order and made ahead; under
    torchrun each process makes every n-th, none twice.

    Args:
        make: Makes a batch from its number: a run that goes on sees what it would have seen.
        first: The first number.
        argument: Asked in this process, a few batches before the batch is used.
        workers: Processes that make batches; 0 = a thread of this one.
        pinned: Batches come in page-locked memory, from which a GPU reads by itself (only with workers).

    `close()` ends thread or processes. What `make` raises is raised here.

    Raises:
        OptionError: `workers` where processes cannot be forked: they would each need a copy of the pictures.
    """
    team = parallel.team()
    keys = ((number, argument()) for number in count(first * team.size + team.rank, team.size))
    if not workers:
        return prefetch(lambda: make(*next(keys)))
    if "fork" not in torch.multiprocessing.get_all_start_methods():
        raise OptionError("--workers", "this system cannot fork processes", "Pass --workers 0")
    return _by_processes(make, keys, workers, pinned)


def _by_processes(
    make: Callable[[int, A], T], keys: Iterator[tuple[int, A]], workers: int, pinned: bool
) -> Generator[T, None, None]:
    loader: DataLoader[T] = DataLoader(
        _Made(make),
        batch_size=None,
        sampler=keys,
        num_workers=workers,
        prefetch_factor=4,
        pin_memory=pinned,
        multiprocessing_context="fork",
        worker_init_fn=_begin_worker,
    )
    yield from loader


class _Made(Dataset[T]):
    """What `DataLoader` takes: a batch for each key."""

    def __init__(self, make: Callable[[int, Any], T]) -> None:
        self._make = make

    def __getitem__(self, key: tuple[int, Any]) -> T:
        return self._make(*key)


def _begin_worker(_: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the training's own to answer
    cv2.setNumThreads(1)


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 there: a CPU without it takes many times as long."""
    return device.type == "cuda" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast(device: torch.device) -> torch.autocast:
    """A context in which networks compute in bfloat16 where that is faster, else in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bf16(device))


def pick_device(name: str) -> torch.device:
    """The device called auto (CUDA where there is one), cpu or cuda. Raises OptionError for others or none."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise OptionError("--device", f"expected auto, cpu or cuda, got {name!r}", "Pass one of these")
    if name == "cuda" and not torch.cuda.is_available():
        raise OptionError("--device cuda", "torch sees no CUDA device", "Pass --device cpu, or leave it out")
    return torch.device(name)
