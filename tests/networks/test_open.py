"""What is told to the networks when they are opened."""

from __future__ import annotations

import pytest

from rtface.engine import CpuEngine
from rtface.networks.open import open_network
from rtface.networks.selection import select
from rtface.options import Options


@pytest.mark.parametrize("streams", [1, 4])
def test_several_streams_share_their_networks(streams: int) -> None:
    options = Options()
    selection = select(options)
    for chosen in (selection.detector, selection.multitask):
        engine, _ = open_network(chosen, options, streams)
        assert isinstance(engine, CpuEngine)
        assert engine.shared == (streams > 1)
        engine.close()
