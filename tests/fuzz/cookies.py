"""Any cookies at all, in the header and in the body: an answer or a problem, soon, and never a
word of a visitor whom they do not prove.

`make fuzz` runs it under atheris (`__main__.py`), which need not be installed to import this.
"""

from __future__ import annotations

import base64
import binascii
import json
import random
import re
from collections.abc import Callable
from typing import Any

from perso_core.edge.cookies import identity_cookies
from tests.building import NOON_MS, ORG
from tests.edge.running import KEYS, NAMES
from tests.fuzz.edge import (
    OWN,
    VICTIM,
    answered,
    cookie_line,
    edge,
    own_cookies,
    state,
    victims_identity,
)
from tests.fuzz.json_text import changed, cut
from tests.fuzz.request import Request, request_in, request_of

MOST_BYTES = 16_384

_AMCV = "AMCV_5BFE274A5F6980A50A495C08%40AdobeOrg"
_EVENT = {"xdm": {"eventType": "web.webpagedetails.pageViews"}}
_PATHS = (
    "v1/interact?configId=demo",
    "v1/collect?configId=demo",
    "v1/identity/acquire?configId=demo",
    "v1/privacy/set-consent?configId=demo",
    "v1/interact?configId=site",
    "v1/interact?configId=waiting",
    "v2/interact?dataStreamId=demo",
    "v2/collect?dataStreamId=demo",
)


def _victims(**other: Any) -> dict[str, str]:
    """The victim's cookies with a proof that does not hold here."""
    made: dict[str, Any] = {"org": ORG, "keys": KEYS, "now_ms": NOON_MS, "source": 0, **other}
    told = identity_cookies(VICTIM, created_ms=NOON_MS - 1_000, **made)
    return {NAMES.identity: victims_identity(), NAMES.mac: told[1].value}


def _jars() -> list[dict[str, str]]:
    own = own_cookies()
    strangers = type(KEYS)(1, {1: bytes(32), 9: bytes(32)})
    return [
        own,
        {**own, NAMES.consent: "general=in", NAMES.cluster: "perso"},
        {**own, NAMES.consent: "general=out"},
        {NAMES.consent: "general=pending"},
        {**own, NAMES.identity: victims_identity()},
        _victims(org="other@AdobeOrg"),
        _victims(keys=strangers),
        _victims(keys=type(KEYS)(9, strangers.keys)),
        _victims(now_ms=NOON_MS - 7),  # of an older identity cookie
        {"fpid": "9f3f6a9e-0000-4000-8000-00000000000a", "s_ecid": f"MCMID|{VICTIM.ecid}"},
        {_AMCV: f"179643557%7CMCIDTS%7C19797%7CMCMID%7C{VICTIM.ecid}%7CMCAID%7CNONE", "_ga": "1"},
        {**own, "adobe_mc": f"TS=1773576000|MCMID={VICTIM.ecid}|MCORGID={ORG}"},
    ]


def body_for(path: str, jar: dict[str, str], ecid: str | None = None) -> Any:
    """A body that this action takes. ecid: what its identity map names."""
    meta = {"state": state(jar)} if jar else {}
    named = {"ECID": [{"id": ecid}]} if ecid else {}
    if "set-consent" in path:
        value = {"general": "in"}
        consent = [{"standard": "Adobe", "version": "1.0", "value": value}]
        return {"consent": consent, "identityMap": named, "meta": meta}
    if path.startswith("v2/interact"):
        return {"event": _EVENT, "xdm": {"identityMap": named}, "meta": meta}
    return {"events": [_EVENT], "xdm": {"identityMap": named}, "meta": meta}


def _requests() -> list[Request]:
    requests = []
    for number, jar in enumerate(_jars()):
        path = _PATHS[number % len(_PATHS)]
        ecid = (None, OWN.ecid, VICTIM.ecid)[number % 3]
        headers = {"Cookie": cookie_line(jar), **(_FIRST_PARTY if number % 2 else {})}
        requests += [
            request_of(path, body_for(path, {}, ecid), headers),
            request_of(_PATHS[0], body_for(_PATHS[0], jar)),
            request_of(path, body_for(path, jar, ecid), {"Cookie": cookie_line(_jars()[-number])}),
        ]
    return requests


_FIRST_PARTY = {"Origin": "https://www.shop.test", "Sec-Fetch-Site": "same-site"}
REQUESTS = _requests()
TEXTS = [request.written() for request in REQUESTS]
_NAMES = [NAMES.identity, NAMES.mac, NAMES.consent, NAMES.cluster, "fpid", "s_ecid", _AMCV]
_VALUES = sorted({value for jar in _jars() for value in jar.values()})


def fuzz_one(data: bytes) -> None:
    """Raises what no cookie may cause: Wrong, TooSlow, or what the edge failed with."""
    answered(request_in(data), edge())


# ---- changes -------------------------------------------------------------------

Pairs = list[tuple[str, str]]


def mutated(data: bytes, most: int, seed: int) -> bytes:
    """With other cookies, in the header, in the body, or in another request."""
    chance = random.Random(seed)
    request = request_in(data)
    if chance.random() < 0.1:
        request = chance.choice(REQUESTS)
    headers = [
        (name, _of_header(value, chance) if name.lower() == b"cookie" else value)
        for name, value in request.headers
    ]
    if chance.random() < 0.05:
        headers.append((b"Cookie", cookie_line(chance.choice(_jars())).encode()))
    body = request.body
    if chance.random() < 0.5 or not headers:
        body = _of_body(body, chance)
    return Request(request.path, headers, body).written()[:most]


def _of_header(value: bytes, chance: random.Random) -> bytes:
    parts = [part.partition("=") for part in value.decode("latin-1").split("; ")]
    pairs = [(name, text) for name, _, text in parts]
    text = "; ".join(f"{name}={value}" for name, value in _changed_pairs(pairs, chance))
    if chance.random() < 0.1:
        text = cut(text, ['";', "=;=", ";;", "\t", '="', "\xff\xe9"], chance)
    return text.encode("latin-1", "replace")


def _of_body(body: bytes, chance: random.Random) -> bytes:
    """The entries of its state changed; of a body without, something else."""
    try:
        sent = json.loads(body)
        entries = sent["meta"]["state"]["entries"]
        pairs = [(entry["key"], entry["value"]) for entry in entries]
    except (ValueError, LookupError, TypeError, RecursionError):
        return changed(body.decode("utf-8", "replace"), [], chance).encode("utf-8", "surrogatepass")
    sent["meta"]["state"]["entries"] = [
        {"key": key, "value": value} for key, value in _changed_pairs(pairs, chance)
    ]
    if chance.random() < 0.2:
        sent["meta"]["state"]["domain"] = chance.choice(("", "test", "shop.test", "evil.test; a"))
    return json.dumps(sent, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")


def _changed_pairs(pairs: Pairs, chance: random.Random) -> Pairs:
    pairs = [(str(name), str(value)) for name, value in pairs] or [("", "")]
    for _ in range(chance.choice((1, 1, 2, 3))):
        at = chance.randrange(len(pairs))
        name, value = pairs[at]
        kind = chance.random()
        if kind < 0.6:
            pairs[at] = (name, chance.choice(SPELLINGS)(value, chance))
        elif kind < 0.75:
            pairs.insert(at, (chance.choice(_NAMES), chance.choice(_VALUES)))
        elif kind < 0.85:
            pairs[at:at] = [pairs[at]] * chance.choice((1, 3, 4, 5))
        elif kind < 0.95:
            pairs[at] = (chance.choice((chance.choice(_NAMES), name.upper(), f" {name}")), value)
        else:
            chance.shuffle(pairs)
    return pairs


def _other_bytes(value: str, chance: random.Random) -> str:
    """What its base64 holds, with bytes exchanged, left out or doubled, and written again."""
    try:
        raw = bytearray(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
    except (binascii.Error, ValueError):
        return _other_text(value, chance)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(raw) + 1)
        raw[at : at + chance.randint(0, 2)] = chance.randbytes(chance.randint(0, 2))
    text = base64.urlsafe_b64encode(raw).decode()
    return text if value.endswith("=") else text.rstrip("=")


def _joined(value: str, chance: random.Random) -> str:
    """The beginning of its bytes with the end of another's."""
    other = chance.choice(_VALUES)
    at = chance.randrange(min(len(value), len(other)) + 1)
    return value[:at] + other[at:]


def _other_text(value: str, chance: random.Random) -> str:
    return cut(value, _VALUES, chance)


def _spelled(value: str, chance: random.Random) -> str:
    """The same value as some other reader would take it."""
    return chance.choice(
        (
            f'"{value}"',
            f" {value}\t",
            value.rstrip("="),
            value + "=",
            value.replace("-", "+").replace("_", "/"),
            re.sub("[A-Za-z]", lambda found: f"%{ord(found[0]):02x}", value, count=3),
            value.swapcase(),
            value * 3,
            value + "\u0660",
            value[:-1] + chr(ord(value[-1]) + 1) if value else "",
        )
    )


SPELLINGS: list[Callable[[str, random.Random], str]] = [
    _other_bytes,
    _other_bytes,
    _joined,
    _other_text,
    _spelled,
    lambda value, chance: chance.choice(_VALUES),
]
