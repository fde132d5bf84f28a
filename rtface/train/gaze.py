"""Training of the line of sight (nets.sight) on a network with mesh that ships and stays as it is.

That network looks at every crop and says, as it will at run time, where the eyes are and what its eye branch sees
there. Synthetic heads (`rtface train synth`) know where they look; of people a teacher's mesh tells it by geometry.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
import torch.nn.functional as F
from onnx import helper, numpy_helper
from torch import Tensor

from rtface.datasets.labelled import LabelledImage
from rtface.errors import InputError, ModelError
from rtface.geometry.crop import CROP_SIZE, SMALL_CROP_SIZE
from rtface.geometry.sight import direction
from rtface.models import load
from rtface.train import parallel
from rtface.train.compiling import compile_network
from rtface.train.config import HeadsConfig
from rtface.train.data.faces import Augment, Item
from rtface.train.data.mesh import MeshToPoints
from rtface.train.data.pixel_cache import Picture
from rtface.train.data.samples import Sample, samples_of
from rtface.train.heads import (
    VALIDATED,
    begins_folded,
    begins_with_file,
    crop_sizes,
    draw,
    pictures_to_learn_from,
    pictures_to_validate_on,
)
from rtface.train.init import warm_start
from rtface.train.nets.eyes import SHARED
from rtface.train.nets.heads import EYE_TENSORS, PREFIX
from rtface.train.nets.sight import SIGHT_PREFIX, Sight, sight_like
from rtface.train.run import Run, Schedule, autocast, optimizer, pick_device, prepare, read_checkpoint, run_session
from rtface.train.run import load as batches_of

BASES = {CROP_SIZE: "engine-full", SMALL_CROP_SIZE: f"engine-full-{SMALL_CROP_SIZE}"}
"""The networks that look, by the side of their crops."""

EACH_EYE = 0.5  # how much an eye's own line of sight counts beside both eyes'


def eyes_in(model: onnx.ModelProto) -> tuple[str, ...]:
    """Names of the graph's tensors that a line of sight reads (`EYE_TENSORS`).

    Raises:
        ModelError: The network has no eye branch.
    """
    names = tuple(f"{PREFIX}{name}" for name in EYE_TENSORS)
    if not {*names} <= {name for node in model.graph.node for name in node.output}:
        mend = "Train eyes (`rtface train heads --part eyes`) and export them: rtface export heads"
        raise ModelError("the network", "has no branch that looks at the eyes", mend)
    return names


def eyes_of(model: onnx.ModelProto) -> str | None:
    """A digest of the eye branch's first layers in a float network, None where there are no such weights: a line of
    sight learns to read what these layers say, and is degrees off on others."""
    first = tuple(f"{PREFIX}heads.eyes.layers.{layer}.conv.weight" for layer in range(SHARED))
    weights = {tensor.name.removesuffix("_half"): tensor for tensor in model.graph.initializer}
    if not weights.keys() >= {*first}:
        return None
    digest = hashlib.sha256()
    for name in first:
        digest.update(numpy_helper.to_array(weights[name]).astype(np.float32).tobytes())
    return digest.hexdigest()


class Looks:
    """A network with mesh, up to what its eye branch looks at, under ONNX Runtime.

    Args:
        data: The ONNX file, with its weights.
        threads: Of ONNX Runtime.

    Raises:
        ModelError: It has no eye branch.
    """

    def __init__(self, data: bytes, threads: int = 1) -> None:
        model = onnx.load_from_string(data)
        self._names = list(eyes_in(model))
        model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in self._names)
        part = onnx.utils.Extractor(model).extract_model([model.graph.input[0].name], self._names)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        self._session: Any = onnxruntime.InferenceSession(
            part.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What `Sight` reads of crops (N, S, S, 3) uint8."""
        features, maps, mesh = self._session.run(self._names, {"crops": np.ascontiguousarray(crops.cpu().numpy())})
        return torch.from_numpy(features), torch.from_numpy(maps), torch.from_numpy(mesh)


@dataclass
class Batch:
    """Crops (N, S, S, 3) uint8 and unit vectors (N, 3) to the right, down and towards the camera."""

    crops: Tensor
    sight: Tensor


def train_gaze(config: HeadsConfig) -> Path:
    """Train (or go on training) and return the checkpoint. Ctrl-C saves before it leaves.

    Raises:
        InputError: No face of the sources tells where it looks.
    """
    parallel.alone("heads")
    return learn_gaze(config, *faces_that_look(config))


def learn_gaze(
    config: HeadsConfig,
    training: Sequence[Sample],
    validation: Sequence[Sample],
    chances: npt.NDArray[np.float64],
) -> Path:
    """Train on samples that have a gaze, drawn with these chances, and return the checkpoint."""
    prepare(config)
    device = pick_device(config.device)
    networks = {size: load(name, config.models) for size, name in BASES.items()}
    looks = {size: Looks(network, config.threads) for size, network in networks.items()}
    sight = Sight()
    if begins_folded(config, "norm."):
        sight.fold()
    sight.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = Run(
        config.run,
        sight,
        optimizer(sight, config.rate),
        Schedule(config.rate, config.minutes, config.steps, config.warmup, end=0.0),
    )
    if (eyes := eyes_of(onnx.load_from_string(networks[CROP_SIZE]))) is not None:
        run.facts["eyes"] = eyes
    if run.resume():
        print(f"going on from step {run.step} of {run.checkpoint}", file=sys.stderr)
    elif config.init is not None:
        if begins_with_file(config.init):
            some = collate(draw(training, chances, min(192, 8 * len(training)), CROP_SIZE, np.random.default_rng(0)))
            seen = [one.to(device) for one in looks[CROP_SIZE](some.crops)]
            warm_start(sight, config.init, f"{SIGHT_PREFIX}sight.", lambda: sight(*seen))
        else:
            sight.load_state_dict(load_sight(config.init).state_dict())
        run.ema.copy(sight)
    if config.compile:
        compile_network(sight, device)

    def batch(number: int, size: int) -> Batch:
        return collate(draw(training, chances, config.batch, size, np.random.default_rng((config.seed, number))))

    sizes = crop_sizes(config.small_share, run.step)
    batches = batches_of(batch, run.step, lambda: next(sizes), config.workers)
    with run_session(run, batches):
        while run.progress < 1.0:
            made = next(batches)
            sight.train()
            seen = [one.to(device) for one in looks[made.crops.shape[1]](made.crops)]
            with autocast(device):
                eyes = sight(*seen)
            run.update(losses(eyes.cpu(), made.sight), len(made.crops))
            run.maybe_validate(config.validate_minutes, lambda: validate(run, looks[CROP_SIZE], validation))
    return run.checkpoint


def losses(eyes: Tensor, sight: Tensor) -> dict[str, Tensor]:
    """How far both eyes' line of sight, and each eye's (N, 2, 3), is from the true one (N, 3), as unit vectors."""
    both = F.smooth_l1_loss(F.normalize(eyes.sum(1), dim=1), sight, beta=0.1)
    each = F.smooth_l1_loss(F.normalize(eyes, dim=2), sight[:, None].expand_as(eyes), beta=0.1)
    return {"gaze": 10.0 * both, "each_eye": 10.0 * EACH_EYE * each}


def collate(items: Sequence[Item]) -> Batch:
    """Items that have a gaze, as a batch."""
    vectors = direction(np.stack([item.gaze for item in items if item.gaze is not None])) * (1.0, 1.0, -1.0)
    return Batch(torch.from_numpy(np.stack([item.image for item in items])), torch.from_numpy(vectors).float())


def load_sight(checkpoint: Path) -> Sight:
    """The averaged weights of a run, in eval mode.

    Raises:
        ModelError: They cannot be read.
    """
    saved = read_checkpoint(checkpoint, ("ema",))["ema"]
    sight = sight_like(saved)
    try:
        sight.load_state_dict(saved)
    except RuntimeError as error:
        mend = "Name last.pt of `rtface train heads --part gaze`"
        raise ModelError(str(checkpoint), "holds no line of sight", mend) from error
    return sight.eval()


def teaches_gaze(row: LabelledImage) -> bool:
    """Whether a picture has a face that may tell where it looks."""
    return any(face.mesh478 is not None and (face.gaze is not None or face.pose is not None) for face in row.faces)


def faces_that_look(config: HeadsConfig) -> tuple[list[Sample], list[Sample], npt.NDArray[np.float64]]:
    """Faces to learn from, those to validate on, which may be none, and the chances of the first to be drawn."""
    sources, pictures, mesh_map = pictures_to_learn_from(config, teaches_gaze, BASES[CROP_SIZE])
    groups = [_that_look(some, mesh_map) for some in pictures]
    training = [sample for group in groups for sample in group]
    if not training:
        raise InputError("rtface train heads", "no face tells where it looks", "Add heads: rtface train synth")
    shares = [one.share for one in sources] if config.sources else [float(len(group)) for group in groups]
    total = sum(share for share, group in zip(shares, groups, strict=True) if group)
    chances = [np.full(len(g), share / total / len(g)) for share, g in zip(shares, groups, strict=True) if g]
    validation = _that_look(pictures_to_validate_on(config, sources), mesh_map)
    print(f"{len(training)} faces to learn from, {len(validation)} to validate on", file=sys.stderr)
    return training, validation[:VALIDATED], np.concatenate(chances)


def _that_look(pictures: Sequence[Picture], mesh_map: MeshToPoints | None) -> list[Sample]:
    return [sample for sample in samples_of(pictures, mesh_map) if sample.gaze is not None]


@torch.no_grad()
def validate(run: Run, looks: Looks, samples: Sequence[Sample]) -> dict[str, float]:
    """Of the averaged weights on clean crops: mean angle to where faces look, degrees."""
    if not samples:
        return {}
    sight = sight_like(run.ema.state).eval()
    sight.load_state_dict({name: value.cpu() for name, value in run.ema.state.items()})
    augment, total = Augment(CROP_SIZE, np.random.default_rng(0), strength=0.0), 0.0
    for start in range(0, len(samples), 100):
        made = collate([augment(sample) for sample in samples[start : start + 100]])
        told = F.normalize(sight(*looks(made.crops)).sum(1), dim=1)
        total += float(torch.rad2deg(torch.acos((told * made.sight).sum(1).clamp(-1.0, 1.0))).sum())
    return {"angle_deg": total / len(samples)}
