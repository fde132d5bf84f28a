"""Training of the heads for mesh and expression on a multi-task network that ships and stays as it is (see nets.heads).

Labels are a teacher's: 478 points and 52 blend shapes of a face (`python -m benchmarks.mesh` writes them into a corpus
file). A teacher's shut eyes and open mouths are few, so faces that show something rare are drawn more often.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from rtface.datasets.labelled import LabelledImage
from rtface.errors import InputError, ModelError
from rtface.geometry.crop import CROP_SIZE, SMALL_CROP_SIZE
from rtface.models import entry
from rtface.train import parallel
from rtface.train.compiling import compile_network
from rtface.train.config import HeadsConfig
from rtface.train.data.faces import Augment, Item
from rtface.train.data.mesh import MeshToPoints
from rtface.train.data.pixel_cache import Picture, read_pictures
from rtface.train.data.samples import Sample, fit_mesh_map, samples_of
from rtface.train.init import warm_start
from rtface.train.losses import gaussian_cells, wing
from rtface.train.manifest import describe
from rtface.train.multitask import every_share
from rtface.train.nets.heads import ANCHORS, MESH, PREFIX, HeadOutputs, Heads, heads_like
from rtface.train.open_set import note
from rtface.train.run import (
    Run,
    Schedule,
    autocast,
    load,
    optimizer,
    pick_device,
    prepare,
    read_checkpoint,
    run_session,
)
from rtface.train.sources import Source, of_folder
from rtface.train.trunk import Trunk

BASES = {CROP_SIZE: "engine-iter0", SMALL_CROP_SIZE: f"engine-{SMALL_CROP_SIZE}"}
"""The networks that are read, by the side of their crops."""

RARE = 0.4  # a blend shape above this shows something
MOST = 12.0  # times that the rarest face is drawn for the commonest
VALIDATED = 600  # most faces that a run is measured on
OUTER_CORNERS = (33, 263)  # of the eyes, in the mesh
_FINE = (*range(468, 478), *ANCHORS[:20])  # irises, lids and corners of the eyes
_LIPS = ANCHORS[20:42]


@dataclass
class Labels:
    """A batch of a teacher's labels: mesh (N, 478, 2) normalised, expression (N, 52) 0..1, told (N,) where it is."""

    mesh: Tensor
    expression: Tensor
    told: Tensor


def train_heads(config: HeadsConfig) -> Path:
    """Train (or go on training) and return the checkpoint. Ctrl-C saves before it leaves."""
    parallel.alone("heads")
    return learn(config, *faces_to_learn_from(config))


def learn(
    config: HeadsConfig,
    training: Sequence[Sample],
    validation: Sequence[Sample],
    chances: npt.NDArray[np.float64] | None = None,
) -> Path:
    """Train on faces that have a mesh, drawn with these chances (default: `rarity`), and return the checkpoint."""
    prepare(config)
    device = pick_device(config.device)
    trunks = {size: Trunk(name, config.models, config.threads) for size, name in BASES.items()}
    heads = Heads()
    if begins_folded(config, ".whiten."):
        heads.expression.fold()
    heads.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    schedule = Schedule(config.rate, config.minutes, config.steps, warmup=config.warmup)
    run = Run(config.run, heads, optimizer(heads, config.rate), schedule)
    if run.resume():
        print(f"going on from step {run.step} of {run.checkpoint}", file=sys.stderr)
    elif config.init is not None and begins_with_file(config.init):
        crops, _ = collate(some_of(training))
        fill(heads, config.init, trunks[CROP_SIZE], crops)
        run.ema.copy(heads)
    else:
        if not heads.expression.folded:
            begin_with_mean(heads, training)
        if config.init is not None:
            initialize_heads(heads, config.init)
        run.ema.copy(heads)
    if config.compile:
        compile_network(heads, device)
    drawn = rarity(training) if chances is None else chances

    def batch(number: int, size: int) -> tuple[Tensor, Labels]:
        return collate(draw(training, drawn, config.batch, size, np.random.default_rng((config.seed, number))))

    sizes = crop_sizes(config.small_share, run.step)
    batches = load(batch, run.step, lambda: next(sizes), config.workers)
    with run_session(run, batches):
        while run.progress < 1.0:
            crops, labels = next(batches)
            heads.train()
            features = [one.to(device) for one in trunks[crops.shape[1]](crops)]
            with autocast(device):
                out = heads(*features)
            run.update(losses(out, labels), len(crops))
            run.maybe_validate(config.validate_minutes, lambda: validate(run, trunks[CROP_SIZE], validation))
    return run.checkpoint


def draw(
    samples: Sequence[Sample], chances: npt.NDArray[np.float64], number: int, size: int, rng: np.random.Generator
) -> list[Item]:
    """So many of the samples, drawn with these chances, as varied crops of `size` px."""
    augment = Augment(size, rng)
    return [augment(samples[int(index)]) for index in rng.choice(len(samples), number, p=chances)]


def crop_sizes(small_share: float, first: int) -> Iterator[int]:
    """Side in px of each step's crops, from the step `first` on."""
    return (SMALL_CROP_SIZE if every_share(step, small_share) else CROP_SIZE for step in count(first))


def losses(out: HeadOutputs, labels: Labels) -> dict[str, Tensor]:
    """Wing loss of points (eyes and lips count more), heat maps' cross entropy, blend shapes, expected error."""
    mesh = out.mesh.float()
    weight = _weights(mesh.device)
    points = (wing((mesh - labels.mesh).abs() * 64.0, width=4.0) * weight).mean()
    told_anchors = labels.mesh[:, list(ANCHORS)]
    anchors = wing((out.anchors - told_anchors).abs() * 64.0, width=4.0).mean()
    n, k, h, w = out.heat.shape
    heat = -(gaussian_cells(told_anchors, h, w) * torch.log_softmax(out.heat.reshape(n, k, h * w), 2)).sum(2).mean()
    told = labels.told[:, None]
    shapes = F.smooth_l1_loss(torch.sigmoid(out.expression.float()), labels.expression, reduction="none", beta=0.05)
    expression = (shapes * told).sum() / (told.sum() * labels.expression.shape[1]).clamp(min=1.0)
    error = (mesh - labels.mesh).norm(dim=2).mean(1).detach() * 0.5  # share of the crop's side
    return {
        "mesh": 0.5 * points,
        "anchors": 0.25 * anchors,
        "heat": 0.25 * heat,
        "expression": 60.0 * expression,
        "mesh_std": 5.0 * (out.mesh_std - error).abs().mean(),
    }


def _weights(device: torch.device) -> Tensor:
    weight = torch.ones(MESH, 1, device=device)
    weight[list(_LIPS)] = 2.0
    weight[list(_FINE)] = 4.0
    return weight / weight.mean()


def collate(items: Sequence[Item]) -> tuple[Tensor, Labels]:
    """Crops (N, S, S, 3) uint8 and their labels; where blend shapes are not labelled they are zero."""
    none = np.zeros(52, np.float32)
    meshes = np.stack([item.mesh for item in items if item.mesh is not None]).astype(np.float32)
    shapes = np.stack([none if item.expression is None else item.expression for item in items])
    told = np.array([item.expression is not None for item in items], np.float32)
    crops = torch.from_numpy(np.stack([item.image for item in items]))
    return crops, Labels(torch.from_numpy(meshes), torch.from_numpy(shapes), torch.from_numpy(told))


def rarity(samples: Sequence[Sample]) -> npt.NDArray[np.float64]:
    """How likely each sample is drawn: by the rarest thing that its face shows."""
    none = np.zeros(52, np.float32)
    shown = np.stack([none if s.expression is None else s.expression for s in samples]) > RARE
    common = np.sqrt(len(samples) / shown.sum(0).clip(min=1) / 10.0).clip(1.0, MOST)
    weight = np.where(shown, common, 1.0).max(1)
    chance: npt.NDArray[np.float64] = weight / weight.sum()
    return chance


def mixed(shares: Sequence[float], groups: Sequence[Sequence[Sample]]) -> npt.NDArray[np.float64]:
    """How likely each sample of each group is drawn: its group by its share, and in it what is rare more often."""
    known = [(share, group) for share, group in zip(shares, groups, strict=True) if group]
    total = sum(share for share, _ in known)
    return np.concatenate([share / total * rarity(group) for share, group in known])


@torch.no_grad()
def begin_with_mean(heads: Heads, samples: Sequence[Sample]) -> None:
    """Let the mesh begin as the training faces' mean, and blend shapes as their median; and see how anchors differ."""
    augment = Augment(CROP_SIZE, np.random.default_rng(0))
    some = np.random.default_rng(0).choice(len(samples), min(3000, 8 * len(samples)), p=rarity(samples))
    _, labels = collate([augment(samples[int(index)]) for index in some])
    heads.expression.fit(labels.mesh[:, list(ANCHORS)].flatten(1))
    shape, last = heads.mesh[1], heads.expression.last
    assert isinstance(shape, torch.nn.Linear)
    shape.weight.mul_(0.3)
    shape.bias.copy_(labels.mesh.mean(0).flatten())
    last.weight.mul_(0.1)
    last.bias.copy_(torch.logit(labels.expression[labels.told > 0].median(0).values.clamp(0.01, 0.99)))


def begins_with_file(init: Path | None) -> bool:
    """Whether a run begins with an exported network, not with a run's checkpoint."""
    return init is not None and init.suffix != ".pt"


def begins_folded(config: HeadsConfig, unfolded: str) -> bool:
    """Whether a run's layers are folded as an exported network's are: it begins with one, or with a run that did.

    `unfolded` is part of a name in the checkpoints of runs whose layers are not.
    """
    last = config.run / "last.pt"
    begins = last if last.is_file() else config.init
    if begins is None or begins_with_file(begins):
        return begins is not None
    return not any(unfolded in name for name in read_checkpoint(begins, ("ema",))["ema"])


def some_of(samples: Sequence[Sample], most: int = 192) -> list[Item]:
    """Varied crops of some samples."""
    rng = np.random.default_rng(0)
    return draw(samples, rarity(samples), min(most, 8 * len(samples)), CROP_SIZE, rng)


def fill(heads: Heads, model: Path, trunk: Trunk, crops: Tensor) -> None:
    """Fill heads, whose expression is folded, with what an exported network with heads holds, e.g.
    rtface/models/engine-full.onnx; `crops` (N, S, S, 3) are varied ones.

    Raises:
        ModelError: The file is missing, is no ONNX file, or has no such heads.
    """
    device = next(heads.parameters()).device
    features = [one.to(device) for one in trunk(crops)]
    held = warm_start(heads, model, f"{PREFIX}heads.", lambda: heads(*features, crops.to(device)))
    _tell_without_eyes(heads, held, model)


def _tell_without_eyes(heads: Heads, held: Collection[str], begun_with: Path) -> None:
    """Say that an eye branch is left behind: it belongs to the heads as they were."""
    if heads.eyes is None and any(name.startswith("eyes.") for name in held):
        parallel.tell(
            f"the eyes of {begun_with} are left out; teach new ones with --part eyes when these heads are done"
        )


def initialize_heads(heads: Heads, checkpoint: Path) -> None:
    """Fill in another run's averaged weights, as far as names and shapes are the same.

    Raises:
        ModelError: It cannot be read, or nothing of it fits.
    """
    own, saved = heads.state_dict(), read_checkpoint(checkpoint, ("ema",))["ema"]
    fitting = {name: value for name, value in saved.items() if name in own and own[name].shape == value.shape}
    if not fitting:
        raise ModelError(str(checkpoint), "has no heads", "Name last.pt of `rtface train heads` with --init")
    heads.load_state_dict({name: value for name, value in fitting.items() if ".whiten." not in name}, strict=False)
    _tell_without_eyes(heads, saved, checkpoint)


def teaches_heads(row: LabelledImage) -> bool:
    """Whether a picture has a mesh."""
    return any(face.mesh478 is not None for face in row.faces)


def faces_to_learn_from(
    config: HeadsConfig, label: Callable[[Sequence[Sample]], None] | None = None
) -> tuple[list[Sample], list[Sample], npt.NDArray[np.float64]]:
    """Faces to learn from, those to validate on, which may be none, and the chances of the first to be drawn.

    `label` adds labels to the first.
    """
    sources, pictures, mesh_map = pictures_to_learn_from(config, teaches_heads, BASES[CROP_SIZE])
    if mesh_map is None:
        raise InputError("rtface train heads", "too few faces have 68 points and a mesh", "Add landmarks.parquet")
    groups = [[sample for sample in samples_of(some, mesh_map) if sample.mesh is not None] for some in pictures]
    training = [sample for group in groups for sample in group]
    if label is not None:
        label(training)
    chances = mixed([one.share for one in sources], groups) if config.sources else rarity(training)
    val = samples_of(pictures_to_validate_on(config, sources), mesh_map)
    validation = [sample for sample in val if sample.mesh is not None]
    print(f"{len(training)} faces to learn from, {len(validation)} to validate on", file=sys.stderr)
    return training, validation[:VALIDATED], chances


def pictures_to_learn_from(
    config: HeadsConfig, teaches: Callable[[LabelledImage], bool], base: str
) -> tuple[tuple[Source, ...], list[list[Picture]], MeshToPoints | None]:
    """The sources, their pictures, and how a mesh tells 68 points, where enough faces say so; it is noted in the run
    what is learned from, beside the network `base`."""
    sources: tuple[Source, ...] = config.sources or of_folder(config.data, teaches)
    note(
        describe("heads", sources, teaches, without=(), base=entry(base, config.models).path, init=config.init),
        config.run,
        config.only_open,
    )
    read = [read_pictures(one.files, config.cache, one.splits, config.skip_bad) for one in sources]
    pictures = [[p for p in some if one.takes(p.labels)] for one, some in zip(sources, read, strict=True)]
    return sources, pictures, fit_mesh_map([picture for some in pictures for picture in some])


def pictures_to_validate_on(config: HeadsConfig, sources: Sequence[Source]) -> list[Picture]:
    """The val rows of the sources' files."""
    files = list(dict.fromkeys(file for source in sources for file in source.files))
    return read_pictures(files, config.cache, ("val",), config.skip_bad)


@torch.no_grad()
def validate(run: Run, trunk: Trunk, samples: Sequence[Sample]) -> dict[str, float]:
    """Of the averaged weights on clean crops: mesh and irises, % of the outer eye corners' distance; blend shapes'
    mean absolute error."""
    if not samples:
        return {}
    device = next(run.net.parameters()).device
    heads = heads_like(run.ema.state).to(device).eval()
    heads.load_state_dict(run.ema.state)
    augment = Augment(CROP_SIZE, np.random.default_rng(0), strength=0.0)
    sums = {"mesh_pct": 0.0, "iris_pct": 0.0, "shapes": 0.0}
    for start in range(0, len(samples), 100):
        crops, labels = collate([augment(s) for s in samples[start : start + 100]])
        out = heads(*(one.to(device) for one in trunk(crops)))
        apart = apart_pct(out.mesh.cpu(), labels.mesh)
        shapes = (torch.sigmoid(out.expression.cpu()) - labels.expression).abs().mean(1) * labels.told
        sums["mesh_pct"] += float(apart.mean(1).sum())
        sums["iris_pct"] += float(apart[:, 468:].mean(1).sum())
        sums["shapes"] += float(shapes.sum())
    return {name: value / len(samples) for name, value in sums.items()}


def apart_pct(mesh: Tensor, truth: Tensor) -> Tensor:
    """(N, 478): how far each point of a mesh lies from the true one's, % of the outer eye corners' distance."""
    left, right = OUTER_CORNERS
    ocular = (truth[:, left] - truth[:, right]).norm(dim=1)[:, None]
    return 100.0 * (mesh - truth).norm(dim=2) / ocular
