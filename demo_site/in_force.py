"""Putting the demo's definitions in force: once, and again whenever their file has changed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from perso_core.assembly import Perso
from perso_core.cli.definitions import checked

APPLIED = "perso.toml.applied"


async def put_in_force(perso: Perso, definitions_file: Path, data_dir: Path) -> bool:
    """Apply the file where nothing is in force yet, or where it is not the one applied last.

    What an operator applied since stays, as long as the file does. Returns whether it was
    applied. Raises DefinitionFaults (each fault is printed first), StoreUnavailable.
    """
    mark = data_dir / APPLIED
    if perso.definitions() is not None and _noted(mark) == _digest(definitions_file):
        return False
    await perso.apply(checked(str(definitions_file), perso.settings))
    mark.write_text(_digest(definitions_file))
    return True


def _digest(definitions_file: Path) -> str:
    return hashlib.sha256(definitions_file.read_bytes()).hexdigest()


def _noted(mark: Path) -> str:
    """The digest of the file that was applied last; "" where none was."""
    try:
        return mark.read_text().strip()
    except FileNotFoundError:
        return ""
