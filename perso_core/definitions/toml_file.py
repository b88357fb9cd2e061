"""A definitions file: TOML text into checked definitions, or every fault of it at its place."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import islice
from typing import Any, TypeVar

from msgspec import structs

from perso_core.definitions.activation import Activation
from perso_core.definitions.audience import Audience
from perso_core.definitions.check import check_definitions
from perso_core.definitions.datastream import Datastream
from perso_core.definitions.destination import AttributeMapping, Destination
from perso_core.definitions.document import Definitions
from perso_core.definitions.external import with_membership_rule
from perso_core.definitions.finding import Finding
from perso_core.definitions.issuer import Issuer
from perso_core.definitions.schema import Schema
from perso_core.definitions.shape import Reader
from perso_core.definitions.toml_places import Path, Places, parsed
from perso_core.errors import DefinitionFault, DefinitionFaults
from perso_core.pql.compiler import DEFAULT_EVENT_WINDOW_MS

MAX_FILE_BYTES = 8 * 1024 * 1024
# A file with more faults than this is another kind of file; reporting stops here, and says so.
MAX_FAULTS = 1_000


def definitions_from_toml(
    text: str, *, event_window_ms: int = DEFAULT_EVENT_WINDOW_MS
) -> Definitions:
    """The definitions of a file's text (docs/definitions.md has the format).

    event_window_ms: how long events are kept; a rule may not look back further. An activation
    may name its audience by alias; the definitions have its id. Raises DefinitionFaults with
    every fault, in the order of their lines; text that is not TOML has one. A fault's excerpt is
    the line with a caret, "" where the line says nothing more. Cost: about a millisecond per
    audience.
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    table = _document(text)
    reader = Reader()
    definitions = _with_audience_ids(_read(reader, table))
    found = [*islice(_all_findings(reader, definitions, event_window_ms), MAX_FAULTS + 1)]
    if found:
        raise DefinitionFaults(_faults(found, Places(text)))
    return definitions


def _all_findings(
    reader: Reader, definitions: Definitions, event_window_ms: int
) -> Iterator[Finding]:
    yield from reader.findings
    # What could not be read stands in the definitions as a blank: that is no second fault.
    blank = {finding.path for finding in reader.findings}
    for finding in check_definitions(definitions, event_window_ms=event_window_ms):
        if finding.path not in blank and finding.of not in blank:
            yield finding


def _document(text: str) -> dict[str, Any]:
    """The TOML document. Raises DefinitionFaults with one fault."""
    if len(text) > MAX_FILE_BYTES or len(text.encode(errors="replace")) > MAX_FILE_BYTES:
        raise _alone(
            f"The file is larger than {MAX_FILE_BYTES // 1024 // 1024} MiB.",
            fix="Check that this is the definitions file; take out what is not in use.",
        )
    try:
        return parsed(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(text, str(error)) from None
    except ValueError as error:
        raise _alone(
            f"The file cannot be read: {error}.",
            fix="Write the tables and keys of docs/definitions.md.",
        ) from None


def _alone(detail: str, *, fix: str, line: int = 0, excerpt: str = "") -> DefinitionFaults:
    return DefinitionFaults([DefinitionFault(detail, fix=fix, line=line, excerpt=excerpt)])


_TOML_PLACE = re.compile(r" \(at line ([0-9]+), column ([0-9]+)\)$")


def _not_toml(text: str, message: str) -> DefinitionFaults:
    place = _TOML_PLACE.search(message)
    lines = text.split("\n")
    if place:
        line, column = int(place[1]), int(place[2])
    else:  # "(at end of document)": the last line that has something on it
        line = max((at for at, one in enumerate(lines, 1) if one.strip()), default=1)
        column = len(lines[line - 1].rstrip()) + 1
    cause = message[: place.start()] if place else message.removesuffix(" (at end of document)")
    return _alone(
        f"This is not TOML: {cause[:1].lower()}{cause[1:]} (column {column}).",
        fix="Mend it at the caret. Text stands in quotes, a rule best between ''' and '''; a date"
        " and true or false stand without quotes.",
        line=line,
        excerpt=caret_line(lines[line - 1], column),
    )


def caret_line(line: str, column: int) -> str:
    """The line with a caret below `column` (1-based); of a long line 100 characters around it."""
    start = max(0, column - 61) if len(line) > 100 else 0
    cut = line[start : start + 100]
    # A tab before the caret stays a tab, so that both lines are indented alike.
    indent = "".join("\t" if char == "\t" else " " for char in cut[: column - 1 - start])
    return f"{cut}\n{indent}^"


def _read(reader: Reader, table: dict[str, Any]) -> Definitions:
    """The definitions as far as they can be read; blanks where reader.findings say otherwise."""
    top = reader.entry("", table, ())
    destinations = []
    for fields in top["destination"]:
        mappings = tuple(AttributeMapping(**mapping) for mapping in fields.pop("attribute", ()))
        destinations.append(Destination(**fields, attributes=mappings))
    return Definitions(
        org=top["org"],
        schema=Schema(**top.get("schema", {})),
        datastreams=_all(Datastream, top["datastream"]),
        destinations=tuple(destinations),
        audiences=tuple(map(with_membership_rule, _all(Audience, top["audience"]))),
        activations=_all(Activation, top["activation"]),
        issuers=_all(Issuer, top["issuer"]),
    )


Entry = TypeVar("Entry")


def _all(kind: type[Entry], entries: list[dict[str, Any]]) -> tuple[Entry, ...]:
    return tuple(kind(**fields) for fields in entries)


def _with_audience_ids(definitions: Definitions) -> Definitions:
    ids = {audience.id for audience in definitions.audiences}
    by_alias = {one.alias: one.id for one in definitions.audiences if one.alias not in ids}
    activations = tuple(
        structs.replace(activation, audience=by_alias.get(activation.audience, activation.audience))
        for activation in definitions.activations
    )
    return structs.replace(definitions, activations=activations)


def _faults(found: list[Finding], places: Places) -> list[DefinitionFault]:
    faults = [_fault(finding, places) for finding in found]
    faults.sort(key=lambda fault: fault.line)
    if len(faults) > MAX_FAULTS:
        more = DefinitionFault(
            f"There are more faults than these {MAX_FAULTS:,}.",
            fix="Mend these first, or check that this is the definitions file.",
            line=0,
        )
        faults = [*faults[:MAX_FAULTS], more]
    return faults


def _line(path: Path, places: Places) -> int:
    """The line of the path; a field of the schema may be written in quotes or part by part."""
    if path[:1] != ("schema",) or len(path) != 3:
        return places.line(path)
    return max(places.line(path), places.line((*path[:2], *str(path[2]).split("."))))


def _fault(finding: Finding, places: Places) -> DefinitionFault:
    line, detail, excerpt = _line(finding.path, places), finding.detail, ""
    if finding.of:
        detail = f"{detail} The first is on line {places.line(finding.of)}."
    if finding.rule_index is not None:
        place = places.inside(finding.path, finding.rule_index)
        if place:
            line = place.line
            excerpt = caret_line(places.text_of(line), place.column)
            detail = f"{detail.removesuffix('.')} (column {place.column})."
    return DefinitionFault(detail, fix=finding.fix, line=line, excerpt=excerpt)
