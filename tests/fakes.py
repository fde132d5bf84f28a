"""The fakes that ship, by the name that tests here have for them; see ``rtface.testing``."""

from rtface.testing import (
    _COLOURS as COLOURS,
)
from rtface.testing import (
    FakeCamera,
    FakeClock,
    FakeDetector,
    FakeEngine,
    Painted,
    paint,
)

OUTPUTS = FakeEngine.outputs

__all__ = ["COLOURS", "OUTPUTS", "FakeCamera", "FakeClock", "FakeDetector", "FakeEngine", "Painted", "paint"]
