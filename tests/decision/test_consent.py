"""What a visitor's words come to, one after the other."""

from __future__ import annotations

import pytest

from perso_core.decision.consent import (
    Consent,
    SharingRefused,
    Statement,
    after_signal,
    after_statement,
    holding,
    last_said_ms,
    may_collect,
    sharing_refused,
    signal_known,
)
from perso_core.decision.lookup import lookup
from perso_core.decision.membership import Membership
from perso_core.definitions.destination import AttributeMapping
from perso_core.definitions.snapshot import FOREVER_MS, connected
from tests.building import NOON_MS, snapshot

BY_SIGNAL, BY_WORD = "gpc", "share-refused"


def after(*steps: Statement | str) -> Consent:
    """Consent after statements and signals ("gpc"), one a millisecond from 1 on."""
    consent: Consent | None = None
    for now_ms, step in enumerate(steps, 1):
        if isinstance(step, Statement):
            consent = after_statement(consent, step, now_ms=now_ms)
        else:
            consent = after_signal(consent, now_ms=now_ms)
    assert consent is not None
    return consent


SHARED = Statement(share="y")
NOT_SHARED = Statement(share="n")
SHARED_WITH_SIGNAL = Statement(share="y", gpc=True)
AGREED = Statement("in")


# ---- collecting --------------------------------------------------------------


def test_the_last_word_on_collecting_counts_from_when_it_was_said() -> None:
    assert after(AGREED, Statement("out")) == Consent("out", 2)
    assert after(Statement("out"), AGREED) == Consent("in", 2)


def test_the_same_word_again_changes_nothing() -> None:
    assert after(AGREED, AGREED, AGREED) == Consent("in", 1)


def test_a_word_on_sharing_alone_leaves_collecting_to_the_datastream() -> None:
    only_sharing = after(NOT_SHARED)

    assert may_collect(only_sharing, "in")
    assert holding(only_sharing, "pending") == "pending"


def test_the_words_that_were_sent_are_kept_as_evidence() -> None:
    assert after(Statement("in", stated='[{"a":1}]'), Statement("in")).stated == '[{"a":1}]'
    assert after(Statement("in", stated="a"), Statement("in", stated="b")).stated == "b"


# ---- sharing -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "refusal"),
    [
        ((AGREED,), None),
        ((SHARED,), None),
        ((NOT_SHARED,), SharingRefused("share-refused", 1)),
        ((NOT_SHARED, SHARED), None),
        ((SHARED, NOT_SHARED), SharingRefused("share-refused", 2)),
        ((NOT_SHARED, NOT_SHARED), SharingRefused("share-refused", 1)),
        (("gpc",), SharingRefused("gpc", 1)),
        (("gpc", "gpc"), SharingRefused("gpc", 1)),
        ((SHARED, "gpc"), SharingRefused("gpc", 2)),
        ((NOT_SHARED, "gpc"), SharingRefused("share-refused", 1)),
        (("gpc", SHARED), None),
        ((SHARED, "gpc", SHARED), None),
        ((SHARED, "gpc", SHARED, "gpc"), SharingRefused("gpc", 4)),
        ((SHARED, "gpc", SHARED_WITH_SIGNAL), None),
        ((SHARED, "gpc", SHARED_WITH_SIGNAL, "gpc"), None),
        ((SHARED, SHARED_WITH_SIGNAL), None),
        ((SHARED_WITH_SIGNAL, "gpc", "gpc"), None),
        ((SHARED_WITH_SIGNAL, SHARED_WITH_SIGNAL), None),
        (("gpc", AGREED), SharingRefused("gpc", 1)),
        ((NOT_SHARED, AGREED), SharingRefused("share-refused", 1)),
        ((Statement("in", gpc=True),), SharingRefused("gpc", 1)),
        ((Statement("in", share="n", gpc=True),), SharingRefused("share-refused", 1)),
    ],
)
def test_a_signal_refuses_sharing_until_a_later_word_or_one_that_knew_of_it(
    steps: tuple[Statement | str, ...], refusal: SharingRefused | None
) -> None:
    assert sharing_refused(after(*steps)) == refusal


PHONE, LAPTOP = "phone", "laptop"


@pytest.mark.parametrize(
    ("says", "holds"),
    [
        (Statement(share="y", of=PHONE), False),
        (Statement(share="y", of=LAPTOP), True),
        (Statement(share="y", gpc=True, of=LAPTOP), True),
    ],
)
def test_a_devices_word_for_sharing_takes_back_its_own_refusal_alone(
    says: Statement, holds: bool
) -> None:
    refused = after(Statement(share="n", of=PHONE))

    assert (sharing_refused(after_statement(refused, says, now_ms=9)) is not None) == holds


def test_nor_one_that_the_person_repeated_since() -> None:
    refused = after(Statement(share="n", of=PHONE), NOT_SHARED)

    assert after_statement(refused, NOT_SHARED, now_ms=8) == refused
    assert sharing_refused(after_statement(refused, Statement(share="y", of=PHONE), now_ms=9))


def test_a_devices_refusal_changes_nothing_where_sharing_is_refused_in_words() -> None:
    refused = after(Statement(share="n", of=PHONE), "gpc")

    assert after_statement(refused, Statement(share="n", of=LAPTOP), now_ms=9) is refused


@pytest.mark.parametrize(
    ("says", "holds"),
    [
        (Statement(share="y", of=PHONE, said_ms=4), True),
        (Statement(share="y", of=PHONE, said_ms=6), False),
        (Statement(share="y", gpc=True, of=PHONE, said_ms=4), False),
        (Statement(share="y", gpc=True, of=LAPTOP, said_ms=6), True),
    ],
)
def test_a_devices_word_for_sharing_takes_back_its_signal_where_it_is_later_or_knew_of_it(
    says: Statement, holds: bool
) -> None:
    signalled = after_signal(None, of=PHONE, now_ms=5)

    assert (sharing_refused(after_statement(signalled, says, now_ms=9)) is not None) == holds


def test_a_devices_signal_counts_though_another_ones_word_was_said_in_knowledge_of_its_own() -> (
    None
):
    shared = after(Statement(share="n", of=PHONE), Statement(share="y", gpc=True, of=PHONE))

    assert sharing_refused(after_signal(shared, of=PHONE, now_ms=9)) is None
    assert sharing_refused(after_signal(shared, of=LAPTOP, now_ms=9)) is not None


@pytest.mark.parametrize("of", ["", PHONE])
@pytest.mark.parametrize(
    "held",
    [
        after(AGREED),
        after(NOT_SHARED),
        after(NOT_SHARED, "gpc"),
        after("gpc"),
        after("gpc", SHARED),
        after(SHARED_WITH_SIGNAL),
        after(Statement(share="y", gpc=True, of=PHONE)),
    ],
)
def test_a_signal_is_known_where_it_changes_nothing(held: Consent, of: str) -> None:
    assert signal_known(held, of=of) == (after_signal(held, of=of, now_ms=99) == held)


@pytest.mark.parametrize("later_ms", [5_000, 1_000])
def test_a_later_word_is_known_as_the_later_one_in_the_same_instant_and_when_the_clock_went_back(
    later_ms: int,
) -> None:
    agreed = after_statement(None, Statement(general="in"), now_ms=5_000)
    withdrawn = after_statement(agreed, Statement(general="out"), now_ms=later_ms)

    assert withdrawn.general == "out"
    assert last_said_ms(withdrawn) > last_said_ms(agreed)


@pytest.mark.parametrize("later_ms", [5_000, 1_000])
def test_a_signal_after_a_word_refuses_sharing_in_the_same_instant_and_when_the_clock_went_back(
    later_ms: int,
) -> None:
    shared = after_statement(None, SHARED, now_ms=5_000)

    assert sharing_refused(shared) is None
    assert sharing_refused(after_signal(shared, now_ms=later_ms)) == SharingRefused("gpc", 5_001)


def test_who_said_nothing_has_not_refused() -> None:
    assert sharing_refused(None) is None


# ---- advertising -------------------------------------------------------------

GOLD = {"gold": Membership(audience_id="gold", status="realized", since_ms=1)}


def told(consent: Consent | None, *, advertising: bool) -> tuple[object, ...]:
    """Audiences, reasons of refusals, attributes of the one destination."""
    (cms,) = snapshot().destinations["demo"]
    definition = type(cms.definition)(
        id="d-ads",
        kind="custom-personalization-with-attributes",
        name="Ads",
        integration_alias="ads",
        datastream="demo",
        advertising=advertising,
        attributes=(AttributeMapping(source="age", target="age"),),
    )
    found = lookup(
        GOLD,
        {"age": 7},
        (connected(definition, cms.activations),),
        until_ms=FOREVER_MS,
        now_ms=NOON_MS,
        consent=consent,
    )
    (entry,) = found.destinations
    reasons = tuple((refused.reason, refused.at_ms) for refused in entry.refused)
    return entry.audiences, reasons, entry.attributes


@pytest.mark.parametrize(
    ("consent", "reason"), [(after("gpc"), BY_SIGNAL), (after(NOT_SHARED), BY_WORD)]
)
def test_advertising_is_told_nothing_of_a_visitor_who_refused_sharing_and_says_why(
    consent: Consent, reason: str
) -> None:
    assert told(consent, advertising=True) == ((), ((reason, 1),), {})
    assert told(consent, advertising=False) == (("gold",), (), {"age": 7})


@pytest.mark.parametrize("consent", [None, after(SHARED), after(AGREED)])
def test_advertising_is_told_of_a_visitor_who_did_not_refuse_sharing(
    consent: Consent | None,
) -> None:
    assert told(consent, advertising=True) == (("gold",), (), {"age": 7})
