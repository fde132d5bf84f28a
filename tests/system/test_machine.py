"""Facts of the machine: there, and plausible."""

from __future__ import annotations

import json
import sys

import pytest

from rtface.system import machine


def test_facts_fit_into_json() -> None:
    facts = machine.facts()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["cores"] >= 1
    assert facts["cpu"]
    assert set(facts["packages"]) <= set(machine.PACKAGES) and "numpy" in facts["packages"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux' tables")
def test_memory_of_this_process() -> None:
    now, peak = machine.resident_mb(), machine.peak_resident_mb()
    assert now is not None and peak is not None
    assert 5.0 < now <= peak + 1.0
    total = machine.memory_gb()
    assert total is not None and now / 1e3 < total
