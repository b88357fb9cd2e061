"""Whether a process can store what comes: for whoever watches it, and nobody else."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from perso_core.edge.failed_answers import FailedAnswers
from perso_core.edge.problem import NotStored
from perso_core.edge.services import EdgeServices
from perso_core.errors import DamagedStore, Overloaded, StoreUnavailable
from perso_core.stores.memory import MemoryStore
from perso_core.worker.health import Health
from tests.edge.outsider import closed_document
from tests.edge.refusing import until
from tests.edge.running import RunningEdge, running_edge
from tests.edge.servers import shown_key, with_attributes
from tests.journeys.server import prepare, serving
from tests.worker.stack import WatchedStore, broken

READY = {"status": "ready", "waiting": 0, "commits": 0, "failedCommits": 0, "restarts": 0}


async def well() -> None:
    """Something was written."""


def watched(
    edge: RunningEdge, try_commit: Callable[[], Any] = well, *, deaf: bool = False, **more: Any
) -> EdgeServices:
    health = Health(edge.engine, edge.drain, lambda: deaf, try_commit)
    return edge.services(health=health, failed=FailedAnswers(), **more)


@asynccontextmanager
async def edge_that(**how: Any) -> AsyncIterator[RunningEdge]:
    async with running_edge(
        with_attributes(datastreams=("demo", "other")),
        services=lambda edge: watched(edge, **how),
    ) as running:
        yield running


async def asked(
    edge: RunningEdge, headers: Mapping[str, str] | None = None, query: str = ""
) -> tuple[int, dict[str, Any]]:
    """Status and body, which is as the document says."""
    async with edge.http.get(f"{edge.url}/ee/health{query}", headers=headers) as answer:
        told = await answer.json(content_type=None)
        if answer.status in (200, 503):
            assert answer.headers["Cache-Control"] == "private, no-store"
            schema = {
                "$ref": "#/components/schemas/Health",
                "components": closed_document()["components"],
            }
            jsonschema_rs.Draft202012Validator(schema).validate(told)
        return answer.status, told


async def test_a_process_that_can_store_is_ready_and_tells_what_it_counts() -> None:
    async with edge_that() as edge:
        await edge.call()

        status, told = await asked(edge)

    assert status == 200
    assert told == {**READY, "commits": 1, "pid": os.getpid(), "room": 50, "failedAnswers": 0}


def raising(error: Exception) -> Callable[[], Any]:
    async def refused() -> None:
        raise error

    return refused


async def forever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"try_commit": raising(StoreUnavailable("Full.", fix="-"))}, StoreUnavailable.code),
        ({"try_commit": raising(DamagedStore("Bad.", fix="-"))}, DamagedStore.code),
        ({"try_commit": forever, "answer_within_ms": 20}, NotStored.code),
        ({"deaf": True}, StoreUnavailable.code),
    ],
    ids=["nothing can be written", "it is damaged", "the disk stands still", "it hears nobody"],
)
async def test_a_process_that_cannot_store_is_not_ready_and_says_by_a_code_why(
    how: dict[str, Any], why: str
) -> None:
    async with edge_that(**how) as edge:
        status, told = await asked(edge)

    assert (status, told["status"], told["why"]) == (503, "not-ready", why)


async def test_a_process_whose_journal_is_full_is_not_ready() -> None:
    store = WatchedStore(MemoryStore())
    async with running_edge(with_attributes(), store=store, services=watched) as edge:
        store.gate.clear()
        waiting = [asyncio.create_task(edge.call()) for _ in range(edge.engine.room)]
        await until(lambda: edge.engine.room == 0)

        status, told = await asked(edge)
        store.gate.set()
        await asyncio.gather(*waiting)

    assert (status, told["why"], told["waiting"]) == (503, Overloaded.code, 50)


async def test_what_failed_is_counted() -> None:
    store = WatchedStore(MemoryStore())
    async with running_edge(with_attributes(), store=store, services=watched) as edge:
        await edge.call()
        store.failing = broken()
        assert (await edge.call()).status == 207

        _, told = await asked(edge)

    assert (told["failedCommits"], told["failedAnswers"]) == (1, 1)


async def test_however_many_ask_while_the_disk_stands_still_one_write_waits_for_it() -> None:
    tries = 0

    async def slow() -> None:
        nonlocal tries
        tries += 1
        await asyncio.Event().wait()

    async with edge_that(try_commit=slow, answer_within_ms=20) as edge:
        for _ in range(3):
            assert (await asked(edge))[0] == 503

    assert tries == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"X-Real-IP": "203.0.113.9"},
        {"Via": "1.1 proxy"},
        {"Origin": "https://shop.example"},
    ],
    ids=lambda headers: next(iter(headers)),
)
async def test_whoever_comes_by_a_proxy_or_a_page_is_told_nothing_without_a_credential(
    headers: dict[str, str],
) -> None:
    async with edge_that() as edge:
        status, told = await asked(edge, headers)

        assert (status, told["title"]) == (401, "The authorization token is missing or malformed")
        assert "pid" not in told
        by_key = await asked(edge, {**headers, **shown_key()}, "?configId=demo")
        assert by_key[0] == 200


@pytest.mark.parametrize(
    ("headers", "query", "status"),
    [
        (shown_key(), "", 400),
        (shown_key(), "?configId=nowhere", 400),
        (shown_key(), "?configId=other", 401),
        ({"x-api-key": "pk_none"}, "?configId=demo", 401),
        ({"Authorization": "Bearer none"}, "?configId=demo", 401),
    ],
    ids=["no datastream", "none of ours", "another one", "no key of ours", "no token"],
)
async def test_a_credential_has_to_be_good_for_the_datastream_that_is_named(
    headers: dict[str, str], query: str, status: int
) -> None:
    async with edge_that() as edge:
        told = await asked(edge, {"Via": "1.1 proxy", **headers}, query)

    assert (told[0], "pid" in told[1]) == (status, False)


@pytest.mark.parametrize("query", ["?configId=", "?datastreamId=", "?configId=&dataStreamId="])
async def test_a_datastream_that_is_named_by_nothing_is_told_also_to_whoever_need_name_none(
    query: str,
) -> None:
    async with edge_that() as edge:
        status, told = await asked(edge, query=query)

    assert (status, told["title"]) == (400, "Missing datastream ID")


async def test_an_edge_that_keeps_nothing_has_no_health(edge: RunningEdge) -> None:
    status, told = await asked(edge)

    assert (status, told["type"]) == (404, "urn:perso:edge.no-such-path")


def test_perso_serve_is_ready_until_its_database_is_taken_away(tmp_path: Path) -> None:
    prepare(tmp_path)
    with serving(tmp_path) as server:
        with urllib.request.urlopen(f"{server.url}/health", timeout=30) as answer:
            assert json.load(answer)["status"] == "ready"
        (tmp_path / "perso.sqlite").rename(tmp_path / "away")

        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{server.url}/health", timeout=30)

    told = json.load(refused.value)
    assert (refused.value.code, told["why"]) == (503, StoreUnavailable.code)
