"""``rtface completion``."""

from __future__ import annotations

from typing import Annotated

import typer

from rtface.cli import lazy
from rtface.errors import UsageError, unknown

SHELLS = ("bash", "zsh", "fish", "powershell")

completion = typer.Typer(add_completion=False)

EXAMPLES = """
Examples:

  rtface completion bash > ~/.local/share/bash-completion/completions/rtface

  echo 'eval "$(rtface completion zsh)"' >> ~/.zshrc

  rtface completion fish > ~/.config/fish/completions/rtface.fish

  rtface completion powershell >> $PROFILE
"""


@completion.command(epilog=EXAMPLES)
def completion_command(
    shell: Annotated[
        str, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.", autocompletion=lambda: SHELLS)
    ],
) -> None:
    """Print the script that completes verbs and options of rtface in a shell.

    It asks rtface itself, so it need not be written again after an update.
    """
    if shell not in SHELLS:
        raise unknown("shell", shell, SHELLS, UsageError)
    lazy.print_script(shell)
