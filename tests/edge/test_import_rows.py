"""Servers bring memberships and attributes over HTTP: proven, bounded, of their own datastream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import structs

from perso_core.client import Client, EdgeRefused
from perso_core.decision.identity import Identity, server_key
from perso_core.definitions.activation import Activation
from perso_core.definitions.audience import Audience
from perso_core.definitions.document import Definitions
from perso_core.definitions.external import with_membership_rule
from perso_core.definitions.permission import Permission
from perso_core.edge.import_rows import (
    BYTES_AT_ONCE,
    LINES_AT_ONCE,
    MAX_BODY_BYTES,
    NDJSON,
    PATCHED_AT_ONCE,
    TOLD_REFUSALS,
)
from perso_core.engine.engine import OPERATOR, Interaction
from perso_core.engine.journal import AttributesPatched
from perso_core.errors import StoreUnavailable
from perso_core.stores.memory import MemoryStore
from perso_core.worker.importing import Imports
from perso_core.worker.refresh import Refresh
from tests.building import DAY_MS, NOON_MS, ORG
from tests.edge.running import Browser, RunningEdge, Told, running_edge
from tests.edge.servers import api_key, asking, server_call, shown_key, with_attributes, written_key

HEAD = "namespace,id,audience,expires,status\n"
LATER_MS = NOON_MS + DAY_MS


def in_force(*may: Permission, datastreams: tuple[str, ...] = ("demo",)) -> Definitions:
    defined = with_attributes(
        api_keys=(api_key(may=may or ("import",), datastreams=("demo",)),), datastreams=datastreams
    )
    risk = with_membership_rule(Audience(id="risk", name="Risk", pql="", source="external"))
    activations = tuple(
        Activation(audience="risk", destination=one.id) for one in defined.destinations
    )
    return structs.replace(
        defined,
        audiences=(*defined.audiences, risk),
        activations=(*defined.activations, *activations),
    )


@asynccontextmanager
async def importing_edge(
    defined: Definitions | None = None, **broken: Any
) -> AsyncIterator[RunningEdge]:
    store = MemoryStore()
    running: list[Refresh] = []

    def services(edge: RunningEdge) -> Any:
        refresh = Refresh(edge.engine, store, clock_ms=lambda: edge.now_ms, interval_ms=1)
        running.append(refresh)

        async def patch(key: str, attributes: Mapping[str, Any], said_ms: int) -> bool:
            change = AttributesPatched(attributes, said_ms)
            answer = await edge.admission.decided(
                Interaction(profile_key=key, datastream_id=OPERATOR, changes=(change,))
            )
            await edge.drain.durable(answer.sequence)
            return answer.permitted

        imports = Imports(store, refresh, patch=patch, clock_ms=lambda: edge.now_ms, settled_s=0)
        for name, instead in broken.items():
            setattr(imports, name, instead)
        return edge.services(imports=imports)

    async with running_edge(defined or in_force(), store=store, services=services) as edge:
        running[0].start()
        try:
            yield edge
        finally:
            await running[0].close()


async def brought(
    edge: RunningEdge,
    body: str | bytes,
    action: str = "import/audience",
    *,
    kind: str = "text/csv",
    **more: Any,
) -> Told:
    headers = {**shown_key(), "Content-Type": kind}
    content = body.encode() if isinstance(body, str) else body
    return await server_call(edge, content, action, headers=headers, **more)


def row(identity: str, *, status: str = "", until_ms: int | str = LATER_MS) -> str:
    return f"CRMID,{identity},risk,{until_ms},{status}\n"


async def audiences(edge: RunningEdge, **who: str) -> set[str]:
    told = await server_call(edge, asking(**who), headers=shown_key())
    found = told.payload("activation:pull")
    return {segment["id"] for one in found for segment in one["segments"]}


async def test_a_membership_that_was_brought_holds_at_the_next_look_up() -> None:
    async with importing_edge() as edge:
        before = await audiences(edge, CRMID="a")  # which takes it into memory
        told = await brought(edge, HEAD + row("a") + row("b", status="exited"))
        after = await audiences(edge, CRMID="a")
        edge.now_ms = LATER_MS - 1
        last = await audiences(edge, CRMID="a")
        edge.now_ms = LATER_MS
        ended = await audiences(edge, CRMID="a")

    assert told.status == 200
    counts = {name: told.sent[name] for name in ("kept", "removed", "withheld", "refused")}
    assert counts == {"kept": 1, "removed": 1, "withheld": 0, "refused": 0}
    assert (before, after, last, ended) == (set(), {"risk"}, {"risk"}, set())


async def test_a_row_that_is_refused_is_told_by_line_and_the_others_are_in() -> None:
    async with importing_edge() as edge:
        told = await brought(edge, HEAD + row("a") + "CRMID,b,gold,,\n\n" + row("c"))

        assert await audiences(edge, CRMID="c") == {"risk"}
    assert (told.sent["kept"], told.sent["refused"]) == (2, 1)
    (refusal,) = told.sent["refusals"]
    assert refusal["line"] == 3
    assert "has a rule" in refusal["reason"]


async def test_lines_within_a_cell_are_no_rows_however_many_they_are() -> None:
    """As visitors write them, and a warehouse brings them."""
    cell = '"x\n' + row("victim") + "\n" * LINES_AT_ONCE + row("victim") + '"'
    async with importing_edge() as edge:
        told = await brought(edge, HEAD + f"CRMID,a,{cell},,\n" + row("b"))

        assert await audiences(edge, CRMID="victim") == set()
        assert await audiences(edge, CRMID="b") == {"risk"}
    assert (told.sent["kept"], told.sent["refused"]) == (1, 1)
    (refusal,) = told.sent["refusals"]
    assert (refusal["line"], "lines" in refusal) == (2, False)
    assert f"the lines 2 to {LINES_AT_ONCE + 5}, {LINES_AT_ONCE + 4} lines" in refusal["reason"]


async def test_each_line_that_a_stray_quote_takes_with_it_is_counted_as_refused() -> None:
    async with importing_edge() as edge:
        told = await brought(edge, HEAD + row("a") + 'CRMID,"b,risk,,\n' + row("c") + row("d"))

    assert (told.sent["kept"], told.sent["refused"]) == (1, 3)
    (refusal,) = told.sent["refusals"]
    assert (refusal["line"], refusal["lines"]) == (3, 3)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/csv", "namespace,id,audience\n,a,risk\n"),
        (NDJSON, '{"id":"a","audience":"risk"}'),
        (NDJSON, '{"identity":{"namespace":"","id":"a"},"audience":"risk"}'),
    ],
)
async def test_a_row_of_nobody_that_an_erasure_could_name_is_refused(kind: str, body: str) -> None:
    async with importing_edge() as edge:
        told = await brought(edge, body, kind=kind)

    assert (told.sent["kept"], told.sent["refused"]) == (0, 1)
    assert "names no namespace" in told.sent["refusals"][0]["reason"]


async def test_of_many_refusals_the_first_are_told_and_all_are_counted() -> None:
    async with importing_edge() as edge:
        told = await brought(edge, HEAD + "CRMID,b,gold,,\n" * 1_000)

    assert told.sent["refused"] == 1_000
    assert [one["line"] for one in told.sent["refusals"]] == [*range(2, TOLD_REFUSALS + 2)]


async def test_rows_may_be_ndjson() -> None:
    line = json.dumps({"namespace": "CRMID", "id": "a", "audience": "risk", "expires": LATER_MS})
    async with importing_edge() as edge:
        told = await brought(edge, line, kind="application/x-ndjson; charset=utf-8")

        assert await audiences(edge, CRMID="a") == {"risk"}
    assert told.sent["kept"] == 1


async def test_attributes_come_in_and_decide_at_once() -> None:
    async with importing_edge() as edge:
        told = await brought(
            edge,
            "namespace,id,loyalty.tier\nCRMID,a,silver\nCRMID,a,gold\nCRMID,b,\n",
            "import/attributes",
        )

        assert await audiences(edge, CRMID="a") == {"gold"}
    assert (told.sent["kept"], told.sent["refused"]) == (3, 0)


async def test_no_more_profiles_are_read_at_once_than_the_store_reads_in_time() -> None:
    under_way: set[str] = set()
    most = 0

    async def patch(key: str, _attributes: Mapping[str, Any], _said_ms: int) -> bool:
        nonlocal most
        under_way.add(key)
        most = max(most, len(under_way))
        await asyncio.sleep(0.001)
        under_way.discard(key)
        return True

    rows = "".join(f"CRMID,{number},gold\n" for number in range(2 * PATCHED_AT_ONCE + 1))
    async with importing_edge(patch=patch) as edge:
        told = await brought(edge, "namespace,id,loyalty.tier\n" + rows, "import/attributes")

    assert (told.sent["kept"], most) == (2 * PATCHED_AT_ONCE + 1, PATCHED_AT_ONCE)


async def test_of_long_lines_few_are_read_at_once() -> None:
    asked: list[int] = []

    async def withheld(keys: Sequence[str], _now_ms: int) -> frozenset[str]:
        asked.append(len(keys))
        return frozenset()

    tier = "x" * (BYTES_AT_ONCE // 8)
    rows = "".join(f"CRMID,{number},{tier}\n" for number in range(100))
    async with importing_edge(withheld=withheld) as edge:
        told = await brought(edge, "namespace,id,loyalty.tier\n" + rows, "import/attributes")

    assert told.sent["kept"] == sum(asked) == 100
    assert max(asked) <= 9


async def test_a_device_is_reached_where_the_datastream_has_had_an_event_of_it() -> None:
    stranger = "9" * 38
    async with importing_edge() as edge:
        browser = Browser(edge)
        ecid = (await browser.send()).ecid
        told = await brought(edge, f"{HEAD}ECID,{ecid},risk,,\nECID,{stranger},risk,,\n")
        seen = (await browser.send()).audiences

    assert (told.sent["kept"], told.sent["refused"]) == (1, 1)
    assert told.sent["refusals"][0]["line"] == 3
    assert "no event of the device" in told.sent["refusals"][0]["reason"]
    assert "risk" in seen


async def test_a_key_writes_to_its_own_datastream_alone() -> None:
    async with importing_edge(in_force(datastreams=("demo", "other"))) as edge:
        refused = await brought(edge, HEAD + row("a"), config="other")
        await brought(edge, HEAD + row("a"))

        own = server_key(Identity("CRMID", "a"), org=ORG, datastream_id="demo")
        assert await edge.store.keys_of(Identity("CRMID", "a")) == (own,)
    assert (refused.status, refused.code) == (401, "EXEG-0505-401")


@pytest.mark.parametrize("may", [("events", "attributes"), ("identities",)])
async def test_a_key_without_the_permission_writes_nothing(may: tuple[Permission, ...]) -> None:
    async with importing_edge(in_force(*may)) as edge:
        for action in ("import/audience", "import/attributes"):
            told = await brought(edge, HEAD + row("a"), action)
            assert (told.status, told.sent["type"]) == (403, "urn:perso:edge.import-refused")
        assert await edge.store.keys_of(Identity("CRMID", "a")) == ()


async def test_nobody_imports_without_a_credential() -> None:
    async with importing_edge() as edge:
        told = await server_call(
            edge,
            (HEAD + row("a")).encode(),
            "import/audience",
            headers={"Content-Type": "text/csv"},
        )

        assert (told.status, told.code) == (401, "EXEG-0500-401")
        assert await edge.store.keys_of(Identity("CRMID", "a")) == ()


@pytest.mark.filterwarnings("ignore:Sending a large body")
@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b" " * (MAX_BODY_BYTES + 1), "text/csv", 413, "EXEG-0112-413"),
        (b"", "text/csv", 408, "EXEG-0109-408"),
        (b"{}", "application/json", 415, "EXEG-0111-415"),
        (b"nonsense\n", "text/csv", 400, "EXEG-0102-400"),
        (b"\xff\xfe", "text/csv", 400, "EXEG-0102-400"),
    ],
)
async def test_a_body_that_is_no_table_is_refused_whole(
    body: bytes, kind: str, status: int, code: str
) -> None:
    async with importing_edge() as edge:
        told = await brought(edge, body, kind=kind)

    assert (told.status, told.code) == (status, code)


@pytest.mark.filterwarnings("ignore:Sending a large body")
async def test_too_many_rows_are_told_as_rows_whether_or_not_their_length_was() -> None:
    async def in_chunks() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 1_024 + 1):
            yield b" " * 1_024

    async with importing_edge() as edge:
        told = await brought(edge, b" " * (MAX_BODY_BYTES + 1))
        async with edge.http.post(
            f"{edge.url}/ee/v2/import/audience?configId=demo",
            data=in_chunks(),
            headers={**shown_key(), "Content-Type": "text/csv"},
        ) as answer:
            in_chunks_told = await answer.json(content_type=None)

    said = "The limit is 1,048,576 bytes. Send fewer or smaller rows per request."
    assert (told.sent["detail"], in_chunks_told["detail"]) == (said, said)


async def test_a_body_of_the_limit_is_taken_and_whoever_refused_is_passed_over() -> None:
    async with importing_edge() as edge:
        rows = [row(f"c-{number}") for number in range(20_000)]
        body = (HEAD + "".join(rows)).encode()[:MAX_BODY_BYTES]
        body = body[: body.rindex(b"\n") + 1]
        told = await brought(edge, body)

        assert told.sent["kept"] == body.count(b"\n") - 1
        assert await audiences(edge, CRMID="c-9999") == {"risk"}


async def test_a_row_of_whoever_refused_is_counted_once_as_withheld() -> None:
    """It was counted among those that are in, or removed, as well."""

    async def all_but_one(rows: Sequence[Sequence[Any]], _: int) -> frozenset[str]:
        return frozenset(key for key, *_ in rows if not key.endswith(":c"))

    async with importing_edge(keep=all_but_one) as edge:
        told = await brought(edge, HEAD + row("a") + row("b", status="exited") + row("c"))

    counts = {name: told.sent[name] for name in ("kept", "removed", "withheld", "refused")}
    assert counts == {"kept": 1, "removed": 0, "withheld": 2, "refused": 0}


async def test_attributes_of_who_refused_under_another_identity_count_as_withheld() -> None:
    """They were not kept, and counted among those that were: the identity that was named had not
    refused, the person that it leads to had."""

    async def all_but_one(key: str, *_: object) -> bool:
        return not key.endswith(":b")

    rows = [
        json.dumps({"identity": {"namespace": "CRMID", "id": one}, "attributes": {"vip": True}})
        for one in "ab"
    ]
    async with importing_edge(patch=all_but_one) as edge:
        told = await brought(edge, "\n".join(rows), "import/attributes", kind=NDJSON)

    counts = {name: told.sent[name] for name in ("kept", "removed", "withheld", "refused")}
    assert counts == {"kept": 1, "removed": 0, "withheld": 1, "refused": 0}


async def test_what_could_not_be_stored_is_said_and_may_be_sent_again() -> None:
    async def fails(*_: object) -> Any:
        raise StoreUnavailable("full.", fix="Make room.")

    async with importing_edge(keep=fails) as edge:
        told = await brought(edge, HEAD + row("a"))

    assert (told.status, told.errors) == (207, ["EXEG-0201-503"])


async def test_the_typed_client_brings_rows_in_as_many_bodies_as_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("perso_core.client.MAX_ROWS_BYTES", 200)
    rows = [{"namespace": "CRMID", "id": f"{n}", "audience": "risk"} for n in range(9)]
    async with (
        importing_edge() as edge,
        Client(f"{edge.url}/ee", "demo", api_key=written_key()) as perso,
    ):
        memberships = await perso.import_audience([*rows, {"id": "x"}])
        attributes = await perso.import_attributes([("CRMID", "1", {"loyalty": {"tier": "gold"}})])
        answer = await perso.look_up({"CRMID": "1"})

    assert (memberships.kept, memberships.refused, attributes.kept) == (9, 1, 1)
    assert [one.line for one in memberships.refusals] == [10]
    assert answer.audiences("cms") == {"risk", "gold"}


async def test_the_typed_client_tells_why_it_may_not() -> None:
    async with (
        importing_edge(in_force("events")) as edge,
        Client(f"{edge.url}/ee", "demo", api_key=written_key()) as perso,
    ):
        with pytest.raises(EdgeRefused) as refused:
            await perso.import_audience([{"namespace": "CRMID", "id": "1", "audience": "risk"}])

    assert refused.value.problem.code == "edge.import-refused"


async def test_a_patch_that_would_make_a_profile_too_large_is_refused_by_line() -> None:
    long = "x" * 60_000
    body = f"namespace,id,a,b\nCRMID,a,{long},\nCRMID,a,,{long}\nCRMID,b,1,\n"
    async with importing_edge() as edge:
        told = await brought(edge, body, "import/attributes")

    assert (told.status, told.sent["kept"], told.sent["refused"]) == (200, 2, 1)
    assert [one["line"] for one in told.sent["refusals"]] == [3]
