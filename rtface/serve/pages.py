"""The page's files, by name, from the package: nothing of the file system is served."""

from __future__ import annotations

from functools import cache
from importlib import resources

#: Path → file in the package and its kind.
TYPES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/app.js": ("app.js", "text/javascript; charset=utf-8"),
    "/overlay.js": ("overlay.js", "text/javascript; charset=utf-8"),
    "/charts.js": ("charts.js", "text/javascript; charset=utf-8"),
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
    "/vendor/uPlot.js": ("vendor/uPlot.iife.min.js", "text/javascript; charset=utf-8"),
    "/vendor/uPlot.css": ("vendor/uPlot.min.css", "text/css; charset=utf-8"),
    "/vendor/uPlot.LICENSE": ("vendor/uPlot.LICENSE", "text/plain; charset=utf-8"),
}


@cache
def page_file(path: str) -> tuple[bytes, str]:
    """The bytes of a file, and its kind."""
    name, kind = TYPES[path]
    return (resources.files("rtface.serve") / "static").joinpath(*name.split("/")).read_bytes(), kind
