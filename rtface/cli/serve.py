"""``rtface serve``."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from rtface.cli import flags, groups
from rtface.cli.ray_command import RayCommand
from rtface.errors import OptionError, require
from rtface.options import Options

serve = typer.Typer(add_completion=False)

EXAMPLES = """
Examples:

  rtface serve demo --loop

  rtface serve 0 --budget 33ms -o visits.db

  rtface serve rtsp://door.local/stream --privacy blur --host 0.0.0.0

  rtface serve --cameras cameras.toml -o '{camera}.jsonl'

  rtface serve --cameras cameras.toml --ray head:6379 --group 6     # on many machines: docs/scale.md

  curl http://127.0.0.1:8765/api/v1/faces
"""


@serve.command(epilog=EXAMPLES, cls=RayCommand)
@groups.spread
def serve_command(
    source: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Cameras, URLs, videos, or demo; default camera 0. Several share the networks, NAME=SOURCE names one.",
        ),
    ] = None,
    cameras: flags.CamerasFile = None,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Where to listen; elsewhere than here needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", min=0, max=65535, help="0 = any that is free.")] = 8765,
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="TOKEN", help="What clients must know (or RTFACE_TOKEN); else one is made."),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="A further name it is reached by; repeatable."),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option("--allow-origin", metavar="URL", help="A further origin, as of a reverse proxy; repeatable."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray", metavar="[ADDRESS]", help="Analyse on a Ray cluster: auto, head:6379; or on one made here."
        ),
    ] = None,
    group: Annotated[int, typer.Option("--group", metavar="N", min=1, help="With --ray: cameras in an actor.")] = 4,
    group_cpus: Annotated[float, typer.Option("--group-cpus", metavar="N", min=0.1, help="CPUs of an actor.")] = 1.0,
    group_gpus: Annotated[float, typer.Option("--group-gpus", metavar="N", min=0.0, help="GPUs, or parts of.")] = 0.0,
    spares: Annotated[
        int, typer.Option("--spares", metavar="N", min=0, help="Actors that stand by for those of a node that dies.")
    ] = 1,
    node_label: Annotated[
        list[str] | None,
        typer.Option("--node-label", metavar="KEY=VALUE", help="Only on nodes with this label; repeatable."),
    ] = None,
    output: flags.Outputs = None,
    overwrite: flags.Overwrite = False,
    *,
    options: Annotated[
        Options,
        groups.pipeline(*flags.LIVE, *flags.ANALYSIS, "privacy", *flags.CAMERA, "loop", audience=True),
    ],
) -> None:
    """A local page with the live picture, events and audience, an HTTP API and metrics. Ctrl-C ends it.

    Listens on 127.0.0.1 only, unless --host says otherwise.
    """
    for module in ("starlette", "uvicorn", "websockets", "prometheus_client"):
        require(module, "serve")
    from rtface.serve.server import ServeOptions, Serving

    token = token or os.environ.get("RTFACE_TOKEN") or None
    if token is not None and len(token) < 8:
        raise OptionError("--token", "is too short to be a secret", "Take 8 characters at least, or leave it out")
    how = ServeOptions(
        host=host,
        port=port,
        token=token,
        allow_hosts=tuple(allow_host or ()),
        allow_origins=tuple(allow_origin or ()),
    )
    cluster = None
    if ray is not None:
        from rtface.cluster.actors import Placement
        from rtface.serve.server import OnCluster

        labels = dict(label.partition("=")[::2] for label in node_label or [])
        cluster = OnCluster(ray, Placement(group, group_cpus, group_gpus, labels, spares))
    outputs = [*(output or ()), *flags.service_outputs()]
    with Serving(
        source or ([] if cameras else [0]),
        options,
        how,
        outputs=outputs,
        overwrite=overwrite,
        cameras=cameras,
        cluster=cluster,
        on_event=flags.print_event,
    ) as serving:
        print(f"rtface: look at {serving.url}  (Ctrl-C ends it)", file=sys.stderr, flush=True)
        serving.wait()
