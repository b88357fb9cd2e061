"""Cases: a rule, a profile, an instant, and what is expected. People keep them beside their
audiences, and the project's own vectors have the same form (docs/pql.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, get_args

from msgspec import Struct

from perso_core.errors import BadCases, RuleError, RuleFaults, RuleSyntaxError, RuleTypeError
from perso_core.pql.compiler import CompiledRule, compile_rule
from perso_core.pql.eligibility import MAX_EVENT_WINDOW_DAYS, EdgeRule, ineligible
from perso_core.pql.instants import DAY_MS, instant_of
from perso_core.pql.kept_events import as_kept, no_events
from perso_core.pql.lexer import words
from perso_core.pql.nodes import Node
from perso_core.pql.sound import read, unsound

MAX_CASES = 100_000
# A case without a window of its own counts every event that its profile has.
ENDLESS_MS = 2**60

MODES = ("predicate", "value", "edge", "robust")
FAULTS: Mapping[str, type[RuleError]] = {"parse": RuleSyntaxError, "type": RuleTypeError}
CODES = frozenset(cause.code for cause in RuleError.__subclasses__())
PLACE = re.compile(r"[1-9][0-9]*:[1-9][0-9]*", re.ASCII)
EDGES: tuple[EdgeRule, ...] = get_args(EdgeRule)
FINISHES, ELIGIBLE = "finishes", "eligible"
# A mistake of ours in one case is told with that case, and the others still run.
CRASHES = (
    *(ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError),
    *(NameError, RecursionError, TypeError, ValueError),
)


class Rule(Struct, frozen=True):
    """A rule that a case may name in place of its text. event_window_ms: of its audience."""

    pql: str
    event_window_ms: int


class Case(Struct, frozen=True, kw_only=True):
    """One case. expect: true or false, a value, {"error": …}, "eligible" or "finishes".

    profile: as rules read it, its events as the edge keeps them. at: line:column of the fault
    that is expected; None: any place. max_ms: the processor time that the case may take; None:
    any.
    """

    id: str
    pql: str
    now_ms: int
    expect: Any
    mode: str = "predicate"
    profile: Mapping[str, Any] = MappingProxyType({})
    at: str | None = None
    max_ms: float | None = None
    edge: EdgeRule = "edge-2025"
    event_window_ms: int = ENDLESS_MS


class Outcome(Struct, frozen=True):
    """What came of a case; expected and got in words."""

    case_id: str
    passed: bool
    expected: str
    got: str


# ---- running ----------------------------------------------------------------


def run_case(
    case: Case, *, cpu_ms: Callable[[], float], rules: Mapping[str, Node] | None = None
) -> Outcome:
    """The case, run. A rule that cannot be compiled, or that breaks the engine, is an outcome; so
    is a profile that no rule can be asked about.

    cpu_ms: the processor time this process has used. rules: typed nodes by audience id, for what
    inSegment names in a case about an edge.
    """
    problem = unsound(case.profile, "profile") or unsound(case.expect, "expect")
    if problem:
        return Outcome(case.id, False, "an answer", f"none: {problem[0]}. {problem[1]}")
    started_ms = cpu_ms()
    passed, got = _answer(case, rules or {})
    spent_ms = cpu_ms() - started_ms
    expected = _expected(case)
    if case.max_ms is not None and spent_ms > case.max_ms:
        return Outcome(
            case.id,
            False,
            f"{expected} within {case.max_ms:g} ms",
            f"{got} after {spent_ms:.0f} ms",
        )
    return Outcome(case.id, passed, expected, got)


def _answer(case: Case, rules: Mapping[str, Node]) -> tuple[bool, str]:
    try:
        rule = compile_rule(case.pql, event_window_ms=case.event_window_ms)
        if case.mode == "edge":
            return _edge(case, rule, rules)
        if case.mode == "predicate":
            got: Any = rule.evaluate(case.profile, case.now_ms).holds
        else:
            got = rule.value(case.profile, case.now_ms)
    except RuleFaults as faults:
        return _faulty(case, faults)
    except CRASHES as crash:
        return False, f"a crash: {type(crash).__name__}: {crash}"
    return case.mode == "robust" or alike(case.expect, got), shown(got)


def _edge(case: Case, rule: CompiledRule, rules: Mapping[str, Node]) -> tuple[bool, str]:
    reasons = ineligible(
        case.pql, rule.node, edge=case.edge, event_window_ms=case.event_window_ms, rules=rules
    )
    if not reasons:
        return case.expect == ELIGIBLE, ELIGIBLE
    first = reasons[0]
    placed = case.at in (None, first.place)
    refused = case.expect == {"error": "edge"} and placed
    return refused, f"refused at {first.place}: {first.detail}"


def _faulty(case: Case, found: RuleFaults) -> tuple[bool, str]:
    # A rule is read before its types are looked at, wherever their faults stand.
    unread = (one for one in found.faults if isinstance(one, RuleSyntaxError))
    fault = next(unread, found.faults[0])
    kind = next((word for word, cause in FAULTS.items() if isinstance(fault, cause)), fault.code)
    others = [f"{one.place}: {one.detail}" for one in found.faults if one is not fault]
    got = "; ".join([f"error {kind} at {fault.place}: {fault.detail}", *others, *found.rest()])
    if case.mode == "robust":
        return True, got
    wanted = case.expect.get("error") if _is_error(case.expect) else None
    return wanted in (kind, fault.code) and case.at in (None, fault.place), got


def _is_error(expect: Any) -> bool:
    return isinstance(expect, dict) and expect.keys() == {"error"}


def alike(wanted: Any, got: Any) -> bool:
    """Equality of values as JSON has them: numbers within 1e-9, true is no number."""
    if isinstance(wanted, list):
        return isinstance(got, list) and len(wanted) == len(got) and all(map(alike, wanted, got))
    if isinstance(wanted, dict):
        same_keys = isinstance(got, dict) and wanted.keys() == got.keys()
        return same_keys and all(alike(value, got[key]) for key, value in wanted.items())
    if type(wanted) in (int, float):
        return type(got) in (int, float) and abs(wanted - got) < 1e-9
    return type(wanted) is type(got) and bool(wanted == got)


def _expected(case: Case) -> str:
    if not _is_error(case.expect):
        return case.expect if case.mode in ("edge", "robust") else shown(case.expect)
    return f"error {case.expect['error']}" + (f" at {case.at}" if case.at else "")


def shown(value: Any) -> str:
    """A value as JSON, cut to 200 characters."""
    text = json.dumps(_with_text_keys(value), ensure_ascii=False, default=str)
    return text if len(text) <= 200 else f"{text[:199]}…"


def _with_text_keys(value: Any) -> Any:
    """JSON has no other keys: those of groups may be numbers, flags and lists."""
    if isinstance(value, Mapping):
        return {str(name): _with_text_keys(inner) for name, inner in value.items()}
    return [_with_text_keys(one) for one in value] if isinstance(value, list) else value


# ---- reading ----------------------------------------------------------------

KEYS = words(
    "id group pql audience profile now expect why mode at ambiguous pathological max_ms edge"
    " event_window_days"
)
FORM = '[{"id": "…", "pql": "…", "profile": {…}, "now": "2026-03-15T12:30:00Z", "expect": true}]'


def cases_from_json(text: str, rules: Mapping[str, Rule] | None = None) -> list[Case]:
    """The cases of a file's text.

    rules: what a case may name as its `audience`, by id, alias and name; None: no definitions
    were given. Raises BadCases, which names the first case and key that is wrong.
    """
    try:
        given = read(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise BadCases(
            f"line {error.lineno}, column {error.colno}: this is not JSON: {error.msg}.",
            fix="Mend the JSON there.",
        ) from None
    except (RecursionError, ValueError) as error:
        fix = "Keep one of the two." if "twice" in str(error) else "Shorten it."
        raise BadCases(f"the JSON cannot be read: {error}.", fix=fix) from None
    if not isinstance(given, list):
        raise BadCases("the file is not a list of cases.", fix=f"Write {FORM}.")
    if len(given) > MAX_CASES:
        raise BadCases(f"there are more than {MAX_CASES:,} cases.", fix="Split the file.")
    found = [_Reader(place, one, rules).case() for place, one in enumerate(given, 1)]
    for twice in _twice(found):
        raise BadCases(f"the id {twice!r} is given to two cases.", fix="Give each its own id.")
    return found


def _twice(found: list[Case]) -> Iterator[str]:
    seen: set[str] = set()
    for case in found:
        if case.id in seen:
            yield case.id
        seen.add(case.id)


class _Reader:
    """One case, checked key by key. place: 1-based in the list."""

    def __init__(self, place: int, given: Any, rules: Mapping[str, Rule] | None) -> None:
        self.name = f"case {place}"
        self.rules = rules
        if not isinstance(given, dict):
            raise self.wrong("", "is no object", f"Write {FORM}.")
        self.given = given
        if isinstance(given.get("id"), str):
            self.name = f"case {place} ({given['id']})"

    def wrong(self, key: str, what: str, fix: str) -> BadCases:
        return BadCases(f"{self.name}: {key + ' ' if key else ''}{what}.", fix=fix)

    def case(self) -> Case:
        for key in self.given.keys() - KEYS:
            near = get_close_matches(key, KEYS, 1)
            raise self.wrong(
                key, "is no key of a case", f"Write {near[0]}." if near else "Take it out."
            )
        rule = self.rule()
        mode = self.one_of("mode", MODES)
        return Case(
            id=self.kind("id", str, "a text"),
            pql=rule.pql,
            event_window_ms=rule.event_window_ms,
            now_ms=self.now(),
            mode=mode,
            expect=self.expect(mode),
            profile=self.profile(),
            at=self.at(),
            max_ms=self.max_ms(mode),
            edge=self.one_of("edge", ("edge-2025", "edge-classic", "local")),
        )

    def rule(self) -> Rule:
        if "audience" not in self.given:
            return Rule(self.kind("pql", str, "a rule's text"), self.event_window_ms())
        name = self.kind("audience", str, "an audience's id, alias or name")
        if "pql" in self.given:
            raise self.wrong("audience", "stands beside pql", "Keep one of the two.")
        if "event_window_days" in self.given:
            raise self.wrong("event_window_days", "is the audience's own", "Take it out.")
        if self.rules is None:
            raise self.wrong(
                "audience", f"{name!r} needs the definitions", "Name them with --definitions FILE."
            )
        if name not in self.rules:
            near = get_close_matches(name, self.rules, 1)
            raise self.wrong(
                "audience",
                f"{name!r} is not in the definitions",
                f"Write {near[0]!r}." if near else "Use the id, alias or name of one that is.",
            )
        return self.rules[name]

    def event_window_ms(self) -> int:
        means = f"1 to {MAX_EVENT_WINDOW_DAYS:,} days"
        days = self.kind("event_window_days", int, means, None)
        if days is None:
            return ENDLESS_MS
        if not 1 <= days <= MAX_EVENT_WINDOW_DAYS:
            raise self.wrong("event_window_days", f"is {days}", f"Write {means}.")
        return int(days * DAY_MS)

    def max_ms(self, mode: str) -> float | None:
        means = "a number of milliseconds"
        value = self.kind("max_ms", int | float, means, None)
        if value is None:
            # What has no limit of its own still has to come to an end.
            return 2_000 if mode == "robust" else None
        if value < 0:
            raise self.wrong("max_ms", f"is {value}", f"Write {means}.")
        return float(value)

    def at(self) -> str | None:
        """Where a fault is expected; no case without one has a place."""
        means = 'a place, e.g. "1:9"'
        value = self.kind("at", str, means, None)
        if value is None:
            return None
        if not PLACE.fullmatch(value):
            raise self.wrong("at", f"is {shown(value)}", f"Write {means}.")
        if not _is_error(self.given.get("expect")):
            fix = 'Take it out, or expect {"error": "parse"}.'
            raise self.wrong("at", "is the place of a fault, and none is expected", fix)
        return str(value)

    def profile(self) -> Mapping[str, Any]:
        value = self.kind("profile", dict, "an object", {})
        problem = no_events(value)
        if problem:
            raise self.wrong("", *problem)
        return as_kept(value)

    def kind(self, key: str, kind: Any, means: str, *default: Any) -> Any:
        if key not in self.given:
            if default:
                return default[0]
            raise self.wrong(key, "is missing", f"Write {means}.")
        value = self.given[key]
        wrong = isinstance(value, bool) and kind is not bool
        if wrong or not isinstance(value, kind) or (key != "profile" and unsound(value, key)):
            raise self.wrong(key, f"is {shown(value)}", f"Write {means}.")
        return value

    def one_of(self, key: str, means: tuple[Any, ...]) -> Any:
        value = self.given.get(key, means[0])
        if value not in means:
            raise self.wrong(key, f"is {shown(value)}", f"Write one of {', '.join(means)}.")
        return value

    def now(self) -> int:
        value = self.kind("now", str | int, "an instant, e.g. 2026-03-15T12:30:00Z")
        at = instant_of(value)
        if at is None:
            raise self.wrong("now", f"is {shown(value)}", "Write e.g. 2026-03-15T12:30:00Z.")
        return at

    def expect(self, mode: str) -> Any:
        if "expect" not in self.given:
            raise self.wrong("expect", "is missing", "Write true or false, as the rule should be.")
        value = self.given["expect"]
        error = _is_error(value) and isinstance(value["error"], str)
        known = error and (value["error"] in FAULTS or value["error"] in CODES)
        right, means = {
            "predicate": (known or isinstance(value, bool), "true, false"),
            "value": (known or not error, "a value"),
            "edge": (value in (ELIGIBLE, {"error": "edge"}), '"eligible" or {"error": "edge"}'),
            "robust": (value == FINISHES, '"finishes"'),
        }[mode]
        if not right:
            other = ' or {"error": "parse"} or {"error": "type"}'
            if error and value["error"].startswith("pql."):
                other = f", or one of the codes {', '.join(sorted(CODES))}"
            means += other if mode in ("predicate", "value") else ""
            raise self.wrong("expect", f"is {shown(value)}", f"Write {means}.")
        return value
