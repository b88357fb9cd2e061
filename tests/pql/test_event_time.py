"""The time of an event is what Perso itself writes: milliseconds, whatever a schema says."""

from __future__ import annotations

import pytest

from perso_core.errors import RuleTypeError
from perso_core.pql.fields import KNOWN, FieldTypes
from tests.pql.test_types import CLOSED, OPEN, fault_with, faults_of


@pytest.mark.parametrize(
    "text",
    [
        'timestamp = "2026-03-01"',
        'timestamp >= "2026-03-01T10:00:00Z"',
        'timestamp in ["2026-03-01"]',
        'timestamp.contains("2026")',
        'timestamp like "2026%"',
        'timestamp.matches("^2026")',
        'timestamp.equals("2026-03-01")',
        "timestamp = true",
    ],
)
@pytest.mark.parametrize("schema", [OPEN, CLOSED, KNOWN])
def test_the_time_of_an_event_is_no_text(text: str, schema: FieldTypes) -> None:
    """Perso keeps it in milliseconds: the rule was saved, and never held."""
    fault = fault_with(f"xEvent[{text}]", schema)

    assert type(fault) is RuleTypeError
    assert "timestamp is a time" in fault.detail or "this is a text" in fault.detail


@pytest.mark.parametrize(
    "text",
    [
        "timestamp > 170000",
        "timestamp >= date(2026, 3, 1) and timestamp < now",
        "timestamp = 1772323200000",
        "timestamp occurs today",
        "timestamp = ^timestamp",
        'timestamp != "2026-03-01"',
        "timestamp.getMonth() = 3",
    ],
)
@pytest.mark.parametrize("schema", [OPEN, KNOWN])
def test_the_time_of_an_event_is_compared_with_times_and_milliseconds(
    text: str, schema: FieldTypes
) -> None:
    assert faults_of(f"xEvent[{text}]", schema) == ()
    assert faults_of("xEvent.max(timestamp) occurs today", schema) == ()
