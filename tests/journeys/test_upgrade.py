"""An older and a newer Perso serve one database side by side, as while workers are replaced."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from perso_core.stores import migrations
from tests.cli.test_commands import perso
from tests.journeys.newer_perso import NUMBER
from tests.journeys.server import Visitor, prepare, serving, session

NEWER = "tests.journeys.newer_perso"


async def test_where_the_newer_one_only_adds_both_answer_the_same_visitor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_OLDEST", "1")
    await asyncio.to_thread(prepare, tmp_path)
    with serving(tmp_path) as older:
        async with session() as http:
            anna = Visitor("anna")
            await anna.send(http, older.url)
            with serving(tmp_path, module=NEWER) as newer:
                for server in (newer, older, newer, older):
                    await anna.send(http, server.url)

    assert len(anna.acknowledged) == 5


async def test_where_the_older_one_must_stop_it_says_so_stores_nothing_and_breaks_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_OLDEST", str(NUMBER))
    await asyncio.to_thread(prepare, tmp_path)
    with serving(tmp_path) as older:
        async with session() as http:
            anna, bert = Visitor("anna"), Visitor("bert")
            await anna.send(http, older.url)
            with serving(tmp_path, module=NEWER) as newer:
                for visitor in (anna, bert):
                    told = await visitor.send(http, older.url)
                    assert [one["status"] for one in told["errors"]] == [503]
                await anna.send(http, newer.url)
                await bert.send(http, newer.url)

    assert len(anna.acknowledged) == 2
    assert len(bert.acknowledged) == 1
    refused = await asyncio.to_thread(
        perso, tmp_path, "serve", "--data-dir", str(tmp_path), "--port", "0"
    )
    assert refused.returncode == 1
    assert f"asks for step {NUMBER}; this Perso knows {migrations.newest()}" in refused.stderr
