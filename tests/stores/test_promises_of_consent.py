"""What every store promises of consent, and of visitors who are forgotten (stores/protocol.py)."""

from __future__ import annotations

import pytest
from msgspec import structs

from perso_core.decision.consent import Choice, Consent, Sharing, sharing_refused
from perso_core.decision.event import Event
from perso_core.decision.identity import Identity
from perso_core.decision.profile import mark_of
from perso_core.engine.journal import AttributesPatched, ConsentChosen, Entry, PrivacySignalled
from perso_core.stores.protocol import Store, Stored
from tests.building import DAY_MS, NOON_MS, event
from tests.stores.building import ANNA, BERT, arrived, chose, forgot, held, profile, signalled
from tests.stores.conftest import OpenStore


async def test_consent_alone_stores_no_profile(store: Store) -> None:
    await store.commit([chose("out")])

    assert await held(store, ANNA) == Stored(None, Consent("out", NOON_MS))


async def test_the_last_choice_counts(store: Store) -> None:
    await store.commit([chose("in"), chose("out")])

    assert (await store.load(ANNA)).consent == Consent("out", NOON_MS)


async def test_consent_is_kept_whatever_the_version_of_the_profile(store: Store) -> None:
    await store.commit([arrived(event())])

    committed = await store.commit([chose("in", base=0)])

    assert not committed.conflicts
    stored = await store.load(ANNA)
    assert stored.profile is not None
    assert stored.consent == Consent("in", NOON_MS)


async def test_a_refusal_leaves_nothing_but_itself(store: Store) -> None:
    await store.commit([arrived(event()), arrived(event(), BERT)])

    committed = await store.commit([arrived(event(event_id="e9"), base=8), chose("out", base=9)])

    assert not committed.conflicts
    assert await held(store, ANNA) == Stored(None, Consent("out", NOON_MS))
    assert (await store.load(BERT)).profile is not None


async def test_events_from_before_a_refusal_do_not_come_back_after_an_agreement(
    store: Store,
) -> None:
    await store.commit([arrived(event(event_id="old"))])
    await store.commit([chose("out")])
    await store.commit([chose("in")])

    await store.commit([arrived(event(event_id="new"))])

    kept = (await store.load(ANNA)).profile
    assert kept is not None
    assert [one.id for one in kept.events] == ["new"]


async def test_no_profile_begins_against_a_refusal_that_was_kept_meanwhile(store: Store) -> None:
    await store.commit([chose("out")])

    committed = await store.commit([arrived(event())])

    assert committed.conflicts == {ANNA}
    assert await held(store, ANNA) == Stored(None, Consent("out", NOON_MS))


async def test_the_browsers_signal_is_kept_beside_the_choice_that_is_stored(store: Store) -> None:
    chosen = structs.replace(chose("in"), change=ConsentChosen("in", "y"))
    await store.commit([structs.replace(chosen, consent=Consent("in", NOON_MS, "y", NOON_MS))])

    await store.commit([signalled(now_ms=NOON_MS + 5)])
    await store.commit([signalled(now_ms=NOON_MS + 9)])

    stored = (await store.load(ANNA)).consent
    assert stored == Consent("in", NOON_MS, "y", NOON_MS, gpc_since_ms=NOON_MS + 5)


async def test_a_devices_word_for_sharing_takes_back_no_refusal_that_another_one_brought_meanwhile(
    store: Store,
) -> None:
    no = ConsentChosen(None, "n", of="laptop")
    refused = Consent(None, 0, "n", NOON_MS, share_of="laptop")
    await store.commit([structs.replace(chose("in"), change=no, consent=refused)])

    yes = ConsentChosen(None, "y", stated="yes", of="phone")
    said = Consent(None, 0, "y", NOON_MS + 1, stated="yes", share_of="phone")
    await store.commit([structs.replace(chose("in"), change=yes, consent=said)])
    assert (await store.load(ANNA)).consent == refused

    yes = structs.replace(yes, of="laptop")
    said = structs.replace(said, share_of="laptop")
    await store.commit([structs.replace(chose("in"), change=yes, consent=said)])
    assert (await store.load(ANNA)).consent == said


async def test_a_signal_decided_before_a_refusal_does_not_put_the_old_choice_back(
    store: Store,
) -> None:
    await store.commit([chose("out")])

    await store.commit([structs.replace(signalled(), consent=Consent("in", NOON_MS - 1))])

    stored = (await store.load(ANNA)).consent
    assert stored is not None
    assert stored.general == "out"


async def test_a_choice_that_yields_does_not_replace_one_that_was_kept_meanwhile(
    store: Store,
) -> None:
    yielding = structs.replace(chose("in"), change=ConsentChosen("in", unless_chosen=True))

    await store.commit([structs.replace(yielding, key=BERT)])
    await store.commit([chose("out")])
    await store.commit([yielding])

    assert (await store.load(BERT)).consent == Consent("in", NOON_MS)
    assert (await store.load(ANNA)).consent == Consent("out", NOON_MS)


@pytest.mark.parametrize(
    ("entry", "told"),
    [(chose("out"), True), (chose("in"), True), (forgot(), True), (arrived(event()), False)],
    ids=["refused", "agreed", "forgotten", "event"],
)
async def test_other_processes_hear_of_every_change_of_consent_unasked(
    open_store: OpenStore, entry: Entry, told: bool
) -> None:
    ours, theirs = await open_store(), await open_store()
    await theirs.news()

    await ours.commit([entry])

    assert (await theirs.news()).keys == (frozenset({ANNA}) if told else frozenset())


async def test_an_event_decided_before_a_withdrawal_does_not_put_the_old_choice_back(
    store: Store,
) -> None:
    await store.commit([chose("out")])

    await store.commit([structs.replace(arrived(event()), consent=Consent("in", NOON_MS - 1))])

    assert (await store.load(ANNA)).consent == Consent("out", NOON_MS)


async def test_a_forgotten_visitor_leaves_nothing(store: Store) -> None:
    await store.commit([arrived(event()), chose("in"), arrived(event(), BERT)])

    committed = await store.commit([forgot(base=1)])

    assert not committed.conflicts
    assert await held(store, ANNA) == Stored(erased_ms=NOON_MS)
    assert (await store.load(BERT)).profile is not None


async def test_forgetting_does_not_wait_for_the_right_version(store: Store) -> None:
    await store.commit([arrived(event())])

    committed = await store.commit([arrived(event(event_id="e9"), base=8), forgot(base=9)])

    assert not committed.conflicts
    assert await held(store, ANNA) == Stored(erased_ms=NOON_MS)


async def test_a_visitor_may_begin_anew_in_the_batch_that_forgets(store: Store) -> None:
    await store.commit([arrived(event(event_id="old")), chose("in")])
    fresh = event(event_id="new")

    await store.commit([arrived(event(event_id="x"), base=1), forgot(base=2), arrived(fresh)])

    kept = structs.replace(profile(), events=(fresh,))
    assert await held(store, ANNA) == Stored(kept, erased_ms=NOON_MS)


async def test_an_event_that_was_erased_does_not_come_back_by_being_sent_again(
    store: Store,
) -> None:
    await store.commit([arrived(event(event_id="e1")), arrived(event(event_id="e2"), base=1)])
    await store.commit([forgot(base=2, now_ms=NOON_MS + 10)])

    def later(event_id: str) -> Event:
        return event(event_id=event_id, at_ms=NOON_MS + 20)

    again = await store.commit([arrived(later("e2"), now_ms=NOON_MS + 20)])
    assert again.conflicts == {ANNA}
    marks = frozenset({mark_of("e1"), mark_of("e2")})
    assert await store.load(ANNA) == structs.replace(
        await store.load(BERT), erased_ms=NOON_MS + 10, erased_events=marks
    )

    new = await store.commit([arrived(later("e3"), now_ms=NOON_MS + 20)])
    assert not new.conflicts
    again = await store.commit([arrived(later("e1"), base=1, now_ms=NOON_MS + 30)])
    assert again.conflicts == {ANNA}
    of_another = await store.commit([arrived(later("e1"), BERT)])
    assert not of_another.conflicts


async def test_nor_as_part_of_another_profile_where_it_comes_under_the_key_that_was_erased(
    store: Store,
) -> None:
    """A device that signs in, or an identity that became somebody else's."""
    await store.commit([arrived(event(event_id="e1"))])
    await store.commit([forgot(base=1, now_ms=NOON_MS + 10)])

    def under(sender: str, event_id: str, base: int) -> Entry:
        entry = arrived(event(event_id=event_id, at_ms=NOON_MS + 20), BERT, base=base)
        return structs.replace(entry, change=structs.replace(entry.change, sender=sender))

    assert (await store.commit([under(ANNA, "e1", 0)])).conflicts == {BERT}
    assert not (await store.commit([under(ANNA, "e2", 0)])).conflicts
    assert not (await store.commit([under(BERT, "e1", 1)])).conflicts


async def test_nor_does_it_or_one_dated_before_the_erasure_among_the_events_of_others(
    store: Store,
) -> None:
    carla = "ECID:" + "3" * 38
    await store.commit([arrived(event(event_id="old"), key) for key in (ANNA, BERT)])
    await store.commit([forgot(key, base=1, now_ms=NOON_MS + 10) for key in (ANNA, BERT)])

    def later(event_id: str, key: str, base: int, *, at_ms: int = NOON_MS + 20) -> Entry:
        reported = event(event_id=event_id, at_ms=at_ms)
        return arrived(reported, key, base=base, now_ms=NOON_MS + 20)

    await store.commit([later("new", key, 0) for key in (ANNA, BERT, carla)])
    committed = await store.commit(
        [
            later("old", ANNA, 1),
            later("late", BERT, 1, at_ms=NOON_MS + 5),
            later("late", carla, 1, at_ms=NOON_MS + 5),
        ]
    )

    assert committed.conflicts == {ANNA, BERT}


async def test_an_event_erased_with_a_person_is_known_of_each_who_sends_it_in_one_batch(
    store: Store,
) -> None:
    await store.commit([arrived(event(event_id="old"))])
    await store.commit([forgot(base=1, now_ms=NOON_MS + 10)])

    def under_anna(key: str) -> Entry:
        sent = arrived(event(event_id="old", at_ms=NOON_MS + 20), key, base=1)
        return structs.replace(sent, change=structs.replace(sent.change, sender=ANNA))

    carla = "ECID:" + "3" * 38
    await store.commit([arrived(event(event_id="new"), key) for key in (BERT, carla)])

    committed = await store.commit([under_anna(BERT), under_anna(carla)])

    assert committed.conflicts == {BERT, carla}


async def test_nor_does_one_of_a_clock_that_was_days_behind_the_erasure(store: Store) -> None:
    """Or the erasure's was days ahead: an event is not as old as its date says."""
    await store.commit([arrived(event(event_id="e1", at_ms=NOON_MS))])
    await store.commit([forgot(base=1, now_ms=NOON_MS + 3 * DAY_MS)])

    again = await store.commit([arrived(event(event_id="e1", at_ms=NOON_MS + 9))])
    assert again.conflicts == {ANNA}
    assert (await store.load(ANNA)).erased_events == {mark_of("e1")}


async def test_an_event_that_is_erased_and_sent_again_at_once_is_gone(store: Store) -> None:
    await store.commit([arrived(event(event_id="e1"))])

    both = await store.commit([forgot(base=1), arrived(event(event_id="e1"))])

    assert both.conflicts == {ANNA}, "decided again, without the event"
    assert (await store.load(ANNA)).erased_events == {mark_of("e1")}


@pytest.mark.parametrize("change", [ConsentChosen("in", unless_chosen=True), PrivacySignalled()])
@pytest.mark.parametrize(
    ("event_id", "at_ms", "barred"),
    [
        ("e1", NOON_MS + 20, True),
        ("dated before", NOON_MS + 9, True),
        ("new", NOON_MS + 20, False),
    ],
)
async def test_what_an_event_of_before_an_erasure_brings_along_is_not_said(
    event_id: str,
    at_ms: int,
    barred: bool,
    change: ConsentChosen | PrivacySignalled,
    store: Store,
) -> None:
    await store.commit([arrived(event(event_id="e1"))])
    await store.commit([forgot(base=1, now_ms=NOON_MS + 10)])
    by = event(event_id=event_id, at_ms=at_ms)
    said = chose("in") if isinstance(change, ConsentChosen) else signalled()
    said = structs.replace(said, change=structs.replace(change, by=by), now_ms=NOON_MS + 20)

    alone = await store.commit([said])

    assert alone.conflicts == ({ANNA} if barred else set())
    assert ((await store.load(ANNA)).consent is None) == barred


@pytest.mark.parametrize(
    ("said_ms", "barred"), [(NOON_MS + 9, True), (NOON_MS + 10, False), (0, False)]
)
async def test_attributes_said_before_an_erasure_and_written_after_it_bring_nobody_back(
    said_ms: int, barred: bool, store: Store
) -> None:
    await store.commit([arrived(event())])
    await store.commit([forgot(base=1, now_ms=NOON_MS + 10)])
    came = arrived(event(event_id="new", at_ms=NOON_MS + 20), now_ms=NOON_MS + 20)
    written = arrived(None, base=1, now_ms=NOON_MS + 30)
    imported = structs.replace(written, change=AttributesPatched({}, said_ms))

    together = await store.commit([came, imported])

    assert together.conflicts == ({ANNA} if barred else set())


async def test_what_was_decided_before_a_visitor_was_forgotten_does_not_bring_the_profile_back(
    store: Store,
) -> None:
    await store.commit([arrived(event())])
    await store.commit([forgot(base=1)])

    late = await store.commit([arrived(event(event_id="late"), now_ms=NOON_MS - 1)])
    assert late.conflicts == {ANNA}
    assert await held(store, ANNA) == Stored(erased_ms=NOON_MS)

    later = await store.commit([arrived(event(event_id="later"), now_ms=NOON_MS + 1)])
    assert not later.conflicts
    assert (await store.load(ANNA)).profile is not None


async def test_all_keys_of_an_identity_are_found_and_no_others(store: Store) -> None:
    ecid = ANNA.removeprefix("ECID:")
    of_anna = [ANNA, f"{ANNA}~{'a' * 16}", f"org@A gone {ANNA}", f"other@A demo:x {ANNA}"]
    of_crm = ["CRMID:7", "org@A demo CRMID:7", "org@A gone CRMID:7"]
    others = [BERT, "org@A demo CRMID:77", "org@A demo XCRMID:7", "CRMID:9 CRMID:7"]
    await store.commit([arrived(event(), key) for key in (*of_anna, *of_crm, *others)])
    await store.commit([chose("in", f"{ANNA}~{'c' * 16}")])

    assert set(await store.keys_of(Identity("ECID", ecid))) == {*of_anna, f"{ANNA}~{'c' * 16}"}
    assert set(await store.keys_of(Identity("CRMID", "7"))) == set(of_crm)
    assert await store.keys_of(Identity("CRMID", "8")) == ()


async def test_events_of_a_forgotten_profile_do_not_come_back_with_a_new_one(
    store: Store,
) -> None:
    await store.commit([arrived(event(event_id="old"))])
    await store.commit([forgot(base=1)])

    await store.commit([arrived(event(event_id="new"))])

    kept = (await store.load(ANNA)).profile
    assert kept is not None
    assert [one.id for one in kept.events] == ["new"]


def of_sharing(share: Sharing, *, before: Choice) -> Entry:
    """A word on sharing alone, by a process that knew another word on collecting."""
    consent = Consent(before, NOON_MS - 1, share, NOON_MS)
    return structs.replace(chose(before), change=ConsentChosen(None, share), consent=consent)


async def test_a_word_on_sharing_does_not_undo_a_refusal_that_was_kept_meanwhile(
    store: Store,
) -> None:
    await store.commit([chose("out")])

    await store.commit([of_sharing("y", before="in")])

    assert (await store.load(ANNA)).consent == Consent("out", NOON_MS, "y", NOON_MS)


async def test_a_word_on_collecting_does_not_undo_one_on_sharing_that_was_kept_meanwhile(
    store: Store,
) -> None:
    await store.commit([of_sharing("n", before="in")])

    await store.commit([chose("in")])

    assert (await store.load(ANNA)).consent == Consent("in", NOON_MS, "n", NOON_MS)


async def test_what_a_device_brings_does_not_undo_a_refusal_that_was_kept_meanwhile(
    store: Store,
) -> None:
    """Its agreement counts only where nothing was chosen, also with a word on sharing after it."""
    await store.commit([chose("out")])
    agrees = structs.replace(chose("in"), change=ConsentChosen("in", unless_chosen=True))

    began = await store.commit([agrees, of_sharing("n", before="in"), arrived(event())])

    assert began.conflicts == {ANNA}
    await store.commit([agrees, of_sharing("n", before="in")])
    assert (await store.load(ANNA)).consent == Consent("out", NOON_MS, "n", NOON_MS)


async def test_a_word_on_sharing_removes_no_profile_of_an_agreement_that_was_kept_meanwhile(
    store: Store,
) -> None:
    await store.commit([chose("in"), arrived(event())])

    await store.commit([of_sharing("n", before="out")])

    stored = await store.load(ANNA)
    assert stored.profile is not None
    assert stored.consent == Consent("in", NOON_MS, "n", NOON_MS)


async def test_a_refusal_that_yields_removes_nothing_of_an_agreement_that_was_kept_meanwhile(
    store: Store,
) -> None:
    """A page's cookie says no, and counts only where the store has no word."""
    await store.commit([chose("in"), arrived(event())])
    yielding = structs.replace(chose("out"), change=ConsentChosen("out", unless_chosen=True))

    committed = await store.commit([yielding])

    assert committed.conflicts == {ANNA}, "decided again"
    stored = await store.load(ANNA)
    assert stored.profile is not None
    assert stored.consent == Consent("in", NOON_MS)


async def test_nothing_said_before_an_erasure_comes_back_with_a_word_on_sharing(
    store: Store,
) -> None:
    await store.commit([chose("in"), forgot()])

    await store.commit([of_sharing("n", before="in")])

    assert (await store.load(ANNA)).consent == Consent(None, 0, "n", NOON_MS)


async def test_a_refusal_takes_no_word_on_sharing_back_that_came_just_before_it(
    store: Store,
) -> None:
    both = Consent("out", NOON_MS, "n", NOON_MS)

    await store.commit([of_sharing("n", before="in"), structs.replace(chose("out"), consent=both)])

    assert (await store.load(ANNA)).consent == both


async def test_a_word_on_sharing_counts_over_the_browsers_signal_before_it(store: Store) -> None:
    """Though both are kept in one transaction."""
    await store.commit([signalled(now_ms=NOON_MS - 1), of_sharing("y", before="in")])

    stored = (await store.load(ANNA)).consent
    assert sharing_refused(stored) is None
