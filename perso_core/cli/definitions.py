"""`perso apply` and `perso export`."""

from __future__ import annotations

import argparse
import asyncio
import sys

from perso_core.cli.files import settings_of, text_of
from perso_core.definitions.document import Definitions
from perso_core.definitions.toml_file import MAX_FILE_BYTES, definitions_from_toml
from perso_core.errors import DefinitionFault, DefinitionFaults, NothingDefined
from perso_core.settings import Settings

MS_PER_DAY = 24 * 60 * 60 * 1000


def apply(arguments: argparse.Namespace) -> int:
    """Check the file and put it in force. Raises PersoErrors; faults are printed one by one."""
    settings = settings_of(arguments)
    definitions = checked(arguments.file, settings)
    if arguments.dry_run:
        print(f"{arguments.file} is right: {counted(definitions)}. Nothing was changed.")
        return 0
    version = asyncio.run(put_in_force(definitions, settings))
    print(f"Version {version} in force: {counted(definitions)}.")
    return 0


def checked(path: str, settings: Settings) -> Definitions:
    """The definitions of a file. Raises DefinitionFaults after it printed each fault."""
    text = text_of(path, max_bytes=MAX_FILE_BYTES, problem=_unreadable)
    try:
        return definitions_from_toml(text, event_window_ms=settings.event_window_days * MS_PER_DAY)
    except DefinitionFaults as faults:
        for fault in faults.faults:
            print(_told(path, fault), file=sys.stderr)
        raise


async def put_in_force(definitions: Definitions, settings: Settings) -> int:
    """Store and announce checked definitions. Returns their version."""
    from perso_core.assembly import open_perso

    async with open_perso(settings, announce=True) as perso:
        version = await perso.apply(definitions)
    await heard(settings)
    return version


async def heard(settings: Settings) -> None:
    """Wait until a running server has heard what was announced.

    It looks for news at this interval: after twice that, whoever runs the next command of a
    script finds the change in force.
    """
    await asyncio.sleep(2 * settings.news_interval_ms / 1000)


def export(arguments: argparse.Namespace) -> int:
    """Write what is in force. Raises NothingDefined."""
    from perso_core.definitions.export import definitions_to_toml

    definitions = asyncio.run(in_force(settings_of(arguments)))
    content = definitions_to_toml(definitions).encode()
    if arguments.output is None:
        # Bytes: the file is UTF-8, whatever the terminal speaks.
        sys.stdout.buffer.write(content)
        return 0
    with open(arguments.output, "wb") as file:
        file.write(content)
    print(f"{arguments.output}: {counted(definitions)}.")
    return 0


async def in_force(settings: Settings) -> Definitions:
    """What was applied last. Raises NothingDefined."""
    from perso_core.assembly import open_perso

    async with open_perso(settings, announce=True) as perso:
        definitions = perso.definitions()
    if definitions is None:
        raise NothingDefined(
            f"nothing was applied in {settings.data_dir} yet.",
            fix="Run `perso apply FILE`, or name another place with --data-dir.",
        )
    return definitions


def counted(definitions: Definitions) -> str:
    """`1 datastream, 3 destinations, 40 audiences, 80 activations`."""
    counts = (
        (len(definitions.datastreams), "datastream"),
        (len(definitions.destinations), "destination"),
        (len(definitions.audiences), "audience"),
        (len(definitions.activations), "activation"),
    )
    return ", ".join(f"{count} {noun}{'s' * (count != 1)}" for count, noun in counts)


def _told(path: str, fault: DefinitionFault) -> str:
    place = f"{path}:{fault.line}" if fault.line else path
    lines = [*fault.excerpt.split("\n")] if fault.excerpt else []
    return "\n    ".join([f"{place}: {fault.detail}", *lines, fault.fix])


def _unreadable(detail: str, fix: str) -> DefinitionFault:
    return DefinitionFault(detail, fix=fix, line=0)
