"""`perso import audience` and `perso import attributes`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import structs

from perso_core.cli.definitions import announced, everywhere, kept, nothing_defined
from perso_core.cli.files import settings_of
from perso_core.cli.import_file import (
    Import,
    Opened,
    Report,
    alone,
    goes_on,
    opened,
    started,
    summary,
    without,
)
from perso_core.cli.patch_groups import GROUP, at_most_together, patch_groups, patient
from perso_core.definitions.document import Definitions
from perso_core.definitions.finding import nearest, shown
from perso_core.definitions.schema import field_types
from perso_core.errors import BadAttributes, BadImportFile, UnreadableRecord
from perso_core.imports.keys import Keys, keys_of
from perso_core.imports.lines import Lines
from perso_core.imports.memberships import (
    Defaults,
    Member,
    Memberships,
    Stated,
    stated_in_columns,
    stated_in_csv,
    stated_in_json,
)
from perso_core.imports.patches import Patch, patch_in_columns, patch_in_csv, patch_in_json
from perso_core.imports.refusal import Refusal
from perso_core.imports.source import LineSource, Part, Source
from perso_core.imports.table import header_of
from perso_core.settings import Settings
from perso_core.stores.imports import Progress

if TYPE_CHECKING:
    from perso_core.assembly import Perso
    from perso_core.stores.protocol import ImportStore
    from perso_core.stores.sqlite import SqliteStore
    from perso_core.worker.importing import Importer, Recounted

# Whether a server is there is looked up so often.
LOOKED_EACH_S = 0.25
IMPORTED = "what was imported is kept"


def audience(arguments: argparse.Namespace) -> int:
    """0: every row is in; 1: some were refused. Raises PersoErrors."""
    settings = settings_of(arguments)
    definitions = kept(settings).definitions
    datastreams = _datastreams(arguments, definitions)
    said = ["audience", arguments.namespace, arguments.audience, *datastreams]
    with alone(settings.data_dir), opened(arguments, said) as file, goes_on(arguments, file):
        return asyncio.run(_memberships(arguments, file, definitions, settings))


def attributes(arguments: argparse.Namespace) -> int:
    """As audience."""
    settings = settings_of(arguments)
    definitions = kept(settings).definitions
    said = ["attributes", arguments.namespace, *_datastreams(arguments, definitions)]
    with alone(settings.data_dir), opened(arguments, said) as file, goes_on(arguments, file):
        return asyncio.run(_attributes(arguments, file, definitions, settings))


def _datastreams(arguments: argparse.Namespace, definitions: Definitions) -> list[str]:
    """Those that were asked for; none: all. Raises BadImportFile."""
    known = [one.id for one in definitions.datastreams]
    for datastream_id in arguments.datastream:
        if datastream_id not in known:
            near = nearest(datastream_id, known)
            raise BadImportFile(
                f"there is no datastream {shown(datastream_id)}.",
                fix=f"Write {near}." if near else f"There are {', '.join(known)}.",
            )
    return sorted(arguments.datastream)


# ---- memberships --------------------------------------------------------------


async def _memberships(
    arguments: argparse.Namespace, file: Opened, definitions: Definitions, settings: Settings
) -> int:
    from perso_core.assembly import DATABASE, system_clock_ms
    from perso_core.stores.sqlite import open_sqlite
    from perso_core.worker.importing import Importer

    store = await open_sqlite(
        Path(settings.data_dir) / DATABASE, max_events=settings.max_events_per_profile
    )
    try:
        before = await _known(store, file, arguments)
        now_ms = system_clock_ms()

        def source(began_ms: int) -> Source[Member]:
            return _membership_source(arguments, file, definitions, began_ms)

        place, reading = await _start(source, file, before, now_ms)
        if place.done:
            return _told_again(file, place)
        importer = Importer(store, system_clock_ms, _Beside(settings))
        keys = keys_of(definitions, _datastreams(arguments, definitions))

        report = Report(file.path, arguments.report, place.line)

        def ends(row: Member) -> bool:
            return row[3] <= system_clock_ms()

        keep = _keeping(importer, report, keys, ends, name=file.name, began_ms=place.began_ms)
        try:
            size, words = _length(file, reading)
            each = len(keys("CRMID", "1"))
            run = Import(reading, keep, size, ends, rows_each=each, words=words)
            done = await run.run(place)
        finally:
            report.close()
        heard = await store.last_announced()
        await _live(store, settings)
        await store.sweep_imported(await _ended_ms(store, now_ms), heard=heard)
    finally:
        await store.close()
    print(summary(done, "ended"))
    return 1 if done.refused else 0


def _keeping(
    importer: Importer,
    report: Report,
    keys: Keys,
    ends: Callable[[Member], bool],
    *,
    name: bytes,
    began_ms: int,
) -> Callable[[Part[Member], Progress], Awaitable[Progress]]:
    """Keeps a part of the file, and tells in the report what of it is refused."""

    async def keep(part: Part[Member], progress: Progress) -> Progress:
        report.add(part.refusals)
        rows = [
            (key, audience_id, until_ms)
            for namespace, identity, audience_id, until_ms in part.rows
            for key in keys(namespace, identity)
        ]
        return await importer.keep(
            rows,
            began_ms=began_ms,
            name=name,
            progress=progress,
            recounted=_recounted(part.rows, keys, ends),
        )

    return keep


def _recounted(rows: Sequence[Member], keys: Keys, ends: Callable[[Member], bool]) -> Recounted:
    """Takes the lines that nothing is kept of, under any of their keys, out of the others."""

    def recounted(progress: Progress, gone: frozenset[str]) -> Progress:
        over = [row for row in rows if gone.issuperset(keys(*row[:2]))] if gone else []
        return without(progress, len(over), ended=sum(map(ends, over)))

    return recounted


def _membership_source(
    arguments: argparse.Namespace, file: Opened, definitions: Definitions, began_ms: int
) -> Source[Member]:
    """Raises BadImportFile."""
    defaults = Defaults(arguments.namespace, arguments.audience)
    checked = Memberships(definitions.audiences, defaults=defaults, now_ms=began_ms)
    if file.format == "parquet":
        from perso_core.imports.parquet import ParquetSource

        def member_of(names: list[str]) -> Callable[[Mapping[str, Any]], Member]:
            in_columns = stated_in_columns(names, defaults)
            return lambda columns: checked.member(in_columns(columns))

        return ParquetSource(file.path, member_of)
    lines = Lines(file.file)
    stated: Callable[[bytes], Stated] = stated_in_json
    if file.format == "csv":
        stated = stated_in_csv(header_of(lines), defaults)
    return LineSource(lines, lambda line: checked.member(stated(line)))


# ---- attributes ---------------------------------------------------------------


async def _attributes(
    arguments: argparse.Namespace, file: Opened, definitions: Definitions, settings: Settings
) -> int:
    from perso_core.assembly import open_perso, system_clock_ms

    async with open_perso(patient(settings), announce=True) as perso:
        before = await _known(perso.import_store, file, arguments)
        now_ms = system_clock_ms()

        def source(_: int) -> Source[Patch]:
            return _patch_source(arguments, file, definitions)

        place, reading = await _start(source, file, before, now_ms)
        if place.done:
            return _told_again(file, place)
        keys = keys_of(definitions, _datastreams(arguments, definitions))

        report = Report(file.path, arguments.report, place.line)

        at_most = at_most_together(settings.journal_limit, 1 + len(definitions.datastreams))
        keep = _patching(perso, report, keys, at_most, name=file.name, began_ms=place.began_ms)
        try:
            # Few at once: a patch that is read again after a later one of the same person would
            # bring back, for a while, what that one changed.
            size, words = _length(file, reading)
            run = Import(reading, keep, size, lambda _: False, rows_at_once=GROUP, words=words)
            done = await run.run(place)
        finally:
            report.close()
        version = await announced(perso.announce_again, settings, done=IMPORTED)
    if version is not None:
        await everywhere(version, settings, done=IMPORTED)
    print(summary(done, ""))
    return 1 if done.refused else 0


def _patching(
    perso: Perso, report: Report, keys: Keys, at_most: int, *, name: bytes, began_ms: int
) -> Callable[[Part[Patch], Progress], Awaitable[Progress]]:
    """As _keeping, of patches. at_most: how many of them share a commit."""

    async def keep(part: Part[Patch], progress: Progress) -> Progress:
        withheld, over, late = await _all_patched(perso, part, at_most, keys, began_ms)
        report.add(sorted([*part.refusals, *late], key=lambda one: one.line))
        found = structs.replace(
            without(progress, over),
            withheld=progress.withheld + withheld,
            kept=progress.kept - over - len(late),
            refused=progress.refused + len(late),
        )
        if name:
            await perso.import_store.keep_progress(name, found)
        return found

    return keep


async def _all_patched(
    perso: Perso,
    part: Part[Patch],
    at_most: int,
    keys: Callable[[str, str], Sequence[str]],
    began_ms: int,
) -> tuple[int, int, list[Refusal]]:
    """Returns under how many keys nothing may be kept, how many patches have no other key, and
    those that would have made a profile too large."""
    withheld = nowhere = 0
    refused: list[Refusal] = []
    numbered = zip(part.lines, part.rows, strict=True)
    for group in patch_groups(numbered, at_most, whose=lambda one: one[1][:2]):
        passed_over, whole, late = await _patched(perso, group, keys, began_ms)
        withheld += passed_over
        nowhere += whole
        refused += late
    return withheld, nowhere, refused


async def _patched(
    perso: Perso,
    group: Sequence[tuple[int, Patch]],
    keys: Callable[[str, str], Sequence[str]],
    began_ms: int,
) -> tuple[int, int, list[Refusal]]:
    """The same of patches, each with its line, that share a commit."""
    all_keys = [keys(namespace, identity) for _, (namespace, identity, _) in group]
    asked = [key for some in all_keys for key in some]
    withheld = await perso.import_store.withheld(asked, since_ms=began_ms)
    outcomes = await asyncio.gather(
        *(
            perso.patching.patch(
                [key for key in some if key not in withheld], attributes, said_ms=began_ms
            )
            for some, (_, (_, _, attributes)) in zip(all_keys, group, strict=True)
        ),
        return_exceptions=True,
    )
    passed_over = nowhere = 0
    refused = []
    for outcome, some, (line, _) in zip(outcomes, all_keys, group, strict=True):
        if isinstance(outcome, BadAttributes):
            refused.append(Refusal(line, f"{outcome.detail} {outcome.fix}"))
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            over = outcome + sum(key in withheld for key in some)
            passed_over += over
            nowhere += over == len(some)
    return passed_over, nowhere, refused


def _patch_source(
    arguments: argparse.Namespace, file: Opened, definitions: Definitions
) -> Source[Patch]:
    """Raises BadImportFile."""
    profile = field_types(definitions.schema).profile
    if file.format == "parquet":
        from perso_core.imports.parquet import ParquetSource

        return ParquetSource(
            file.path, lambda names: patch_in_columns(names, profile, arguments.namespace)
        )
    lines = Lines(file.file)
    if file.format == "ndjson":
        return LineSource(lines, patch_in_json)
    return LineSource(lines, patch_in_csv(header_of(lines), profile, arguments.namespace))


# ---- of both ------------------------------------------------------------------


async def _known(
    store: ImportStore, file: Opened, arguments: argparse.Namespace
) -> Progress | None:
    """How far an earlier run came with this file; None: there was none, or it does not count."""
    if not file.name or arguments.from_start:
        return None
    try:
        return await store.progress(file.name)
    except UnreadableRecord as fault:
        print(f"{fault}", file=sys.stderr)
        return None


async def _start(
    source: Callable[[int], Source[Any]], file: Opened, before: Progress | None, now_ms: int
) -> tuple[Progress, Source[Any]]:
    """Where to begin, and the file there. What is in already is `done`. source: opens it for an
    import that began at an instant."""
    reading = source(before.began_ms if before else now_ms)
    place = started(before, reading, now_ms=now_ms)
    if place is None:
        print("The file was changed since: it is imported from its start.", file=sys.stderr)
        file.file.seek(0)
        return Progress(began_ms=now_ms), source(now_ms)
    if place.line and not place.done:
        print(f"Going on after line {place.line:,}.", file=sys.stderr)
    return place, reading


def _length(file: Opened, reading: Source[Any]) -> tuple[int, str]:
    """Where it ends, as its places are counted, and what these are. 0: that is not known."""
    if file.format == "parquet":
        from perso_core.imports.parquet import ParquetSource

        assert isinstance(reading, ParquetSource), "it was opened as its format says"
        return reading.rows, "rows read"
    return file.size, "bytes read" if file.size else "read"


def _told_again(file: Opened, place: Progress) -> int:
    """The exit code of the run that imported the file."""
    print(f"{file.path} is imported already; --from-start imports it again.")
    print(summary(place, "ended"))
    return 1 if place.refused else 0


class _Beside:
    """Whether a server runs on the data directory, looked up now and then."""

    def __init__(self, settings: Settings) -> None:
        self._data_dir = Path(settings.data_dir)
        self._looked_s = float("-inf")
        self._found = True

    def __call__(self) -> bool:
        from perso_core.stores.presence import serving

        now_s = time.monotonic()
        if now_s - self._looked_s > LOOKED_EACH_S:
            self._looked_s, self._found = now_s, bool(serving(self._data_dir))
        return self._found


async def _ended_ms(store: SqliteStore, wall_ms: int) -> int:
    """As a server's sweep has it. The clock is noted: there may be no server that does so."""
    from perso_core.worker.sweeping import ended_ms, retention_clock

    clock = await retention_clock(store, wall_ms)
    await store.keep_clock_mark(clock.mark())
    return ended_ms(clock.now_ms(), wall_ms)


async def _live(store: SqliteStore, settings: Settings) -> None:
    """Wait until every running server has taken over what was imported.
    Raises NotHeardEverywhere."""
    from perso_core.stores.turn import turn

    async def announce() -> int:
        async with turn(Path(settings.data_dir)):
            stored = await store.definitions()
            if stored is None:
                raise nothing_defined(settings)
            return await store.save_definitions(stored.definitions, saved_ms=stored.saved_ms)

    version = await announced(announce, settings, done=IMPORTED)
    if version is not None:
        await everywhere(version, settings, done=IMPORTED)
