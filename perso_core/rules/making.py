"""A standing in the making: its parts, and what has changed of them."""

from __future__ import annotations

from typing import Any

from msgspec.structs import astuple

from perso_core.rules.ahead import View as View
from perso_core.rules.layered import Layered
from perso_core.rules.program import Program
from perso_core.rules.standing import Judged, Log, Order, Reached, Standing, Times

NONE: frozenset[int] = frozenset()


class Making:
    """rules: the set. before: the standing it starts from; its parts are copied. now_ms: the
    instant the next standing is for."""

    def __init__(self, rules: Program, before: Standing, view: View, now_ms: int) -> None:
        self.rules = rules
        self.view = view
        self.now_ms = now_ms
        self.log: Log | None
        self.old_times: Layered[Times]
        self.old_runs: Layered[tuple[Reached, ...]]
        self.old_judged: Layered[Judged]
        self.order: Order
        # In the order of the fields: all at once costs a fifth of one by one where it is compiled.
        (
            _,
            self.members,
            _,
            self.log,
            self.live,
            self.base,
            self.sensitive,
            self.holders,
            self.ends_ms,
            self.simple_until_ms,
            self.holding,
            self.old_times,
            self.old_runs,
            self.old_judged,
            self.alert,
            self.order,
            self.stale,
            _,
        ) = astuple(before)
        self.old_order = self.order
        self.times: dict[int, Times] = {}
        self.runs: dict[int, tuple[Reached, ...]] = {}
        self.judged: dict[int, Judged] = {}
        # Of silent and judged rules that were looked at, by position.
        self.deadlines: dict[int, int] = {}
        # When series that hold since this draft, or for longer, end.
        self.begun: list[int] = []
        # The series that ends first may now end later.
        self.first_moved = False
        # Rules to evaluate, by position, each once and in order: rules ask for those before them.
        self.due: list[int] = []
        # Rules whose silent parts may give something else now.
        self.outdated: frozenset[int] = NONE
        # Rules that ask for one that changed.
        self.retold: frozenset[int] = NONE
        # A silent rule was run, and its old deadline may still be in the order.
        self.put_off = False
        # The profile with the memberships of this draft, and these: made once some rule is run.
        self.seen: dict[str, Any] | None = None
        self.realized: dict[str, Any] | None = None
