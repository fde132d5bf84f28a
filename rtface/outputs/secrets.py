"""Passwords and keys of outputs, best from a file or the environment: an address is seen by all who list processes."""

from __future__ import annotations

import os
from collections.abc import Mapping

from rtface.errors import UsageError
from rtface.outputs.output_url import OutputUrl
from rtface.system.paths import expanded


def secret_of(
    url: OutputUrl, setting: str, variable: str, *, given: str | None = None, env: Mapping[str, str] | None = None
) -> str | None:
    """A secret: of the file that `setting` names, else of the environment's `variable`, else as it was `given`.

    A line break at the end of the file is no part of it.

    Raises:
        UsageError: The file cannot be read, or is empty.
    """
    path = url.settings.get(setting)
    if path is None:
        return (os.environ if env is None else env).get(variable) or given
    try:
        text = expanded(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        why = f"its {setting} cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})"
        raise UsageError(url.shown, why, f"Name a file that holds only the secret, with {setting}=FILE") from error
    if not text:
        raise UsageError(url.shown, f"its {setting} is empty", "Write the secret into the file")
    return text
