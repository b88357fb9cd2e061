"""An answer's bytes are built of parts that are kept: they are the JSON of what is told, to the
byte."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from perso_core.decision.lookup import DestinationLookup
from perso_core.edge.cookies import CLUSTER_MAX_AGE_S, cluster_cookie
from perso_core.edge.problem import EdgeError, Problem, Report
from perso_core.edge.wire import (
    LOCATION_HINT_TTL_S,
    activation_pull,
    encode_answer,
    identity_result,
    location_hint,
    state_store,
)

AWKWARD = st.text(alphabet=st.sampled_from('ab",\\/ \x00\x1f\x7fé\u2028😀{}:'), max_size=6)
IDS = st.lists(st.one_of(AWKWARD, st.uuids().map(str)), max_size=8).map(tuple)


def as_json(ecid: str, entry: DestinationLookup, hint: str, *, cross_site: bool) -> bytes:
    """The answer as an encoder writes it that knows none of its parts."""
    attrs: dict[str, Any] = {"attrs": {"SameSite": "None"}} if cross_site else {}
    cookie = {"key": "kndctr_org_cluster", "value": hint, "maxAge": CLUSTER_MAX_AGE_S}
    segments = [{"id": audience, "namespace": "ups"} for audience in entry.audiences]
    found = {
        "type": "profileLookup",
        "destinationId": entry.destination_id,
        "alias": entry.alias,
        "segments": segments,
    }
    edge = {"scope": "EdgeNetwork", "hint": hint, "ttlSeconds": LOCATION_HINT_TTL_S}
    handle = [
        {"type": "identity:result", "payload": [{"id": ecid, "namespace": {"code": "ECID"}}]},
        {"type": "activation:pull", "payload": [found], "eventIndex": 0},
        {"type": "locationHint:result", "payload": [edge]},
        {"type": "state:store", "payload": [{**cookie, **attrs}]},
    ]
    return msgspec.json.encode({"requestId": "r-1", "handle": handle})


@given(IDS, AWKWARD, AWKWARD, st.booleans())
@example((",", ",,", '",', '"'), '","', "\\", True)
@example((), "", "", False)
def test_an_answer_is_the_json_of_what_it_tells_whatever_the_ids_are(
    audiences: tuple[str, ...], alias: str, hint: str, cross_site: bool
) -> None:
    entry = DestinationLookup(destination_id="d-cms", alias=alias, audiences=audiences)
    ecid = "1" * 38
    cookies = [cluster_cookie("org", hint)]
    told = [
        identity_result(ecid),
        activation_pull([entry], 0),
        location_hint(hint),
        state_store(cookies, same_site_none=cross_site),
    ]

    sent = encode_answer("r-1", told)

    assert sent == as_json(ecid, entry, hint, cross_site=cross_site)


PROBLEMS = st.lists(
    AWKWARD.map(lambda text: EdgeError(text, fix="Send it again.").problem(Report(request_id="r"))),
    max_size=2,
)


@given(AWKWARD, PROBLEMS, PROBLEMS)
def test_an_answer_tells_errors_and_warnings_where_there_are_some(
    request_id: str, errors: list[Problem], warnings: list[Problem]
) -> None:
    told: dict[str, Any] = {"requestId": request_id, "handle": []}
    told |= {"errors": errors} if errors else {}
    told |= {"warnings": warnings} if warnings else {}

    sent = encode_answer(request_id, (), errors=errors, warnings=warnings)

    assert sent == msgspec.json.encode(told)
