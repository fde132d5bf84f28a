"""The ablation's Super-FAN arms: enhancers taught with more and more of the loss terms, and those that learn nothing.

Scored on the val faces of `benchmarks/enhance.py` at 16 px, by what the engine that ships then sees in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.enhance import measure, samples_of
from rtface import Analyzer, Options
from rtface.engine import Engine, OrtEngine, Tensors
from rtface.evaluate.samples import Sample
from rtface.tasks.enhance import OUTPUT, SCALE
from rtface.train import superfan
from rtface.train.config import SuperFanConfig
from rtface.train.data.pixel_cache import Picture, read_pictures
from rtface.train.export import export_superfan, load_superfan
from rtface.train.nets.superfan import SuperFan

FILES = ("landmarks", "parsing", "unlabelled", "points5")
WIDTH = 16  # px of the faces: what `--enhance` is for
PIXEL: dict[str, Any] = {"perceptual": 0.0, "heat": 0.0, "gan": 0.0}
# what differs from the weights of `rtface train superfan`; None = nothing is trained
ENHANCER_ARMS: dict[str, dict[str, Any] | None] = {
    "no-enhancer": None,
    "bicubic": None,
    "pixel": PIXEL,
    "pixel+perceptual": {"heat": 0.0, "gan": 0.0},
    "pixel+perceptual+heat": {"gan": 0.0},
    "super-fan": {},
    "pixel-seed1": {**PIXEL, "seed": 1},
}


class Bicubic:
    """An `Engine` that enlarges four times by cubic interpolation, which knows nothing of faces."""

    outputs = (OUTPUT,)

    def run(self, batch: np.ndarray[Any, Any], names: Sequence[str]) -> Tensors:
        """Small crops (N, S, S, 3) uint8 -> (N, 4 S, 4 S, 3) float32, 0..255."""
        side = SCALE * batch.shape[1]
        large = [cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in batch]
        return {OUTPUT: np.stack(large).astype(np.float32)}

    def describe(self) -> dict[str, str | int]:
        """Nothing but its name."""
        return {"engine": "bicubic"}

    def close(self) -> None:
        """There is nothing to give back."""


@dataclass
class EnhancerBench:
    """Faces read once, and the training of an enhancer on them."""

    data: Path
    cache: Path
    steps: int
    batch: int
    threads: int
    _options = Options(still_tta=1)

    @cached_property
    def _pictures(self) -> tuple[list[Picture], list[Picture]]:
        files = [self.data / f"{name}.parquet" for name in FILES]
        return read_pictures(files, self.cache), read_pictures(files, self.cache, ("val",))

    @cached_property
    def _samples(self) -> list[Sample]:
        return samples_of(self.data, None)

    def __call__(self, arm: str, folder: Path, seed: int) -> tuple[dict[str, Any], SuperFan | None]:
        """Train an arm in its folder and score it: a record, and the network (None where nothing is trained)."""
        changes, enhancer, net = ENHANCER_ARMS[arm], None, None
        if changes is not None:
            checkpoint = self._train(folder, {"seed": seed, **changes})
            seed, net = changes.get("seed", seed), load_superfan(checkpoint)
            enhancer = OrtEngine(export_superfan(checkpoint, folder / "enhancer.onnx").path.read_bytes(), arm)
        found = self.score(Bicubic() if arm == "bicubic" else enhancer)
        with Analyzer(self._options) as analyzer:  # the engine that judged: weights that ship change
            models = analyzer.describe()["models"]
        return {"network": "enhancer", "seed": seed, "batch": self.batch, "scores": found, "models": models}, net

    def score(self, enhancer: Engine | None) -> dict[str, Any]:
        """Figures of the val faces at `WIDTH` px: those of `benchmarks.enhance.Scores`."""
        figures = measure(self._samples, {"this arm": enhancer}, self._options, (WIDTH,))
        by_width: dict[str, dict[str, Any]] = figures["this arm"]
        return by_width.get(str(WIDTH), {})

    def _train(self, folder: Path, changes: dict[str, Any]) -> Path:
        # the critic joins for the second half: in the last fifth, the default, the rate of a short run is as good as 0
        settings = {"minutes": None, "steps": self.steps, "batch": self.batch, "sizes": str(WIDTH), "gan_at": 0.5}
        settings |= {"validate_minutes": 1e6, "threads": self.threads}
        config = SuperFanConfig(self.data, folder, self.cache, **(settings | changes))
        return superfan.learn(config, *self._pictures)
