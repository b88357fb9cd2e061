"""A second evaluator, kept for comparison: it walks the typed nodes, knows no time but now, and
shares nothing with the one that compiles. Slow, and meant to be obviously right: read it beside
pql.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import re2
from msgspec import Struct
from msgspec.structs import replace

from perso_core.pql.nodes import (
    And,
    Between,
    Binder,
    Call,
    Chain,
    Compare,
    Constant,
    Distance,
    Element,
    Events,
    Filter,
    Lambda,
    Let,
    ListOf,
    Member,
    Method,
    Negative,
    Node,
    Not,
    ObjectOf,
    Occurs,
    On,
    Or,
    Over,
    Path,
    Pattern,
    Period,
    Product,
    Range,
    Root,
    Side,
    Step,
    Sum,
    TimeWord,
    Variable,
    Window,
)
from perso_core.pql.values import GroupKey, group_value, key_of
from tests.pql import plain_time as times
from tests.pql import plain_values as values
from tests.pql.plain_time import time_of


class Scene(Struct, frozen=True):
    """What a node sees. elements: the profile, then each element around this place."""

    view: Mapping[str, Any]
    now_ms: int
    event_window_ms: int
    elements: tuple[Any, ...]
    names: Mapping[str, Any]

    def inside(self, element: Any) -> Scene:
        return replace(self, elements=(*self.elements, element))

    def knowing(self, **names: Any) -> Scene:
        return replace(self, names={**self.names, **names})


def plain_value(node: Node, view: Mapping[str, Any], now_ms: int, event_window_ms: int) -> Any:
    """What the typed node gives at that instant. Times are `Time`."""
    body = node.body if isinstance(node, Lambda) else node
    return value(body, Scene(view, now_ms, event_window_ms, (view,), {}))


def plain_holds(node: Node, view: Mapping[str, Any], now_ms: int, event_window_ms: int) -> bool:
    return values.truth(plain_value(node, view, now_ms, event_window_ms))


def holds(node: Node, scene: Scene) -> bool:
    return values.truth(value(node, scene))


def value(node: Node, scene: Scene) -> Any:
    """What the node gives; None for a missing value."""
    match node:
        case Constant(value=literal):
            return literal
        case ListOf(items=items):
            return [value(item, scene) for item in items]
        case ObjectOf(entries=entries):
            return {key: value(inner, scene) for key, inner in entries}
        case TimeWord(word=word):
            return times.word(word, scene.now_ms)
        case Period(which=which, unit=unit):
            return times.period(which, unit, scene.now_ms)
        case Root():
            return scene.view
        case Events():
            return events(scene)
        case Element(up=up):
            return scene.elements[-1 - up]
        case Variable(name=name):
            return scene.names[name]
        case Path(base=base, segments=segments):
            return values.walked(value(base, scene), segments)
        case And(operands=operands):
            return all(holds(operand, scene) for operand in operands)
        case Or(operands=operands):
            return any(holds(operand, scene) for operand in operands)
        case Not(operand=operand):
            return not holds(operand, scene)
        case Compare(op=op, left=left, right=right):
            flags = any(isinstance(n, Constant) and n.value in FLAGS for n in (left, right))
            return values.compare(op, value(left, scene), value(right, scene), flags=flags)
        case Member():
            return member(node, scene)
        case Pattern(op=op, left=left, right=right):
            test = values.like if op == "like" else finds
            return any_text(test, value(left, scene), value(right, scene))
        case Occurs(left=left, window=window):
            found = [time_of(one) for one in values.as_list(value(left, scene))]
            return any(t is not None and within(t.start, window, scene) for t in found)
        case Sum(terms=parts) | Product(factors=parts):
            (_, first), *rest = parts
            result = value(first, scene)
            for op, part in rest:
                result = values.arithmetic(op, result, value(part, scene))
            return result if values.is_number(result) else None
        case Negative(operand=operand):
            return values.arithmetic("-", 0, value(operand, scene))
        case Filter(base=base, condition=condition):
            return filtered(value(base, scene), condition, scene)
        case Call():
            return call(node, scene)
        case Method():
            return method(node, scene)
        case Binder(kind="select", ranges=ranges):
            picked = [chosen for chosen, _ in tuples(ranges, scene)]
            return [chosen[0] if len(chosen) == 1 else list(chosen) for chosen in picked]
        case Binder(kind=kind, ranges=ranges):
            return quantified(kind, ranges, scene)
        case Over(function=function, measure=measure, ranges=ranges):
            measures = [value(measure, inner) for _, inner in tuples(ranges, scene)]
            return values.aggregate(function, measures)
        case Let(name=name, bound=bound, body=body):
            return value(body, scene.knowing(**{name: value(bound, scene)}))
        case Chain():
            return chain(node, scene)
    raise AssertionError(f"no meaning for {node}")


FLAGS = ("true", "false")


def events(scene: Scene) -> list[Any]:
    """The profile's events that still matter."""
    found = scene.view.get("xEvent")
    return [event for event in found if matters(event, scene)] if isinstance(found, list) else []


def matters(event: Any, scene: Scene) -> bool:
    """Until its event window is over; an event without a time for good."""
    at = time_of(values.dotted(event, "timestamp"))
    return at is None or scene.now_ms <= at.start + scene.event_window_ms


def member(node: Member, scene: Scene) -> bool:
    one, items = value(node.left, scene), value(node.right, scene)
    if one is None or items is None:
        return False
    return values.member(one, items) is not node.negated


# ---- texts ------------------------------------------------------------------


def any_text(test: Callable[[str, str], bool], subject: Any, pattern: Any) -> bool:
    if type(pattern) is not str:
        return False
    return any(type(one) is str and test(one, pattern) for one in values.as_list(subject))


def regular(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    return re2.compile(pattern, options)


def finds(text: str, pattern: str) -> bool:
    return encodable(text) and regular(pattern).search(text) is not None


def encodable(text: str) -> bool:
    """A lone half of a surrogate pair is no Unicode: nothing is found in it."""
    return not any("\ud800" <= c <= "\udfff" for c in text)


def group_of(text: Any, pattern: str, number: Any) -> Any:
    compiled = regular(pattern)
    number = (1 if compiled.groups else 0) if number is None else number
    if type(text) is not str or not encodable(text) or number not in range(compiled.groups + 1):
        return None
    found = compiled.search(text)
    return found.group(int(number)) if found else None


# ---- functions --------------------------------------------------------------


def call(node: Call, scene: Scene) -> Any:
    name = node.name
    if name == "if":
        test, one, other = node.args
        return value(one if holds(test, scene) else other, scene)
    args = [value(arg, scene) for arg in node.args]
    if name.startswith("current"):
        return times.parts(scene.now_ms)[name.removeprefix("current")]
    if name == "date":
        return times.date(*args)
    if name == "mapEntry":
        return values.Entry((args[0], args[1]))
    if name == "inSegment":
        status = values.walked(scene.view, ("segmentMembership", "ups", args[0], "status"))
        return status in ("realized", "existing")
    assert name == "stringCompare", name
    test_name, subject, texts, *case = args
    return values.text_test(
        test_name, subject, values.as_list(texts), case_sensitive=case != [False]
    )


def method(node: Method, scene: Scene) -> Any:
    name = node.name
    if name in OF_ELEMENTS:
        return of_elements(node, scene)
    base = value(node.base, scene)
    args = [value(arg, scene) for arg in node.args]
    if name in values.TEXT_TESTS or name in values.OPPOSITES:
        case = args.pop() if len(args) > 1 and isinstance(args[-1], bool) else True
        return values.text_test(name, base, args, case_sensitive=case)
    if name in PLAIN:
        return PLAIN[name](base, *args)
    assert name in ("getMonth", "getYear", "getDayOfMonth"), name
    when = time_of(base)
    return None if when is None else times.parts(when.start)[name.removeprefix("get")]


def intersection(one: Any, other: Any) -> list[Any] | None:
    if one is None or other is None:
        return None
    found = [item for item in values.as_list(one) if values.among(item, values.as_list(other))]
    return values.distinct(found)


def subset(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return False
    return all(values.among(item, values.as_list(other)) for item in values.as_list(one))


def included(items: Any, wanted: Any) -> bool:
    return items is not None and wanted is not None and values.among(wanted, values.as_list(items))


PLAIN: Mapping[str, Callable[..., Any]] = {
    "isNull": lambda a: a is None,
    "isNotNull": lambda a: a is not None,
    "matches": lambda a, p: any_text(finds, a, p),
    "regexGroup": lambda a, p, n=None: group_of(a, p, n),
    "intersection": intersection,
    "intersects": lambda a, b: bool(intersection(a, b)),
    "subsetOf": subset,
    "supersetOf": lambda a, b: subset(b, a),
    "includes": included,
    "distinct": lambda a: values.distinct(values.as_list(a)),
    "count": lambda a: len(values.as_list(a)),
    "head": lambda a: (values.as_list(a) or [None])[0],
    "get": lambda a, k: a.get(_key(k)) if isinstance(a, dict) else None,
    "keys": lambda a: [group_value(one) for one in a] if isinstance(a, dict) else [],
    "values": lambda a: list(a.values()) if isinstance(a, dict) else [],
}


# ---- elements ---------------------------------------------------------------

OF_ELEMENTS = frozenset(
    [
        "filter",
        "exists",
        "forall",
        "map",
        "groupBy",
        "topN",
        "bottomN",
        "sum",
        "average",
        "min",
        "max",
    ]
)


def for_element(node: Node, element: Any, scene: Scene) -> Any:
    """What a function's argument gives for one element."""
    inner = scene.inside(element)
    if isinstance(node, Lambda):
        return value(node.body, inner.knowing(**{node.names[0]: element}))
    return value(node, inner)


def filtered(base: Any, condition: Node, scene: Scene) -> list[Any]:
    return [e for e in values.as_list(base) if values.truth(for_element(condition, e, scene))]


def of_elements(node: Method, scene: Scene) -> Any:
    name, base = node.name, value(node.base, scene)
    if name == "map" and isinstance(node.args[0], Lambda) and len(node.args[0].names) == 2:
        return mapped_groups(base, node.args[0], scene)
    items = values.as_list(base)
    if not node.args:
        return len(items) > 0 if name == "exists" else values.aggregate(name, items)
    found = [for_element(node.args[0], item, scene) for item in items]
    pairs = list(zip(found, items, strict=True))
    if name == "filter":
        return [item for one, item in pairs if values.truth(one)]
    if name == "exists":
        return any(map(values.truth, found))
    if name == "forall":
        return all(map(values.truth, found))
    if name == "map":
        return gathered([one for one in found if one is not None])
    if name == "groupBy":
        return {_key(key): group for key, group in values.groups(pairs)}
    if name in ("topN", "bottomN"):
        return values.ranked(pairs, value(node.args[1], scene), largest=name == "topN")
    return values.aggregate(name, found)


def _key(value: Any) -> Any:
    """A flag is no number, and lists and objects cannot be keys of a dict."""
    if isinstance(value, list | dict | bool):
        return GroupKey(key_of(value), value)
    return value


def mapped_groups(base: Any, node: Lambda, scene: Scene) -> Any:
    pairs = list(base.items()) if isinstance(base, dict) else []
    scenes = [
        scene.inside(group).knowing(**dict(zip(node.names, (group_value(key), group), strict=True)))
        for key, group in pairs
    ]
    return gathered([value(node.body, inner) for inner in scenes])


def gathered(found: list[Any]) -> Any:
    """Entries make a map, and leave no room for anything else."""
    entries = [one for one in found if isinstance(one, values.Entry)]
    return {_key(key): value for key, value in entries} if entries else found


def tuples(ranges: tuple[Range, ...], scene: Scene) -> list[tuple[tuple[Any, ...], Scene]]:
    """Every choice of elements that satisfies the ranges, and what one sees having chosen."""
    if not ranges:
        return [((), scene)]
    first, *rest = ranges
    found = []
    for item in values.as_list(value(first.array, scene)):
        inner = scene.knowing(**{first.name: item})
        if first.condition is None or holds(first.condition, inner):
            found += [((item, *more), last) for more, last in tuples(tuple(rest), inner)]
    return found


def quantified(kind: str, ranges: tuple[Range, ...], scene: Scene) -> bool:
    if kind == "exists":
        return tuples(ranges, scene) != []
    if not ranges:
        return True
    first, *rest = ranges
    scenes = [
        scene.knowing(**{first.name: item}) for item in values.as_list(value(first.array, scene))
    ]
    return all(
        (first.condition is None or holds(first.condition, inner))
        and quantified(kind, tuple(rest), inner)
        for inner in scenes
    )


# ---- time -------------------------------------------------------------------


def within(t: int, window: Window, scene: Scene) -> bool:
    """Whether the instant lies in the window; never when what it is measured from is missing."""
    if isinstance(window, Between):
        first, last = time_of(value(window.first, scene)), time_of(value(window.last, scene))
        return first is not None and last is not None and first.start <= t < last.end
    assert isinstance(window, Distance | Side | On), window
    anchor = time_of(value(window.time, scene))
    if anchor is None:
        return False
    if isinstance(window, Side):
        return times.beside(t, window.direction, anchor)
    if isinstance(window, On):
        return anchor.start <= t < anchor.end
    return times.distant(t, window.op, window.amount, window.unit, window.direction, anchor)


# ---- chains -----------------------------------------------------------------


def chain(node: Chain, scene: Scene) -> bool:
    assert isinstance(node.order, Path), "a chain is ordered by a field"
    order = node.order.segments
    found = values.as_list(value(node.events, scene))
    timed = [(time_of(values.walked(event, order)), event) for event in found]
    dated = [(at.start, event) for at, event in timed if at is not None]
    if len(node.steps) == 1:
        number = len(fitting(node.steps[0], dated, scene))
        return all(times.TESTS[op](number, wanted) for op, wanted in counts(node.steps[0]))
    return follows(node.steps, dated, None, scene)


def counts(step: Step) -> tuple[tuple[str, int], ...]:
    return step.counts or ((">=", 1),)


def fitting(step: Step, dated: list[tuple[int, Any]], scene: Scene) -> list[int]:
    """The times of the events that satisfy the step."""
    return [
        at
        for at, event in dated
        if all(within(at, window, scene) for window in step.windows)
        and all(holds(condition, scene.inside(event)) for condition in step.conditions)
    ]


def follows(
    steps: tuple[Step, ...], dated: list[tuple[int, Any]], after: int | None, scene: Scene
) -> bool:
    """Whether some choice of events satisfies the steps, each step after the one before. What is
    measured from a step is measured from the last event that was chosen for it."""
    if not steps:
        return True
    first, rest = steps[0], steps[1:]
    times_ = [at for at in fitting(first, dated, scene) if after is None or at > after]
    least = max(n + (op == ">") for op, n in counts(first))
    if least == 0 and follows(rest, dated, after, scene.knowing(**{first.label: None})):
        return True
    lasts = {max(chosen) for chosen in combinations(times_, max(1, least))}
    return any(
        follows(rest, dated, last, scene.knowing(**{first.label: times.instant(last)}))
        for last in lasts
    )
