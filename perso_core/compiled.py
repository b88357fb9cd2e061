"""The compiled form of the hottest modules: which have one, and whether it is what runs.

The same modules, as C by Cython (hatch_build.py), lie in a directory that is named by what they
were made of. Whoever changes a source has another name, under which there is nothing: what runs is
then that source, as Python, until it is compiled again. Both forms answer alike.

This module reads files and the environment, and imports nothing of Perso: building loads it alone.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

PACKAGE = "perso_core"
# Below the package. Each has its types for C beside it: `matcher.pxd` beside `matcher.py`.
MODULES = (
    "pql.values",
    "rules.bits",
    "rules.layered",
    "rules.judging",
    "rules.standing",
    "rules.matcher",
    "rules.program",
    "rules.recount",
    "rules.making",
    "rules.known",
    "rules.asking",
    "rules.alone",
    "rules.draft",
    "rules.ruleset",
    "decision.consent",
    "decision.projection",
    "decision.kept_events",
    "decision.profile",
    "decision.qualification",
    "decision.dated_ahead",
    "decision.lookup",
    "engine.hits",
    "engine.apply",
    "engine.keeping",
    "engine.following",
    "engine.looked_up",
    "engine.deciding",
    "engine.engine",
    "decision.membership",
    "stores.batch",
    "stores.record",
    "edge.strict_json",
)
# Raised when hatch_build.py compiles in another way.
WAY = 2
# Set to anything but 0: Python runs the sources, whatever lies beside them; nothing is compiled.
PURE = "PERSO_PURE"

COMPILED = "compiled"
ASKED_FOR = f"as pure Python ({PURE} is set)"
NOT_THERE = (
    "as pure Python (nothing is compiled of these sources: with a C compiler, `make setup` or "
    "installing Perso again does that)"
)


def directory(package: Path) -> Path:
    """Where the compiled form of these sources lies, for this Python. package: their directory.

    Raises OSError for a source that cannot be read.
    """
    made_of = blake2b(f"{WAY} {EXTENSION_SUFFIXES[0]}".encode(), digest_size=12)
    for source in sources(package):
        content = source.read_bytes()
        made_of.update(b"%d %s " % (len(content), source.name.encode()))
        made_of.update(content)
    return package / "_compiled" / made_of.hexdigest()


def sources(package: Path) -> Iterator[Path]:
    for module in MODULES:
        path = package.joinpath(*module.split("."))
        yield path.with_suffix(".py")
        yield path.with_suffix(".pxd")


def extension(module: str) -> str:
    """The file of a module, by its name below the package."""
    return f"{module}{EXTENSION_SUFFIXES[0]}"


def asked_for_pure() -> bool:
    return os.environ.get(PURE, "0") not in ("", "0")


class _Finder:
    """Finds the compiled modules before their sources."""

    def __init__(self, package: str, where: Path) -> None:
        self._paths = {f"{package}.{one}": where / extension(one) for one in MODULES}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = self._paths.get(name)
        return None if found is None else spec_from_file_location(name, found)


def _preferred() -> str:
    """How the rules run from here on, as `perso --version` says it."""
    if asked_for_pure():
        return ASKED_FOR
    try:
        where = directory(Path(__file__).parent)
    except OSError:  # the package lies in an archive, or without its sources
        return NOT_THERE
    if not where.is_dir():
        return NOT_THERE
    sys.meta_path.insert(0, _Finder(PACKAGE, where))
    return COMPILED


# How the rules run. Imported first of all by the package itself: before any of the modules.
FORM = _preferred() if __name__ == f"{PACKAGE}.compiled" else NOT_THERE
