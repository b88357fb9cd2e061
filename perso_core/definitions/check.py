"""What must be true of definitions taken together, whoever wrote them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from perso_core.definitions.activation import Activation
from perso_core.definitions.audience import Audience
from perso_core.definitions.datastream import Datastream
from perso_core.definitions.destination import Destination
from perso_core.definitions.document import Definitions
from perso_core.definitions.finding import Finding, shown, unknown
from perso_core.definitions.issuer import Issuer
from perso_core.definitions.issuer_check import check_issuers
from perso_core.definitions.mapping_check import check_leaves
from perso_core.definitions.rules_check import check_rules
from perso_core.definitions.schema import check_schema, field_types
from perso_core.definitions.toml_places import Path
from perso_core.pql.compiler import DEFAULT_EVENT_WINDOW_MS

# product.md: 10 custom personalization destinations, 250 audiences to one destination, 30 mapped
# attributes; theirs count per sandbox, ours per datastream and per destination.
MAX_DESTINATIONS_PER_DATASTREAM = 10
MAX_ACTIVATIONS_PER_DESTINATION = 250
MAX_ATTRIBUTES_PER_DESTINATION = 30
MAX_NAME_LENGTH = 256

ORG = re.compile(r"[A-Za-z0-9._@-]{1,128}")  # cookie names are made of it
# Devices are no people; no key of a profile can hold the others.
NO_PERSONS_NAMESPACE = re.compile(r"(?i:ECID|FPID)|.*[ :].*|")
COOKIE_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
INTEGRATION_ALIAS = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
AUDIENCE_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,39}")
SOURCE_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*)*")
# scheme://host[:port] as a browser's Origin header has it: lower case, no path, no user.
_HOST = r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]"
ORIGIN = re.compile(rf"https?://(?:{_HOST})(?::([0-9]{{1,5}}))?")
DEFAULT_PORTS = {"http": "80", "https": "443"}

# Parts of the rules' view of a profile that are no attributes, so that no mapping can read them.
NOT_ATTRIBUTES = ("xEvent", "segmentMembership", "externalAudience", "identityMap")


def check_definitions(
    definitions: Definitions, *, event_window_ms: int = DEFAULT_EVENT_WINDOW_MS
) -> Iterator[Finding]:
    """Every fault, by table, found as it is asked for. None: compile_snapshot will succeed.

    Cost: about a millisecond per audience (each rule is compiled).
    """
    yield from _org(definitions.org)
    yield from _ids_and_names("datastream", definitions.datastreams)
    yield from _ids_and_names("destination", definitions.destinations)
    yield from _ids_and_names("audience", definitions.audiences)
    yield from _ids_and_names("issuer", definitions.issuers)
    yield from _origins(definitions.datastreams)
    yield from _fpid_cookies(definitions.datastreams)
    yield from _priorities(definitions.datastreams)
    yield from _destinations(definitions)
    yield from _attributes(definitions.destinations)
    yield from _audience_aliases(definitions.audiences)
    yield from _activations(definitions)
    yield from check_issuers(definitions)
    schema_faults = [*check_schema(definitions.schema)]
    yield from schema_faults
    # Rules are checked without a schema that is wrong: its faults come first.
    types = None if schema_faults else field_types(definitions.schema)
    if types is not None:
        yield from check_leaves(definitions.destinations, types.profile)
    yield from check_rules(definitions.audiences, event_window_ms, types)


def _org(org: str) -> Iterator[Finding]:
    if not ORG.fullmatch(org):
        yield Finding(
            path=("org",),
            detail=f"The org {shown(org)} is not 1 to 128 letters, digits and . _ @ -.",
            fix='Write the organisation\'s id, e.g. org = "5BFE274A5F6980A50A495C08@AdobeOrg".',
        )


def _ids_and_names(
    table: str, entries: Sequence[Datastream | Destination | Audience | Issuer]
) -> Iterator[Finding]:
    for index, entry in enumerate(entries):
        path = (table, index)
        if not (0 < len(entry.id) <= 128 and entry.id.isprintable() and " " not in entry.id):
            yield Finding(
                path=(*path, "id"),
                detail=f"The id {shown(entry.id)} is not 1 to 128 printable characters"
                " without spaces.",
                fix="Give the id without spaces; the name is for people.",
            )
        if not (entry.name.strip() and len(entry.name) <= MAX_NAME_LENGTH) or not (
            entry.name.isprintable()
        ):
            yield Finding(
                path=(*path, "name"),
                detail=f"The name {shown(entry.name)} is not 1 to {MAX_NAME_LENGTH} printable"
                " characters.",
                fix="Give a name that people recognise.",
            )
    yield from _twice(table, "id", [entry.id for entry in entries])
    yield from _twice(table, "name", [entry.name for entry in entries])


def _twice(table: str, key: str, values: Sequence[str]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, value in enumerate(values):
        if first.setdefault(value, index) != index:
            yield Finding(
                path=(table, index, key),
                detail=f"The {key} {shown(value)} is given to two entries of [[{table}]].",
                fix=f"Give each {table} {'an id' if key == 'id' else 'a name'} of its own.",
                of=(table, first[value], key),
            )


def _fpid_cookies(datastreams: Sequence[Datastream]) -> Iterator[Finding]:
    for index, datastream in enumerate(datastreams):
        name = datastream.fpid_cookie
        if name is not None and not COOKIE_NAME.fullmatch(name):
            yield Finding(
                path=("datastream", index, "fpid_cookie"),
                detail=f"{shown(name)} is no name of a cookie.",
                fix='Write letters, digits and - . _ alone, e.g. "FPID".',
            )
        if datastream.trust_fpid_cookie and name is None:
            yield Finding(
                path=("datastream", index, "trust_fpid_cookie"),
                detail="There is no cookie to trust.",
                fix="Name it in fpid_cookie.",
            )


def _priorities(datastreams: Sequence[Datastream]) -> Iterator[Finding]:
    for index, datastream in enumerate(datastreams):
        for place, namespace in enumerate(datastream.identity_priority):
            if NO_PERSONS_NAMESPACE.fullmatch(namespace):
                yield Finding(
                    path=("datastream", index, "identity_priority", place),
                    detail=f"{shown(namespace)} is no namespace of a person's identity.",
                    fix='Write one as servers send it, e.g. "CRMID".',
                )


def _origins(datastreams: Sequence[Datastream]) -> Iterator[Finding]:
    for index, datastream in enumerate(datastreams):
        for position, origin in enumerate(datastream.allowed_origins):
            problem = origin_problem(origin)
            if problem:
                yield Finding(
                    path=("datastream", index, "allowed_origins", position),
                    detail=f"The origin {shown(origin)} {problem}.",
                    fix="Write scheme://host[:port] as browsers send it, e.g."
                    ' "https://shop.example" or "http://localhost:8080".',
                )


def origin_problem(origin: str) -> str | None:
    """What is wrong with an origin, as the end of a sentence; None: nothing."""
    if origin == "null" or "*" in origin:
        return "would let unknown pages call the edge with a visitor's cookies"
    match = ORIGIN.fullmatch(origin)
    if match is None:
        return "is not exactly scheme://host[:port] in lower case, with no path"
    port = match[1]
    if port and not (0 < int(port) < 65_536 and not port.startswith("0")):
        return "has a port that is not 1 to 65535"
    if port and port == DEFAULT_PORTS[origin.partition(":")[0]]:
        return f"names the default port {port}, which browsers leave out"
    return None


def _destinations(definitions: Definitions) -> Iterator[Finding]:
    datastreams = {datastream.id: datastream for datastream in definitions.datastreams}
    aliases: dict[tuple[str, str], int] = {}
    counts: dict[str, int] = {}
    for index, destination in enumerate(definitions.destinations):
        yield from _alias(destination, index, aliases)
        path = ("destination", index, "datastream")
        datastream = datastreams.get(destination.datastream)
        counts[destination.datastream] = counts.get(destination.datastream, 0) + 1
        if datastream is None:
            yield unknown(path, "datastream", destination.datastream, datastreams)
        elif not datastream.personalization_destinations:
            yield Finding(
                path=path,
                detail=f"The datastream {shown(datastream.id)} has personalization_destinations ="
                f" false, so the destination {shown(destination.name)} would never be answered.",
                fix="Write personalization_destinations = true there, or take the destination out.",
            )
        elif counts[datastream.id] == MAX_DESTINATIONS_PER_DATASTREAM + 1:
            yield Finding(
                path=path,
                detail=f"The datastream {shown(datastream.id)} has more than"
                f" {MAX_DESTINATIONS_PER_DATASTREAM} destinations.",
                fix="Move this destination and those after it to another datastream.",
            )


def _alias(
    destination: Destination, index: int, aliases: dict[tuple[str, str], int]
) -> Iterator[Finding]:
    alias = destination.integration_alias
    path = ("destination", index, "integration_alias")
    if not INTEGRATION_ALIAS.fullmatch(alias):
        yield Finding(
            path=path,
            detail=f"The integration alias {shown(alias)} is not a letter followed by up to 63"
            " letters, digits and . _ -.",
            fix='Write a name that a page\'s script can use, e.g. "personalizationAlias".',
        )
    first = aliases.setdefault((destination.datastream, alias), index)
    if first != index:
        yield Finding(
            path=path,
            detail=f"The integration alias {shown(alias)} is used twice on the datastream"
            f" {shown(destination.datastream)}; a reader could not tell the two apart.",
            fix="Give one of them another alias.",
            of=("destination", first, "integration_alias"),
        )


def _attributes(destinations: Sequence[Destination]) -> Iterator[Finding]:
    for index, destination in enumerate(destinations):
        path = ("destination", index, "attribute")
        if destination.attributes and destination.kind == "custom-personalization":
            yield Finding(
                path=path,
                detail=f"The destination {shown(destination.name)} is of a kind that carries no"
                " attributes.",
                fix='Write kind = "custom-personalization-with-attributes", or take its'
                " [[destination.attribute]] tables out.",
            )
        if len(destination.attributes) > MAX_ATTRIBUTES_PER_DESTINATION:
            yield Finding(
                path=(*path, MAX_ATTRIBUTES_PER_DESTINATION),
                detail=f"The destination {shown(destination.name)} maps"
                f" {len(destination.attributes)} attributes; {MAX_ATTRIBUTES_PER_DESTINATION} is"
                " the limit.",
                fix="Take out the mappings that no reader needs.",
            )
        yield from _mappings(destination, path)


def _mappings(destination: Destination, path: Path) -> Iterator[Finding]:
    targets: dict[str, int] = {}
    for index, mapping in enumerate(destination.attributes):
        source, target = mapping.source, mapping.target
        if len(source) > MAX_NAME_LENGTH or not SOURCE_PATH.fullmatch(source):
            yield Finding(
                path=(*path, index, "source"),
                detail=f"The source {shown(source)} is not a path of field names.",
                fix="Write the names with dots between them, e.g. person.name.firstName.",
            )
        elif source.split(".")[0] in NOT_ATTRIBUTES:
            yield Finding(
                path=(*path, index, "source"),
                detail=f"The source {shown(source)} is no attribute of the profile.",
                fix="Map a field that `perso profile put` writes, e.g. loyalty.tier.",
            )
        if not (target.strip() and len(target) <= 128 and target.isprintable()):
            yield Finding(
                path=(*path, index, "target"),
                detail=f"The target {shown(target)} is not 1 to 128 printable characters.",
                fix="Write the name under which the reader finds the value, e.g. firstName.",
            )
        if targets.setdefault(target, index) != index:
            yield Finding(
                path=(*path, index, "target"),
                detail=f"The target {shown(target)} is mapped twice.",
                fix="Give each mapping of a destination a target of its own.",
                of=(*path, targets[target], "target"),
            )


def _audience_aliases(audiences: Sequence[Audience]) -> Iterator[Finding]:
    """Templates write an id, an alias or a name: no two audiences may answer to one word."""
    owner = {audience.id: (index, "id") for index, audience in reversed([*enumerate(audiences)])}
    names = [(index, "name", audience.name) for index, audience in enumerate(audiences)]
    aliases = [(index, "alias", one.alias) for index, one in enumerate(audiences) if one.alias]
    for index, audience in enumerate(audiences):
        if audience.alias is not None and not AUDIENCE_ALIAS.fullmatch(audience.alias):
            yield Finding(
                path=("audience", index, "alias"),
                detail=f"The alias {shown(audience.alias)} is not a small letter followed by up"
                " to 39 small letters, digits and _ -.",
                fix='Write a short name for templates, e.g. alias = "gold".',
            )
    for index, key, word in (*names, *aliases):
        known, known_key = owner.setdefault(word, (index, key))
        # Two equal names are reported with the names.
        if known != index and (key, known_key) != ("name", "name"):
            yield Finding(
                path=("audience", index, key),
                detail=f"The {key} {shown(word)} is also the {known_key} of the audience"
                f" {shown(audiences[known].name)}.",
                fix=f"Give one of the two another {key}: templates find audiences by either.",
                of=("audience", known, known_key),
            )


def _activations(definitions: Definitions) -> Iterator[Finding]:
    audiences = {audience.id: audience.name for audience in definitions.audiences}
    destinations = {destination.id: destination.name for destination in definitions.destinations}
    pairs: dict[tuple[str, str], int] = {}
    counts: dict[str, int] = {}
    for index, activation in enumerate(definitions.activations):
        path = ("activation", index)
        if activation.audience not in audiences:
            yield unknown((*path, "audience"), "audience", activation.audience, audiences)
        if activation.destination not in destinations:
            yield unknown(
                (*path, "destination"), "destination", activation.destination, destinations
            )
        pair = (activation.audience, activation.destination)
        if pairs.setdefault(pair, index) != index:
            yield Finding(
                path=(*path, "audience"),
                detail=f"The audience {shown(activation.audience)} is activated to"
                f" {shown(activation.destination)} twice.",
                fix="Keep one of the two.",
                of=("activation", pairs[pair]),
            )
        counts[activation.destination] = counts.get(activation.destination, 0) + 1
        if counts[activation.destination] == MAX_ACTIVATIONS_PER_DESTINATION + 1:
            yield Finding(
                path=(*path, "destination"),
                detail=f"The destination {shown(activation.destination)} has more than"
                f" {MAX_ACTIVATIONS_PER_DESTINATION} activations.",
                fix="Take this activation and those after it out, or use another destination.",
            )
        yield from _days(activation, path)


def _days(activation: Activation, path: Path) -> Iterator[Finding]:
    start, end = activation.start_date, activation.end_date
    if start and end and end < start:
        yield Finding(
            path=(*path, "end_date"),
            detail=f"The end date {end} is before the start date {start}.",
            fix="Write an end date on or after the start date; both days are included.",
        )
