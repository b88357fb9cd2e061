"""What is read beside running servers, without waiting for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from perso_core.beside import DATABASE, datastreams_of, kept_profile
from perso_core.decision.identity import Identity, server_key
from perso_core.settings import Settings
from perso_core.stores.imports import Batch
from perso_core.stores.protocol import StoredDefinitions
from perso_core.stores.sqlite import open_sqlite
from tests.building import DAY_MS, NOON_MS, ORG, definitions
from tests.stores.test_forgetting import touched

ADA = Identity("CRMID", "ada")
RETENTION_DAYS = 10


@pytest.mark.parametrize(("days", "kept"), [(RETENTION_DAYS - 1, True), (RETENTION_DAYS, False)])
async def test_a_datastream_is_named_where_it_has_more_to_tell_than_that_nothing_is_kept(
    tmp_path: Path, days: int, kept: bool
) -> None:
    store = await open_sqlite(tmp_path / DATABASE)
    await store.commit([touched(server_key(ADA, org=ORG, datastream_id="demo"), NOON_MS)])
    await store.close()
    known = definitions()
    demo = structs.replace(known.datastreams[0], retention_days=RETENTION_DAYS)
    stored = StoredDefinitions(1, structs.replace(known, datastreams=(demo,)))
    settings, now_ms = Settings(data_dir=str(tmp_path)), NOON_MS + days * DAY_MS

    named = datastreams_of(ADA, stored, settings, now_ms=now_ms)
    told = kept_profile(ADA, stored, settings, now_ms=now_ms, datastream_id="demo")

    assert named == (["demo"] if kept else [])
    assert (told is not None) == kept


async def test_past_the_retention_what_was_imported_is_told_as_a_server_tells_it(
    tmp_path: Path,
) -> None:
    key = server_key(ADA, org=ORG, datastream_id="demo")
    store = await open_sqlite(tmp_path / DATABASE)
    await store.commit([touched(key, NOON_MS)])
    rows = ((key, "risk", NOON_MS + 30 * DAY_MS),)
    await store.import_memberships(
        Batch(rows=rows, now_ms=NOON_MS, began_ms=NOON_MS, name=b"", progress=None)
    )
    await store.close()
    known = definitions()
    demo = structs.replace(known.datastreams[0], retention_days=RETENTION_DAYS)
    stored = StoredDefinitions(1, structs.replace(known, datastreams=(demo,)))
    settings, now_ms = Settings(data_dir=str(tmp_path)), NOON_MS + RETENTION_DAYS * DAY_MS

    told = kept_profile(ADA, stored, settings, now_ms=now_ms, datastream_id="demo")

    assert datastreams_of(ADA, stored, settings, now_ms=now_ms) == ["demo"]
    assert told is not None
    assert (told.version, [*told.imported]) == (0, ["risk"])
