"""`perso apply` and `perso export`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from perso_core.cli.files import settings_of, text_of
from perso_core.cli.terminal import shown
from perso_core.definitions.document import Definitions
from perso_core.definitions.toml_file import MAX_FILE_BYTES, definitions_from_toml
from perso_core.errors import (
    DefinitionFault,
    DefinitionFaults,
    NotHeardEverywhere,
    NothingDefined,
    NotInForceEverywhere,
    StoreUnavailable,
)
from perso_core.settings import Settings

if TYPE_CHECKING:
    from perso_core.stores.presence import Serving
    from perso_core.stores.protocol import StoredDefinitions

MS_PER_DAY = 24 * 60 * 60 * 1000
# Ten thousand audiences compile within it. A server that needs longer is stuck.
IN_FORCE_LIMIT_S = 30
LOOK_AGAIN_S = 0.005
QUIET_S = 1  # a wait this long is not worth a word


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
            print(shown(_told(path, fault)), file=sys.stderr)
        raise


async def put_in_force(definitions: Definitions, settings: Settings) -> int:
    """Save checked definitions. Returns their version, once every running server answers by it.
    Raises StoreUnavailable, NotInForceEverywhere."""
    version = await saved(definitions, settings)
    await everywhere(version, settings)
    return version


async def saved(definitions: Definitions, settings: Settings) -> int:
    """Keep and announce checked definitions. Returns their version. Raises StoreUnavailable."""
    from perso_core.assembly import open_perso

    async with open_perso(settings, announce=True) as perso:
        return await perso.apply(definitions)


async def everywhere(version: int, settings: Settings, *, done: str | None = None) -> None:
    """Wait until each server that runs on the data directory has a version, or a later one, in
    force: the next event sent to it is answered by that. done: what a version was saved for that
    has the definitions of the one before, e.g. "CRMID 4711 is erased".

    A server that ended, however it ended, is not waited for. Raises NotInForceEverywhere; where
    something else was done, NotHeardEverywhere.
    """
    from perso_core.stores.presence import serving

    began_s, told = time.monotonic(), False
    # The files are few and tiny: no thread is worth its while.
    while late := [one for one in serving(Path(settings.data_dir)) if one.version < version]:
        waited_s = time.monotonic() - began_s
        if waited_s > IN_FORCE_LIMIT_S:
            raise _unheard(done, late) if done else _late(version, late)
        if waited_s > QUIET_S and not told and sys.stderr.isatty():
            told = True
            saved = f"{done} in the store" if done else f"Saved as version {version}"
            print(f"{saved}; waiting for {_named(late)} …", file=sys.stderr)
        await asyncio.sleep(LOOK_AGAIN_S)


async def announced(
    announce: Callable[[], Awaitable[int | None]], settings: Settings, *, done: str
) -> int | None:
    """The version that announce saves, for everywhere; None: there is none, or nobody serves who
    has to hear of what was done. Raises NotHeardEverywhere where the store does not take it: what
    was done stands."""
    from perso_core.stores.presence import serving

    # Whoever begins to serve from now on reads what was done.
    if not serving(Path(settings.data_dir)):
        return None
    try:
        return await announce()
    except StoreUnavailable as error:
        raise NotHeardEverywhere(
            f"{done} in the store. Whether every server has heard of it cannot be told:"
            f" {error.detail}",
            fix=f"{error.fix} Servers hear of it by themselves; one that cannot for 60 s answers"
            " nobody.",
        ) from error


def _late(version: int, late: Sequence[Serving]) -> NotInForceEverywhere:
    return NotInForceEverywhere(
        f"version {version} is not in force after {IN_FORCE_LIMIT_S} s in {_named(late)}.",
        fix="Look why in its log, and restart it: it begins with what is saved.",
    )


def _unheard(done: str, late: Sequence[Serving]) -> NotHeardEverywhere:
    processes = ", ".join(f"process {one.pid}" for one in late)
    return NotHeardEverywhere(
        f"{done} in the store, but not heard of after {IN_FORCE_LIMIT_S} s in {processes}.",
        fix="Look why in its log, and restart it: it begins with what is stored.",
    )


def _named(late: Sequence[Serving]) -> str:
    """`process 4711 (still version 3)`, with commas between."""
    return ", ".join(f"process {one.pid} (still version {one.version})" for one in late)


async def heard(settings: Settings) -> None:
    """Wait until a running server has heard of profiles that were announced.

    It looks for news at this interval: after twice that, whoever runs the next command of a
    script finds the change in force.
    """
    await asyncio.sleep(2 * settings.news_interval_ms / 1000)


def export(arguments: argparse.Namespace) -> int:
    """Write what is in force. Raises NothingDefined."""
    from perso_core.definitions.export import definitions_to_toml

    definitions = in_force(settings_of(arguments))
    content = definitions_to_toml(definitions).encode()
    if arguments.output is None:
        # Bytes: the file is UTF-8, whatever the terminal speaks.
        sys.stdout.buffer.write(content)
        return 0
    with open(arguments.output, "wb") as file:
        file.write(content)
    print(f"{arguments.output}: {counted(definitions)}.")
    return 0


def in_force(settings: Settings) -> Definitions:
    """What was applied last. Raises NothingDefined, StoreUnavailable."""
    return kept(settings).definitions


def kept(settings: Settings) -> StoredDefinitions:
    """What was applied last, read beside whoever writes. Raises as in_force does."""
    from perso_core.beside import kept_definitions

    stored = kept_definitions(settings) if has_store(settings) else None
    if stored is None:
        raise nothing_defined(settings)
    return stored


def has_store(settings: Settings) -> bool:
    """Whether anything was ever kept there. Who only reads makes no database where a path was
    mistyped."""
    from perso_core.assembly import DATABASE

    return (Path(settings.data_dir) / DATABASE).exists()


def nothing_defined(settings: Settings) -> NothingDefined:
    return NothingDefined(
        f"nothing was applied in {settings.data_dir} yet.",
        fix="Run `perso apply FILE`, or name another place with --data-dir.",
    )


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
