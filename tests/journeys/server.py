"""`perso serve` as a process of its own, on a free port, and visitors who call it."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
from msgspec import Struct, field

from perso_core.assembly import DATABASE
from perso_core.definitions.document import Definitions
from perso_core.stores.sqlite import open_sqlite
from tests.building import definitions
from tests.canaries.process import python_module

ROOT = Path(__file__).parents[2]
STOP_LIMIT_S = 30
NO_SETTINGS: Mapping[str, object] = MappingProxyType({})


def prepare(data_dir: Path, in_force: Definitions | None = None) -> None:
    """Definitions saved, so that the server begins with them: by default all may be kept."""

    async def save() -> None:
        store = await open_sqlite(data_dir / DATABASE)
        await store.save_definitions(in_force or definitions())
        await store.close()

    asyncio.run(save())


class Server(Struct):
    process: subprocess.Popen[str]
    url: str  # of the edge, e.g. http://127.0.0.1:40321/ee

    def kill(self) -> None:
        """As `kill -9` does it."""
        self.process.kill()
        self.process.wait(STOP_LIMIT_S)


@contextmanager
def serving(
    data_dir: Path,
    *,
    under: Sequence[str] = (),
    settings: Mapping[str, object] = NO_SETTINGS,
    module: str = "perso_core",
) -> Iterator[Server]:
    """A server that answers. under: a command that starts it, e.g. strace. module: what is run."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PERSO_")}
    # What is tested here is not how late a busy machine answers.
    kept |= {"PERSO_ANSWER_WITHIN_MS": "10000", "PERSO_LOAD_TIMEOUT_MS": "9000"}
    kept |= {f"PERSO_{name.upper()}": str(value) for name, value in settings.items()}
    words = ["serve", "--data-dir", str(data_dir), "--port", str(_free_port())]
    process = subprocess.Popen(
        [*under, *python_module(module), *words],
        env={**kept, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert " answers at " in said, f"the server did not start: {said!r}"
        yield Server(process, said.split(" answers at ")[1].split(",")[0].split(". ")[0])
    finally:
        process.terminate()
        process.wait(STOP_LIMIT_S)
        if process.stdout:
            process.stdout.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Visitor(Struct):
    """A browser: keeps its cookies, sends events with ids of its own.

    sent: ids of all events sent. acknowledged: those answered 200 without errors. event_type: of
    what they do next.
    """

    name: str
    cookies: dict[str, str] = field(default_factory=dict)
    ecid: str = ""
    sent: list[str] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    event_type: str = "commerce.productListAdds"

    @property
    def profile_key(self) -> str:
        return f"ECID:{self.ecid}"

    @property
    def under_way(self) -> int:
        """Events sent and not acknowledged."""
        return len(self.sent) - len(self.acknowledged)

    async def send(self, http: aiohttp.ClientSession, url: str) -> dict[str, Any]:
        """One event, and the answer to it. Raises aiohttp.ClientError when none comes."""
        event_id = f"{self.name}-{len(self.sent)}"
        self.sent.append(event_id)
        event = {"_id": event_id, "eventType": self.event_type}
        async with http.post(
            f"{url}/v1/interact",
            params={"configId": "demo", "requestId": f"r-{event_id}"},
            json={"events": [{"xdm": event}]},
            headers={"Cookie": "; ".join(f"{key}={value}" for key, value in self.cookies.items())},
        ) as answer:
            told: dict[str, Any] = await answer.json()
        if answer.status == 200 and not told.get("errors"):
            self.acknowledged.append(event_id)
        self._learn(told)
        return told

    def _learn(self, told: dict[str, Any]) -> None:
        for handle in told.get("handle", ()):
            for item in handle["payload"]:
                if handle["type"] == "identity:result":
                    self.ecid = item["id"]
                elif handle["type"] == "state:store":
                    self.cookies[item["key"]] = item["value"]


def session() -> aiohttp.ClientSession:
    """As many connections as visitors; cookies are the visitors' own."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
    )
