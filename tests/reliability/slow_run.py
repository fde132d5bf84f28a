"""A run on painted faces that can be killed: ``python -m tests.reliability.slow_run SOURCE OUT… [--pace MS]``."""

from __future__ import annotations

import sys
import time

import numpy as np

import rtface.stream
from rtface.analyzer import Analyzer
from rtface.cli.app import main
from rtface.options import Options
from rtface.testing import FakeDetector, FakeEngine


class SlowDetector(FakeDetector):
    """Takes as long as it is told, so that a run lasts."""

    seconds = 0.0

    def detect(self, image: np.ndarray, *, still: bool = False) -> object:
        time.sleep(self.seconds)
        return super().detect(image, still=still)


def run(args: list[str]) -> None:
    """The command line with fakes behind it."""
    if "--pace" in args:
        at = args.index("--pace")
        SlowDetector.seconds = float(args[at + 1]) / 1000.0
        del args[at : at + 2]

    def make(options: Options) -> Analyzer:
        return Analyzer(options, detector=SlowDetector(), engine=FakeEngine())

    rtface.stream.Analyzer = make  # type: ignore[misc,assignment]
    main(args)


if __name__ == "__main__":
    run(sys.argv[1:])
