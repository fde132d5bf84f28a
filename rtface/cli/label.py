"""``rtface label``."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtface.cli import flags, groups
from rtface.datasets.files import corpus_file
from rtface.errors import OutputError, UsageError
from rtface.options import Options
from rtface.system.files import make_folder

if TYPE_CHECKING:
    from rtface.datasets.labelled import LabelledImage
    from rtface.train.mesh_teacher import MeshTeacher

label = typer.Typer(add_completion=False)

UNSURE = ": no label"
EXAMPLES = """
Examples:

  rtface label holiday/ --out corpus/own.parquet

  rtface label corpus/detection.parquet --format parquet --out corpus/own.parquet --set models_dir=runs/teacher-models

  python -m benchmarks.mesh corpus/points5.parquet --out mesh.parquet

  rtface label mesh.parquet --format parquet --fit corpus/landmarks.parquet --out corpus/own.parquet

  rtface train engine --run runs/next --minutes 60 --source corpus/landmarks.parquet=3 --source corpus/own.parquet
"""


@label.command(epilog=EXAMPLES)
@groups.spread
def label_command(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder of pictures, or what --format says.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FOLDER", help="The corpus' folder, for PATH's name there, or the file: NAME.parquet."
        ),
    ],
    layout: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME",
            help="parquet, or a layout of rtface import; of its labels meshes and five hand-set points are used.",
        ),
    ] = "pictures",
    min_quality: Annotated[
        float, typer.Option("--min-quality", min=0, max=1, help="Leave out faces of less quality.")
    ] = 0.5,
    max_spread: Annotated[
        float, typer.Option("--max-spread", min=0, metavar="PCT", help="And faces whose teachers lie further apart.")
    ] = 4.0,
    mesh_share: Annotated[
        float, typer.Option("--mesh-share", min=0, max=1, help="Of a face's mesh in its points; 0 = own looks only.")
    ] = 0.5,
    fit: Annotated[
        Path | None,
        typer.Option(
            "--fit",
            metavar="FILE",
            help="Corpus file with meshes and 68 hand-set points: how to read a mesh.",
            show_default="PATH",
        ),
    ] = None,
    max_side: Annotated[int, typer.Option("--max-side", min=0, metavar="PX", help="Shrink larger pictures.")] = 640,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="At most N pictures.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out pictures that do not decode.")] = False,
    licence: Annotated[
        str | None, typer.Option("--license", metavar="TEXT", help="Terms of the pictures; the networks' are added.")
    ] = None,
    overwrite: flags.Overwrite = False,
    *,
    options: Annotated[Options, groups.pipeline("threads", precision="fp32")],
) -> None:
    """Label pictures by the own networks (points, pose, parsing), to train the next network on.

    Ten looks a face; where they disagree the label weighs less or is left out. fp32 networks unless --set says else.

    A face of a corpus file that has a mesh is labelled by both teachers: the points are their mean, and how far they
    lie apart counts as the looks' disagreement does.

    Ctrl-C loses little: the same command goes on.
    """
    from rtface.analyzer import Analyzer
    from rtface.cli.progress_bar import progress_bar
    from rtface.datasets.registry import PARQUET, read
    from rtface.datasets.writer import Settings, write
    from rtface.train.pseudo_label import Labeller, to_label

    out = corpus_file(out, path.resolve().stem)
    if out.exists() and not overwrite:
        raise OutputError(str(out), "exists already", "Use --overwrite, or another --out")
    make_folder(out.parent)
    images = to_label(read(layout, path)) if layout == PARQUET else read(layout, path)
    mesh = _mesh_teacher(images, path, fit, mesh_share)
    images = images[:limit]
    with Analyzer(options) as analyzer, progress_bar("label", len(images)) as step:
        labeller = Labeller(analyzer, min_quality, max_spread, mesh)
        images = _with_terms(images, licence, analyzer.describe()["models"], options)
        read_by = [mesh_share, *_facts(path), *_facts(fit or path)] if mesh is not None else []
        by = json.dumps([analyzer.describe()["models"], min_quality, max_spread, *read_by])
        left_out = write(images, out, Settings(max_side, "unlabelled", skip_bad), step, labeller, by)
    bad = [line for line in left_out if not line.endswith(UNSURE)]
    for line in bad[:5]:
        print(f"left out: {line}", file=sys.stderr)
    both = f", {_labelled_by_both(out)} faces by mesh and looks" if mesh is not None else ""
    print(f"{out}  {len(images) - len(left_out)} pictures, {len(left_out) - len(bad)} without a sure face{both}")


def _with_terms(
    images: list[LabelledImage], licence: str | None, networks: Collection[str], options: Options
) -> list[LabelledImage]:
    """The pictures under the terms that their new labels have: their own, and those of the networks that label."""
    from dataclasses import replace

    from rtface.datasets.terms import terms_of
    from rtface.models import available

    known = {one.name: one.weights_licence.partition(":")[0] for one in available(options.models_dir)}
    by = "; ".join(dict.fromkeys(known[name] for name in networks if name in known))
    return [
        replace(image, licence=f"{terms_of(image.source, image.licence or licence)}; labels by networks: {by}")
        for image in images
    ]


def _mesh_teacher(images: Sequence[LabelledImage], path: Path, fit: Path | None, share: float) -> MeshTeacher | None:
    """What reads the images' meshes; None where there is nothing to read, or it is not asked for.

    Raises:
        UsageError: There are too few hand-labelled faces to fit it on, or --fit is given and no image has a mesh.
    """
    from rtface.datasets.registry import PARQUET, read
    from rtface.train.mesh_teacher import MeshTeacher, fitted

    meshes = any(face.mesh478 is not None for image in images for face in image.faces)
    if fit is not None and not meshes:
        mend = f"python -m benchmarks.mesh {path} --out MESH.parquet gives the faces of a corpus file meshes"
        raise UsageError("--fit", f"no face of {path} has a mesh", mend)
    if not meshes or share == 0.0:
        return None
    if fit is None:
        return MeshTeacher(fitted(images, str(path)), share)
    return MeshTeacher(fitted(read(PARQUET, fit), str(fit)), share)


def _facts(path: Path) -> list[int]:
    """What tells a file from another: parts of a labelling by other meshes do not serve."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _labelled_by_both(path: Path) -> int:
    from rtface.datasets import corpus
    from rtface.train.pseudo_label import BOTH

    return sum(face.landmarks68_source == BOTH for image in corpus.read(path) for face in image.faces)
