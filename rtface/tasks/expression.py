"""52 blend shapes from the engine's tensor, and what they say in plain numbers."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from rtface.labels import BLENDSHAPES
from rtface.types import Expression

OUTPUT = "expression"
"""(N, 52) float32 0..1 in the order of `BLENDSHAPES`."""

SHUT = 0.55
"""eyeBlink of shut eyes; it seldom reaches 1."""

COMMON_REST, REST_SPREAD = (0.12, 0.12, 0.03), (0.15, 0.15, 0.3)
"""eyeBlink of open eyes, left and right, and mouthSmile of a mouth at rest, as most people have them; and how far
people differ."""

_BLINK = [BLENDSHAPES.index(name) for name in ("eyeBlinkLeft", "eyeBlinkRight")]
_SMILE = [BLENDSHAPES.index(name) for name in ("mouthSmileLeft", "mouthSmileRight")]
_JAW = BLENDSHAPES.index("jawOpen")


def expressions(tensor: NDArray[Any]) -> list[Expression]:
    """Of each face (N, 52), measured against what most people's faces do at rest."""
    return [measured_against(coefficients, *COMMON_REST) for coefficients in tensor]


def measured_against(coefficients: NDArray[Any], blink_left: float, blink_right: float, smile: float) -> Expression:
    """An expression whose plain numbers begin where this face is at rest.

    Args:
        coefficients: (52,) 0..1.
        blink_left, blink_right: eyeBlink of this face's open eyes.
        smile: mouthSmile of its mouth at rest.
    """
    left, right, smiling, jaw = _told_by(coefficients)
    return Expression(
        coefficients,
        (_open(left, blink_left), _open(right, blink_right)),
        jaw,
        _unit((smiling - smile) / (1.0 - smile)),
    )


def at_rest_of(coefficients: NDArray[Any]) -> tuple[float, float, float]:
    """eyeBlink left and right, and mouthSmile, as `measured_against` takes them from a face at rest."""
    return _told_by(coefficients)[:3]


def _told_by(coefficients: NDArray[Any]) -> tuple[float, float, float, float]:
    """eyeBlink left and right, mouthSmile and jawOpen. Plain numbers: of these few NumPy takes five times as long."""
    told = coefficients.tolist()
    return told[_BLINK[0]], told[_BLINK[1]], (told[_SMILE[0]] + told[_SMILE[1]]) / 2.0, told[_JAW]


def _open(blink: float, at_rest: float) -> float:
    return _unit((SHUT - blink) / max(SHUT - at_rest, 0.1))


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0)
