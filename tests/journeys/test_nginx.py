"""The edge behind a real nginx, with the configuration that docs/operating.md gives."""

from __future__ import annotations

import asyncio
import getpass
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp

from tests.demo.browser import need
from tests.journeys.server import ROOT, Visitor, prepare, serving, session

SAMPLE = re.compile(r"```nginx\n(.*?)```", re.DOTALL)


def sample(edge_port: int, port: int) -> str:
    """The documented configuration, on ports of this test."""
    found = SAMPLE.search((ROOT / "docs/operating.md").read_text(encoding="utf-8"))
    assert found, "the document gives one"
    text = found[1]
    for written, ours in (
        ("server 127.0.0.1:8080;", f"server 127.0.0.1:{edge_port};"),
        ("listen 80;", f"listen 127.0.0.1:{port};"),
    ):
        assert written in text
        text = text.replace(written, ours)
    return text


@contextmanager
def nginx(scratch: Path, edge_port: int) -> Iterator[str]:
    """Where nginx answers, in front of an edge on that port."""
    program = need(shutil.which("nginx"), install="apt-get install nginx-light")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    scratch.mkdir()
    temporary = "".join(
        f"{kind}_temp_path {scratch}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    configuration = scratch / "nginx.conf"
    configuration.write_text(
        f"daemon off; pid {scratch}/pid; error_log stderr; user {getpass.getuser()};\n"
        "events { worker_connections 1024; }\n"
        f"http {{ access_log off;\n{temporary}{sample(edge_port, port)} }}\n"
    )
    process = subprocess.Popen([str(program), "-c", str(configuration)], stderr=subprocess.PIPE)
    try:
        _wait_for(port, process)
        yield f"http://127.0.0.1:{port}/ee"
    finally:
        process.terminate()
        process.wait(10)
        if process.stderr:
            process.stderr.close()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(500):
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        try:
            process.wait(0.02)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(process.stderr.read().decode() if process.stderr else "nginx ended")
    raise AssertionError("nginx does not listen")


def _port_of(url: str) -> int:
    return int(url.removeprefix("http://").partition("/")[0].rpartition(":")[2])


def test_two_visitors_behind_nginx_never_see_each_others_answer(tmp_path: Path) -> None:
    prepare(tmp_path / "data")
    with serving(tmp_path / "data") as server, nginx(tmp_path / "n", _port_of(server.url)) as url:
        asyncio.run(_take_turns(url))


async def _take_turns(url: str) -> None:
    async with session() as http:
        ada, ben = Visitor("ada"), Visitor("ben")
        await ada.send(http, url)
        await ben.send(http, url)
        names = {ada.name: ada.ecid, ben.name: ben.ecid}
        assert names["ada"] != names["ben"]
        for _ in range(90):
            await asyncio.gather(ada.send(http, url), ben.send(http, url))
            assert (ada.ecid, ben.ecid) == (names["ada"], names["ben"])
        assert (ada.under_way, ben.under_way) == (0, 0)


def test_nginx_refuses_what_is_too_large_and_ends_what_does_not_arrive(tmp_path: Path) -> None:
    prepare(tmp_path / "data")
    with serving(tmp_path / "data") as server, nginx(tmp_path / "n", _port_of(server.url)) as url:
        asyncio.run(_misbehave(url))


async def _misbehave(url: str) -> None:
    large = b"x" * 70_000
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{url}/v1/interact?configId=demo", data=large) as answer,
    ):
        assert answer.status == 413
    # What servers send may be larger: it reaches the edge, which asks who they are.
    async with (
        aiohttp.ClientSession() as http,
        http.post(
            f"{url}/perso/v2/import/audience?configId=demo",
            data=b"x" * 1_000_000,
            headers={"Content-Type": "text/csv"},
        ) as answer,
    ):
        told = await answer.json(content_type="application/problem+json")
        assert (answer.status, told["status"]) == (401, 401)
    reader, writer = await asyncio.open_connection("127.0.0.1", _port_of(url))
    writer.write(b"POST /ee/v1/interact HTTP/1.1\r\nHost: edge.example.com\r\n")
    async with asyncio.timeout(15):
        await reader.read()
    writer.close()
