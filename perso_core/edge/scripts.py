"""The scripts that pages load from the edge. Pure but for reading them once, from the package."""

from __future__ import annotations

import gzip
from importlib.resources import files

from msgspec import Struct


class Script(Struct, frozen=True):
    """What goes out, plain and compressed: a page loads all of it before it asks anything."""

    plain: bytes
    compressed: bytes


def script(name: str) -> Script:
    """A file of static/, as it is served."""
    source = files("perso_core").joinpath("edge", "static", name).read_text(encoding="utf-8")
    plain = bare(source).encode()
    return Script(plain, gzip.compress(plain, 9, mtime=0))


def bare(source: str) -> str:
    """The source without what only its readers need: lines that are comments, empty lines, and
    indentation. All else stays as it is written, so a script must not have texts of several lines.
    """
    lines = (line.strip() for line in source.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("//"))
