"""A standing in the making: its parts, and what has changed of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from msgspec import Struct

from perso_core.rules.layered import Layered
from perso_core.rules.program import Program
from perso_core.rules.standing import Judged, Log, Order, Reached, Standing, Times

# The profile as rules see it, made only when a rule has to be run.
View = Callable[[], Mapping[str, Any]]


class Making(Struct, gc=False, eq=False):
    """rules: the set. before: the standing it starts from, its parts copied in the same order.
    now_ms: the instant the next standing is for. due: rules to evaluate, by position, each once
    and in order, as rules ask for those before them.

    A Struct, since it costs a quarter of a class with an __init__ of as many lines.
    """

    rules: Program
    before: Standing
    view: View
    now_ms: int
    members: int
    log: Log | None
    live: int
    base: int
    sensitive: int
    holders: tuple[int, ...]
    ends_ms: tuple[int, ...]
    simple_until_ms: int
    holding: int
    old_times: Layered[Times]
    old_runs: Layered[tuple[Reached, ...]]
    old_judged: Layered[Judged]
    alert: int
    order: Order
    times: dict[int, Times] = {}
    runs: dict[int, tuple[Reached, ...]] = {}
    judged: dict[int, Judged] = {}
    # Of silent and judged rules that were looked at, by position.
    deadlines: dict[int, int] = {}
    # When series that hold since this draft, or for longer, end.
    begun: list[tuple[int, int]] = []
    # The series that ends first may now end later.
    first_moved: bool = False
    due: list[int] = []
    # Rules whose silent parts may give something else now.
    outdated: frozenset[int] = frozenset()
    # Rules that ask for one that changed.
    retold: frozenset[int] = frozenset()
    # A silent rule was run, and its old deadline may still be in the order.
    put_off: bool = False
    # The profile with the memberships of this draft, and these: made once some rule is run.
    seen: dict[str, Any] | None = None
    realized: dict[str, Any] | None = None

    @classmethod
    def of(cls, rules: Program, before: Standing, view: View, now_ms: int) -> Self:
        """One in which nothing has changed yet."""
        return cls(
            rules,
            before,
            view,
            now_ms,
            before.members,
            before.log,
            before.live,
            before.base,
            before.sensitive,
            before.holders,
            before.ends_ms,
            before.simple_until_ms,
            before.holding,
            before.times,
            before.runs,
            before.judged,
            before.alert,
            before.order,
        )
