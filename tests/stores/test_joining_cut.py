"""A power cut while profiles are joined leaves both as before or as after: nothing is lost, doubled
or half moved."""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random

from msgspec import structs

from perso_core.assembly import DATABASE
from perso_core.decision.caps import Caps
from perso_core.decision.profile import Profile
from perso_core.decision.union import united
from perso_core.stores.links import Joining
from perso_core.stores.sqlite_file import create_file
from perso_core.stores.sqlite_reader import Reader
from perso_core.stores.sqlite_writer import Writer
from tests.building import NOON_MS, event
from tests.soaking import Progress, times
from tests.stores.building import ANNA as PHONE
from tests.stores.building import arrived
from tests.stores.power import Acknowledged, Record, after_cut, recorded

ANNA = "o demo CRMID:4711"
MAIL = "o demo Email:anna@shop.test"
KEYS = (PHONE, MAIL, ANNA)
ROUNDS = 12
STATES = times(200, 5_000)


def opened(path: Path) -> Reader:
    return Reader(path, origin=1)


def joined(path: Path, writer: Writer, source: str, *, linked: bool = False) -> None:
    reader = opened(path)
    other = reader.load(source).stored.profile
    into = reader.load(ANNA).stored.profile or Profile(key=ANNA)
    reader.close()
    assert other is not None
    kept = writer.join(
        Joining(
            source=source,
            target=ANNA,
            decided_ms=NOON_MS,
            united=united(into, other, now_ms=NOON_MS, caps=Caps(100)),
            source_version=other.version,
            target_version=into.version,
            linked=linked,
        )
    )
    assert kept.kept


def worked(directory: Path, record: Record) -> None:
    """Events of a device that moves again and again, and of an address that is linked once."""
    directory.mkdir()
    path = directory / DATABASE
    create_file(path)
    writer = Writer(path, origin=1, max_events=100)
    for number in range(ROUNDS):
        for source in (PHONE, MAIL) if number < ROUNDS // 2 else (PHONE,):
            reader = opened(path)
            before = reader.load(source).stored.profile
            reader.close()
            entry = arrived(
                event(event_id=f"{source[:6]}{number}"),
                source,
                base=before.version if before else 0,
            )
            assert not writer.commit([entry], False)
        record.acknowledge(number + 1)
        joined(path, writer, PHONE)
        if number == ROUNDS // 2:
            joined(path, writer, MAIL, linked=True)
    writer.close()


def wrong(path: Path, acknowledged: int) -> str:
    """What of the store is not as it must be; "": nothing."""
    reader = opened(path)
    kept = {key: reader.load(key).stored for key in KEYS}
    links = reader.links(ANNA)
    reader.close()
    ids = [one.id for stored in kept.values() if stored.profile for one in stored.profile.events]
    expected = {f"{PHONE[:6]}{number}" for number in range(acknowledged)}
    expected |= {f"{MAIL[:6]}{number}" for number in range(min(acknowledged, ROUNDS // 2))}
    if expected - set(ids):
        return f"{len(expected - set(ids))} events are lost"
    if len(ids) != len(set(ids)):
        return "an event is there twice"
    linked = kept[MAIL].linked_to == ANNA
    if linked != bool(links) or (linked and kept[MAIL].profile is not None):
        return "a link is there without what it stands for"
    phone, anna = kept[PHONE].profile, kept[ANNA].profile
    if phone and phone.moved and not (anna and anna.version >= phone.moved[-1].version):
        return "the device was left and the customer has nothing of it"
    return ""


def test_whenever_the_power_is_cut_profiles_are_joined_whole_or_not_at_all(tmp_path: Path) -> None:
    with recorded() as record:
        worked(tmp_path / "whole", record)
    chance, progress = Random(7), Progress("states")
    first = record.operations.index(Acknowledged(1))

    for state in range(STATES):
        progress.tell(state, STATES)
        cut = chance.randint(first, len(record.operations))
        place = tmp_path / "cut"
        place.mkdir()
        after_cut(record.operations[:cut], place, chance)
        assert wrong(place / DATABASE, record.acknowledged(cut)) == ""
        shutil.rmtree(place)


def test_the_check_finds_what_is_half_done(tmp_path: Path) -> None:
    with recorded() as record:
        worked(tmp_path / "whole", record)
    path = tmp_path / "whole" / DATABASE
    assert wrong(path, ROUNDS) == ""

    assert wrong(path, ROUNDS + 1) == "1 events are lost"
    writer = Writer(path, origin=1, max_events=100)
    twice = arrived(event(event_id=f"{PHONE[:6]}0"), MAIL)
    writer.commit([structs.replace(twice, linked=True)], False)
    writer.close()
    assert wrong(path, ROUNDS) == "an event is there twice"
