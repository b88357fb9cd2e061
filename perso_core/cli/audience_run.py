"""What it takes to run a rule over all events of a visitor with thousands: it is run, here and now,
over events that are made up of what it reads."""

from __future__ import annotations

import time
from typing import Any

from msgspec import Struct

from perso_core.pql.chains import MAX_STEPS, Now, StepsSpent
from perso_core.pql.compiler import CompiledRule
from perso_core.pql.origins import fields_of
from perso_core.rules.outline import outlined

# As many as a profile may have (max_events_per_profile, unless it is set otherwise).
MANY_EVENTS = 5_000
NOW_MS = 1_773_576_000_000  # any: it is where the windows are


class Run(Struct, frozen=True):
    """One look at one instant. steps: that its loops took; None: more than MAX_STEPS. ms: of the
    processor. Events here have one value in each list, and a rule that changes with time is looked
    at up to three times: it may be more."""

    steps: int | None
    ms: float


def is_run(rule: CompiledRule) -> bool:
    """Whether it is run over all events where one comes that it is looked at for."""
    (outline,) = outlined((rule,), {})
    return outline is not None and outline.term is None


def run_over_many(rule: CompiledRule) -> Run:
    """Takes about a second at most."""
    view = {"xEvent": _events(rule)}
    test = rule.linked.test  # made before the clock is read
    now = Now(NOW_MS)
    began_s = time.process_time()
    try:
        test(view, now)
        steps: int | None = MAX_STEPS - now.steps
    except StepsSpent:
        steps = None
    return Run(steps, round((time.process_time() - began_s) * 1_000, 1))


def _events(rule: CompiledRule) -> list[dict[str, Any]]:
    """Each is one that the rule is looked at for, all of them count."""
    paths = [tuple(path.split(".")) for path in fields_of(rule.node).event]
    guard = rule.reads.events[0]
    wanted = guard.values[0] if guard.values else 1
    apart_ms = max(rule.event_window_ms // (MANY_EVENTS + 1), 1)
    events = []
    for number in range(MANY_EVENTS, 0, -1):
        event: dict[str, Any] = {}
        for path in paths:
            _put(event, path, number)
        if guard.path:
            _put(event, guard.path, wanted)
        event["timestamp"] = NOW_MS - number * apart_ms
        events.append(event)
    return events


def _put(event: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *parents, last = path
    within = event
    for name in parents:
        below = within.get(name)
        if not isinstance(below, dict):
            below = within[name] = {}
        within = below
    within[last] = value
