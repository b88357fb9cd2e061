"""Whatever a caller sends, the answer is valid and not our failure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.building import BASKET_RULE, GOLD_RULE, definitions
from tests.edge.running import RunningEdge, Told, connection, running_edge

ACTIONS = ["interact", "collect", "identity/acquire", "privacy/set-consent"]
RULES = {
    "basket": BASKET_RULE,
    "gold": GOLD_RULE,
    "big": 'select e from xEvent where e.commerce.order.priceTotal > 100 and e.eventType = "buy"',
}
# Names that we read, so that odd values reach the code behind them.
NAMES = st.sampled_from(
    [
        "events",
        "xdm",
        "data",
        "query",
        "meta",
        "identityMap",
        "ECID",
        "CRMID",
        "id",
        "identity",
        "fetch",
        "state",
        "entries",
        "key",
        "value",
        "queueTimeMillis",
        "configOverrides",
        "com_adobe_experience_platform",
        "com_adobe_edge_destinations",
        "enabled",
        "consent",
        "standard",
        "version",
        "general",
        "_id",
        "timestamp",
        "eventType",
        "commerce",
        "order",
        "priceTotal",
        "",
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["Adobe", "1.0", "in", "1" * 38, "commerce.productListAdds", "\x00"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=25,
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "events": st.lists(
            st.fixed_dictionaries({"xdm": st.dictionaries(NAMES, JSON, max_size=5)}),
            min_size=1,
            max_size=3,
        )
        | JSON,
        "xdm": st.fixed_dictionaries({"identityMap": JSON}) | JSON,
        "identityMap": JSON,
        "consent": st.lists(
            st.fixed_dictionaries(
                {
                    "standard": st.just("Adobe") | JSON,
                    "version": st.just("1.0") | JSON,
                    "value": st.dictionaries(NAMES, JSON, max_size=2) | JSON,
                }
            ),
            max_size=2,
        )
        | JSON,
        "query": st.fixed_dictionaries({"identity": JSON}) | JSON,
        "meta": st.fixed_dictionaries(
            {}, optional={"state": JSON, "configOverrides": JSON, "queueTimeMillis": JSON}
        )
        | JSON,
    },
)


class Send(Protocol):
    def __call__(self, action: str, body: bytes) -> Told: ...


@contextmanager
def sending() -> Iterator[Send]:
    """One edge for all examples: hypothesis knows no event loop."""
    with asyncio.Runner() as runner:
        running = running_edge(definitions(RULES))
        edge: RunningEdge = runner.run(running.__aenter__())

        def send(action: str, body: bytes) -> Told:
            async def call() -> Told:
                async with asyncio.timeout(5):
                    return await edge.call(action, body)

            return runner.run(call())

        try:
            yield send
        finally:
            runner.run(running.__aexit__(None, None, None))


def assert_valid(told: Told) -> None:
    assert told.status in (200, 204, 400, 408, 413, 422)
    if told.status == 200:
        assert isinstance(told.sent["handle"], list)
    elif told.status != 204:
        assert told.sent["type"].startswith("https://ns.adobe.com/aep/errors/EXEG-")


@pytest.mark.parametrize("action", ACTIONS)
def test_any_json_has_a_valid_answer(action: str) -> None:
    with sending() as send:

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(REQUESTS | JSON)
        def any_json(body: Any) -> None:
            assert_valid(send(action, msgspec.json.encode(body)))

        any_json()


@pytest.mark.parametrize("action", ACTIONS)
def test_any_bytes_have_a_valid_answer(action: str) -> None:
    with sending() as send:

        @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.binary(max_size=200) | st.text('{}[]":,\\u0d8 1e\n', max_size=60).map(str.encode))
        def any_bytes(body: bytes) -> None:
            assert_valid(send(action, body))

        any_bytes()


@pytest.mark.parametrize(
    "line",
    [
        b"Origin: https://\xff\xfe.test",
        b"Cookie: \xff=\xfe; kndctr_5BFE274A5F6980A50A495C08_AdobeOrg_identity=\xff\xff",
        b"Content-Type: \xff/\xff",
        b"Content-Encoding: \xff",
        b"x-request-id: \xff",
        b"Sec-Fetch-Site: \xff",
    ],
)
@pytest.mark.parametrize("path", [b"/ee/v1/interact", b"/ee/%ff/v1/interact", b"/ee/%ff%00"])
async def test_any_bytes_in_a_header_or_path_have_a_valid_answer(
    edge: RunningEdge, path: bytes, line: bytes
) -> None:
    body = b'{"events":[{"xdm":{}}]}'
    typed = b"" if line.startswith(b"Content-Type") else b"Content-Type: text/plain\r\n"
    async with connection(edge) as (reader, writer):
        writer.write(
            b"POST %s?configId=demo&requestId=%%ff HTTP/1.1\r\nHost: x\r\n%s\r\n%s"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (path, line, typed, len(body), body)
        )
        answer = await reader.read()

    assert answer.split(b" ", 2)[1] in (b"200", b"400", b"403", b"404", b"415")
    assert b"requestId" in answer
