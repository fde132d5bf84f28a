"""What training runs of the multi-task network see on val crops: points by part of the face, parsing by class.

    python -m benchmarks.crop_scores runs/a runs/b --data corpus           # needs: pip install 'rtface[train]'

The averaged weights of each run's last.pt, one pass (ITER 0), on clean 128 px crops that are cut by the labels: no
detector, no second look. So two runs are told apart in a minute; figures to report come from `rtface eval`. Points:
mean distance in % of the outer eye corners' distance; `inner 51, offset off` is without each point's median offset over
all faces, which is what two conventions of labels differ by. Parsing: F of each class, pooled over the pictures.
Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.bench.report import table
from rtface.labels import PARSING_CLASSES
from rtface.system.files import cache_dir
from rtface.train.data.faces import Augment
from rtface.train.data.mixed import grouped_samples
from rtface.train.data.samples import Sample, teaches
from rtface.train.losses import Targets
from rtface.train.nets.ifan import SUB
from rtface.train.nets.registry import Network, build_engine
from rtface.train.parsing_loss import COMPONENTS, IGNORE
from rtface.train.run import read_checkpoint
from rtface.train.sampling import collate
from rtface.train.sources import of_folder

SCHEMA = "rtface.crop-scores/1"
PARTS = {"jaw": (0, 17), "brows": (17, 27), "nose": (27, 36), "eyes": (36, 48), "mouth": (48, 68), "inner 51": (17, 68)}
"""The points of each part, from and up to."""


def network(run: Path) -> Network:
    """A run's averaged weights. Raises ModelError where it has none."""
    net = build_engine("fast", residual=False, association=False, reencode=True)
    net.load_state_dict(read_checkpoint(run / "last.pt", ("ema",))["ema"])
    return net.eval()


def batches(samples: Sequence[Sample]) -> Iterator[tuple[torch.Tensor, Targets]]:
    """Clean crops and their labels, fifty at a time."""
    augment = Augment(128, np.random.default_rng(0), strength=0.0)
    for start in range(0, len(samples), 50):
        yield collate([augment(sample) for sample in samples[start : start + 50]])


@torch.no_grad()
def points(net: Network, samples: Sequence[Sample]) -> dict[str, float]:
    """Mean distance of the points by part, % of the outer eye corners' distance."""
    found = []
    for crops, told in batches(samples):
        ocular = (told.landmarks[:, 36] - told.landmarks[:, 45]).norm(dim=1)[:, None, None]
        found.append(((net(crops, 0)[0].points - told.landmarks) / ocular).numpy())
    apart = np.concatenate(found)
    error = 100.0 * np.linalg.norm(apart, axis=2)
    level = 100.0 * np.linalg.norm(apart - np.median(apart, axis=0), axis=2)
    figures = {"all 68": error, **{name: error[:, first:end] for name, (first, end) in PARTS.items()}}
    figures["inner 51, offset off"] = level[:, 17:]
    return {f"points: {name}": float(values.mean()) for name, values in figures.items()}


@torch.no_grad()
def parsing(net: Network, samples: Sequence[Sample]) -> dict[str, float]:
    """F by class in per cent, and their mean over eyes, brows, nose, mouth and lips."""
    both, either = np.zeros(len(PARSING_CLASSES)), np.zeros(len(PARSING_CLASSES))
    for crops, told in batches(samples):
        known = told.parsing != IGNORE
        said = F.pixel_shuffle(net(crops, 0)[0].parsing_logits, SUB).argmax(1)
        for index in range(len(PARSING_CLASSES)):
            here, there = (said == index) & known, told.parsing == index
            both[index] += 2 * float((here & there).sum())
            either[index] += float(here.sum() + there.sum())
    score = 100.0 * both / either.clip(min=1.0)
    by_class = {name: float(value) for name, value in zip(PARSING_CLASSES, score, strict=True)}
    return {"F, eyes to lips": float(np.mean([score[index] for index in COMPONENTS])), **by_class}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the runs; prints a table and a JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders of `rtface train engine`")
    parser.add_argument("--data", required=True, type=Path, help="folder of corpus files with val rows")
    parser.add_argument("--cache", type=Path, default=cache_dir() / "corpus", help="folder of decoded pixels")
    told = parser.parse_args(arguments)
    torch.set_num_threads(1)
    groups = grouped_samples(of_folder(told.data, teaches), told.cache, ("val",))
    figures = {}
    for run in told.runs:
        net = network(run)
        figures[str(run)] = points(net, groups["landmarks"]) | parsing(net, groups["parsing"])
    names = list(next(iter(figures.values())))
    print(table(("", *figures), [(name, *(f"{one[name]:.2f}" for one in figures.values())) for name in names]))
    counts = {name: len(groups[name]) for name in ("landmarks", "parsing")}
    print(json.dumps({"schema": SCHEMA, "faces": counts, "runs": figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
