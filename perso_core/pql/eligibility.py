"""Which rules an edge takes, and why it refuses the others.

`edge-2025` and `edge-classic` are what Adobe's edge takes today and took before; `local` is the
whole language over an event window that is stated. docs/pql.md says the same for authors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct

from perso_core.errors import RuleNotEligible
from perso_core.pql.instants import DAY_MS, HOUR_MS
from perso_core.pql.lookback import Lookback, lookback
from perso_core.pql.nodes import (
    And,
    Binder,
    Call,
    Chain,
    Constant,
    Element,
    Events,
    Filter,
    Lambda,
    Method,
    Node,
    Not,
    Occurs,
    Or,
    Path,
    Step,
    Variable,
    Window,
    children,
)
from perso_core.pql.origins import Origin, origin, walk, whole_span
from perso_core.pql.printer import print_rule
from perso_core.pql.source import Source, Span

EdgeRule = Literal["edge-2025", "edge-classic", "local"]

# pql.md, 6: an edge looks one day back.
EDGE_WINDOW_MS = 24 * HOUR_MS
# An audience may not ask for more; what lies further back belongs into an attribute.
MAX_EVENT_WINDOW_DAYS = 3_650

NO_RULES: Mapping[str, Node] = {}
TIME = Origin("event", ("timestamp",))


class EventPart(Struct, frozen=True):
    """One event that a test asks for. windows: what it says of the event's time.

    counts: whether it asks how many. farthest_ms: how far back of now its windows reach, or those
    of an earlier step of the chain: a later step's event is later. None: there is no end.
    """

    node: Node
    windows: tuple[Window, ...]
    counts: bool
    farthest_ms: int | None


class EventTest(Struct, frozen=True):
    """One place of a rule that asks whether events happened. negated: under an odd number of
    nots."""

    node: Node
    negated: bool
    parts: tuple[EventPart, ...]


class EventsRead(Struct, frozen=True):
    """What a rule asks of events. others: parts that ask for something else than whether events
    happened. references: its inSegment calls."""

    tests: tuple[EventTest, ...]
    others: tuple[Node, ...]
    references: tuple[Call, ...]


def ineligible(
    text: str,
    node: Node,
    *,
    edge: EdgeRule,
    event_window_ms: int,
    rules: Mapping[str, Node] = NO_RULES,
) -> list[RuleNotEligible]:
    """Every reason why the edge refuses the rule, in the order of their places; none: it is
    eligible.

    text, node: the rule and its typed nodes. event_window_ms: how long the audience's events
    matter. rules: typed nodes by audience id, of the audiences that
    inSegment may name; one that is not there counts as reading events.
    """
    source = Source(text)
    # Whatever an edge takes is evaluated here, over the events that are kept here.
    reasons = local_reasons(node, event_window_ms)
    if edge != "local":
        refused = list(_Edge(edge, rules).reasons(events_read(node)))
        places = {span for span, _, _ in refused}
        reasons = [*refused, *(one for one in reasons if one[0] not in places)]
    found = [source.fault(RuleNotEligible, span, detail, fix) for span, detail, fix in reasons]
    kept = [fault for fault in found if isinstance(fault, RuleNotEligible)]
    return sorted(kept, key=lambda fault: (fault.line, fault.column))


# Where, what was found, what to do.
Reason = tuple[Span, str, str]


# ---- what a rule asks of events ---------------------------------------------


def events_read(root: Node) -> EventsRead:
    """O(nodes)."""
    tests: list[EventTest] = []
    others: list[Node] = []
    left = [(root, False)]
    while left:
        node, negated = left.pop()
        if isinstance(node, And | Or):
            left.extend((operand, negated) for operand in reversed(node.operands))
        elif isinstance(node, Not):
            left.append((node.operand, not negated))
        elif isinstance(node, Lambda):
            left.append((node.body, negated))
        elif test := _test(node, negated):
            tests.append(test)
        elif _reads_events(node):
            others.append(node)
    references = [n for n, _ in walk(root) if isinstance(n, Call) and n.name == "inSegment"]
    return EventsRead(tuple(tests), tuple(others), tuple(references))


def _reads_events(node: Node) -> bool:
    return any(isinstance(one, Events) for one, _ in walk(node))


def _test(node: Node, negated: bool) -> EventTest | None:
    """The node as a test of events; None where it is none, or asks for the events once more
    inside."""
    parts = _parts(node)
    inner = sum(isinstance(one, Events) for one, _ in walk(node))
    return EventTest(node, negated, parts) if parts and inner == 1 else None


def _parts(node: Node) -> tuple[EventPart, ...]:
    if isinstance(node, Chain) and isinstance(node.events, Events):
        return _chain_parts(node)
    if isinstance(node, Binder) and node.kind != "forall" and len(node.ranges) == 1:
        (one,) = node.ranges
        if isinstance(one.array, Events):
            return (_part(node, one.condition, Variable(one.name)),)
    if isinstance(node, Filter) and isinstance(node.base, Events):
        return (_part(node, node.condition, Element(0)),)
    named = isinstance(node, Method) and node.name in ("exists", "filter")
    if named and isinstance(node, Method) and isinstance(node.base, Events):
        return (_part(node, node.args[0] if node.args else None, Element(0)),)
    return ()


def _part(node: Node, condition: Node | None, event: Node) -> EventPart:
    if isinstance(condition, Lambda):
        event = Variable(condition.names[0])
        condition = condition.body
    windows = () if condition is None else tuple(_windows_in(condition, event))
    return EventPart(node, windows, counts=False, farthest_ms=_nearest_end(windows))


def _chain_parts(chain: Chain) -> tuple[EventPart, ...]:
    found: list[EventPart] = []
    before: int | None = None
    for step in chain.steps:
        windows = _step_windows(chain, step)
        own = _nearest_end(windows)
        ends = [one for one in (before, own) if one is not None]
        before = min(ends) if ends else None
        counts = any(count != (">=", 1) for count in step.counts)
        found.append(EventPart(step, windows, counts, before))
    return tuple(found)


def _step_windows(chain: Chain, step: Step) -> tuple[Window, ...]:
    """Of a chain that is ordered by another time the windows say nothing of an event's age."""
    ordered = chain.order == Path(Element(0), TIME.path)
    inside = [w for condition in step.conditions for w in _windows_in(condition, Element(0))]
    return (*step.windows, *inside) if ordered else tuple(inside)


def _windows_in(condition: Node, event: Node) -> Iterator[Window]:
    """The windows for the event's time that the condition needs."""
    for part in condition.operands if isinstance(condition, And) else (condition,):
        if isinstance(part, Occurs) and part.left == Path(event, TIME.path):
            yield part.window


def _nearest_end(windows: tuple[Window, ...]) -> int | None:
    """How far back all of them together reach; None: without end."""
    ends = [lookback(window).farthest_ms for window in windows]
    return min((end for end in ends if end is not None), default=None)


# ---- Adobe's edges ----------------------------------------------------------

ONE_DAY = "<= 24 hours before now"


class _Edge:
    """The reasons of edge-2025 or edge-classic."""

    def __init__(self, edge: EdgeRule, rules: Mapping[str, Node]) -> None:
        self.edge = edge
        self.rules = rules
        self.classic = edge == "edge-classic"

    def reasons(self, read: EventsRead) -> list[Reason]:
        found = [self.other(node) for node in read.others]
        events = sum(len(test.parts) for test in read.tests)
        several = events > 1 or any(part.counts for test in read.tests for part in test.parts)
        for place, test in enumerate(read.tests):
            if not self.classic:
                found.extend(self.one_event(test, place))
            if not self.classic or several:
                found.extend(reason for part in test.parts for reason in self.window(part))
        if read.tests or read.others:
            found.extend(self.reference(call) for call in read.references if self.refused(call))
        return found

    def other(self, node: Node) -> Reason:
        return (
            whole_span(node),
            f"{self.edge} asks whether an event happened; this part reads the events in another"
            " way.",
            "Write CHAIN(xEvent, timestamp, [C0: WHAT(...) WHEN(...)]), keep the figure as an"
            ' attribute of the profile, or choose edge = "local".',
        )

    def one_event(self, test: EventTest, place: int) -> Iterator[Reason]:
        """What edge-2025 alone wants: one event, there, once."""
        if test.negated:
            yield (
                whole_span(test.node),
                f"{self.edge} takes an event that happened; here the rule is true when it did not.",
                "Make an audience of the event itself and read it as not(inSegment(...)), or"
                ' choose edge = "edge-classic" or "local".',
            )
        for later, part in enumerate(test.parts):
            if place or later:
                yield (
                    _span(part),
                    f"{self.edge} takes one event; this is one more.",
                    "Make an audience of each event and combine those with inSegment(...), or"
                    ' choose edge = "local".',
                )
            if part.counts:
                yield (
                    _span(part),
                    f"{self.edge} takes one event; this part counts them.",
                    'Take the COUNT out, or choose edge = "edge-classic" or "local".',
                )

    def window(self, part: EventPart) -> Iterator[Reason]:
        """An event within a day."""
        farthest = part.farthest_ms
        if farthest is not None and farthest <= EDGE_WINDOW_MS:
            return
        span = part.windows[0].place if part.windows else _span(part)
        looks = f"{self.edge} looks 24 hours back"
        fix = f'Write {ONE_DAY} or a shorter window, or choose edge = "local".'
        if farthest is not None:
            yield span, f"This reaches {age_words(farthest)} back; {looks}.", fix
        elif part.windows:
            yield span, f"This has no end in the past; {looks}.", fix
        else:
            window = f"WHEN({ONE_DAY})" if isinstance(part.node, Step) else f"occurs {ONE_DAY}"
            fix = f'Add {window}, or choose edge = "local".'
            yield span, f"This event has no time window; {looks}.", fix

    def refused(self, call: Call) -> bool:
        return not only_profile(str(_id(call)), self.rules)

    def reference(self, call: Call) -> Reason:
        known = _id(call) in self.rules
        why = "reads events, too" if known else "is not known here, so it may read events"
        return (
            call.span,
            f"{self.edge} takes an event together with inSegment only where that audience reads"
            f" the profile alone; this one {why}.",
            "Take the event or the inSegment out"
            + ("." if known else ", or name the definitions that have the audience."),
        )


def _span(part: EventPart) -> Span:
    return part.node.place if isinstance(part.node, Step) else whole_span(part.node)


def _id(call: Call) -> object:
    (audience,) = call.args
    return audience.value if isinstance(audience, Constant) else ""


def only_profile(audience_id: str, rules: Mapping[str, Node]) -> bool:
    """Whether the audience, and every audience it reads, reads no events. O(nodes of those)."""
    seen: set[str] = set()
    left = [audience_id]
    while left:
        current = left.pop()
        if current in seen:
            continue
        seen.add(current)
        if current not in rules:
            return False
        nodes = [rules[current]]
        while nodes:
            node = nodes.pop()
            if isinstance(node, Events):
                return False
            if isinstance(node, Call) and node.name == "inSegment":
                left.append(str(_id(node)))
            nodes.extend(children(node))
    return True


# ---- our own edge -----------------------------------------------------------


def local_reasons(root: Node, event_window_ms: int) -> list[Reason]:
    """Windows that ask for events which are forgotten by then: the answer would be wrong."""
    found: list[Reason] = []
    for node, scope in walk(root):
        if isinstance(node, Chain) and origin(node.events, scope) == Origin("event"):
            for part in _chain_parts(node):
                found.extend(_forgotten(part.windows, part.farthest_ms, event_window_ms))
        elif isinstance(node, Occurs) and origin(node.left, scope) == TIME:
            end = lookback(node.window).farthest_ms
            found.extend(_forgotten((node.window,), end, event_window_ms))
    # A window inside WHAT is met twice.
    return list(dict.fromkeys(found))


def _forgotten(
    windows: tuple[Window, ...], farthest_ms: int | None, event_window_ms: int
) -> Iterator[Reason]:
    """farthest_ms: where all of the windows together end."""
    kept = age_words(event_window_ms)
    for window in windows:
        ages: Lookback = lookback(window)
        if farthest_ms is not None and farthest_ms > event_window_ms:
            if ages.farthest_ms == farthest_ms:
                days = -(-farthest_ms // DAY_MS)
                yield (
                    window.place,
                    f"“{print_rule(window)}” reaches {age_words(farthest_ms)} back; this"
                    f" audience's events count for {kept}.",
                    _longer(days),
                )
        elif ages.nearest_ms is not None and ages.nearest_ms > event_window_ms:
            yield (
                window.place,
                f"“{print_rule(window)}” can never be true: this audience's events count for"
                f" {kept}.",
                _longer(-(-ages.nearest_ms // DAY_MS) * 2),
            )


def _longer(days: int) -> str:
    if days > MAX_EVENT_WINDOW_DAYS:
        return (
            "Keep what the rule needs as an attribute of the profile: events count for at most"
            f" {MAX_EVENT_WINDOW_DAYS:,} days."
        )
    return f"Write event_window_days = {days} below the audience, or a shorter window."


def age_words(ms: int) -> str:
    """A length of time, rounded up: "36 hours", "90 days"."""
    hours = -(-ms // HOUR_MS)
    if hours % 24 and hours < 72:
        return f"{hours} hours"
    days = -(-hours // 24)
    return f"{days:,} day{'s' * (days != 1)}"
