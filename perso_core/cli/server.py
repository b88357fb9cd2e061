"""`perso serve` and `perso demo`."""

from __future__ import annotations

import argparse
import asyncio
import runpy
import sys
from collections.abc import Sequence

from perso_core.cli.definitions import checked, saved
from perso_core.cli.files import settings_of
from perso_core.errors import BadSettings


def serve(arguments: argparse.Namespace) -> int:
    """Run until stopped. Raises PersoErrors of settings, definitions and store."""
    from perso_core import assembly

    settings = settings_of(arguments)
    if arguments.definitions is not None:
        definitions = checked(arguments.definitions, settings)
        # Other servers on the directory follow; this one need not wait for them.
        asyncio.run(saved(definitions, settings))
    try:
        assembly.serve(settings, ready=_ready)
    except OSError as error:
        if error.filename:  # a file or directory, which the error names
            raise
        raise BadSettings(
            f"cannot listen on {settings.host}, port {settings.port}: {error.strerror or error}.",
            fix="Stop what listens there, or choose another --host or --port.",
        ) from None
    return 0


def _ready(address: str) -> None:
    # Flushed: whoever started us through a pipe waits for this line.
    print(f"Perso answers at {address}. Stop it with Ctrl-C.", flush=True)


def demo(rest: Sequence[str]) -> int:
    """Run the demo as `python -m demo_site` would. It is a package of its own, which this one
    does not import: the demo stands on Perso, not Perso on the demo."""
    before = sys.argv
    sys.argv = ["perso demo", *rest]
    try:
        runpy.run_module("demo_site", run_name="__main__", alter_sys=True)
    finally:
        sys.argv = before
    return 0
