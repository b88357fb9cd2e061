"""`perso profile put | show | export | erase`."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from perso_core.cli.definitions import announced, everywhere, has_store, heard
from perso_core.cli.files import settings_of, text_of
from perso_core.cli.nothing_kept import nothing_kept
from perso_core.cli.patch_groups import at_most_together, patch_groups, patient
from perso_core.cli.profile_file import ProfilePatch, patches_from_json
from perso_core.cli.progress import Progress
from perso_core.cli.terminal import shown
from perso_core.decision.identity import Identity, identity_of
from perso_core.decision.profile import Profile
from perso_core.errors import BadProfileFile, PersoError, StoreUnavailable
from perso_core.imports.identity import identity_problem
from perso_core.settings import Settings
from perso_core.stores.clock import system_clock_ms
from perso_core.stores.telling import exported, told

if TYPE_CHECKING:
    from perso_core.assembly import Perso
    from perso_core.stores.links import Link

# The whole file is checked before anything is written, so it is held in memory.
MAX_FILE_BYTES = 256 * 1024 * 1024
WRITTEN = "records are written. Put the file again once this is mended: it changes those no more."


def put(arguments: argparse.Namespace) -> int:
    """Write every record of the file, or none where one has a fault or no room. Raises
    PersoErrors."""
    settings = settings_of(arguments)
    text = text_of(arguments.file, max_bytes=MAX_FILE_BYTES, problem=_unreadable, stdin=True)
    name = "stdin" if arguments.file == "-" else arguments.file
    patches, faults = patches_from_json(text, max_bytes=settings.max_record_bytes)
    for fault in faults:
        print(f"{name}:{fault.line}: {fault.detail} {fault.fix}", file=sys.stderr)
    if faults:
        count = f"{len(faults):,} fault{'s' * (len(faults) != 1)}"
        raise BadProfileFile(f"{name}: {count}; nothing was written.", fix="Mend the file.")
    refused = asyncio.run(put_all(patches, settings, name=name))
    for patch in refused:
        print(f"{name}:{patch.line}: not kept: this visitor has refused.", file=sys.stderr)
    profiles = {one.identity for one in patches} - {one.identity for one in refused}
    print(f"{len(profiles):,} profile{'s' * (len(profiles) != 1)} updated.")
    return 0


async def put_all(
    patches: Sequence[ProfilePatch], settings: Settings, *, name: str
) -> list[ProfilePatch]:
    """Write all; returns those whose visitors said no to being kept. Raises with nothing written
    where one has no room; where the store fails on the way, once it told what is written. name: of
    the file."""
    from perso_core.assembly import open_perso

    refused: list[ProfilePatch] = []
    progress, written, began_ms = Progress("written"), 0, system_clock_ms()
    async with open_perso(patient(settings), announce=True) as perso:
        await _refuse_without_room(patches, perso, name)
        defined = perso.definitions()
        keys = 1 + len(defined.datastreams if defined else ())
        at_most = at_most_together(settings.journal_limit, keys)
        for batch in patch_groups(patches, at_most, whose=lambda one: one.identity):
            not_kept, failed = await _put_batch(batch, perso, began_ms)
            written += len(batch) - len(failed)
            for patch, error in failed[:1]:
                _tell_failed(patch, error, name)
                print(f"At least {written:,} of {len(patches):,} {WRITTEN}", file=sys.stderr)
                raise error
            refused += not_kept
            progress.tell(written, len(patches))
    await heard(settings)
    return refused


async def _refuse_without_room(patches: Sequence[ProfilePatch], perso: Perso, name: str) -> None:
    refusals = await perso.refusals([(one.identity, one.attributes) for one in patches])
    for place, why in refusals.items():
        patch = patches[place]
        whose = shown(_written(patch.identity))
        print(f"{name}:{patch.line}: {whose}: {why.detail} {why.fix}", file=sys.stderr)
    for why in refusals.values():
        count = f"{len(refusals):,} record{'s' * (len(refusals) != 1)}"
        raise type(why)(f"{count} of {name}; nothing was written.", fix=why.fix)


def _tell_failed(patch: ProfilePatch, error: PersoError, name: str) -> None:
    whose = shown(_written(patch.identity))
    print(f"{name}:{patch.line}: {whose}: not written: {error.detail}", file=sys.stderr)


async def _put_batch(
    batch: Sequence[ProfilePatch], perso: Perso, began_ms: int
) -> tuple[list[ProfilePatch], list[tuple[ProfilePatch, PersoError]]]:
    """Together, so that they share a commit. Returns those whose visitors said no, and those that
    are not written for another cause. began_ms: whoever was erased since gets nothing."""
    outcomes = await asyncio.gather(
        *(perso.put_profile(one.identity, one.attributes, said_ms=began_ms) for one in batch),
        return_exceptions=True,
    )
    not_kept, failed = [], []
    for patch, outcome in zip(batch, outcomes, strict=True):
        if isinstance(outcome, PersoError):
            failed.append((patch, outcome))
        elif isinstance(outcome, BaseException):
            raise outcome
        elif not outcome:
            not_kept.append(patch)
    return not_kept, failed


def get(arguments: argparse.Namespace) -> int:
    """Print one profile as JSON; exit code 1 and a message where nothing is kept."""
    settings = settings_of(arguments)
    identity = _identity(arguments)
    if identity is None:
        return 2
    told = asyncio.run(_profile(identity, arguments.datastream, settings))
    if told is None:
        kept_on = _datastreams_of(identity, settings)
        return nothing_kept(
            _written(identity), settings, asked=arguments.datastream, kept_on=kept_on
        )
    _print_json(told)
    return 0


def export(arguments: argparse.Namespace) -> int:
    """Print all that is kept of an identity as JSON; 1 and a message where nothing is."""
    return asyncio.run(_where_kept(arguments, _exported))


def erase(arguments: argparse.Namespace) -> int:
    """Erase all that is kept of an identity; 1 and a message where nothing was kept."""
    return asyncio.run(_where_kept(arguments, _erased, erases=True))


async def _where_kept(
    arguments: argparse.Namespace,
    act: Callable[[Identity, Perso], Awaitable[bool]],
    *,
    erases: bool = False,
) -> int:
    """The exit code. act: tells whether something was kept of the identity. erases: every running
    server has to have heard of it. Raises NotHeardEverywhere."""
    from perso_core.assembly import open_perso

    settings = settings_of(arguments)
    identity = _identity(arguments)
    if identity is None:
        return 2
    found, version = False, None
    done = f"{shown(_written(identity))} is erased"
    if has_store(settings):
        async with open_perso(patient(settings), announce=True) as perso:
            more = await _elsewhere(identity, perso)
            found = await act(identity, perso)
            _tell_elsewhere(more, "erase" if erases else "export")
            if erases:
                version = await announced(perso.announce_again, settings, done=done)
        if version is not None:
            await everywhere(version, settings, done=done)
    return 0 if found else nothing_kept(_written(identity), settings)


async def _elsewhere(identity: Identity, perso: Perso) -> list[Identity]:
    """As far as it can be told: what was asked for is done whatever became of the rest."""
    try:
        return await perso.elsewhere(identity)
    except StoreUnavailable as error:
        print(
            f"Whether more of the person is kept under other identities cannot be told: {error}",
            file=sys.stderr,
        )
        return []


def _tell_elsewhere(identities: Sequence[Identity], verb: str) -> None:
    """What a request of the person's may be meant to cover as well."""
    for one in identities:
        written = shown(_written(one))
        print(
            f"{written} is the same person where the two are linked. More is kept of it where they"
            f" are not: perso profile {verb} {written}",
            file=sys.stderr,
        )


async def _exported(identity: Identity, perso: Perso) -> bool:
    found = await perso.everything(identity)
    if found:
        _print_json(exported(identity, found))
    return bool(found)


async def _erased(identity: Identity, perso: Perso) -> bool:
    number = await perso.erase(identity)
    if number:
        profiles = f"{number} profile{'s' * (number != 1)}"
        print(f"{profiles} of {shown(_written(identity))} erased.")
    return bool(number)


def _identity(arguments: argparse.Namespace) -> Identity | None:
    """None where it cannot be one: standard error says why."""
    namespace, identity_id = arguments.namespace, arguments.id
    # Pages and servers name more namespaces than an operator's file may: theirs are looked for.
    strict = namespace == "ECID" or not namespace or set(namespace) & set(" :")
    problem = identity_problem(namespace, identity_id) if strict else None
    if problem:
        print(f"error: {' '.join(problem)}", file=sys.stderr)
        return None
    return Identity(namespace, identity_id)


def _written(identity: Identity) -> str:
    return f"{identity.namespace} {identity.id}"


def _print_json(told: dict[str, Any]) -> None:
    # Where the output cannot carry every character, JSON's own escapes keep it JSON.
    escapes = sys.stdout.encoding.lower() not in ("utf-8", "utf8")
    print(json.dumps(told, indent=2, ensure_ascii=escapes))


async def _profile(
    identity: Identity, datastream_id: str | None, settings: Settings
) -> dict[str, Any] | None:
    """As it is printed; None: nothing is kept."""
    from perso_core.assembly import open_perso

    if not has_store(settings):
        return None
    async with open_perso(patient(settings), announce=True) as perso:
        profile = await perso.profile(identity, datastream_id=datastream_id)
        if profile is None:
            return None
        return _shown(identity, profile, await perso.people.links(profile.key))


def _datastreams_of(identity: Identity, settings: Settings) -> list[str]:
    """Those on which something is kept of it, as their servers know it."""
    from perso_core.beside import datastreams_of, kept_definitions

    stored = kept_definitions(settings) if has_store(settings) else None
    if stored is None:
        return []
    return datastreams_of(identity, stored, settings, now_ms=system_clock_ms())


def _shown(identity: Identity, profile: Profile, links: Sequence[Link]) -> dict[str, Any]:
    graph = [identity_of(profile.key), *(identity_of(link.key) for link in links)]
    return {
        "identity": msgspec.to_builtins(identity),
        # The one that names the profile first.
        **({"one_person": msgspec.to_builtins(graph)} if links else {}),
        **told(profile),
    }


def _unreadable(detail: str, fix: str) -> BadProfileFile:
    return BadProfileFile(detail, fix=fix)
