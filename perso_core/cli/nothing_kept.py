"""What is said of an identity of which nothing is kept where it was looked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from perso_core.cli.terminal import shown
from perso_core.settings import Settings


def nothing_kept(
    identity: str,
    settings: Settings,
    *,
    asked: str | None = None,
    kept_on: Sequence[str] = (),
) -> int:
    """Says so; the exit code. identity: as it was written. asked: the datastream that was asked
    for; None: for none. kept_on: those on which something is kept of it."""
    named = f"{identity} in {settings.data_dir}"
    said, fix = f"Nothing is kept of {named}.", "Check the id, and --data-dir."
    if kept_on:
        under = f"On datastream {asked}" if asked else "Under no datastream"
        said = f"{under} nothing is kept of {named}, but on {', '.join(kept_on)}."
        fix = f"Give --datastream {kept_on[0]}. `perso profile export` has all."
    print(f"error: {shown(said)} {fix}", file=sys.stderr)
    return 1
