"""Consent objects, as set-consent takes them: three standards, one meaning. Pure.

docs/consent.md has the tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from perso_core.decision.consent import Sharing
from perso_core.decision.tcf import Undecodable, decode, refusal
from perso_core.definitions.datastream import Datastream
from perso_core.edge.problem import ConsentBad, ConsentUnreadable, FieldBad, FieldMissing, shown
from perso_core.edge.wire import SentConsent

# `pending`: the visitor has not chosen yet, and the page waits for that.
Said = Literal["in", "out", "pending"]

ADOBE: Final = "Adobe"
IAB_TCF: Final = "IAB TCF"
TCF_VERSIONS: Final = frozenset({"2.0", "2.1", "2.2", "2.3"})
VERSIONS: Final[Mapping[str, frozenset[str]]] = {
    ADOBE: frozenset({"1.0", "2.0"}),
    IAB_TCF: TCF_VERSIONS,
}
# Adobe 1.0.
GENERAL: Final[Mapping[str, Said]] = {
    "in": "in",
    "out": "out",
    "pending": "pending",
    "not_provided": "pending",
}
# Adobe 2.0: each value that a field may have -> what it says of collecting. None: it gives another
# ground than the visitor's word, so that what holds for the visitor stays.
COLLECT: Final[Mapping[str, Said | None]] = {
    "y": "in",
    "n": "out",
    "p": "pending",
    "u": "pending",
    "dy": "pending",
    "dn": "pending",
    "li": None,
    "ct": None,
    "cp": None,
    "vi": None,
    "pi": None,
}
SHARE: Final[Mapping[str, Sharing]] = {"y": "y", "n": "n"}
OBJECTS: Final = ("collect", "share", "adID", "personalize", "marketing", "idSpecific", "metadata")
# Evidence is kept up to this length, some 16 times a usual TC string.
MAX_STATED_CHARS: Final = 16_384
# TC strings whose meaning is kept, at most some 2 KB each.
KEPT_STRINGS: Final = 2_000
MAX_KEPT_CHARS: Final = 2_048

_RESTRICTIVE: Final[tuple[Said | None, ...]] = ("out", "pending", "in", None)


class Spoken(Struct, frozen=True):
    """What the consent objects of one call say.

    general: of collecting; None: nothing. share: of sharing; None: nothing. unreadable: why TC
    strings among them cannot be read.
    """

    general: Said | None = None
    share: Sharing | None = None
    unreadable: tuple[str, ...] = ()


def spoken_in(consent: tuple[SentConsent, ...], datastream: Datastream) -> Spoken:
    """All objects must be sound. Of collecting, the last word of each standard counts, and of
    several standards the one that permits least; of sharing the last word. Raises FieldBad,
    FieldMissing, ConsentBad.
    """
    said = [_spoken(sent, f"consent[{at}]", datastream) for at, sent in enumerate(consent)]
    last = {sent.standard: one.general for sent, one in zip(consent, said, strict=True)}
    return Spoken(
        general=min(last.values(), key=_RESTRICTIVE.index),
        share=next((one.share for one in reversed(said) if one.share), None),
        unreadable=tuple(reason for one in said for reason in one.unreadable),
    )


def stated(sent: object) -> str:
    """What was sent, as the JSON text to be kept as evidence; "" where it is too long for that.
    Raises FieldBad for a number that cannot be kept."""
    try:
        text = msgspec.json.encode(sent).decode()
    except OverflowError:
        raise FieldBad(
            "'consent' holds an integer of more than 64 bits.", fix="Send it as a string."
        ) from None
    return text if len(text) <= MAX_STATED_CHARS else ""


def unreadable_string(reason: str) -> ConsentUnreadable:
    return ConsentUnreadable(
        f"The string cannot be read: {reason}.", fix="Send the string as the CMP gave it."
    )


def _spoken(sent: SentConsent, path: str, datastream: Datastream) -> Spoken:
    versions = VERSIONS.get(sent.standard)
    if versions is None:
        raise _refused(f"{path}.standard", sent.standard, 'Send "Adobe" or "IAB TCF".')
    if sent.version not in versions:
        listed = ", ".join(sorted(versions))
        raise _refused(f"{path}.version", sent.version, f"Send one of {listed}.")
    if sent.value is None:
        raise FieldMissing(f"'{path}.value' is required.", fix="Send it.")
    if sent.value == "":
        raise ConsentBad(f"'{path}.value' is empty.", fix="Send what the visitor chose.")
    if sent.standard == IAB_TCF:
        return _tcf(sent, f"{path}.value", datastream)
    value = _object(sent.value, f"{path}.value")
    if sent.version == "1.0":
        return Spoken(_general(value, f"{path}.value"))
    return _preferences(value, f"{path}.value")


def _tcf(sent: SentConsent, path: str, datastream: Datastream) -> Spoken:
    if not isinstance(sent.value, str):
        raise _refused(path, str(sent.value), "Send the TC string.")
    if not sent.gdpr_applies:
        return Spoken("in")
    said = said_by_tc_string(sent.value, datastream)
    if isinstance(said, Undecodable):
        return Spoken("out", unreadable=(said.reason,))
    return Spoken(said)


def said_by_tc_string(text: str, datastream: Datastream) -> Literal["in", "out"] | Undecodable:
    """What a TC string comes to for the datastream's own vendor and purposes."""
    reads = _reads if len(text) <= MAX_KEPT_CHARS else _reads.__wrapped__
    return reads(text, datastream.tcf_vendor, datastream.tcf_purposes)


# A visitor's string is on every event, and visitors who chose alike on one day have the same:
# 2 µs an event instead of 30. The longest ones are not worth their memory.
@lru_cache(maxsize=KEPT_STRINGS)
def _reads(text: str, vendor: int, purposes: tuple[int, ...]) -> Literal["in", "out"] | Undecodable:
    decoded = decode(text)
    if isinstance(decoded, Undecodable):
        return decoded
    return "out" if refusal(decoded, vendor_id=vendor, purposes=purposes) else "in"


def _general(value: dict[str, Any], path: str) -> Said:
    for purpose in value:
        if purpose != "general":
            raise _refused(f"{path}.{shown(purpose)}", str(value[purpose]), "Send general alone.")
    if "general" not in value:
        raise FieldMissing(f"'{path}.general' is required.", fix='Send "in" or "out".')
    general = value["general"]
    if not isinstance(general, str) or general not in GENERAL:
        raise _refused(f"{path}.general", str(general), 'Send "in" or "out".')
    return GENERAL[general]


def _preferences(value: dict[str, Any], path: str) -> Spoken:
    """Adobe 2.0. Its other fields, and a site's own ones, decide nothing here."""
    for name in OBJECTS:
        if name in value:
            _object(value[name], f"{path}.{name}")
    if "collect" not in value and "share" not in value:
        raise FieldMissing(f"'{path}.collect.val' is required.", fix='Send "y" or "n".')
    _check_time(value.get("metadata", {}), f"{path}.metadata.time")
    collect = _val(value, "collect", path)
    share = _val(value, "share", path)
    return Spoken(COLLECT[collect] if collect else None, SHARE.get(share))


def _val(value: dict[str, Any], name: str, path: str) -> str:
    """The field's value in small letters, as XDM has some of them in capitals; "": no such
    field."""
    if name not in value:
        return ""
    where = f"{path}.{name}.val"
    if "val" not in value[name]:
        raise FieldMissing(f"'{where}' is required.", fix='Send "y" or "n".')
    val = value[name]["val"]
    if not isinstance(val, str) or val.lower() not in COLLECT:
        raise _refused(where, str(val), f"Send one of {', '.join(COLLECT)}.")
    return val.lower()


def _check_time(metadata: dict[str, Any], path: str) -> None:
    """Kept as evidence. When a choice was made is told by our clock."""
    if "time" not in metadata:
        return
    text = metadata["time"]
    try:
        datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise _refused(path, str(text), "Send an instant as 2026-03-15T12:00:00Z.") from None


def _object(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _refused(path, str(value), "Send an object.")
    return value


def _refused(path: str, value: str, fix: str) -> FieldBad:
    return FieldBad(f"'{path}' is '{shown(value)}'.", fix=fix)
