"""`perso import segments`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Sequence

from msgspec import structs

from perso_core.cli.definitions import MS_PER_DAY, checked, counted, everywhere
from perso_core.cli.files import settings_of, text_of
from perso_core.cli.import_report import Report, changed, report_data, report_lines
from perso_core.cli.progress import Progress
from perso_core.cli.terminal import shown
from perso_core.definitions.check import ORG
from perso_core.definitions.document import Definitions
from perso_core.definitions.export import definitions_to_toml
from perso_core.definitions.imported import merged, settled
from perso_core.definitions.imported_file import added_to, new_file
from perso_core.definitions.imported_outcome import Outcome
from perso_core.definitions.imported_page import Entry, Page, entries_of, page_from_json
from perso_core.definitions.imported_remarks import organisations, remarks_of
from perso_core.definitions.imported_segment import outcome_of
from perso_core.definitions.schema import field_types
from perso_core.definitions.toml_file import MAX_FILE_BYTES
from perso_core.errors import BadImport, NothingDefined
from perso_core.pql.fields import FieldTypes
from perso_core.settings import Settings

MAX_PAGE_BYTES = 64 * 1024 * 1024
STDOUT = "-"


def segments(arguments: argparse.Namespace) -> int:
    """Import exported segment definitions; report on each. Raises PersoErrors where nothing can
    be imported at all. Exit code 1: some definition was refused; the others are written, unless
    --strict."""
    problem = _usage_problem(arguments)
    if problem:
        print(f"error: {problem} See `perso import segments --help`.", file=sys.stderr)
        return 2
    settings = settings_of(arguments)
    pages = [_page(path) for path in arguments.files]
    entries = entries_of(pages)
    if arguments.apply:
        return asyncio.run(_into_force(arguments, settings, pages, entries))
    return _into_file(arguments, settings, pages, entries)


def _usage_problem(arguments: argparse.Namespace) -> str | None:
    if arguments.files.count("-") > 1:
        return "the standard input (-) can be read once."
    if arguments.apply and (arguments.output or arguments.merge or arguments.org):
        return "--apply adds to what is in force; it takes no -o, --merge or --org."
    if arguments.merge and arguments.org:
        return "with --merge the organisation is that of its file; leave --org out."
    return None


def _page(path: str) -> Page:
    text = text_of(path, max_bytes=MAX_PAGE_BYTES, problem=_unreadable, stdin=True)
    return page_from_json(text, name="stdin" if path == "-" else path)


def _unreadable(detail: str, fix: str) -> BadImport:
    return BadImport(detail, fix=fix)


def _report(
    arguments: argparse.Namespace,
    settings: Settings,
    pages: Sequence[Page],
    entries: Sequence[Entry],
    base: Definitions,
) -> Report:
    window_ms = settings.event_window_days * MS_PER_DAY
    outcomes = settled(
        _each(entries, window_ms, field_types(base.schema)),
        base,
        replace=arguments.replace,
        event_window_ms=window_ms,
    )
    return Report(outcomes, tuple(remarks_of(pages, outcomes, org=base.org or None)))


def _each(entries: Sequence[Entry], window_ms: int, schema: FieldTypes | None) -> list[Outcome]:
    """The outcome of each by itself. On a terminal a line tells each second how far it is."""
    outcomes: list[Outcome] = []
    progress = Progress("read")
    for entry in entries:
        outcomes.append(outcome_of(entry, event_window_ms=window_ms, schema=schema))
        if sys.stderr.isatty():
            progress.tell(len(outcomes), len(entries))
    return outcomes


# ---- into a file -----------------------------------------------------------------


def _into_file(
    arguments: argparse.Namespace,
    settings: Settings,
    pages: Sequence[Page],
    entries: Sequence[Entry],
) -> int:
    output, merge = arguments.output, arguments.merge
    if output and output != STDOUT and not arguments.replace and not _same(output, merge):
        _refuse_existing(output)
    base = checked(merge, settings) if merge else Definitions(org=arguments.org or "")
    report = _report(arguments, settings, pages, entries, base)
    content, said = None, "Nothing was written."
    if not output:
        said = "Nothing was written: add -o FILE to write the audiences, or --apply."
    elif not _holds_back(arguments, report) and (merge or changed(report.outcomes)):
        content, said = _content(merge, base, report)
    if content is not None and output != STDOUT:
        _write(output, content)
        said = f"{output}: {said}"
    written = output if content is not None else None
    _tell(arguments, report, said, written=written)
    if content is not None and output == STDOUT:
        sys.stdout.buffer.write(content)
    return 1 if report.refused else 0


def _content(merge: str | None, base: Definitions, report: Report) -> tuple[bytes, str]:
    """The file's bytes, and what is to be said of it. Raises BadImport where it has no
    organisation, or is larger than `perso apply` takes."""
    if merge is None:
        base = structs.replace(base, org=base.org or _org(report))
    definitions = merged(base, report.outcomes)
    said = f"{counted(definitions)}."
    text = None
    if merge is None:
        text = new_file(definitions)
    elif not report.count("replaced"):
        before = text_of(merge, max_bytes=MAX_FILE_BYTES, problem=_unreadable)
        new = [one.audience for one in changed(report.outcomes) if one.audience is not None]
        text = added_to(before, new)
    if text is None:
        text = definitions_to_toml(definitions)
        said = f"{said} It was written anew: the comments of {merge} are not kept."
    content = text.encode()
    if len(content) > MAX_FILE_BYTES:
        raise BadImport(
            f"The definitions would take {len(content):,} bytes; {MAX_FILE_BYTES:,} are the limit"
            " of a definitions file.",
            fix="Import in parts, into files of their own, or leave out what is not in use.",
        )
    return content, said


def _org(report: Report) -> str:
    """The organisation that all definitions say they are of."""
    found = [org for org in organisations(report.outcomes) if ORG.fullmatch(org)]
    if len(found) == 1:
        return found[0]
    why = "names no organisation" if not found else "names several organisations"
    raise BadImport(
        f"The export {why}, and a definitions file has one.",
        fix="Name it with --org ID, or add to a file with --merge FILE. Nothing was written.",
    )


def _same(one: str, other: str | None) -> bool:
    return other is not None and os.path.realpath(one) == os.path.realpath(other)


def _refuse_existing(path: str) -> None:
    if os.path.lexists(path):
        raise BadImport(
            f"{path} exists already; nothing was written.",
            fix="Name another file, add to it with --merge, or overwrite it with --replace.",
        )


def _write(path: str, content: bytes) -> None:
    """All of it or nothing, also where the disk is full. Raises BadImport."""
    target = os.path.realpath(path)
    if os.path.exists(target) and not os.path.isfile(target):
        raise BadImport(f"{path} is no file.", fix="Name a file to write.")
    temporary = f"{target}.{os.getpid()}.new"
    try:
        try:
            with open(temporary, "xb") as file:
                file.write(content)
            if os.path.exists(target):
                shutil.copymode(target, temporary)
            os.replace(temporary, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError as error:
        raise BadImport(
            f"{path}: {error.strerror or error}; nothing was written.",
            fix="Name a file in a directory that exists and that you may write to.",
        ) from None


# ---- into force ------------------------------------------------------------------


async def _into_force(
    arguments: argparse.Namespace,
    settings: Settings,
    pages: Sequence[Page],
    entries: Sequence[Entry],
) -> int:
    from perso_core.assembly import open_perso

    async with open_perso(settings, announce=True) as perso:
        base = perso.definitions()
        if base is None:
            raise NothingDefined(
                f"nothing was applied in {settings.data_dir} yet, so there is nothing to add to.",
                fix="Run `perso apply FILE` first, or write a file with -o.",
            )
        report = await asyncio.to_thread(_report, arguments, settings, pages, entries, base)
        version, written, said = None, None, "Nothing was changed."
        if changed(report.outcomes) and not _holds_back(arguments, report):
            definitions = merged(base, report.outcomes)
            if perso.definitions() != base:
                raise BadImport(
                    "The definitions in force changed meanwhile; nothing was changed.",
                    fix="Import again.",
                )
            version = await perso.apply(definitions)
            written = f"version {version}"
            said = f"Version {version} in force: {counted(definitions)}."
    if version is not None:
        await everywhere(version, settings)
    _tell(arguments, report, said, written=written)
    return 1 if report.refused else 0


def _holds_back(arguments: argparse.Namespace, report: Report) -> bool:
    return bool(arguments.strict) and report.refused


def _tell(arguments: argparse.Namespace, report: Report, said: str, *, written: str | None) -> None:
    """The report, on stdout unless the definitions go there."""
    stream = sys.stderr if arguments.output == STDOUT else sys.stdout
    if arguments.json:
        # Where the output cannot carry every character, JSON's own escapes keep it JSON.
        escapes = stream.encoding.lower() not in ("utf-8", "utf8")
        data = report_data(report, written=written)
        print(json.dumps(data, indent=2, ensure_ascii=escapes), file=stream)
        return
    for line in report_lines(report):
        print(shown(line), file=stream)
    if _holds_back(arguments, report):
        said = "Nothing was written, as --strict asks where one is refused."
    print(f"{report.summary}. {said}", file=stream)
