"""Metamorphic: whoever knows every identifier of a victim, but not its proof, learns and changes
what somebody learns and changes who made those identifiers up.

Two worlds begin alike. In one the attacker uses the victim's identifiers, in the other made-up
ones of the same form; with the names exchanged, answers and stored state have to be the same.
"""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Any

import msgspec
from msgspec import Struct

from perso_core.edge.cookies import StoredIdentity, identity_bytes
from perso_core.edge.fpid import ecid_of
from perso_core.stores.memory import MemoryDatabase, MemoryStore
from tests.building import NOON_MS, ORG, definitions
from tests.edge.running import (
    KEYS,
    NAMES,
    Browser,
    RunningEdge,
    Told,
    added_to_basket,
    cookie_header,
    running_edge,
    state,
)
from tests.soaking import times

ACTIONS = ("interact", "collect", "identity/acquire", "privacy/set-consent")
# What an answer or a stored event has that follows from an ECID by a MAC or a hash.
_DERIVED = re.compile(rb'("(?:key|id)":"[^"]*_(?:identity|rs)","value":")[^"]*|[0-9a-f]{64}')


class Ids(Struct, frozen=True):
    """Every identifier of somebody, but no proof."""

    ecid: str
    crm: str
    email: str
    fpid: str
    event: str
    request: str

    @property
    def identity_cookie(self) -> str:
        raw = identity_bytes(
            StoredIdentity(ecid=self.ecid, created_ms=NOON_MS, source=0, written_ms=NOON_MS)
        )
        return base64.urlsafe_b64encode(raw).decode()

    def identity_map(self, chosen: str) -> dict[str, Any]:
        """chosen: of "e", "c", "m", "f", those that the map names."""
        every = {
            "e": ("ECID", self.ecid),
            "c": ("CRMID", self.crm),
            "m": ("Email_LC_SHA256", self.email),
            "f": ("FPID", self.fpid),
        }
        return {
            namespace: [{"id": text, "authenticatedState": "authenticated", "primary": True}]
            for letter, (namespace, text) in every.items()
            if letter in chosen
        }


def made_up(chance: Random) -> Ids:
    def digits(count: int) -> str:
        return "".join(chance.choice("0123456789") for _ in range(count))

    fpid = f"f-{digits(9)}"
    # An FPID names its ECID: whoever knows the one may know the other.
    ecid = ecid_of(fpid, org=ORG, naming=KEYS.naming_key)
    email, event, request = f"m{digits(63)}", f"v-{digits(9)}", f"r-{digits(9)}"
    return Ids(ecid, f"c-{digits(9)}", email, fpid, event, request)


class World(Struct):
    edge: RunningEdge
    database: MemoryDatabase
    victim: Ids

    def kept(self) -> dict[str, bytes]:
        """All that is stored, by profile key."""
        keys = {*self.database.profiles, *self.database.events, *self.database.consents}
        return {key: self._kept(key) for key in keys}

    def _kept(self, key: str) -> bytes:
        database = self.database
        return msgspec.json.encode(
            (database.profiles.get(key), database.events.get(key), database.consents.get(key)),
            enc_hook=dict,  # memberships are none of JSON's own objects
        )


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    """An edge, and a victim who has a basket, a consent and identities on its profile."""
    database = MemoryDatabase()
    async with running_edge(definitions(), store=MemoryStore(database)) as edge:
        chance = Random(1)
        ids = made_up(chance)
        victim = Browser(edge)
        first = await victim.send(
            body={
                "events": [
                    {
                        "xdm": {
                            "_id": ids.event,
                            "eventType": "commerce.productListAdds",
                            "identityMap": ids.identity_map("cmf"),
                        }
                    }
                ]
            },
            request_id=ids.request,
        )
        assert first.audiences == ["basket"]
        assert first.ecid == ids.ecid
        yield World(edge, database, ids)


def attack(chance: Random) -> Mapping[str, Any]:
    """How an attacker calls; which identifiers it uses is filled in by `sent`."""
    return {
        "action": chance.choice(ACTIONS),
        "request": "".join(chance.sample("ecmf", chance.randrange(5))),
        "event": "".join(chance.sample("cmf", chance.randrange(4))),
        "event_id": chance.random() < 0.5,
        "request_id": chance.random() < 0.5,
        "cookie": chance.choice(("none", "identity", "identity and own proof", "own")),
        "in_header": chance.random() < 0.5,
        "general": chance.choice(("in", "out", "pending")),
        "consent_cookie": chance.choice((None, "in", "out")),
    }


async def sent(told: Mapping[str, Any], edge: RunningEdge, ids: Ids, number: int) -> Told:
    own = Browser(edge)
    if told["cookie"] in ("identity and own proof", "own"):
        await own.send(body=added_to_basket(), request_id=f"own-{number}")
    cookies = dict(own.cookies)
    if told["cookie"].startswith("identity"):
        cookies[NAMES.identity] = ids.identity_cookie
    if told["consent_cookie"]:
        cookies[NAMES.consent] = f"general={told['consent_cookie']}"
    body: dict[str, Any] = {"meta": {} if told["in_header"] else {"state": state(cookies)}}
    identity_map = ids.identity_map(told["request"])
    if told["action"] == "privacy/set-consent":
        value = {"general": told["general"]}
        body["consent"] = [{"standard": "Adobe", "version": "1.0", "value": value}]
        body["identityMap"] = identity_map
    else:
        body["xdm"] = {"identityMap": identity_map}
    if told["action"] in ("interact", "collect"):
        xdm: dict[str, Any] = {"eventType": "web.webpagedetails.pageViews"}
        xdm["identityMap"] = ids.identity_map(told["event"])
        if told["event_id"]:
            xdm["_id"] = ids.event
        body["events"] = [{"xdm": xdm}]
    return await edge.call(
        told["action"],
        body,
        request_id=ids.request if told["request_id"] else f"request-{number}",
        cookie=cookie_header(cookies) if told["in_header"] and cookies else None,
    )


def renamed(text: bytes, of: Ids, to: Ids) -> bytes:
    """With one's identifiers for the other's, and without what was derived from them."""
    for one, other in zip(msgspec.structs.astuple(of), msgspec.structs.astuple(to), strict=True):
        text = text.replace(one.encode(), other.encode())
    return _DERIVED.sub(rb"\1-", text)


async def test_knowing_all_of_a_victim_but_its_proof_is_knowing_nothing() -> None:
    async with AsyncExitStack() as opened:
        knowing = await opened.enter_async_context(world())
        guessing = await opened.enter_async_context(world())
        assert knowing.victim == guessing.victim, "both worlds begin alike"
        untouched = knowing.kept()
        for number in range(times(1_000, 10_000)):
            chance = Random(number)
            nobody = made_up(chance)
            told = attack(chance)

            known = await sent(told, knowing.edge, knowing.victim, number)
            guessed = await sent(told, guessing.edge, nobody, number)

            assert known.status == guessed.status, told
            names = (knowing.victim, nobody)
            assert renamed(known.body, *names) == renamed(guessed.body, nobody, nobody), told
            for here in (knowing, guessing):
                assert untouched.items() <= here.kept().items(), told
            left = _new(knowing, untouched, knowing.victim, nobody)
            assert left == _new(guessing, untouched, nobody, nobody), told
            _forget_but(untouched, knowing, guessing)


def _new(here: World, before: Mapping[str, bytes], of: Ids, to: Ids) -> dict[bytes, bytes]:
    """What is stored beside that, renamed."""
    return {
        renamed(key.encode(), of, to): renamed(kept, of, to)
        for key, kept in here.kept().items()
        if key not in before
    }


def _forget_but(keys: Mapping[str, bytes], *worlds: World) -> None:
    """So that the next attack is compared by itself."""
    for here in worlds:
        for kept in (here.database.profiles, here.database.events, here.database.consents):
            for key in [key for key in kept if key not in keys]:
                del kept[key]
