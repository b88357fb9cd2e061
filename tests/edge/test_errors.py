"""What a caller did wrong is told as problem+json with Adobe's type; nothing is written."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from perso_core.edge.services import EdgeServices
from tests.edge.running import (
    PAGE,
    TEXT,
    RunningEdge,
    Told,
    connection,
    ordinary,
    page_view,
    running_edge,
)

ECID = "1" * 38
UNFINISHED = (
    b"POST /ee/v1/interact?configId=demo HTTP/1.1\r\nHost: x\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 100\r\n\r\n{"
)


def impatient(edge: RunningEdge) -> EdgeServices:
    return edge.services(body_within_ms=50)


def identified(*entries: object, namespace: str = "ECID") -> dict[str, Any]:
    return {"identityMap": {namespace: list(entries)}}


def assert_problem(told: Told, code: str, status: int, *words: str) -> None:
    assert told.headers["Content-Type"] == "application/problem+json"
    assert (told.code, told.status, told.sent["status"]) == (code, status, status)
    for word in words:
        assert word in told.sent["detail"]


# ---- datastreams -------------------------------------------------------------


async def test_a_call_that_names_no_datastream_is_refused(edge: RunningEdge) -> None:
    assert_problem(await edge.call(config=None), "EXEG-0002-400", 400, "configId")
    assert_problem(await edge.call(config=""), "EXEG-0002-400", 400)


async def test_an_unknown_datastream_is_refused_by_its_name(edge: RunningEdge) -> None:
    assert_problem(await edge.call(config="BOGUS"), "EXEG-0003-400", 400, "'BOGUS'")


async def test_an_environment_suffix_is_part_of_the_datastreams_id(edge: RunningEdge) -> None:
    assert_problem(await edge.call(config="demo:dev"), "EXEG-0003-400", 400, "'demo:dev'")


async def test_before_anything_was_applied_every_datastream_is_unknown() -> None:
    async with running_edge(None) as edge:
        assert_problem(await edge.call(), "EXEG-0003-400", 400, "'demo'")


async def test_a_disabled_datastream_is_refused() -> None:
    async with running_edge(ordinary(enabled=False)) as edge:
        assert_problem(await edge.call(), "EXEG-0004-422", 422, "'demo'")


@pytest.mark.parametrize(
    "name", ["configId", "datastreamId", "dataStreamId", "CONFIGID", "datastreamid"]
)
async def test_a_datastream_may_be_named_in_each_documented_way(
    edge: RunningEdge, name: str
) -> None:
    assert (await edge.call(config=None, query={name: "demo"})).status == 200


async def test_a_problem_says_which_call_it_belongs_to(edge: RunningEdge) -> None:
    told = await edge.call(config="BOGUS", request_id="r-1")

    assert told.sent["report"] == {
        "requestId": "r-1",
        "configId": "BOGUS",
        "orgId": "5BFE274A5F6980A50A495C08@AdobeOrg",
    }
    assert told.headers["x-request-id"] == "r-1"


# ---- media types -------------------------------------------------------------


@pytest.mark.parametrize("stated", ["", "text", "text/", "/plain", "text plain", "a/b/c"])
async def test_a_content_type_that_is_absent_or_malformed_is_refused(
    edge: RunningEdge, stated: str
) -> None:
    assert_problem(await edge.call(headers={"Content-Type": stated}), "EXEG-0106-400", 400)


async def test_no_content_type_at_all_is_refused(edge: RunningEdge) -> None:
    """A raw request: clients add one of their own."""
    async with connection(edge) as (reader, writer):
        writer.write(
            b"POST /ee/v1/interact?configId=demo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
            b"Connection: close\r\n\r\n{}"
        )
        answer = await reader.read()

    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"EXEG-0106-400" in answer


@pytest.mark.parametrize(
    "stated",
    ["application/x-jackson-smile", "application/xml", "multipart/form-data; boundary=x"],
)
async def test_another_media_type_is_refused(edge: RunningEdge, stated: str) -> None:
    assert_problem(await edge.call(headers={"Content-Type": stated}), "EXEG-0111-415", 415)


@pytest.mark.parametrize(
    "stated",
    [
        "text/plain",
        "text/plain; charset=UTF-8",
        "application/json",
        "Application/JSON;charset=utf-8",
        "text/javascript",
    ],
)
async def test_json_may_come_under_each_documented_type(edge: RunningEdge, stated: str) -> None:
    assert (await edge.call(headers={"Content-Type": stated})).status == 200


@pytest.mark.parametrize("coding", ["gzip", "deflate", "GZIP", "x-own"])
async def test_a_compressed_body_is_refused(edge: RunningEdge, coding: str) -> None:
    async with edge.http.post(
        f"{edge.url}/ee/v1/interact?configId=demo",
        data=b"",
        headers={**TEXT, "Content-Encoding": coding},
    ) as answer:
        body = await answer.read()

    assert answer.status == 415
    assert b"EXEG-0111-415" in body


# ---- bodies ------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"", b"  \n "])
async def test_an_empty_body_is_refused(edge: RunningEdge, body: bytes) -> None:
    assert_problem(await edge.call(body=body), "EXEG-0109-408", 408)


async def test_a_body_of_64_kilobytes_is_taken_and_one_byte_more_is_not(edge: RunningEdge) -> None:
    whole = msgspec.json.encode(page_view(filler=""))
    largest = whole.replace(b'""', b'"' + b"x" * (65_536 - len(whole)) + b'"')
    assert len(largest) == 65_536

    assert (await edge.call(body=largest)).status == 200
    assert_problem(await edge.call(body=largest + b" "), "EXEG-0112-413", 413, "65,536")


async def test_a_body_of_unknown_length_is_cut_off_at_the_limit(edge: RunningEdge) -> None:
    async def endless() -> Any:
        for _ in range(80):
            yield b" " * 1_024

    async with edge.http.post(
        f"{edge.url}/ee/v1/interact?configId=demo", data=endless(), headers=TEXT
    ) as answer:
        body = await answer.read()

    assert answer.status == 413
    assert b"EXEG-0112-413" in body
    assert b"Send fewer or smaller events" in body


async def test_a_body_that_does_not_arrive_is_not_waited_for() -> None:
    async with (
        running_edge(ordinary(), services=impatient) as edge,
        connection(edge) as (reader, writer),
    ):
        writer.write(UNFINISHED)
        answer = await reader.readline()

    assert answer == b"HTTP/1.1 408 Request Timeout\r\n"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"{", "byte 1"),
        (b'{"events":}', "byte 10"),
        (b"{} x", "byte 4"),
        (b"NaN", "byte 0"),
        (b'{"a":1e999}', "byte"),
        (b'{"a":"\xff"}', "Byte 6"),
        (b"\xef\xbb\xbf{}", "byte 0"),
        (b'{"a":"\\ud800"}', "byte"),
    ],
)
async def test_what_is_not_json_is_refused_with_its_place(
    edge: RunningEdge, body: bytes, place: str
) -> None:
    assert_problem(await edge.call(body=body), "EXEG-0101-400", 400, place)


async def test_a_name_that_stands_twice_in_an_object_is_refused(edge: RunningEdge) -> None:
    """Else a proxy in front could read another request than we do."""
    body = b'{"events":[{"xdm":{"eventType":"a","eventType":"b"}}]}'

    assert_problem(await edge.call(body=body), "EXEG-0101-400", 400, "'eventType'")


async def test_deep_nesting_is_refused(edge: RunningEdge) -> None:
    body = b'{"events":' + b"[" * 5_000 + b"]" * 5_000 + b"}"

    assert_problem(await edge.call(body=body), "EXEG-0101-400", 400, "32 levels")


@pytest.mark.parametrize("action", ["interact", "collect"])
async def test_a_request_without_events_is_refused(edge: RunningEdge, action: str) -> None:
    assert_problem(await edge.call(action, {}), "EXEG-0103-400", 400, "'events'")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ([], "The body"),
        ({"events": {}}, "'events'"),
        ({"events": []}, "'events'"),
        ({"events": [{}] * 101}, "'events'"),
        ({"events": ["x"]}, "'events[0]'"),
        ({"events": [{"xdm": {}}, {"xdm": 1}]}, "'events[1].xdm'"),
        ({"events": [{"xdm": {}}], "meta": []}, "'meta'"),
        ({"events": [{}], "meta": {"state": {"entries": [{"key": "a", "value": 1}]}}}, "value'"),
        ({"events": [{}], "meta": {"queueTimeMillis": "5"}}, "'meta.queueTimeMillis'"),
        ({"events": [{}], "query": {"identity": {"fetch": "ECID"}}}, "'query.identity.fetch'"),
        ({"events": [{}], "xdm": {"identityMap": []}}, "'xdm.identityMap'"),
        ({"events": [{}], "xdm": identified(1)}, "'xdm.identityMap.ECID[0]'"),
        ({"events": [{}], "xdm": identified({"id": 1})}, "'xdm.identityMap.ECID[0].id'"),
        (page_view(identityMap={"Email": 1}), "'events[0].xdm.identityMap.Email'"),
        (page_view(total=2**64), "'events[0]'"),
    ],
)
async def test_a_field_of_the_wrong_type_is_refused_by_its_path(
    edge: RunningEdge, body: object, path: str
) -> None:
    assert_problem(await edge.call(body=body), "EXEG-0102-400", 400, path)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"events": [{}], "meta": {"state": {"entries": [{"key": "a"}]}}}, "entries[0].value'"),
        ({"events": [{}], "xdm": identified({})}, "'xdm.identityMap.ECID[0].id'"),
    ],
)
async def test_a_field_that_is_missing_is_named_by_its_path(
    edge: RunningEdge, body: object, path: str
) -> None:
    assert_problem(await edge.call(body=body), "EXEG-0103-400", 400, path)


# ---- overrides ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        ({"bogus_key": {}}, "bogus_key"),
        ({"com_adobe_target": 1}, "com_adobe_target"),
        ({"com_adobe_experience_platform": {"enabled": "no"}}, "enabled"),
        (
            {"com_adobe_experience_platform": {"com_adobe_edge_destinations": []}},
            "com_adobe_edge_destinations",
        ),
        (
            {"com_adobe_experience_platform": {"com_adobe_edge_segmentation": {"enabled": 0}}},
            "com_adobe_edge_segmentation.enabled",
        ),
    ],
)
@pytest.mark.parametrize("action", ["interact", "identity/acquire"])
async def test_a_wrong_override_is_refused_by_its_key(
    edge: RunningEdge, action: str, overrides: object, key: str
) -> None:
    body = page_view(more={"meta": {"configOverrides": overrides}})

    assert_problem(await edge.call(action, body), "EXEG-0113-400", 400, key)


# ---- consent objects ---------------------------------------------------------


@pytest.mark.parametrize(
    ("consent", "code", "status"),
    [
        ({"standard": "IAB", "version": "2.0", "value": "x"}, "EXEG-0102-400", 400),
        ({"standard": "Adobe", "version": "6.9", "value": {}}, "EXEG-0102-400", 400),
        ({"standard": "IAB TCF", "version": "2.0"}, "EXEG-0103-400", 400),
        ({"standard": "IAB TCF", "version": "2.0", "value": ""}, "EXEG-0104-422", 422),
        ({"standard": "IAB TCF", "version": "1.1", "value": "CO05"}, "EXEG-0102-400", 400),
        ({"standard": "IAB TCF", "version": "2.0", "value": {}}, "EXEG-0102-400", 400),
        (
            {"standard": "IAB TCF", "version": "2.0", "value": "CO05", "gdprApplies": "yes"},
            "EXEG-0102-400",
            400,
        ),
        ({"standard": "Adobe", "version": "2.0", "value": {}}, "EXEG-0103-400", 400),
        ({"standard": "Adobe", "version": "2.0", "value": {"collect": {}}}, "EXEG-0103-400", 400),
        ({"standard": "Adobe", "version": "2.0", "value": {"collect": "y"}}, "EXEG-0102-400", 400),
        (
            {"standard": "Adobe", "version": "2.0", "value": {"collect": {"val": "yes"}}},
            "EXEG-0102-400",
            400,
        ),
        (
            {
                "standard": "Adobe",
                "version": "2.0",
                "value": {"collect": {"val": "y"}, "personalize": "y"},
            },
            "EXEG-0102-400",
            400,
        ),
        (
            {
                "standard": "Adobe",
                "version": "2.0",
                "value": {"collect": {"val": "y"}, "metadata": {"time": "yesterday"}},
            },
            "EXEG-0102-400",
            400,
        ),
        (
            {"standard": "Adobe", "version": "1.0", "value": {"analytics": "in"}},
            "EXEG-0102-400",
            400,
        ),
        (
            {"standard": "Adobe", "version": "1.0", "value": {"general": "maybe"}},
            "EXEG-0102-400",
            400,
        ),
        ({"standard": "Adobe", "version": "1.0", "value": {"general": []}}, "EXEG-0102-400", 400),
        ({"standard": "Adobe", "version": "1.0", "value": "in"}, "EXEG-0102-400", 400),
        ({"standard": "Adobe", "version": "1.0", "value": {}}, "EXEG-0103-400", 400),
        ({"standard": "Adobe", "version": "1.0"}, "EXEG-0103-400", 400),
        ({"version": "1.0", "value": {"general": "in"}}, "EXEG-0103-400", 400),
    ],
)
async def test_a_consent_that_cannot_be_kept_is_refused(
    edge: RunningEdge, consent: object, code: str, status: int
) -> None:
    told = await edge.call("privacy/set-consent", {"consent": [consent]})

    assert_problem(told, code, status, "consent[0]")


@pytest.mark.parametrize(
    ("body", "code"), [({}, "EXEG-0103-400"), ({"consent": []}, "EXEG-0102-400")]
)
async def test_a_consent_request_holds_a_consent(
    edge: RunningEdge, body: object, code: str
) -> None:
    assert_problem(await edge.call("privacy/set-consent", body), code, 400, "'consent'")


async def test_one_wrong_consent_object_refuses_them_all(edge: RunningEdge) -> None:
    sound = {"standard": "Adobe", "version": "1.0", "value": {"general": "in"}}
    wrong = {"standard": "Adobe", "version": "9.9", "value": {"general": "in"}}

    told = await edge.call("privacy/set-consent", {"consent": [wrong, sound]})

    assert_problem(told, "EXEG-0102-400", 400, "consent[0].version")


# ---- paths and methods -------------------------------------------------------


@pytest.mark.parametrize("action", ["bogus", "interact/", "interact/x.css", "media", "privacy", ""])
async def test_an_unknown_path_is_told_as_a_problem(edge: RunningEdge, action: str) -> None:
    assert_problem(await edge.call(action), "urn:perso:edge.no-such-path", 404)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
async def test_only_post_is_taken(edge: RunningEdge, method: str) -> None:
    told = await edge.call(method=method)

    assert_problem(told, "urn:perso:edge.method-refused", 405)
    assert told.headers["Allow"] == "POST, OPTIONS"


async def test_what_a_caller_sent_comes_back_short_and_without_control_characters(
    edge: RunningEdge,
) -> None:
    told = await edge.call(config="a\r\nb\u2028" + "x" * 5_000)

    assert_problem(told, "EXEG-0003-400", 400)
    assert len(told.body) < 1_000
    assert told.sent["report"]["configId"].startswith("a\N{REPLACEMENT CHARACTER}")


# ---- what all refusals share -------------------------------------------------

REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("EXEG-0002-400", {"config": None}),
    ("EXEG-0003-400", {"config": "BOGUS"}),
    ("EXEG-0106-400", {"headers": {"Content-Type": "x"}}),
    ("EXEG-0111-415", {"headers": {"Content-Type": "a/b"}}),
    ("EXEG-0109-408", {"body": b""}),
    ("EXEG-0112-413", {"body": b" " * 70_000}),
    ("EXEG-0101-400", {"body": b"{"}),
    ("EXEG-0102-400", {"body": []}),
    ("EXEG-0103-400", {"body": {}}),
    ("EXEG-0113-400", {"body": page_view(more={"meta": {"configOverrides": {"x": 1}}})}),
    ("EXEG-0305-400", {"body": page_view(more={"xdm": identified({"id": "1"})})}),
    ("urn:perso:edge.method-refused", {"method": "PUT"}),
    ("urn:perso:edge.no-such-path", {"action": "bogus"}),
]


@pytest.mark.parametrize(("code", "call"), REFUSED, ids=[code for code, _ in REFUSED])
async def test_a_listed_page_can_read_every_refusal(
    edge: RunningEdge, code: str, call: dict[str, Any]
) -> None:
    """Else alloy reports an opaque network error."""
    told = await edge.call(origin=PAGE, **call)

    assert told.code == code
    assert told.headers["Access-Control-Allow-Origin"] == PAGE
    assert told.headers["Access-Control-Allow-Credentials"] == "true"


@pytest.mark.parametrize(("code", "call"), REFUSED, ids=[code for code, _ in REFUSED])
async def test_a_refused_call_writes_nothing(
    edge: RunningEdge, code: str, call: dict[str, Any]
) -> None:
    told = await edge.call(**call)

    assert told.code == code
    assert edge.drain.commits == 0
    assert len(edge.engine) == 0


async def test_no_refusal_is_kept_by_a_cache(edge: RunningEdge) -> None:
    for _, call in REFUSED:
        told = await edge.call(**call)

        assert told.headers["Cache-Control"] == "private, no-store"
        assert told.headers["Vary"] == "Origin"
        assert told.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_broken_chunk_is_the_callers_fault() -> None:
    async with (
        running_edge(ordinary(), services=impatient) as edge,
        connection(edge) as (reader, writer),
    ):
        writer.write(
            b"POST /ee/v1/interact?configId=demo HTTP/1.1\r\nHost: x\r\n"
            b"Expect: 100-continue\r\nContent-Type: text/plain\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        await reader.readline()
        # The edge is reading the body by now.
        writer.write(b"1\r\n{\r\nZZ\r\n")
        answer = await reader.readline()

    assert b" 40" in answer


async def test_the_edge_answers_after_a_broken_connection(edge: RunningEdge) -> None:
    async with connection(edge) as (_, writer):
        writer.write(UNFINISHED)
        await writer.drain()
        writer.transport.abort()

    assert (await edge.call()).status == 200
