"""From DOT text to pictures, by whatever Graphviz there is."""

from __future__ import annotations

import base64
import functools
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from ...errors import TinygradError

FORMATS = ("svg", "png", "pdf")
HINT = (
    "for pictures, install Graphviz (graphviz.org/download; its program `dot` must be on "
    "the PATH), or: pip install 'tinygrad-cnn[viz]'"
)
SHARP = "-Gdpi=192"
"""Twice as many pixels as usual, for slides."""
WITH_PYGRAPHVIZ = """
import sys, pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
options = {"format": sys.argv[1], "prog": "dot", "args": " ".join(sys.argv[2:])}
sys.stdout.buffer.write(graph.draw(**options))
"""


class RenderError(TinygradError, RuntimeError):
    """No Graphviz was found, or it gave up; the DOT text can still be had."""


def render_dot(dot: str, format: str, seconds: float = 600) -> bytes:
    """The picture of this DOT text as "svg", "png" or "pdf".

    By the program `dot` if it is on the PATH, else by pygraphviz, which brings a Graphviz
    and comes first where the program is an old one; in a process of its own, whose crash
    or endless layout is an error here, no more. What Graphviz says to a picture that it
    draws is a warning. Raises RenderError where neither is there, or it fails, or takes
    longer.
    """
    program = shutil.which("dot")
    brought = importlib.util.find_spec("pygraphviz") is not None
    if program is not None and not (brought and _is_old(program)):
        command = [program, f"-T{format}"]
    elif brought:
        command = [sys.executable, "-c", WITH_PYGRAPHVIZ, format]
    else:
        raise RenderError(f"no Graphviz was found; {HINT}")
    if format == "png":
        command.append(SHARP)
    try:
        done = subprocess.run(
            command, input=dot.encode(), capture_output=True, timeout=seconds
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RenderError(f"Graphviz did not draw the graph: {error}") from error
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode or not done.stdout:
        raise RenderError(
            f"Graphviz did not draw the graph: {said or 'it said nothing'}"
        )
    # Fontconfig speaks of the machine's settings, at every picture.
    lines = [line for line in said.splitlines() if not line.startswith("Fontconfig")]
    if lines:
        warnings.warn("Graphviz drew the graph and said: " + "\n".join(lines))
    return done.stdout


@functools.cache
def _is_old(program: str) -> bool:
    """Whether it lets edges strike through formulas, as Graphviz did before version 3."""
    try:
        done = subprocess.run([program, "-V"], capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return True  # it will not draw either
    version = re.search(rb"version (\d+)\.", done.stderr)
    return version is not None and int(version[1]) < 3


def render_with_images(
    dot: Callable[[Mapping[str, str]], str],
    images: Mapping[str, str],
    format: str,
    seconds: float,
) -> bytes:
    """A picture with thumbnails in it, as of `render_dot`; an SVG stands alone.

    dot: the text, given a file for each thumbnail. images: PNGs as data URIs.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for i, (key, uri) in enumerate(images.items()):
            file = Path(folder, f"{i}.png")
            file.write_bytes(base64.b64decode(uri.partition(",")[2]))
            files[key] = str(file)
        picture = render_dot(dot(files), format, seconds)
    if format != "svg":
        return picture
    for key, name in files.items():
        picture = picture.replace(f'"{name}"'.encode(), f'"{images[key]}"'.encode())
    return _stand_alone(picture.decode()).encode()


def _stand_alone(svg: str) -> str:
    """The `svg` element alone, which fits into a narrower page and keeps its pixels."""
    element = svg[svg.index("<svg") :]
    style = '<svg style="max-width:100%;height:auto"'
    pixels = '<image style="image-rendering:pixelated"'
    return re.sub("<image(?= )", pixels, element.replace("<svg", style, 1))
