"""Stories of one visitor under a handful of rules: events in and out of order, attributes, time.

Made for what keeps a standing up to date: counts, chains, absence, calendar units, rules that ask
for other rules, events that are late, reported a second time with more fields, dated in the future
or pushed out by newer ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from random import Random
from typing import Any

from hypothesis import strategies as st

from perso_core.decision.event import Event, filled
from perso_core.decision.kept_events import KeptEvents
from perso_core.decision.projection import Projection
from perso_core.errors import RuleFaults
from perso_core.pql.compiler import CompiledRule, compile_rule
from perso_core.rules.ruleset import RuleSet, Standing

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_790_000_000_000
TYPES = ("buy", "view", "add")
COMPARISONS = (">=", "<=", "=", "<", ">", "!=")
ATTRIBUTES = ("tier", "points", "born", "renews", "vip")
WINDOWS = (
    "",
    "WHEN(<= 30 minutes before now)",
    "WHEN(<= 1 hour before now)",
    "WHEN(<= 2 hours before now)",
    "WHEN(< 1 day before now)",
    "WHEN(<= 3 days before now)",
    "WHEN(today)",
    "WHEN(this week)",
    "WHEN(this month)",
)
# Those that open only after the event, or more than once.
ODD_WINDOWS = (
    "WHEN(yesterday)",
    "WHEN(> 1 hour before now)",
    "WHEN(<= 1 month before now)",
    "WHEN(< 5 days from now)",
)

# A seed: what hypothesis draws itself leans to small values, and would hardly ever be late.
randoms = st.integers(min_value=0, max_value=2**48).map(Random)


# ---- rules ------------------------------------------------------------------


def condition(chance: Random, depth: int = 0) -> str:
    """What a rule asks of one event."""
    nested = depth < 2
    made = (
        lambda: f'eventType = "{chance.choice(TYPES)}"',
        lambda: f'eventType.equals("{chance.choice(TYPES).upper()}", false)',
        lambda: f'eventType in ["{chance.choice(TYPES)}", "{chance.choice(TYPES)}"]',
        lambda: f"price {chance.choice(('<', '<=', '>', '>='))} {chance.randrange(4)}",
        lambda: f"price > {chance.randrange(3)} and price > {chance.randrange(3)}",
        lambda: f"price = {chance.randrange(3)}",
        lambda: f'page.contains("{chance.choice("abc")}")',
        lambda: f'page.startsWith("{chance.choice("abc")}", false)',
        lambda: f'stringCompare("equals", page, ["A", "b"], {chance.choice(("true", "false"))})',
        lambda: f'sku = "{chance.choice("xyz")}"',
        lambda: 'flag = "true"',
        lambda: f'web.page.name = "{chance.choice("abc")}"',
        lambda: "price.isNull()",
        lambda: f'items.exists(sku = "{chance.choice("xyz")}")',
        lambda: f'items.exists(sku = "{chance.choice("xyz")}" and q > {chance.randrange(3)})',
        lambda: f'items.exists(i => i.sku = "{chance.choice("xyz")}" or i.q.isNull())',
        lambda: f'items.sku = "{chance.choice("xyz")}"',
        lambda: f"items.forall(q > {chance.randrange(2)})",
        lambda: f"items.count() > {chance.randrange(3)}",
        lambda: f"items.sum(q) > {chance.randrange(4)}",
        lambda: chance.choice(("items.isNull()", "items", "items.sku.isNull()")),
        lambda: f"({condition(chance, depth + 1)} and {condition(chance, depth + 1)})",
        lambda: f"({condition(chance, depth + 1)} or {condition(chance, depth + 1)})",
        lambda: f"not({condition(chance, depth + 1)})",
    )
    write: Callable[[], str] = chance.choice(made if nested else made[:-3])
    return write()


def window(chance: Random) -> str:
    return chance.choice(ODD_WINDOWS if chance.random() < 0.1 else WINDOWS)


def step(chance: Random, label: str) -> str:
    return f"{label}: WHAT({condition(chance)}) {window(chance)}"


def chain(chance: Random, steps: int) -> str:
    return f"CHAIN(xEvent, timestamp, [{', '.join(step(chance, one) for one in 'ABC'[:steps])}])"


def counted(chance: Random) -> str:
    return f"CHAIN(xEvent, timestamp, [{step(chance, 'A')} {count(chance)}])"


def count(chance: Random) -> str:
    """No number is less than 0: such a count is refused."""
    op = chance.choice(COMPARISONS)
    return f"COUNT({op} {chance.randrange(op == '<', 4)})"


def literal(chance: Random) -> str:
    """A use of the events."""
    one = condition(chance)
    made = (
        lambda: chain(chance, 1),
        lambda: chain(chance, 1),
        lambda: chain(chance, 2),
        lambda: chain(chance, 3),
        lambda: counted(chance),
        lambda: (
            f"xEvent[{one}].count() {chance.choice(COMPARISONS)} {chance.choice((0, 1, 2, 1.5))}"
        ),
        lambda: f"xEvent.exists({one})",
        lambda: f"xEvent.exists(e => e.price > {chance.randrange(4)})",
        lambda: f"exists E from xEvent where E.price > {chance.randrange(3)}",
        lambda: f"select E from xEvent where E.price > {chance.randrange(3)}",
        lambda: f'(select E from xEvent where E.sku = "x").count() > {chance.randrange(3)}',
        lambda: chance.choice(("xEvent", f"xEvent[{one}]", "xEvent.count() < 2")),
        lambda: f"xEvent.price > {chance.randrange(4)}",
        lambda: 'xEvent.eventType in ["buy", "none"]',
        # These have no formula: they are run.
        lambda: f"xEvent.filter({one}).sum(price) > {chance.randrange(5)}",
        lambda: (
            f"CHAIN(xEvent, timestamp, [{step(chance, 'A')},"
            f" B: WHAT({condition(chance)}) WHEN(<= 1 hour after A)])"
        ),
    )
    write: Callable[[], str] = chance.choice(made)
    return write()


def silent(chance: Random, before: list[str]) -> str:
    """What reads no event. before: ids of audiences that may be asked for."""
    made = [
        lambda: f'tier = "{chance.choice("gs")}"',
        lambda: f"points > {chance.randrange(5)}",
        lambda: "tier.isNull()",
        lambda: "vip = true",
        lambda: f"born occurs <= {chance.randrange(1, 5)} days before now",
        lambda: "renews occurs between now and tomorrow",
    ]
    if before:
        made += [lambda: f'inSegment("{chance.choice(before)}")'] * 3
    write: Callable[[], str] = chance.choice(made)
    return write()


def rule(chance: Random, before: list[str], depth: int = 0) -> str:
    pick = chance.randrange(10) if depth < 3 else chance.randrange(5)
    if pick < 3:
        return literal(chance)
    if pick < 5:
        return silent(chance, before)
    if pick == 9:
        return f"not({rule(chance, before, depth + 1)})"
    joined = " and " if pick < 8 else " or "
    return f"({joined.join(rule(chance, before, depth + 1) for _ in range(2))})"


# ---- rules about few things -------------------------------------------------

# So few that literals of one rule begin and end around each other.
FEW = ('eventType = "buy"', 'eventType = "view"', "price > 1")
FEW_WINDOWS = WINDOWS[:5]


def few(chance: Random) -> str:
    one, other = (f"WHAT({chance.choice(FEW)}) {chance.choice(FEW_WINDOWS)}" for _ in range(2))
    number = count(chance)
    made = (
        lambda: f"CHAIN(xEvent, timestamp, [A: {one}])",
        lambda: f"CHAIN(xEvent, timestamp, [A: {one} {number}])",
        lambda: f"CHAIN(xEvent, timestamp, [A: {one}, B: {other}])",
        lambda: f"xEvent[{chance.choice(FEW)}].count() {chance.choice(COMPARISONS)} 1",
    )
    write: Callable[[], str] = chance.choice(made)
    return write()


def weighed(chance: Random, before: list[str]) -> str:
    """A literal that matters or not by what attributes or other rules say."""
    told = few(chance)
    told = f"not({told})" if chance.random() < 0.3 else told
    if chance.random() < 0.3:
        return told
    return f"({told} {chance.choice(('and', 'or'))} {silent(chance, before)})"


def focused(chance: Random, before: list[str], depth: int = 0) -> str:
    """Two or three literals that have much to do with each other."""
    if depth == 2 or (depth == 1 and chance.random() < 0.6):
        one = few(chance) if chance.random() < 0.85 else silent(chance, before)
        return f"not({one})" if chance.random() < 0.3 else one
    joined = chance.choice((" and ", " or "))
    return f"({joined.join(focused(chance, before, depth + 1) for _ in range(2))})"


Rules = list[tuple[str, CompiledRule]]


def rules(chance: Random, count: int, event_window_ms: int) -> Rules:
    """Rules that compile, each asking only for rules before it."""
    found: Rules = []
    made = chance.choice((rule, focused, weighed))
    while len(found) < count:
        text = made(chance, [audience_id for audience_id, _ in found])
        compiled = compiled_or_not(text, event_window_ms)
        if compiled is not None:
            found.append((f"s{len(found)}", compiled))
    return found


@lru_cache(maxsize=50_000)
def compiled_or_not(text: str, event_window_ms: int) -> CompiledRule | None:
    try:
        return compile_rule(text, event_window_ms=event_window_ms)
    except RuleFaults:  # such as a comparison that can never hold
        return None


# ---- what happens -----------------------------------------------------------


def event(chance: Random, at_ms: int) -> dict[str, Any]:
    fields: dict[str, tuple[Any, ...]] = {
        "eventType": TYPES,
        "price": (0, 1, 2, 3, 2.5, True, "2", None, [1, 3], 10**20),
        "page": ("a", "b", "ab", "B", ["a", "c"], 3, "\u0130"),
        "sku": ("x", "y", ["x", "z"]),
        "flag": (True, False, "true", "false"),
        "web": (
            {"page": {"name": "a"}},
            {"page": {"name": ["b", "c"]}},
            {"page": [{"name": "a"}, {"name": "b"}]},
            [{"page": {"name": "c"}}],
            {"page": "a"},
            {"page": None},
            "a",
        ),
    }
    made = {name: chance.choice(some) for name, some in fields.items() if chance.random() < 0.7}
    if chance.random() < 0.5:
        made["items"] = [item(chance) for _ in range(chance.randrange(3))]
        if chance.random() < 0.2:  # no list of objects
            made["items"] = chance.choice((item(chance), [made["items"]], "x" * 200, {}, None))
    return {**made, "timestamp": at_ms, "_id": str(chance.random())}


def item(chance: Random) -> Any:
    one = {"sku": chance.choice("xyz"), "q": chance.randrange(4), "more": "m" * 50}
    return one if chance.random() < 0.9 else chance.choice(({}, None, [one], "x", {"q": None}))


def attribute(chance: Random, now_ms: int) -> tuple[str, Any]:
    """A name and its new value; None: taken away."""
    name = chance.choice(ATTRIBUTES)
    made = {
        "tier": chance.choice("gs"),
        "points": chance.randrange(6),
        "born": now_ms - chance.randrange(6 * DAY_MS),
        "renews": now_ms + chance.randrange(-DAY_MS, 2 * DAY_MS),
        "vip": True,
    }
    return name, None if chance.random() < 0.3 else made[name]


class Story:
    """One visitor: what is kept of it, and its standing after each thing that happened."""

    def __init__(
        self,
        chance: Random,
        *,
        rules_count: int = 8,
        ordered: bool = False,
        on_time: float = 0.8,
        again: float = 0.1,
    ) -> None:
        self.chance = chance
        window_ms = chance.choice((3 * HOUR_MS, 2 * DAY_MS, 35 * DAY_MS))
        self.rules = rules(chance, rules_count, window_ms)
        self.window_ms = window_ms
        self.set = RuleSet(self.rules)
        self.now_ms = START_MS + chance.randrange(10 * DAY_MS)
        self.attributes: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []
        self.ordered = ordered
        self.on_time, self.again = on_time, again
        self.arrived = 0
        self.standing = self.set.standing(self.kept, now_ms=self.now_ms)

    def view(self) -> dict[str, Any]:
        return {**self.attributes, "xEvent": list(self.events)}

    def kept(self) -> dict[str, Any]:
        """As rules see the visitor: with what they read of events."""
        paths = set().union(*[one.reads.event_paths for _, one in self.rules])
        projection = Projection(frozenset({("eventType",), *paths}))
        sent = [Event(id=one["_id"], timestamp_ms=one["timestamp"], xdm=one) for one in self.events]
        return {**self.attributes, "xEvent": KeptEvents.of(sent).packed(projection).xdm()}

    def told(self, steps: int) -> Iterator[Standing]:
        """The standing after each of so many steps."""
        for _ in range(steps):
            self.happen()
            yield self.standing

    def happen(self) -> None:
        if self.events and self.chance.random() < self.again:
            self.wait(self.chance.choice((0, 0, 60_000, HOUR_MS)))
            self.complete(self.chance.randrange(len(self.events)))
            return
        pick = self.chance.random()
        if pick < 0.6:
            self.wait(
                self.chance.choice((0, 1, 60_000, HOUR_MS // 2, HOUR_MS, 5 * HOUR_MS, DAY_MS))
            )
            self.arrive(event(self.chance, self.dated()))
        elif pick < 0.8:
            self.wait(0)
            self.tell(*attribute(self.chance, self.now_ms))
        elif self.standing.until_ms < self.now_ms + 50 * DAY_MS:
            self.wait(self.standing.until_ms - self.now_ms + self.chance.choice((0, 0, 1, HOUR_MS)))

    def dated(self) -> int:
        """When the next event happened: now, mostly."""
        pick = self.chance.random()
        if self.ordered or pick < self.on_time:
            return self.now_ms
        if pick < 0.95:
            return self.now_ms - self.chance.randrange(3 * HOUR_MS)
        return self.now_ms + self.chance.randrange(2 * HOUR_MS)

    def wait(self, ms: int) -> None:
        """Time alone, each change at its own instant."""
        self.now_ms += ms
        while self.standing.until_ms <= self.now_ms:
            at_ms = self.standing.until_ms
            self.standing = self.set.advance(self.standing, self.kept, now_ms=at_ms)
            assert self.standing.until_ms > at_ms, "time has to go on"

    def arrive(self, sent: dict[str, Any]) -> None:
        if self.chance.random() < 0.7:  # what counts for no rule any more is gone
            oldest_ms = self.now_ms - self.window_ms
            self.events = [one for one in self.events if int(one["timestamp"]) >= oldest_ms]
        self.events.append(sent)
        self.arrived += 1
        self.events.sort(key=lambda one: int(one["timestamp"]))
        evicted = self.chance.random() < 0.05
        if evicted:  # the oldest makes room
            del self.events[0]
        self.standing = self.set.after_event(
            self.standing,
            sent,
            self.kept,
            now_ms=self.now_ms,
            kept=len(self.events),
            evicted=evicted,
        )

    def complete(self, place: int) -> None:
        """A second report of an event, which fills gaps."""
        known = self.events[place]
        whole = dict(filled(known, event(self.chance, int(known["timestamp"]))))
        self.events = [*self.events[:place], whole, *self.events[place + 1 :]]
        newer = len(self.events) - 1 - place
        self.standing = self.set.after_completion(
            self.standing, known, whole, self.kept, now_ms=self.now_ms, newer=newer
        )

    def tell(self, name: str, value: Any) -> None:
        if value is None:
            self.attributes.pop(name, None)
        else:
            self.attributes[name] = value
        self.standing = self.set.after_attributes(
            self.standing, [name], self.kept, now_ms=self.now_ms
        )


def run_all(
    told: Rules, view: dict[str, Any], now_ms: int, *, outside: dict[str, Any] | None = None
) -> tuple[int, int]:
    """Every rule run in order: (members, until_ms). outside: memberships of other audiences."""
    realized: dict[str, Any] = dict(outside or {})
    others = view.get("segmentMembership", {})
    seen = {**view, "segmentMembership": {**others, "ups": realized}}
    members, until_ms = 0, 2**62
    for place, (audience_id, one) in enumerate(told):
        verdict = one.evaluate(seen, now_ms)
        until_ms = min(until_ms, verdict.until_ms)
        if verdict.holds:
            members |= 1 << place
            realized[audience_id] = {"status": "realized"}
    return members, until_ms
