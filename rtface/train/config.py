"""What a training run is told: each option once, with its default, its rule and the help of its flag. Needs no torch.

An option comes from a flag of `rtface train`, else from the TOML file of ``--config``, else it is the default here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtface.errors import OptionError
from rtface.option_rules import Rule, Unfit, keep_by_rules, maybe, number, one_of, option, path, switch
from rtface.system.files import cache_dir

if TYPE_CHECKING:
    from rtface.train.sources import Source

CACHE = cache_dir() / "corpus"
NETWORKS = ("fast", "ifan-paper")
PARTS = ("heads", "eyes", "gaze")
SHIPPED = Path(__file__).parent.parent / "models" / "engine-iter1.onnx"
_SHARE = number(0, 1, whole=False)
_COUNT = number(1, whole=True)
_PLAIN = number(0, whole=False)
_LATE = number(0, whole=False)  # a share of the run; beyond 1 = never
_BEGIN = "Begin with an exported network, e.g. rtface/models/detector.onnx, or another run's last.pt."


def _pair(value: Any) -> tuple[float, float]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or len(parts) != 2:
        raise Unfit("two numbers such as 0.22,0.42")
    return _LATE(parts[0]), _LATE(parts[1])


def _sides(value: Any) -> tuple[int, ...]:
    """A multiple of 4 is, four times enlarged, one of 16, which the critic's strides need."""
    try:
        parts = value.split(",") if isinstance(value, str) else value
        sides = tuple(sorted({int(part) for part in parts}))
    except (TypeError, ValueError):
        sides = ()
    if not sides or not all(side % 4 == 0 and 8 <= side <= 64 for side in sides):
        raise Unfit("multiples of 4 from 8 to 64, comma-separated, such as 16,24,32")
    return sides


def check_parts(network: str, residual: bool, association: bool, reencode: bool) -> None:
    """Raises OptionError for an unknown network, or a part that it does not have."""
    if network not in NETWORKS:
        raise OptionError("network", f"expected {' or '.join(NETWORKS)}, got {network!r}", "Pass one of these")
    if network == "ifan-paper" and (residual or association or not reencode):
        raise OptionError("network", "ifan-paper has no residual, association or bare feedback", "Use network fast")


@dataclass
class RunConfig:
    """What every training run is told. Ends after `minutes` or `steps`, what comes first.

    Raises:
        OptionError: A value is not what its option takes.
    """

    data: Path = option(rule=path, text="Folder of corpus files, whatever their names; see rtface import.")
    run: Path = option(rule=path, text="Folder of the run; it goes on where it stopped.")
    cache: Path = option(
        rule=path,
        text="Folder for decoded pixels, about 3 GB.",
        factory=lambda: CACHE,
        shown="~/.cache/rtface/corpus",
    )
    minutes: float | None = option(
        None, maybe(number(0.1, whole=False)), "Length of the schedule in minutes of training."
    )
    steps: int | None = option(None, maybe(_COUNT), "Its length in steps; with --minutes, what comes first.")
    batch: int = option(64, _COUNT, "Crops a step.")
    rate: float = option(2e-3, number(0, whole=False), "Peak learning rate (AdamW, warm-up, cosine).")
    seed: int = option(0, number(0, whole=True), "Seed of weights and augmentation.")
    device: str = option("auto", one_of("auto", "cpu", "cuda"), "auto, cpu or cuda.", choices=("auto", "cpu", "cuda"))
    threads: int = option(2, _COUNT, "Torch threads.")
    compile: bool = option(
        False, switch, "Compile the network (torch.compile; CUDA graphs on a GPU): minutes first, then quicker steps."
    )
    validate_minutes: float = option(10.0, _PLAIN, "Minutes of training between two validations.")
    skip_bad: bool = option(False, switch, "Leave out pictures that do not decode, and say how many.")
    only_open: bool = option(False, switch, "Refuse pictures and networks whose terms forbid commercial use.")
    sources: tuple[Source, ...] = ()
    """Drawn from instead of the corpus' own files in `data`: --source, or [[source]] in TOML."""

    def __post_init__(self) -> None:
        keep_by_rules(self)


@dataclass
class PooledConfig(RunConfig):
    """Of a training whose batches may be made by several processes."""

    workers: int = option(0, number(0, whole=True), "Processes that make batches (Linux, macOS); 0 = a thread.")


@dataclass
class EngineConfig(PooledConfig):
    """One training run of the multi-task engine."""

    init: Path | None = option(None, maybe(path), _BEGIN)
    teacher: Path | None = option(
        None, maybe(path), "Run folder of `rtface train teacher`, or its last.pt: learn emotion from it too."
    )
    network: str = option("fast", one_of(*NETWORKS), "fast or ifan-paper (slow).", choices=NETWORKS)
    iterations: int = option(1, number(0, 3, whole=True), "Rounds.")
    joint: bool = option(
        False, switch, "With interaction all learns on; default: it alone learns.", flag="--joint/--frozen"
    )
    reencode: bool = option(True, switch, "Re-encode answers fed back; default on.")
    residual: bool = option(False, switch, "RMT-Net's corrections; default off.")
    association: bool = option(False, switch, "RMT-Net's guesses at missing labels.")
    task_norm: bool = option(
        False, switch, "Batch norm by task in training; default shared.", flag="--task-norm/--shared-norm"
    )
    small_share: float = option(0.0, _SHARE, "Of the steps at 128 px, at 96 instead, for a ladder's engine.")
    grow_at: tuple[float, float] = option(
        (0.22, 0.42), _pair, "Shares of the run at which crops grow to 96 and 128 px.", metavar="A,B", shown="0.22,0.42"
    )
    interact_at: float = option(0.88, _LATE, "Share of the run at which interaction begins.")
    warmup: int = option(300, _COUNT, "Steps in which the learning rate rises.")

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)
        check_parts(self.network, self.residual, self.association, self.reencode)
        if self.compile and self.task_norm:
            raise OptionError("--compile", "batch norm by task has no fixed shapes", "Leave out one of the two")


@dataclass
class HeadsConfig(PooledConfig):
    """One training run of the heads for mesh and expression, of their eye branch, or of the line of sight.

    Raises:
        OptionError: A value is not what its option takes, or the eye branch has no heads to belong to.
    """

    batch: int = option(48, _COUNT, "Crops a step.")
    init: Path | None = option(
        None,
        maybe(path),
        "Begin with another run's last.pt, as far as it fits, or an exported network, e.g. engine-full.onnx.",
    )
    models: Path | None = option(
        None, maybe(path), "Folder of the network whose features are read.", shown="rtface's own"
    )
    small_share: float = option(0.2, _SHARE, "Of the steps, at 96 px, for a ladder's engine.")
    warmup: int = option(200, _COUNT, "Steps in which the learning rate rises.")
    part: str = option(
        "heads",
        one_of(*PARTS),
        "heads; eyes: the branch of --init's heads that looks at the eyes; gaze: the line of sight, by that branch.",
        choices=PARTS,
    )

    def __post_init__(self) -> None:
        RunConfig.__post_init__(self)
        if self.part == "eyes" and self.init is None:
            raise OptionError("--part", "eyes belong to heads that are trained", "Pass --init RUN/last.pt of the heads")


@dataclass
class TeacherConfig(PooledConfig):
    """One training run of the emotion teacher."""

    batch: int = option(128, _COUNT, "Crops a step.")


@dataclass
class DetectorConfig(RunConfig):
    """One training run of the detector."""

    batch: int = option(32, _COUNT, "Pictures a step.")
    init: Path | None = option(None, maybe(path), _BEGIN)
    cross_stitch: bool = option(True, switch, "Mix the task stems by cross-stitch units; default on.")
    uncertainty: bool = option(True, switch, "Learn the task weights; default on.")
    feedback: bool = option(True, switch, "Online feedback sampling; default on.")
    grow_at: float = option(0.75, _LATE, "Share of the run after which scenes are of 320 px, whole and calm, not 256.")
    warmup: int = option(300, _COUNT, "Steps in which the learning rate rises.")
    freeze: bool = option(False, switch, "Keep the first two layers as --init has them: a quarter faster.")


_WEIGHT = "Weight of this loss term; 0 leaves it out."


@dataclass
class SuperFanConfig(PooledConfig):
    """One training run of the enhancer."""

    batch: int = option(32, _COUNT, "Crops of the smallest size a step.")
    rate: float = option(1e-3, _PLAIN, "Peak learning rate (AdamW, warm-up, cosine).")
    pixel: float = option(1.0, _PLAIN, _WEIGHT)
    perceptual: float = option(0.1, _PLAIN, _WEIGHT)
    heat: float = option(1.0, _PLAIN, _WEIGHT)
    gan: float = option(0.001, _PLAIN, _WEIGHT)
    gan_at: float = option(0.8, _SHARE, "Share of the run at which the critic begins.")
    sizes: tuple[int, ...] = option((16, 24, 32), Rule(_sides), "Small sides in px, comma-separated.", shown="16,24,32")
    engine: Path = option(
        SHIPPED,
        path,
        "Exported float32 engine that the losses look through.",
        shown="engine-iter1.onnx",
    )
    clean: float = option(0.0, _SHARE, "Share of small faces only shrunk, not spoilt.")
    init: Path | None = option(None, maybe(path), "Begin with an exported enhancer.onnx, or another run's last.pt.")
