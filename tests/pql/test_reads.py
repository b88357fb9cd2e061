"""Which events a rule waits for."""

from __future__ import annotations

import pytest

from perso_core.decision.projection import Projection
from perso_core.pql.compiler import compile_rule
from perso_core.pql.event_paths import DEEPEST
from perso_core.pql.types import EventGuard
from perso_core.rules.ruleset import RuleSet


def guards(text: str) -> tuple[EventGuard, ...]:
    return compile_rule(text).reads.events


def test_the_type_of_the_event_is_the_guard_that_is_preferred() -> None:
    rule = 'CHAIN(xEvent, timestamp, [C0: WHAT(page = "x" and eventType.equals("Buy", false))])'

    assert guards(rule) == (EventGuard("folded", ("eventType",), ("buy",)),)


@pytest.mark.parametrize(
    ("condition", "guard"),
    [
        ('page like "sale/%"', EventGuard("prefix", ("page",), ("sale/",))),
        ('page.startsWith("Sale", false)', EventGuard("folded-prefix", ("page",), ("sale",))),
        ("a in [1, 2]", EventGuard("equal", ("a",), (1, 2))),
        ('flag = "true"', EventGuard("equal", ("flag",), ("true", True))),
        ("amount > 5", EventGuard("present", ("amount",))),
        ("items.exists(a = 1)", EventGuard("present", ("items",))),
        ("page.isNull()", EventGuard("any")),
        ("not(page = 1)", EventGuard("any")),
        ("items.count() = 0", EventGuard("any")),
        ("items.sum(price) >= 0", EventGuard("any")),
    ],
)
def test_an_event_has_to_satisfy_what_the_condition_cannot_do_without(
    condition: str, guard: EventGuard
) -> None:
    assert guards(f"xEvent.exists({condition})") == (guard,)
    assert guards(f"not(xEvent[{condition}].count() = 0)") == (guard,)


def test_alternatives_wait_for_any_of_them() -> None:
    assert guards('xEvent.exists(a = 1 or b = "x")') == (
        EventGuard("equal", ("a",), (1,)),
        EventGuard("equal", ("b",), ("x",)),
    )


@pytest.mark.parametrize("rule", ["xEvent.count() > 1", "xEvent.forall(a = 1)", "xEvent.isNull()"])
def test_a_rule_about_all_events_waits_for_every_event(rule: str) -> None:
    assert guards(rule) == (EventGuard("any"),)


def test_a_rule_without_events_is_touched_by_none() -> None:
    rules = RuleSet([("r", compile_rule("loyalty.points > 1"))])

    assert rules.reached_by({"eventType": "x"}) == []
    assert rules.silent == {0}
    assert rules.index.reading(["loyalty", "other"]) == {0}


def test_a_rule_that_looks_through_the_memberships_hangs_on_every_audience_before_it() -> None:
    through = compile_rule('segmentMembership.get("ups").get("s").status = "realized"')
    rules = RuleSet([("s", compile_rule("vip = true")), ("r", through)])

    standing = rules.standing(lambda: {"vip": True}, now_ms=1)

    assert rules.index.dependents(0) == (1,)
    assert rules.ids(standing.members) == ["s", "r"]


def test_what_a_rule_reads() -> None:
    reads = compile_rule(
        'P => P.loyalty.tier = "x" and inSegment("s") and $1.born occurs before today'
        " and orders[^person.vip = true and price > 1].count() > 0"
    ).reads

    assert reads.profile_paths == {"loyalty.tier", "born", "orders", "person.vip"}
    assert reads.audience_ids == {"s"}
    assert reads.events == ()
    assert reads.now


@pytest.mark.parametrize(
    ("text", "again"),
    [
        (
            '(a.get("b").status = "x") and ((not(xEvent.due occurs today))'
            " and (born occurs = 0 milliseconds from now))",
            'a.get("b").status = "x" and not(xEvent.due occurs today)'
            " and born occurs = 0 milliseconds from now",
        ),
        ("(xEvent.a.b > 1) and ((xEvent.a > 1))", "xEvent.a.b > 1 and xEvent.a > 1"),
    ],
)
def test_brackets_around_conditions_change_nothing_of_what_a_rule_reads(
    text: str, again: str
) -> None:
    """Compiled as a whole a rule kept a field of its profile's of each event, too; compiled part by
    part it did not."""
    assert compile_rule(text).reads == compile_rule(again).reads


@pytest.mark.parametrize(
    ("rule", "paths"),
    [
        ('xEvent.exists(e => e.items.exists(i => i.SKU = "x"))', "items. items.SKU"),
        (
            'xEvent[items[SKU = "x" and eventType != ^eventType]]',
            "eventType items. items.SKU items.eventType",
        ),
        ("xEvent.items.sum(price) > 5", "items. items.price"),
        ("xEvent[items.count() > 2]", "items."),
        ("xEvent[items.isNotNull()]", "items."),
        ("xEvent[items]", "items."),
        ("xEvent.exists(items.distinct().count() > 1)", "items"),
        ("xEvent.exists(items = other.items)", "items other.items"),
        ("xEvent.exists(let all = items in all.SKU = 1)", "items.SKU"),
        (
            "xEvent.exists(exists i from items, t from i.tags where t.a = 1)",
            "items. items.tags. items.tags.a",
        ),
        ("(select e from xEvent where e.items.head().SKU = 1).count() > 1", "items. items.SKU"),
        ("xEvent.exists(items.topN(price, 1).head().SKU = 1)", "items. items.SKU items.price"),
        ("(sum i.price over i from xEvent.items) > 5", "items. items.price"),
        ("xEvent.groupBy(store).a.items.price > 5", "items.price store"),
        ("xEvent.groupBy(store).map((K, G) => G.price).sum() > 5", "price store"),
        ('xEvent.exists(web.get("page").name = 1)', "web"),
        ("xEvent.exists(web.values().name = 1)", "web"),
        ("xEvent.exists([web, app].name = 1)", "app.name web.name"),
        ('xEvent.exists({"a": web}.a.name = 1)', "web.name"),
        ("xEvent.map(e => mapEntry(e.store, e.items)).a.SKU = 1", "items.SKU store"),
        ("xEvent.count() > 3", ""),
        ("xEvent.distinct().count() > 3", "."),
        ("xEvent.exists(orders.exists(id = ^id))", "id orders. orders.id"),
        ("orders.exists(id = 5) and xEvent.exists(a = 1)", "a"),
    ],
)
def test_of_elements_a_rule_reads_what_it_names(rule: str, paths: str) -> None:
    """A dot at the end: whether something is there, and how many; alone: all of the event."""
    told = {tuple(one.split(".")) if one != "." else () for one in paths.split()}

    read = set(compile_rule(rule).reads.event_paths)

    assert {path for path in read if path[:1] != ("timestamp",)} == told


def test_a_path_that_leads_deeper_than_any_event_is_kept_from_there_on() -> None:
    (path,) = compile_rule(f"xEvent.exists({'.'.join(['a'] * 30_000)} = 1)").reads.event_paths

    assert path == ("a",) * DEEPEST
    assert Projection(frozenset([path])).paths == {("_id",), path}


@pytest.mark.parametrize("made", ["[{0}.a, {0}.b]", '{{"k": [{0}.k.a, {0}.k.b]}}'])
def test_names_that_may_stand_for_ever_more_places_are_read_whole(made: str) -> None:
    """Twice as many with each: sixty took all the memory there is."""
    given = "".join(f"let v{n + 1} = {made.format(f'v{n}')} in " for n in range(60))

    read = compile_rule(f"xEvent.exists(v0 => {given}v60.x = 1)").reads.event_paths

    assert 100 < len(read) <= 200
