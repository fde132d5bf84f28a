"""JSON that others may have written."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """What a text says; numbers are finite.

    Raises:
        ValueError: It is no JSON, holds NaN, infinity or a number without end, or is nested too deeply.

    Example:
        >>> parse_json('{"faces": 2}')
        {'faces': 2}
    """
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _finite(number: str) -> float:
    value = float(number)
    if value in (float("inf"), float("-inf")):  # 1e999
        _refuse(number)
    return value


def _refuse(constant: str) -> float:
    raise ValueError(f"expected finite numbers, got {constant:.40}")
