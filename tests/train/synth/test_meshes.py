"""Base mesh and what is bound to it, from small files; the archive is checked before it is opened."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import SourceError
from rtface.train.synth import assets
from rtface.train.synth.meshes import ball, grid_faces, kept, normals, read_obj, read_proxy, tube

OBJ = """# a square and a triangle
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
vt 0 0
vt 1 0
vt 1 1
g body
f 1/1 2/2 3/3 4/1
g hat
f 1 2 3
"""
MHCLO = """obj_file hat.obj
x_scale 0 1 2.0
verts 0
0 1 2 0.5 0.5 0.0 0.0 0.0 1.0
2
3 2 1 1.0 0.0 0.0 1.0 0.0 0.0
0 1 2 0.0 0.0 1.0 0.0 0.0 0.0
delete_verts
5 - 9
"""


def test_polygons_become_triangles_with_their_group_and_texture_places(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text(OBJ)
    mesh = read_obj(tmp_path / "a.obj")
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]]
    assert mesh.groups.tolist() == ["body", "body", "hat"]
    assert mesh.uv[0].tolist() == [[0, 0], [1, 0], [1, 1]] and mesh.vertices.shape == (4, 3)


def test_a_damaged_mesh_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text("v 0 zero 0\n")
    with pytest.raises(SourceError, match=r"a\.obj"):
        read_obj(tmp_path / "a.obj")


def test_a_proxy_follows_three_vertices_and_scales_its_offsets(tmp_path: Path) -> None:
    (tmp_path / "hat.obj").write_text(OBJ)
    (tmp_path / "hat.mhclo").write_text(MHCLO)
    proxy = read_proxy(tmp_path / "hat")
    base = np.array(((0, 0, 0), (4, 0, 0), (4, 4, 0), (0, 4, 0)), np.float32)
    assert proxy.fit(base).tolist() == [[2, 0, 1], [4, 4, 0], [2, 4, 0], [4, 4, 0]]  # x offsets are twice as wide


def test_what_is_low_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "hat.obj").write_text(OBJ)
    (tmp_path / "hat.mhclo").write_text(MHCLO)
    proxy = read_proxy(tmp_path / "hat")
    base = np.array(((0, 0, 0), (4, 0, 0), (4, 4, 0), (0, 4, 0)), np.float32)
    assert len(proxy.above(base, -1.0, 9.0).mesh.faces) == 3
    assert len(proxy.above(base, 5.0, 9.0).mesh.faces) == 0


def test_normals_of_a_ball_point_out_and_tubes_close() -> None:
    vertices, faces = ball(np.zeros(3), np.ones(3), 24, 32)
    turned = normals(vertices, faces) * np.sign((normals(vertices, faces) * vertices).sum(1))[:, None]
    assert ((turned * vertices).sum(1)[40:-40] > 0.98).all()
    ring = np.stack([np.cos(np.linspace(0, 6, 12)), np.sin(np.linspace(0, 6, 12)), np.zeros(12)], 1)
    vertices, faces = tube(ring, 0.1, closed=True)
    assert faces.max() == len(vertices) - 1
    assert np.allclose(np.hypot(np.hypot(*vertices.T[:2]) - 1, vertices[:, 2]), 0.1, atol=0.02)
    assert grid_faces(2, 3).shape == (4, 3) and grid_faces(2, 3, closed=True).shape == (6, 3)


def test_kept_triangles_have_new_numbers() -> None:
    faces, old, chosen = kept(np.array(((0, 1, 2), (5, 6, 7))), np.array((False, True)))
    assert (faces.tolist(), old.tolist(), chosen.tolist()) == ([[0, 1, 2]], [5, 6, 7], [1])


def test_another_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        assets.unpack(tmp_path / "none.tar.xz")
    (tmp_path / "other.tar.xz").write_bytes(b"other")
    with pytest.raises(SourceError, match="sha256"):
        assets.unpack(tmp_path / "other.tar.xz", tmp_path)


def test_unpacking_takes_files_of_the_folder_and_nothing_that_points_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "a.tar.xz"
    with tarfile.open(archive, "w:xz") as file:
        for name in ("makehuman_head/base.obj", "../outside.txt", "makehuman_head/../../outside.txt", "/outside.txt"):
            entry = tarfile.TarInfo(name)
            entry.size = 2
            file.addfile(entry, io.BytesIO(b"v\n"))
        link = tarfile.TarInfo("makehuman_head/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(link)
    monkeypatch.setattr(assets, "SHA256", hashlib.sha256(archive.read_bytes()).hexdigest())
    folder = assets.unpack(archive, tmp_path / "cache")
    assert [path.name for path in folder.iterdir()] == ["base.obj"]
    assert not list(tmp_path.rglob("outside.txt"))
    archive_again = assets.unpack(archive, tmp_path / "cache")
    assert archive_again == folder
