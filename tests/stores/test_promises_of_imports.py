"""What every store promises of imported memberships (stores/protocol.py)."""

from __future__ import annotations

from typing import Protocol, cast

import pytest

from perso_core.decision.caps import Caps
from perso_core.decision.identity import Identity
from perso_core.decision.membership import ImportedMembership
from perso_core.decision.profile import Profile
from perso_core.decision.union import united
from perso_core.stores.imports import Batch, Progress, Row
from perso_core.stores.links import Joining
from perso_core.stores.protocol import ImportStore, Store
from perso_core.worker.importing import Importer
from tests.building import DAY_MS, NOON_MS, event
from tests.stores.building import ANNA, BERT, arrived, chose, forgot
from tests.stores.conftest import OpenStore

LATER_MS = NOON_MS + DAY_MS


class ImportingStore(Store, ImportStore, Protocol):
    """A store that both visitors and imports write to."""


@pytest.fixture
async def importing(open_store: OpenStore) -> ImportingStore:
    return await open_store()  # type: ignore[return-value]  # both stores are


def batch(
    *rows: Row,
    now_ms: int = NOON_MS,
    began_ms: int = NOON_MS,
    progress: Progress | None = None,
    tell: bool = True,
) -> Batch:
    return Batch(
        rows=rows, now_ms=now_ms, began_ms=began_ms, name=b"file", progress=progress, tell=tell
    )


async def imported(store: Store, key: str = ANNA) -> dict[str, tuple[int, int]]:
    profile = (await store.load(key)).profile
    found = profile.imported if profile else {}
    return {audience_id: (one.since_ms, one.until_ms) for audience_id, one in found.items()}


async def test_what_is_imported_is_loaded_with_the_profile(importing: ImportingStore) -> None:
    await importing.commit([arrived(event())])
    await importing.import_memberships(batch((ANNA, "risk", LATER_MS)))

    profile = (await importing.load(ANNA)).profile

    assert profile is not None
    assert profile.events == (event(),)
    assert profile.imported == {"risk": ImportedMembership(NOON_MS, LATER_MS)}


async def test_an_import_alone_makes_a_profile_that_a_first_event_begins(
    importing: ImportingStore,
) -> None:
    await importing.import_memberships(batch((ANNA, "risk", LATER_MS)))

    alone = (await importing.load(ANNA)).profile
    committed = await importing.commit([arrived(event())])

    assert alone is not None
    assert alone.version == 0
    assert not committed.conflicts
    assert await imported(importing) == {"risk": (NOON_MS, LATER_MS)}


async def test_an_import_changes_no_version_so_no_write_is_in_conflict_with_it(
    importing: ImportingStore,
) -> None:
    await importing.commit([arrived(event())])
    await importing.import_memberships(batch((ANNA, "risk", LATER_MS)))

    committed = await importing.commit([arrived(event(event_id="e2"), base=1)])

    assert not committed.conflicts
    assert await imported(importing) == {"risk": (NOON_MS, LATER_MS)}


async def test_the_same_again_changes_nothing(importing: ImportingStore) -> None:
    await importing.import_memberships(batch((ANNA, "risk", LATER_MS)))
    await importing.import_memberships(batch((ANNA, "risk", LATER_MS), now_ms=NOON_MS + 5))

    assert await imported(importing) == {"risk": (NOON_MS, LATER_MS)}


async def test_a_new_expiry_counts_and_since_when_stays(importing: ImportingStore) -> None:
    await importing.import_memberships(batch((ANNA, "risk", LATER_MS)))
    await importing.import_memberships(batch((ANNA, "risk", NOON_MS + 9), now_ms=NOON_MS + 5))

    assert await imported(importing) == {"risk": (NOON_MS, NOON_MS + 9)}


async def test_once_a_clock_that_was_ahead_is_put_right_since_when_is_then(
    importing: ImportingStore,
) -> None:
    row = (ANNA, "risk", LATER_MS + DAY_MS)
    await importing.import_memberships(batch(row, now_ms=LATER_MS))
    await importing.import_memberships(batch(row, now_ms=NOON_MS))

    assert await imported(importing) == {"risk": (NOON_MS, LATER_MS + DAY_MS)}


async def test_whoever_was_out_enters_anew(importing: ImportingStore) -> None:
    await importing.import_memberships(batch((ANNA, "risk", NOON_MS + 3)))
    await importing.import_memberships(batch((ANNA, "risk", LATER_MS), now_ms=NOON_MS + 3))

    assert await imported(importing) == {"risk": (NOON_MS + 3, LATER_MS)}


async def test_until_when_whoever_enters_anew_was_in_before_stays_known(
    importing: ImportingStore,
) -> None:
    stays = ((NOON_MS - 9, NOON_MS - 5), (NOON_MS, NOON_MS + 3), (NOON_MS + 5, LATER_MS))
    for now_ms, until_ms in stays:
        await importing.import_memberships(batch((ANNA, "risk", until_ms), now_ms=now_ms))
    await importing.import_memberships(batch((ANNA, "risk", LATER_MS + 1), now_ms=NOON_MS + 6))

    profile = (await importing.load(ANNA)).profile

    assert profile is not None
    earlier = ImportedMembership(NOON_MS, NOON_MS + 3)
    assert profile.imported["risk"] == ImportedMembership(NOON_MS + 5, LATER_MS + 1, earlier)


async def test_nothing_of_it_outlives_an_erasure(importing: ImportingStore) -> None:
    for until_ms, now_ms in ((NOON_MS + 3, NOON_MS), (LATER_MS, NOON_MS + 5)):
        await importing.import_memberships(batch((ANNA, "risk", until_ms), now_ms=now_ms))
    await importing.commit([forgot(now_ms=NOON_MS + 6)])
    again = batch((ANNA, "risk", LATER_MS), now_ms=NOON_MS + 9, began_ms=NOON_MS + 9)
    await importing.import_memberships(again)

    profile = (await importing.load(ANNA)).profile

    assert profile is not None
    assert profile.imported["risk"] == ImportedMembership(NOON_MS + 9, LATER_MS)


async def test_an_expiry_that_is_over_ends_the_membership_now(importing: ImportingStore) -> None:
    await importing.import_memberships(batch((ANNA, "risk", LATER_MS)))
    await importing.import_memberships(batch((ANNA, "risk", 1), now_ms=NOON_MS + 5))
    await importing.import_memberships(batch((BERT, "risk", 1), now_ms=NOON_MS + 5))

    assert await imported(importing) == {"risk": (NOON_MS, NOON_MS + 5)}
    assert await imported(importing, BERT) == {}


async def test_of_two_rows_the_later_one_counts_also_where_the_first_ends_on_the_way(
    importing: ImportingStore,
) -> None:
    await importing.import_memberships(batch((ANNA, "risk", LATER_MS)))
    await importing.import_memberships(
        batch((ANNA, "risk", NOON_MS + 3), (ANNA, "risk", LATER_MS), now_ms=NOON_MS + 5)
    )
    await importing.import_memberships(
        batch((BERT, "risk", LATER_MS), (BERT, "risk", NOON_MS + 3), now_ms=NOON_MS + 5)
    )

    assert await imported(importing) == {"risk": (NOON_MS, LATER_MS)}
    assert await imported(importing, BERT) == {}


async def test_what_ended_before_keeps_its_end(importing: ImportingStore) -> None:
    await importing.import_memberships(batch((ANNA, "risk", NOON_MS + 2)))
    await importing.import_memberships(batch((ANNA, "risk", 0), now_ms=NOON_MS + 5))

    assert await imported(importing) == {"risk": (NOON_MS, NOON_MS + 2)}


async def test_whoever_refused_gets_none(importing: ImportingStore) -> None:
    await importing.commit([chose("out"), chose("in", BERT)])

    withheld = await importing.import_memberships(
        batch((ANNA, "risk", LATER_MS), (BERT, "risk", LATER_MS))
    )

    assert withheld == {ANNA}
    assert await imported(importing) == {}
    assert await imported(importing, BERT) == {"risk": (NOON_MS, LATER_MS)}


@pytest.mark.parametrize("gone", [forgot(), chose("out")], ids=["erased", "refused"])
async def test_what_was_imported_goes_with_the_visitor(
    importing: ImportingStore, gone: object
) -> None:
    await importing.import_memberships(
        batch((ANNA, "risk", LATER_MS), (BERT, "risk", LATER_MS), began_ms=0)
    )

    await importing.commit([gone])  # type: ignore[list-item]  # an entry

    assert (await importing.load(ANNA)).profile is None
    assert await imported(importing, BERT) == {"risk": (NOON_MS, LATER_MS)}


async def test_an_import_that_began_before_an_erasure_brings_nobody_back(
    importing: ImportingStore,
) -> None:
    await importing.commit([forgot()])

    withheld = await importing.import_memberships(
        batch((ANNA, "risk", LATER_MS), now_ms=NOON_MS + 9, began_ms=NOON_MS)
    )

    assert withheld == {ANNA}
    assert await imported(importing) == {}


async def test_an_import_that_begins_after_an_erasure_is_a_new_word(
    importing: ImportingStore,
) -> None:
    await importing.commit([forgot()])

    await importing.import_memberships(
        batch((ANNA, "risk", LATER_MS), now_ms=NOON_MS + 9, began_ms=NOON_MS + 1)
    )

    assert await imported(importing) == {"risk": (NOON_MS + 9, LATER_MS)}


async def test_so_is_one_that_begins_once_the_clock_that_dated_the_erasure_is_put_right(
    open_store: OpenStore,
) -> None:
    store = cast(ImportingStore, await open_store(clock_ms=lambda: NOON_MS + 9))
    await store.commit([forgot(now_ms=NOON_MS + 3 * DAY_MS)])

    row = (ANNA, "risk", LATER_MS)
    withheld = await store.import_memberships(batch(row, now_ms=NOON_MS + 9, began_ms=NOON_MS + 9))
    assert withheld == await store.withheld([ANNA], since_ms=NOON_MS + 9) == frozenset()
    assert await imported(store) == {"risk": (NOON_MS + 9, LATER_MS)}


async def test_nobody_erased_comes_back_by_an_import_that_a_clock_ahead_says_is_yet_to_begin(
    open_store: OpenStore,
) -> None:
    """The clock was put right since, and the visitor may have been erased after that."""
    store = cast(ImportingStore, await open_store(clock_ms=lambda: NOON_MS + 9))
    await store.commit([forgot(now_ms=NOON_MS + 5)])

    began_ms = NOON_MS + 3 * DAY_MS
    row = (ANNA, "risk", LATER_MS)
    withheld = await store.import_memberships(batch(row, now_ms=NOON_MS + 9, began_ms=began_ms))
    assert withheld == await store.withheld([ANNA], since_ms=began_ms) == {ANNA}


async def test_how_far_a_file_is_is_kept_with_its_rows(importing: ImportingStore) -> None:
    await importing.commit([chose("out", BERT)])
    so_far = Progress(began_ms=NOON_MS, offset=9, line=3, kept=2, removed=1)

    await importing.import_memberships(
        batch((ANNA, "risk", LATER_MS), (BERT, "risk", LATER_MS), (BERT, "vip", 0), progress=so_far)
    )

    assert await importing.progress(b"another") is None
    assert await importing.progress(b"file") == Progress(
        began_ms=NOON_MS, offset=9, line=3, kept=2, removed=1, withheld=2
    )


async def test_the_keys_of_an_identity_are_found_by_an_import_alone(
    importing: ImportingStore,
) -> None:
    await importing.import_memberships(batch(("org demo CRMID:4711", "risk", LATER_MS)))

    assert await importing.keys_of(Identity("CRMID", "4711")) == ("org demo CRMID:4711",)


async def test_every_process_hears_whose_imported_memberships_changed(
    open_store: OpenStore,
) -> None:
    importer = await open_store()
    server = await open_store()

    await importer.import_memberships(  # type: ignore[attr-defined]  # both stores do
        batch((ANNA, "risk", LATER_MS), (ANNA, "vip", LATER_MS), (BERT, "risk", LATER_MS))
    )

    for one in (importer, server):
        news = await one.news()
        assert (news.imported, news.keys, news.missed) == (
            frozenset({ANNA, BERT}),
            frozenset(),
            False,
        )
        assert not (await one.news()).imported


# ---- one person's identities ------------------------------------------------------

CUSTOMER, MAIL = "o demo CRMID:4711", "o demo Email:anna@shop.test"


async def joined(store: Store, source: str, target: str, *, linked: bool) -> None:
    """The source's profile becomes part of the target's, as both are stored."""
    other, into = [(await store.load(key)).profile for key in (source, target)]
    both = None
    if other is not None:
        both = united(into or Profile(key=target), other, now_ms=NOON_MS, caps=Caps(9))
    done = await store.join(
        Joining(
            source=source,
            target=target,
            decided_ms=NOON_MS,
            united=both,
            source_version=other.version if other else 0,
            target_version=into.version if into else 0,
            linked=linked,
        )
    )
    assert done.kept


async def test_what_was_imported_of_a_device_moves_with_it(importing: ImportingStore) -> None:
    await importing.import_memberships(
        batch((ANNA, "risk", LATER_MS), (ANNA, "vip", LATER_MS), (CUSTOMER, "risk", LATER_MS + 5))
    )

    await joined(importing, ANNA, CUSTOMER, linked=False)

    assert await imported(importing, ANNA) == {}
    assert await imported(importing, CUSTOMER) == {
        "risk": (NOON_MS, LATER_MS + 5),
        "vip": (NOON_MS, LATER_MS),
    }


async def test_an_import_of_a_linked_identity_reaches_the_persons_profile(
    importing: ImportingStore,
) -> None:
    await joined(importing, MAIL, CUSTOMER, linked=True)

    await importing.import_memberships(batch((MAIL, "risk", LATER_MS)))

    assert await imported(importing, CUSTOMER) == {"risk": (NOON_MS, LATER_MS)}
    assert (await importing.news()).imported == {CUSTOMER}


async def test_who_is_erased_by_one_identity_does_not_come_back_by_another(
    importing: ImportingStore,
) -> None:
    await joined(importing, MAIL, CUSTOMER, linked=True)
    await importing.commit([forgot(CUSTOMER)])

    withheld = await importing.import_memberships(
        batch((MAIL, "risk", LATER_MS), now_ms=NOON_MS + 9)
    )

    assert withheld == {MAIL}
    assert await imported(importing, CUSTOMER) == await imported(importing, MAIL) == {}


async def test_of_rows_about_one_person_by_two_identities_the_later_one_counts(
    importing: ImportingStore,
) -> None:
    await joined(importing, MAIL, CUSTOMER, linked=True)
    importer = Importer(importing, lambda: NOON_MS, lambda: True)

    async def brought(*rows: Row) -> dict[str, tuple[int, int]]:
        progress = Progress(began_ms=NOON_MS)
        await importer.keep(rows, began_ms=NOON_MS, progress=progress)
        return await imported(importing, CUSTOMER)

    assert await brought((MAIL, "risk", 0), (CUSTOMER, "risk", LATER_MS)) == {
        "risk": (NOON_MS, LATER_MS)
    }
    assert await brought((MAIL, "risk", LATER_MS), (CUSTOMER, "risk", LATER_MS + 1)) == {
        "risk": (NOON_MS, LATER_MS + 1)
    }
    assert await brought((CUSTOMER, "risk", LATER_MS + 1), (MAIL, "risk", LATER_MS)) == {
        "risk": (NOON_MS, LATER_MS)
    }
    assert await brought((CUSTOMER, "risk", LATER_MS), (MAIL, "risk", 0)) == {
        "risk": (NOON_MS, NOON_MS)
    }


async def test_whoever_refused_gets_none_by_a_linked_identity(importing: ImportingStore) -> None:
    await joined(importing, MAIL, CUSTOMER, linked=True)
    await importing.commit([chose("out", CUSTOMER)])

    assert await importing.import_memberships(batch((MAIL, "risk", LATER_MS))) == {MAIL}
