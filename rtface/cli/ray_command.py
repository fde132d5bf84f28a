"""Commands that run on a Ray cluster where ``--ray`` asks for it."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class RayCommand(TyperCommand):
    """Takes ``--ray`` with an address or without one: then it is this machine alone."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        from rtface.cluster.connection import LOCAL, is_address

        for at, word in enumerate(args):
            if word == "--ray" and not (at + 1 < len(args) and is_address(args[at + 1])):
                args = [*args[: at + 1], LOCAL, *args[at + 1 :]]
        return super().parse_args(ctx, args)
