"""What an output may change of the run it belongs to: home automation switches a camera off, asks for fewer tasks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from rtface.options import Options


class RunControl:
    """The run's options that may change while it goes on. Any thread may call; the next frame is analysed by them.

    Args:
        options: Those that the run began with.
    """

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.enabled = True

    @property
    def budget_ms(self) -> float | None:
        """Milliseconds from grab to result; None = no deadline."""
        return self.options.budget_ms

    @property
    def tasks(self) -> tuple[str, ...]:
        """What is worked out."""
        return self.options.tasks

    def change(self, **options: Any) -> None:
        """Other values for some of the options, all from the same frame on.

        Raises:
            OptionError: A value is not what its option takes.
        """
        self.options = replace(self.options, **options)

    def enable(self, on: bool) -> None:
        """Analyse frames, or let them pass unseen."""
        self.enabled = on

    def set_budget(self, milliseconds: float | None) -> None:
        """
        Raises:
            OptionError: It is no budget.
        """
        self.change(budget_ms=milliseconds)

    def set_tasks(self, names: Iterable[str]) -> None:
        """
        Raises:
            OptionError: One is unknown.
        """
        self.change(tasks=tuple(names))
