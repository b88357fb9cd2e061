"""An audience is held to its edge, and to how long its events count."""

from __future__ import annotations

import pytest

from perso_core.definitions.toml_file import definitions_from_toml
from tests.definitions.whole import WHOLE, changed, fault_of, line_of

GOLD = 'loyalty.tier.equals("gold", false)'
WINDOW = 'CHAIN(xEvent, timestamp, [C0: WHAT(eventType = "x") WHEN(<= 90 days before now)])'


def with_rule(rule: str, more: str = "") -> str:
    return changed(f"pql = '{GOLD}'", f"pql = '{rule}'\n{more}")


def test_a_window_that_reaches_beyond_the_events_is_a_fault_with_the_days_to_write() -> None:
    text = with_rule(WINDOW)
    fault = fault_of(text)

    assert "reaches 90 days back" in fault.detail
    assert "event_window_days = 90" in fault.fix
    assert line_of(text, fault).startswith("pql = 'CHAIN")
    assert fault.excerpt.split("\n")[1].strip() == "^"


def test_an_audience_may_count_events_for_longer() -> None:
    found = definitions_from_toml(with_rule(WINDOW, "event_window_days = 90"))

    assert found.audiences[0].event_window_days == 90
    assert found.audiences[1].event_window_days is None


def test_an_audience_may_count_events_for_less_long_than_the_setting() -> None:
    rule = WINDOW.replace("90", "30")

    assert "reaches 30 days" in fault_of(with_rule(rule, "event_window_days = 7")).detail


def test_an_audience_is_refused_by_the_edge_that_it_names() -> None:
    found = definitions_from_toml(with_rule(GOLD, 'edge = "edge-2025"'))
    fault = fault_of(with_rule(WINDOW, 'edge = "edge-2025"'))

    assert (found.audiences[0].edge, found.audiences[1].edge) == ("edge-2025", "local")
    assert "edge-2025 looks 24 hours back" in fault.detail


def test_an_edge_looks_through_the_audiences_that_a_rule_asks_for() -> None:
    today = WINDOW.replace("<= 90 days before now", "today")
    both = f"{WHOLE}\n[[audience]]\nid = 'a-last'\nname = 'Last'\nedge = 'edge-2025'\npql = "

    fault = fault_of(
        f"{both}'''inSegment(\"a-today\") and {today}'''\n"
        + (f"[[audience]]\nid = 'a-today'\nname = 'Today'\npql = '{today}'")
    )
    found = definitions_from_toml(f"{both}'''inSegment(\"a-gold\") and {today}'''")

    assert "reads events, too" in fault.detail
    assert len(found.audiences) == 3


@pytest.mark.parametrize("days", ["0", "3651", "-1", "true", "1.5", '"90"'])
def test_the_event_window_is_a_whole_number_of_days_up_to_ten_years(days: str) -> None:
    fault = fault_of(with_rule(GOLD, f"event_window_days = {days}"))

    assert "a whole number from 1 to 3650" in fault.fix


def test_an_unknown_edge_is_a_fault_that_names_the_edges() -> None:
    assert fault_of(with_rule(GOLD, 'edge = "edge-2024"')).fix == 'Write edge = "edge-2025".'


def test_a_window_that_adobe_takes_reaches_no_further_than_events_are_kept_here() -> None:
    fault = fault_of(with_rule(WINDOW, 'edge = "edge-classic"'))
    found = definitions_from_toml(
        with_rule(WINDOW, 'edge = "edge-classic"\nevent_window_days = 90')
    )

    assert "reaches 90 days back; this audience's events count for 35 days" in fault.detail
    assert found.audiences[0].edge == "edge-classic"
