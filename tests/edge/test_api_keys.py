"""API keys of ours: which are taken, and what each may do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from perso_core.definitions.api_key import ApiKey, KeySecret, digest, rotated
from perso_core.edge.credential import WrittenKey, api_key_of
from perso_core.edge.problem import EdgeError
from tests.building import DAY_MS, HOUR_MS, NOON_MS
from tests.edge.servers import (
    JSON,
    KEY_ID,
    api_key,
    asking,
    batch,
    server_call,
    server_edge,
    shown_key,
    telling,
    with_attributes,
    written_key,
)

MALFORMED = "EXEG-0500-401"
UNVERIFIED = "EXEG-0502-401"
NOT_NOW = "EXEG-0503-401"
NOT_THIS_DATASTREAM = "EXEG-0505-401"
MAY_NOT_WRITE = "EXEG-0506-401"

LATER = NOON_MS + DAY_MS
KEYS = (
    api_key(),
    api_key("aaaaaaaaaaaa", secrets={"n": LATER, "o": NOON_MS + 1}),  # being rotated
    api_key("bbbbbbbbbbbb", secrets={"s": NOON_MS}),  # expires this instant
    api_key("cccccccccccc", datastreams=("elsewhere",)),
    api_key("dddddddddddd", datastreams=()),
    api_key("eeeeeeeeeeee", may=()),
    api_key("ffffffffffff", may=("attributes",)),
)


def bearing(written: str) -> dict[str, str]:
    return {**JSON, "Authorization": f"Bearer {written}"}


EVENT = telling(CRMID="anna")
LOOKUP = asking(CRMID="anna")
# What is sent -> the answer's code, None where it is taken.
ROWS: dict[str, tuple[Mapping[str, str], Any, str | None]] = {
    "a key as x-api-key": (shown_key(), EVENT, None),
    "a key as a bearer token": (bearing(written_key()), EVENT, None),
    "the new secret while it is rotated": (shown_key(written_key("a" * 12, "n")), EVENT, None),
    "the old secret while it is rotated": (shown_key(written_key("a" * 12, "o")), EVENT, None),
    "a key that expires now": (shown_key(written_key("b" * 12)), EVENT, NOT_NOW),
    "an expired key's wrong secret": (shown_key(written_key("b" * 12, "x")), EVENT, UNVERIFIED),
    "a key's wrong secret": (shown_key(written_key(secret="x")), EVENT, UNVERIFIED),
    "a key's secret under another's id": (
        shown_key(written_key("a" * 12, "s")), EVENT, UNVERIFIED),
    "a key that nobody made": (shown_key(written_key("9" * 12)), EVENT, UNVERIFIED),
    "the hash in place of the key": (
        shown_key(f"perso_{KEY_ID}_{digest(written_key())[:43]}"), EVENT, UNVERIFIED),
    "a key in capitals": (shown_key(written_key().upper()), EVENT, MALFORMED),
    "a key cut short": (shown_key(written_key()[:-1]), EVENT, MALFORMED),
    "a key with more at its end": (shown_key(written_key() + "s"), EVENT, MALFORMED),
    "a key with another's behind it": (
        shown_key(f"{written_key()},{written_key()}"), EVENT, MALFORMED),
    "the id alone": (shown_key(f"perso_{KEY_ID}_"), EVENT, MALFORMED),
    "an id with SQL in it": (shown_key("perso_0' OR '1'='1_x"), EVENT, MALFORMED),
    "an empty key": ({**JSON, "x-api-key": ""}, EVENT, MALFORMED),
    "a key as Basic": ({**JSON, "Authorization": f"Basic {written_key()}"}, EVENT, MALFORMED),
    "a key in both headers": ({**bearing(written_key()), **shown_key()}, EVENT, MALFORMED),
    "a key of another datastream": (
        shown_key(written_key("c" * 12)), LOOKUP, NOT_THIS_DATASTREAM),
    "a key of no datastream": (shown_key(written_key("d" * 12)), LOOKUP, NOT_THIS_DATASTREAM),
    "a lookup by a key that may do nothing more": (shown_key(written_key("e" * 12)), LOOKUP, None),
    "an event by a key that may look up": (
        shown_key(written_key("e" * 12)), EVENT, MAY_NOT_WRITE),
    "an event by a key that may have attributes": (
        shown_key(written_key("f" * 12)), EVENT, MAY_NOT_WRITE),
    "data without xdm by a key that may look up": (
        shown_key(written_key("e" * 12)),
        {"event": {**LOOKUP["event"], "data": {"a": 1}}}, MAY_NOT_WRITE),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
async def test_a_key_is_taken_or_refused_as_it_should_of(row: str) -> None:
    headers, body, code = ROWS[row]
    definitions = with_attributes(datastreams=("demo", "elsewhere"), api_keys=KEYS)

    async with server_edge(definitions) as edge:
        told = await server_call(edge, body, headers=headers)
        kept = len(edge.engine)

    assert (told.sent.get("type", "").rpartition("/")[2] or None) == code
    assert code is None or kept == 0


async def test_a_batch_by_a_key_that_may_not_send_events_is_refused_whole() -> None:
    async with server_edge(with_attributes(api_keys=KEYS)) as edge:
        told = await server_call(
            edge, batch(LOOKUP, EVENT), "collect", headers=shown_key(written_key("e" * 12))
        )

        assert (told.code, len(edge.engine)) == (MAY_NOT_WRITE, 0)


async def test_the_two_secrets_are_taken_until_the_old_one_ends() -> None:
    async with server_edge(with_attributes(api_keys=KEYS)) as edge:
        edge.now_ms += 1
        old = await server_call(edge, LOOKUP, headers=shown_key(written_key("a" * 12, "o")))
        new = await server_call(edge, LOOKUP, headers=shown_key(written_key("a" * 12, "n")))

    assert (old.code, new.status) == (NOT_NOW, 200)


def test_a_revoked_key_and_a_wrong_secret_are_refused_in_the_same_words() -> None:
    told = []
    for keys in ({}, {KEY_ID: api_key(secrets={"x": LATER})}):
        with pytest.raises(EdgeError) as raised:
            api_key_of(WrittenKey(written_key()), keys, now_ms=NOON_MS)
        told.append((raised.value.code, str(raised.value)))

    assert told[0] == told[1]


def test_no_key_and_no_token_is_shown_by_a_traceback() -> None:
    assert "s" * 43 not in repr(WrittenKey(written_key()))


# ---- rotating --------------------------------------------------------------------

FRESH = KeySecret(digest(written_key(secret="n")), NOON_MS + 100 * DAY_MS)


def rotated_once(key: ApiKey) -> ApiKey:
    after = rotated(key, FRESH, now_ms=NOON_MS, old_until_ms=NOON_MS + HOUR_MS)
    assert after is not None
    return after


def test_a_rotated_key_has_its_new_secret_and_the_old_one_a_while() -> None:
    after = rotated_once(api_key())

    assert after.secrets == (FRESH, KeySecret(digest(written_key()), NOON_MS + HOUR_MS))


def test_rotating_gives_the_old_secret_no_longer_life() -> None:
    ending = api_key(secrets={"s": NOON_MS + 5})

    assert rotated_once(ending).secrets[1].until_ms == NOON_MS + 5


def test_an_expired_secret_is_gone_once_the_key_is_rotated() -> None:
    assert rotated_once(api_key(secrets={"s": NOON_MS})).secrets == (FRESH,)


def test_there_is_never_a_third_live_secret() -> None:
    twice = rotated(rotated_once(api_key()), FRESH, now_ms=NOON_MS, old_until_ms=LATER)

    assert twice is None
