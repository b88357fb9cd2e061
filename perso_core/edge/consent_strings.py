"""Consent strings on events: `xdm.consentStrings[]` (protocol.md, 2.1). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct

from perso_core.decision.tcf import Undecodable
from perso_core.definitions.datastream import Datastream
from perso_core.edge.consent_objects import IAB_TCF, TCF_VERSIONS, said_by_tc_string, stated
from perso_core.edge.wire import SentEvent

Heard = Literal["in", "out"]


class HeardConsent(Struct, frozen=True):
    """What the strings of one request come to.

    general: `out` where one refuses, `in` where all that can be heard agree; None: none says
    anything. unreadable: why one cannot be read; "": all can. stated: the strings, as JSON text.
    """

    general: Heard | None = None
    unreadable: str = ""
    stated: str = ""


NOTHING_HEARD = HeardConsent()


def opted_in(heard: HeardConsent, datastream: Datastream) -> bool:
    """Whether the strings agree, and this datastream takes that for a choice."""
    return heard.general == "in" and datastream.consent_strings_opt_in


def heard_in(events: Sequence[SentEvent], datastream: Datastream) -> HeardConsent:
    """Strings of other standards than IAB TCF say nothing to us. Raises FieldBad for an integer
    that cannot be kept."""
    sent = []
    for event in events:
        if "consentStrings" in event.xdm:
            sent.append(event.xdm["consentStrings"])
    if not sent:
        return NOTHING_HEARD
    said = [one for strings in sent for one in _each(strings, datastream)]
    general: Heard | None = None
    if said:
        general = "out" if any(one == "out" for one in said) else "in"
    unreadable = next((one.reason for one in said if isinstance(one, Undecodable)), "")
    return HeardConsent(general, unreadable, stated(sent))


def _each(strings: Any, datastream: Datastream) -> Iterator[Heard | Undecodable]:
    # Lists and dicts first: what asks an abstract class takes a microsecond.
    if not isinstance(strings, list) and (
        not isinstance(strings, Sequence) or isinstance(strings, str)
    ):
        yield Undecodable("consentStrings is no list")
        return
    for one in strings:
        if not isinstance(one, dict) and not isinstance(one, Mapping):
            yield Undecodable("consentStrings holds something else than objects")
        elif one.get("consentStandard") == IAB_TCF:
            yield _said(one, datastream)


def _said(sent: Mapping[str, Any], datastream: Datastream) -> Heard | Undecodable:
    if sent.get("gdprApplies") is False:
        return "in"
    version = sent.get("consentStandardVersion")
    if not isinstance(version, str) or version not in TCF_VERSIONS:
        return Undecodable("its consentStandardVersion is not known")
    text = sent.get("consentStringValue")
    if not isinstance(text, str):
        return Undecodable("it is no text")
    return said_by_tc_string(text, datastream)
