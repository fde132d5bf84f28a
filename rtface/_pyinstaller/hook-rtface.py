# ruff: noqa: N999 (PyInstaller wants this name)
"""What PyInstaller cannot see: verbs and outputs are imported by name, networks and the page are files."""

from __future__ import annotations

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

hiddenimports = collect_submodules("rtface", filter=lambda name: not name.startswith("rtface.train"))
datas = collect_data_files("rtface") + copy_metadata("rtface")
