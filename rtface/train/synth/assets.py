"""The archive of head assets (MakeHuman's base mesh, shapes, skins, hair, clothes; ICT-FaceKit's expressions).

It is checked against its hash, unpacked once into the user's cache, and read lazily: a process that renders one head
reads what that head wears. ``SOURCES.json`` in it says where each file comes from and under which terms.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import secrets
import shutil
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rtface.datasets.labelled import Array, read_image
from rtface.errors import SourceError
from rtface.system.files import cache_dir
from rtface.train.synth.meshes import Mesh, Proxy, read_obj, read_proxy

SHA256 = "1bd6a2f502dbae45907b6a6f41fe40dbc217274471cf66abb3941dfb45d3324c"
ROOT = "makehuman_head"
_TEXTURE = 1024  # px; a face has some 300 of them
_LOWEST, _SEEN, _WIDE = 3.0, 4.3, 2.4  # dm; what is lower is never seen, nor what is further aside
#: What a picture made of these assets carries; hat and glasses ask for credit.
TERMS = "CC0 (MakeHuman); MIT (ICT-FaceKit); CC BY 3.0 (glasses by punkduck); CC BY 4.0 (hat by Mindfront)"


@dataclass(frozen=True, slots=True)
class Skin:
    """A skin texture and whom it was painted for."""

    file: str
    ancestry: str
    gender: str
    age: str


class Assets:
    """What `unpack` unpacked.

    Attributes:
        folder: Where the files are.
        body: MakeHuman's base mesh, units dm, y up, z out of the face, x to the subject's left.
        vertex_class: (V,) parsing class of each vertex.
        landmarks68: (68,) vertices of the iBUG points.
        target_at: Row of each named target.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.body: Mesh = read_obj(folder / "base.obj")
        self.vertex_class: Array = np.load(folder / "regions.npz")["vertex_class19"]
        self.landmarks68: Array = np.load(folder / "lm68_vertices.npy").astype(np.int64)
        rows: list[Array] = []
        self.target_at: dict[str, int] = {}
        for name in ("targets_head.npz", "ict_on_makehuman.npz"):
            with np.load(folder / name) as file:
                for key in file.files:
                    self.target_at[key] = len(rows)
                    rows.append(file[key].reshape(-1))
        self._moving = np.flatnonzero(self.body.vertices[:, 1] > _LOWEST)
        self._targets = np.stack([row.reshape(-1, 3)[self._moving].reshape(-1) for row in rows]).astype(np.float32)

    @functools.cached_property
    def skins(self) -> tuple[Skin, ...]:
        """All skins, in the archive's order."""
        listed = json.loads((self.folder / "SOURCES.json").read_text(encoding="utf-8"))["skins"]
        return tuple(Skin(one["file"], one["race"], one["gender"], one["age"]) for one in listed)

    def names(self, kind: str) -> Sequence[str]:
        """What there is of a kind: hair, eyebrows, eyelashes, clothes, eyes."""
        ending = "*.mhclo" if kind != "eyes" else "*.webp"
        return sorted(path.stem for path in (self.folder / kind).glob(ending))

    def shaped(self, weights: dict[str, float]) -> Array:
        """(V, 3) base mesh moved by weighted targets of `target_at`; below the chest nothing moves."""
        dense = np.zeros(len(self.target_at), np.float32)
        dense[[self.target_at[name] for name in weights]] = list(weights.values())
        out = self.body.vertices.copy()
        out[self._moving] += (dense @ self._targets).reshape(-1, 3)
        return out

    @functools.lru_cache(maxsize=64)  # noqa: B019 one object a process
    def proxy(self, kind: str, name: str) -> Proxy:
        """Hair, clothes and the like: a mesh that is bound to the base mesh, as far as it can be seen."""
        return read_proxy(self.folder / kind / name).above(self.body.vertices, _SEEN, _WIDE)

    @functools.lru_cache(maxsize=2)  # noqa: B019 the renderer keeps its own copies
    def texture(self, file: str) -> Array:
        """(H, W, 4) uint8 RGBA of at most `_TEXTURE` px, first row at the bottom as GL wants it."""
        image = read_image(self.folder / file, cv2.IMREAD_UNCHANGED)
        if len(image) > _TEXTURE:
            image = np.asarray(cv2.resize(image, (_TEXTURE, _TEXTURE), interpolation=cv2.INTER_AREA))
        code = cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGBA
        return np.ascontiguousarray(cv2.cvtColor(image, code)[::-1])

    @functools.lru_cache(maxsize=2)  # noqa: B019
    def bleached(self, file: str, white: bool) -> Array:
        """A texture whose colour is a tint's alone: white, or grey of its own contrast."""
        out = self.texture(file).copy()
        if white:
            out[..., :3] = 255
            return out
        grey, seen = out[..., :3].mean(-1), out[..., 3] > 60
        out[..., :3] = np.clip(grey * 150 / max(1.0, float(grey[seen].mean())), 0, 255)[..., None]
        return out

    def uv_mask(self, name: str, uv: Array) -> Array:
        """(...,) whether places (..., 2) of the skin's texture lie in a mask: ears, face, lips, inside-mouth."""
        image = read_image(self.folder / f"uv_{name}.png", cv2.IMREAD_GRAYSCALE)
        at = np.clip((uv * len(image)).astype(np.int64), 0, len(image) - 1)
        return np.asarray(image[len(image) - 1 - at[..., 1], at[..., 0]] > 100)


def unpack(archive: Path, cache: Path | None = None) -> Path:
    """The folder of the archive's files, unpacked on first use.

    Raises:
        SourceError: The archive is missing, or is another file than the one these modules were written for.
    """
    if not archive.is_file():
        raise SourceError(str(archive), "no such file", "docs/synthetic.md says where the head assets come from")
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != SHA256:
        why = f"is another file: its sha256 is {found[:16]}…, expected {SHA256[:16]}…"
        raise SourceError(str(archive), why, "Copy it again; docs/synthetic.md says where it comes from")
    target = (cache or cache_dir()) / "synth" / SHA256[:16]
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            with tarfile.open(archive) as file:
                file.extractall(part, members=_plain(file))
            if not target.is_dir():
                part.rename(target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return target / ROOT


def _plain(file: tarfile.TarFile) -> list[tarfile.TarInfo]:
    """Files and folders below the root, nothing that points elsewhere."""
    safe = re.compile(rf"{ROOT}(/[\w.-]+)*")
    return [one for one in file if (one.isfile() or one.isdir()) and safe.fullmatch(one.name) and ".." not in one.name]


def describe(folder: Path) -> dict[str, Any]:
    """SOURCES.json."""
    told: dict[str, Any] = json.loads((folder / "SOURCES.json").read_text(encoding="utf-8"))
    return told
