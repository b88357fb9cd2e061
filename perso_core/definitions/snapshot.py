"""The definitions compiled into one immutable value, which every request reads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime

import msgspec
from msgspec import Struct, structs

from perso_core.definitions.api_key import ApiKey
from perso_core.definitions.audience import Audience
from perso_core.definitions.datastream import Datastream
from perso_core.definitions.destination import Destination
from perso_core.definitions.document import Definitions
from perso_core.definitions.issuer import Issuer
from perso_core.errors import RuleFaults
from perso_core.pql.compiler import DEFAULT_EVENT_WINDOW_MS, CompiledRule, compile_rule
from perso_core.rules.ahead import Ahead
from perso_core.rules.index import reads_memberships
from perso_core.rules.kept import Known, Prepared
from perso_core.rules.ruleset import RuleSet

DAY_MS = 86_400_000

# So many rules are compiled sooner than it takes to look whether they are kept.
FEW = 100

# Later than any instant a rule can name (year 9999 is 253_402_300_800_000).
FOREVER_MS = 2**62


class ActivationWindow(Struct, frozen=True):
    """[from_ms, until_ms): when an audience may be told to a destination. Epoch milliseconds."""

    audience_id: str
    from_ms: int
    until_ms: int


class CompiledAudience(Struct, frozen=True):
    """An audience with its rule compiled. position: its place in the dependency order."""

    position: int
    definition: Audience
    rule: CompiledRule

    @property
    def id(self) -> str:
        return self.definition.id


class ConnectedDestination(Struct, frozen=True):
    """activations: in the file's order. places: where an audience stands in them. edges_ms: the
    instants at which one of them begins or ends, ascending, FOREVER_MS at the end."""

    definition: Destination
    activations: tuple[ActivationWindow, ...]
    places: Mapping[str, int]
    edges_ms: tuple[int, ...]


def connected(
    definition: Destination, activations: tuple[ActivationWindow, ...]
) -> ConnectedDestination:
    """A destination with its activations, an audience once among them."""
    places = {one.audience_id: place for place, one in enumerate(activations)}
    edges = {edge for one in activations for edge in (one.from_ms, one.until_ms)}
    return ConnectedDestination(definition, activations, places, (*sorted(edges), FOREVER_MS))


class Snapshot(Struct, frozen=True):
    """What is in force.

    id: a hash of the definitions' content; equal content, equal id. It leaves out who may call:
    a new key is no reason to evaluate every profile again.
    audiences: in dependency order: an audience stands after those its rule names in inSegment.
    destinations: by datastream id, in the file's order. event_window_ms: how long events are kept:
    as long as they count for some audience. event_paths: what some rule reads of an event.
    rules: all of them together. in_force_ms: since when they are; 0: not known. api_keys: by key
    id. issuers: by the `iss` of their tokens. off: id of an audience that is defined and not in
    force -> why. ahead: never of the one in force: the engine puts it into a copy for one part of a
    decision, as all that decides is given the snapshot anyway. Nobody keeps that copy.
    """

    id: str
    definitions: Definitions
    event_window_ms: int
    datastreams: Mapping[str, Datastream]
    destinations: Mapping[str, tuple[ConnectedDestination, ...]]
    audiences: tuple[CompiledAudience, ...]
    audience_by_id: Mapping[str, CompiledAudience]
    # Names templates may write (id, alias, name) -> audience id.
    audience_id_by_name: Mapping[str, str]
    rules: RuleSet
    event_paths: frozenset[tuple[str, ...]] = frozenset()
    in_force_ms: int = 0
    api_keys: Mapping[str, ApiKey] = {}
    issuers: Mapping[str, Issuer] = {}
    off: Mapping[str, str] = {}
    ahead: Ahead | None = None

    @property
    def org(self) -> str:
        return self.definitions.org

    def prepared(self) -> Known:
        """Its rules, for the next one."""
        pairs = zip(self.rules.rules, self.rules.outlines, strict=True)
        return {
            (rule.text, rule.event_window_ms): Prepared(rule, outline) for rule, outline in pairs
        }


def nothing_kept() -> Known:
    return {}


def compile_snapshot(
    definitions: Definitions,
    *,
    event_window_ms: int = DEFAULT_EVENT_WINDOW_MS,
    before: Snapshot | None = None,
    in_force_ms: int = 0,
    tolerant: bool = False,
    kept: Callable[[], Known] = nothing_kept,
) -> Snapshot:
    """Compile checked definitions.

    tolerant: for definitions that an earlier Perso checked. An audience whose rule is refused now
    is off, and so is each that asks for it; the others are in force.
    in_force_ms: since when they are; 0: not known.
    before: what was in force; its rules are taken as they are where text and window are the same.
    kept: asked, once, for rules that were compiled earlier, where more than FEW have to be.
    Raises RuleFaults for a rule that does not compile; call check_definitions first to have
    every fault at once. Cost: about half a millisecond per audience, a third of it for a
    rule of `before`.
    """
    known = _known(definitions, event_window_ms, before, kept)
    rules: dict[str, CompiledRule] = {}
    off: dict[str, str] = {}
    for audience in definitions.audiences:
        try:
            rules[audience.id] = _rule(audience, _window_ms(audience, event_window_ms), known)
        except RuleFaults as faults:
            if not tolerant:
                raise
            off[audience.id] = str(faults)
    _switch_off(rules, off)
    by_id = {audience.id: audience for audience in definitions.audiences}
    audiences = tuple(
        CompiledAudience(position, by_id[audience_id], rules[audience_id])
        for position, audience_id in enumerate(_in_order(rules))
    )
    return Snapshot(
        id=snapshot_id(definitions),
        definitions=definitions,
        event_window_ms=max(
            (rule.event_window_ms for rule in rules.values()), default=event_window_ms
        ),
        datastreams={stream.id: stream for stream in definitions.datastreams},
        destinations=_connected(definitions),
        audiences=audiences,
        audience_by_id={audience.id: audience for audience in audiences},
        audience_id_by_name=_ids_by_word([one.definition for one in audiences]),
        rules=_together(audiences, before, known),
        event_paths=_event_paths(audiences),
        in_force_ms=in_force_ms,
        off=off,
        api_keys={key.id: key for key in definitions.api_keys},
        issuers={issuer.issuer: issuer for issuer in definitions.issuers},
    )


def _switch_off(rules: dict[str, CompiledRule], off: dict[str, str]) -> None:
    """Those that ask for one that is off are off, too: what they would answer is not so."""
    found = bool(off)
    while found:
        asking = {one: rule.reads.audience_ids & off.keys() for one, rule in rules.items()}
        found = any(asking.values())
        for audience_id, asked_for in asking.items():
            if asked_for:
                del rules[audience_id]
                off[audience_id] = f"It asks for {', '.join(sorted(asked_for))}."


def _in_order(rules: Mapping[str, CompiledRule]) -> list[str]:
    """Audience ids, each after those that its rule reads."""
    reads = {audience_id: rule.reads.audience_ids for audience_id, rule in rules.items()}
    # Rules that look through the memberships as a whole come after those they may look for.
    asked_for = frozenset().union(*reads.values())
    last = {
        audience_id
        for audience_id, rule in rules.items()
        if reads_memberships(rule.reads) and audience_id not in asked_for
    }
    return sorted(dependency_order(reads), key=lambda audience_id: audience_id in last)


def _ids_by_word(audiences: Sequence[Audience]) -> Mapping[str, str]:
    """By what a template may write: of two that write the same, an id beats an alias, and that a
    name."""
    return {
        **{audience.name: audience.id for audience in audiences},
        **{audience.alias: audience.id for audience in audiences if audience.alias},
        **{audience.id: audience.id for audience in audiences},
    }


def _connected(definitions: Definitions) -> Mapping[str, tuple[ConnectedDestination, ...]]:
    """By datastream."""
    return {
        stream.id: tuple(
            connected(destination, _windows(definitions, destination.id))
            for destination in definitions.destinations
            if destination.datastream == stream.id
        )
        for stream in definitions.datastreams
    }


def snapshot_id(definitions: Definitions) -> str:
    """The id of their snapshot: the same where the same is decided of every profile."""
    return hashlib.sha256(msgspec.json.encode(_decided_by(definitions))).hexdigest()[:16]


def _together(
    audiences: tuple[CompiledAudience, ...], before: Snapshot | None, known: Known
) -> RuleSet:
    """The rules as one set: the one of `before` where it is of the same rules. What visitors'
    standings hold is by its numbers."""
    rules = [(audience.id, audience.rule) for audience in audiences]
    if before is not None:
        earlier = [(audience.id, audience.rule) for audience in before.audiences]
        if len(rules) == len(earlier) and all(
            one[0] == other[0] and one[1] is other[1]
            for one, other in zip(rules, earlier, strict=True)
        ):
            return before.rules
    outlines = {one.rule: one.outline for one in known.values() if one.outline is not None}
    return RuleSet(rules, outlines)


def _known(
    definitions: Definitions,
    event_window_ms: int,
    before: Snapshot | None,
    kept: Callable[[], Known],
) -> Known:
    """Rules that need not be compiled: those of `before`, and, where many others are asked for,
    those that are kept."""
    known = before.prepared() if before is not None else {}
    asked = {(one.pql, _window_ms(one, event_window_ms)) for one in definitions.audiences}
    return {**kept(), **known} if len(asked - known.keys()) > FEW else known


def _event_paths(audiences: Sequence[CompiledAudience]) -> frozenset[tuple[str, ...]]:
    """What explanations tell of an event is there as well: its type."""
    return frozenset({("eventType",)}).union(*[one.rule.reads.event_paths for one in audiences])


def _decided_by(definitions: Definitions) -> Definitions:
    """The definitions without what no audience depends on."""
    streams = tuple(structs.replace(one, retention_days=None) for one in definitions.datastreams)
    return structs.replace(definitions, api_keys=(), issuers=(), datastreams=streams)


def dependency_order(reads: Mapping[str, frozenset[str]]) -> list[str]:
    """Audience ids so that each stands after the audiences it reads; otherwise in given order.

    reads: audience id -> ids its rule names. Ids that are not keys are ignored (an unknown
    audience is false). A cycle keeps the given order: check_definitions refuses cycles.
    """
    ordered: list[str] = []
    state: dict[str, int] = {}  # 1: entered, 2: placed
    for root in reads:
        stack = [(root, iter(sorted(reads[root])))]
        if root in state:
            continue
        state[root] = 1
        while stack:
            audience_id, rest = stack[-1]
            following = next((r for r in rest if r in reads and r not in state), None)
            if following is None:
                stack.pop()
                state[audience_id] = 2
                ordered.append(audience_id)
            else:
                state[following] = 1
                stack.append((following, iter(sorted(reads[following]))))
    return ordered


def _rule(audience: Audience, window_ms: int, known: Known) -> CompiledRule:
    """The audience's rule."""
    found = known.get((audience.pql, window_ms))
    return found.rule if found else compile_rule(audience.pql, event_window_ms=window_ms)


def _window_ms(audience: Audience, default_ms: int) -> int:
    """How long an event counts for the audience."""
    days = audience.event_window_days
    return default_ms if days is None else days * DAY_MS


def _windows(definitions: Definitions, destination_id: str) -> tuple[ActivationWindow, ...]:
    return tuple(
        ActivationWindow(
            audience_id=activation.audience,
            from_ms=_day_ms(activation.start_date) if activation.start_date else 0,
            # The end date is inclusive: the window ends with that day, at the next midnight UTC.
            until_ms=_day_ms(activation.end_date) + DAY_MS if activation.end_date else FOREVER_MS,
        )
        for activation in definitions.activations
        if activation.destination == destination_id
    )


def _day_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)
