"""Training of the heads' eye branch (nets.eyes) while network and heads stay as they are.

It needs no features: a patch is cut where the true mesh says, moved by an error that the heads' own mesh has on
training faces, so that a step costs little more than its pictures. A teacher's blend shapes follow from its mesh; what
it would say of a synthetic head, whose eyes are exact, is read off them as it reads its own (`label_eyes`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtface.errors import ModelError
from rtface.geometry.crop import CROP_SIZE
from rtface.train import parallel
from rtface.train.compiling import compile_network
from rtface.train.config import HeadsConfig
from rtface.train.data.faces import Augment
from rtface.train.data.samples import SYNTHETIC, Sample
from rtface.train.heads import (
    BASES,
    Labels,
    apart_pct,
    begins_with_file,
    collate,
    crop_sizes,
    draw,
    faces_to_learn_from,
    fill,
    rarity,
    some_of,
)
from rtface.train.losses import wing
from rtface.train.nets.eyes import CONTOUR, EYE_POINTS, EYE_SHAPES, Frame, eye_points, eye_shapes, frame_of, planes_of
from rtface.train.nets.eyes import WIDTH as PATCH_WIDTH
from rtface.train.nets.heads import Heads, heads_like
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
from rtface.train.trunk import Trunk

SETTLED_ON = 1536  # training faces that tell how the heads err, and how far the branch is believed
WIDER = 1.2  # times the errors on faces that the heads have learned from: on others they err more
_TEACHES = 4096  # faces a step of the reader of blend shapes
_LIDS = [CONTOUR.index(point) for point in (159, 145)]


@dataclass
class Told:
    """What the heads say of some crops, which stays as it is while their eyes learn."""

    crops: Tensor  # (N, S, S, 3) uint8
    labels: Labels
    mesh: Tensor  # (N, 478, 2) normalised
    expression: Tensor  # (N, 52) logits

    def parts(self, size: int = 64) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Crops, mesh and expression of so many faces at a time."""
        for start in range(0, len(self.crops), size):
            part = slice(start, start + size)
            yield self.crops[part], self.mesh[part], self.expression[part]

    def where(self, which: Tensor) -> Told:
        """Only those of a mask (N,)."""
        labels = Labels(self.labels.mesh[which], self.labels.expression[which], self.labels.told[which])
        return Told(self.crops[which], labels, self.mesh[which], self.expression[which])


def train_eyes(config: HeadsConfig) -> Path:
    """Train (or go on training) the eye branch of `config.init`'s heads and return the checkpoint, which holds both.

    Raises:
        ModelError: `config.init` holds no heads.
    """
    parallel.alone("heads")
    return learn_eyes(config, *faces_to_learn_from(config, label_eyes))


def learn_eyes(
    config: HeadsConfig,
    training: Sequence[Sample],
    validation: Sequence[Sample],
    chances: npt.NDArray[np.float64] | None = None,
) -> Path:
    """Train on faces that have a mesh, drawn with these chances (default: `rarity`), and return the checkpoint."""
    prepare(config)
    device = pick_device(config.device)
    assert config.init is not None  # HeadsConfig asks for it
    trunk = Trunk(BASES[CROP_SIZE], config.models, config.threads)
    heads = with_eyes_of_file(config.init, trunk, training) if begins_with_file(config.init) else with_eyes(config.init)
    heads.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    eyes = heads.eyes
    assert eyes is not None
    drawn = rarity(training) if chances is None else chances
    rng = np.random.default_rng(config.seed)
    some = [training[int(at)] for at in rng.choice(len(training), min(SETTLED_ON, 8 * len(training)), p=drawn)]
    known = tell(heads, trunk, some, Augment(CROP_SIZE, rng))
    kept = tell(heads, trunk, validation, Augment(CROP_SIZE, rng, strength=0.0)) if validation else None
    photographs = known.where(torch.tensor([not _is_made(sample) for sample in some]))
    errors = frame_errors(frame_of(known.mesh), frame_of(known.labels.mesh)) * WIDER
    run = Run(
        config.run,
        heads,
        optimizer(eyes, config.rate),
        Schedule(config.rate, config.minutes, config.steps, config.warmup),
    )
    if run.resume():
        print(f"going on from step {run.step} of {run.checkpoint}", file=sys.stderr)
    else:
        if not begins_with_file(config.init):
            begin_with_mean(heads, known.labels)
        run.ema.copy(heads)
        if kept is not None:
            figures = measure(None, kept)
            print("the heads alone:", *(f"{name} {value:.3f}" for name, value in figures.items()), file=sys.stderr)
    if config.compile:
        compile_network(eyes, device)

    def batch(number: int, size: int) -> tuple[Tensor, Labels, Tensor]:
        rng = np.random.default_rng((config.seed, number))
        crops, labels = collate(draw(training, drawn, config.batch, size, rng))
        return crops, labels, errors[torch.from_numpy(rng.integers(0, len(errors), config.batch))]

    def settle() -> dict[str, float]:
        """Mix what the averaged weights see with what the heads say, as photographs have it, and measure both."""
        averaged = heads_like(run.ema.state).eval()
        averaged.load_state_dict({name: value.cpu() for name, value in run.ema.state.items()})
        fit_mix(averaged, photographs if len(photographs.crops) else known)
        assert averaged.eyes is not None
        for state in (run.ema.state, heads.state_dict()):
            state["eyes.mix"].copy_(averaged.eyes.mix)
            state["eyes.share"].copy_(averaged.eyes.share)
        return {} if kept is None else measure(averaged, kept)

    sizes = crop_sizes(config.small_share, run.step)
    batches = load(batch, run.step, lambda: next(sizes), config.workers)
    heads.eval()
    with run_session(run, batches):
        while run.progress < 1.0:
            crops, labels, moved = next(batches)
            eyes.train()
            frame = moved_by(frame_of(labels.mesh), moved)
            with autocast(device):
                patch, logits = eyes(
                    planes_of(crops.to(device)), Frame(frame.centres.to(device), frame.half.to(device))
                )
            run.update(losses(patch.cpu(), logits.cpu(), labels, frame), len(crops))
            run.maybe_validate(config.validate_minutes, settle)
    return run.checkpoint


def with_eyes(checkpoint: Path) -> Heads:
    """The averaged weights of a heads run, which learn no more, with an eye branch, that run's where it has one.

    Raises:
        ModelError: They cannot be read.
    """
    saved = read_checkpoint(checkpoint, ("ema",))["ema"]
    heads = heads_like((*saved, "eyes."))
    try:
        missing = [name for name in heads.load_state_dict(saved, strict=False).missing_keys if name[:5] != "eyes."]
    except RuntimeError as error:
        raise ModelError(str(checkpoint), f"is of another network: {error}", "Name a heads run's last.pt") from error
    if missing:
        raise ModelError(str(checkpoint), f"lacks {missing[0]}", "Name last.pt of `rtface train heads`")
    return _only_eyes_learn(heads)


def with_eyes_of_file(model: Path, trunk: Trunk, samples: Sequence[Sample]) -> Heads:
    """The heads and eyes of an exported network, of which only the eyes learn on.

    Raises:
        ModelError: It cannot be read, or has none.
    """
    heads = heads_like(("eyes.",))
    fill(heads, model, trunk, collate(some_of(samples))[0])
    return _only_eyes_learn(heads)


def _only_eyes_learn(heads: Heads) -> Heads:
    assert heads.eyes is not None
    heads.requires_grad_(False)
    heads.eyes.requires_grad_(True)
    return heads


@torch.no_grad()
def begin_with_mean(heads: Heads, labels: Labels) -> None:
    """Let the branch begin at the mean eye and the median of its blend shapes."""
    assert heads.eyes is not None
    last = heads.eyes.last
    last.weight.mul_(0.1)
    points = frame_of(labels.mesh).into(eye_points(labels.mesh)).mean((0, 1)).flatten()
    shapes = eye_shapes(labels.expression[labels.told > 0]).flatten(0, 1)
    shapes = shapes.median(0).values if len(shapes) else torch.full((len(EYE_SHAPES[0]),), 0.1)
    last.bias.copy_(torch.cat((points, torch.logit(shapes.clamp(0.01, 0.99)))))


def losses(patch: Tensor, logits: Tensor, labels: Labels, frame: Frame) -> dict[str, Tensor]:
    """Wing loss of points in px of the patch (irises and lids' middles count more), and blend shapes."""
    apart = (patch - frame.into(eye_points(labels.mesh))) * (PATCH_WIDTH / 2)
    weight = torch.ones(apart.shape[2], 1)
    weight[len(CONTOUR) :], weight[len(CONTOUR)], weight[_LIDS] = 1.5, 3.0, 2.0
    points = (wing(apart.norm(dim=3, keepdim=True), width=4.0) * weight / weight.mean()).mean()
    told = labels.told[:, None, None]
    shown = F.smooth_l1_loss(torch.sigmoid(logits), eye_shapes(labels.expression), reduction="none", beta=0.05)
    return {"points": 0.5 * points, "shapes": 30.0 * (shown * told).sum() / (14.0 * told.sum()).clamp(min=1.0)}


def frame_errors(frame: Frame, truth: Frame) -> Tensor:
    """(N, 6) how frames lie in the true ones: the centres' places in patches, size (logarithm), turn (radians)."""
    places = truth.into(frame.centres[:, :, None])[:, :, 0]
    size = 0.5 * torch.log((frame.half**2).sum(1) / (truth.half**2).sum(1))
    cross = truth.half[:, 0] * frame.half[:, 1] - truth.half[:, 1] * frame.half[:, 0]
    turn = torch.atan2(cross, (truth.half * frame.half).sum(1))
    return torch.cat((places.flatten(1), size[:, None], turn[:, None]), 1)


def moved_by(frame: Frame, errors: Tensor) -> Frame:
    """Frames that err from these ones as `frame_errors` has it."""
    centres = frame.out(errors[:, :4].reshape(-1, 2, 1, 2))[:, :, 0]
    size, c, s = errors[:, 4].exp(), errors[:, 5].cos(), errors[:, 5].sin()
    x, y = frame.half[:, 0], frame.half[:, 1]
    return Frame(centres, torch.stack((c * x - s * y, s * x + c * y), 1) * size[:, None])


@torch.no_grad()
def tell(heads: Heads, trunk: Trunk, samples: Sequence[Sample], augment: Augment) -> Told:
    """What the heads say of samples, without their eyes."""
    device = next(heads.parameters()).device
    heads.eval()
    parts = []
    for start in range(0, len(samples), 64):
        crops, labels = collate([augment(sample) for sample in samples[start : start + 64]])
        out = heads(*(one.to(device) for one in trunk(crops)))
        parts.append((crops, labels.mesh, labels.expression, labels.told, out.mesh.cpu(), out.expression.cpu()))
    crops, mesh, expression, told, out_mesh, out_expression = map(torch.cat, zip(*parts, strict=True))
    return Told(crops, Labels(mesh, expression, told), out_mesh, out_expression)


def fit_mix(heads: Heads, known: Told, steps: int = 300) -> None:
    """Weigh the branch's points and logits and the heads' so that both together are nearest to the labels."""
    eyes = heads.eyes
    assert eyes is not None
    with torch.no_grad():
        seen = [eyes(planes_of(crops), frame_of(mesh)) for crops, mesh, _ in known.parts()]
        patch, own = (torch.cat(some) for some in zip(*seen, strict=True))
        frame = frame_of(known.mesh)
        coarse, truth = frame.into(eye_points(known.mesh)), frame.into(eye_points(known.labels.mesh))
        eyes.share.copy_(_shares(coarse, patch, truth))
    told = known.labels.told > 0
    if bool(told.any()):
        shapes = eye_shapes(known.expression[told]), eye_shapes(known.labels.expression[told])
        eyes.mix.copy_(_mix(own[told], *shapes, steps))


def _shares(coarse: Tensor, patch: Tensor, truth: Tensor) -> Tensor:
    """(21, 1): by point the share of the way from coarse to patch (N, 2, 21, 2) that leads nearest to the truth."""
    way, share = patch - coarse, torch.full((patch.shape[2], 1), 0.5)
    for _ in range(8):  # least squares, weighed anew until distances count and not their squares
        weight = 1.0 / ((coarse + share * way - truth).norm(dim=3, keepdim=True) + 0.01)
        share = (weight * way * (truth - coarse)).sum((0, 1, 3)) / (weight * way * way).sum((0, 1, 3)).clamp(min=1e-6)
        share = share.clamp(0.0, 1.0)[:, None]
    return share


def _mix(own: Tensor, coarse: Tensor, shapes: Tensor, steps: int) -> Tensor:
    """(3, 7): weights of the logits own and coarse, and a shift, by the labels (N, 2, 7).

    eyeBlink stays the heads': in stills the mix is nearer to the teacher, in a stream it tells fewer blinks
    (`python benchmarks/blinks.py`: 18 of 21 for 21).
    """
    mix = torch.tensor((0.5, 0.5, 0.0))[:, None].repeat(1, own.shape[2]).requires_grad_()
    learning = torch.optim.Adam([mix], 0.02)
    for _ in range(steps):
        mixed = mix[0] * own + mix[1] * coarse + mix[2]
        loss = F.smooth_l1_loss(torch.sigmoid(mixed), shapes, beta=0.05)
        learning.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        learning.step()
    mix = mix.detach()
    mix[:, 0] = torch.tensor((0.0, 1.0, 0.0))
    return mix


@torch.no_grad()
def measure(heads: Heads | None, kept: Told) -> dict[str, float]:
    """Of clean crops, with the branch or (None) without: mesh, irises and lids, % of the outer eye corners' distance;
    the eyes' blend shapes' mean absolute error, and that of their lids."""
    mesh, expression, labels = kept.mesh, kept.expression, kept.labels
    if heads is not None and heads.eyes is not None:
        refined = [heads.eyes.refine(planes_of(crops), mesh, shapes)[:2] for crops, mesh, shapes in kept.parts()]
        mesh, expression = (torch.cat(some) for some in zip(*refined, strict=True))
    apart = apart_pct(mesh, labels.mesh)
    contour = [point for eye in EYE_POINTS for point in eye[: len(CONTOUR)]]
    figures = {"mesh_pct": apart, "iris_pct": apart[:, 468:], "lids_pct": apart[:, contour]}
    told = labels.told > 0
    wrong = (torch.sigmoid(eye_shapes(expression[told])) - eye_shapes(labels.expression[told])).abs()
    means = {name: float(value.mean()) for name, value in figures.items()}
    return {**means, "eye_shapes": float(wrong.mean()), "blink": float(wrong[..., 0].mean())}


def label_eyes(samples: Sequence[Sample]) -> None:
    """Give synthetic heads the eyes' blend shapes that the teacher would read off their eyes; the rig's own numbers
    are of another scale. Nothing is done where no other faces have blend shapes to learn the reading from."""
    made = [sample for sample in samples if _is_made(sample)]
    teachers = [sample for sample in samples if sample.expression is not None and not _is_made(sample)]
    if not made or len(teachers) < 2:
        return
    reader = _reader(teachers)
    with torch.no_grad():
        read = torch.sigmoid(reader(_shape_of_eyes(made))).reshape(len(made), 2, -1).numpy()
    for sample, shapes in zip(made, read, strict=True):
        sample.expression = np.zeros(52, np.float32)
        for eye, own in zip(EYE_SHAPES, shapes, strict=True):
            sample.expression[list(eye)] = own


def _is_made(sample: Sample) -> bool:
    return sample.picture.source.startswith(SYNTHETIC)


def _reader(samples: Sequence[Sample], steps: int = 500) -> nn.Module:
    """A small network from an eye's points to its blend shapes as the teacher tells them."""
    eyes = _shape_of_eyes(samples)
    told = torch.from_numpy(np.stack([s.expression for s in samples if s.expression is not None]))
    shapes = eye_shapes(told).flatten(0, 1)
    layers = nn.Sequential(nn.BatchNorm1d(eyes.shape[1]), nn.Linear(eyes.shape[1], 64), nn.ReLU(), nn.Linear(64, 7))
    learning = torch.optim.Adam(layers.parameters(), 5e-3)
    for step in range(steps):
        learning.param_groups[0]["lr"] = 5e-3 * (1.0 - step / steps)
        at = torch.randint(0, len(eyes), (_TEACHES,))
        loss = F.smooth_l1_loss(torch.sigmoid(layers(eyes[at])), shapes[at], beta=0.05)
        learning.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        learning.step()
    print(f"the teacher's blend shapes of eyes read off its mesh: loss {float(loss.detach()):.4f}", file=sys.stderr)
    return layers.eval()


def _shape_of_eyes(samples: Sequence[Sample]) -> Tensor:
    """(2 N, 42): each eye's points in its patch."""
    meshes = torch.from_numpy(np.stack([sample.mesh for sample in samples if sample.mesh is not None]))
    return frame_of(meshes).into(eye_points(meshes)).flatten(2).flatten(0, 1)
