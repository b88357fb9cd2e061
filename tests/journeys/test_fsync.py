"""What the kernel sees: between an event's arrival and its answer the log reaches the disk."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from msgspec import Struct

from tests.journeys.server import Visitor, prepare, serving, session

CALLS = "fdatasync,fsync,read,recvfrom,recvmsg,write,writev,sendto,sendmsg"
# -D: the server stays our child. -y: file names beside descriptors. -s: bodies in full.
STRACE = ["strace", "-D", "-f", "-qq", "-y", "-s", "8192", "-e", f"trace={CALLS}"]
SYNC = re.compile(r"f(?:data)?sync\(\d+<[^>]*perso\.sqlite-wal>")
LINE = re.compile(r"(\d+) +(.*)")


def _strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    return tried.returncode == 0


class Traced(Struct):
    """Indices into the trace, in the order of time. synced: (call begun, call returned)."""

    lines: list[str]
    synced: list[tuple[int, int]]

    def first(self, calls: str, text: str) -> int:
        """The line of the first of these calls that has a text in it."""
        pattern = re.compile(rf"\d+ +(?:<\.\.\. )?(?:{calls})\b.*{re.escape(text)}")
        found = (n for n, line in enumerate(self.lines) if pattern.match(line))
        return next(found, -1)

    def synced_between(self, begin: int, end: int) -> bool:
        return any(begin < begun and returned < end for begun, returned in self.synced)


def traced(path: Path) -> Traced:
    lines = path.read_text(errors="replace").splitlines()
    synced: list[tuple[int, int]] = []
    begun: dict[str, int] = {}  # by thread
    for number, line in enumerate(lines):
        match = LINE.match(line)
        thread, call = match.groups() if match else ("", "")
        if SYNC.match(call):
            if call.endswith("= 0"):
                synced.append((number, number))
            elif call.endswith("<unfinished ...>"):
                begun[thread] = number
        elif "sync resumed>" in call and call.endswith("= 0") and thread in begun:
            synced.append((begun.pop(thread), number))
    return Traced(lines, synced)


async def test_an_event_is_answered_only_after_an_fdatasync_that_began_after_it_came(
    tmp_path: Path,
) -> None:
    if not _strace_works():
        reason = "strace cannot trace here: apt install strace, and allow ptrace"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    data_dir, trace = tmp_path / "data", tmp_path / "trace"
    await asyncio.to_thread(prepare, data_dir)
    visitors = [Visitor(f"visitor-{number}") for number in range(20)]

    with serving(data_dir, under=[*STRACE, "-o", str(trace)]) as server:
        async with session() as http:
            for _ in range(5):  # each alone
                await visitors[0].send(http, server.url)
            for _ in range(3):  # in groups
                await asyncio.gather(*(one.send(http, server.url) for one in visitors[1:]))

    found = await asyncio.to_thread(_whole, trace)
    ids = [event_id for visitor in visitors for event_id in visitor.acknowledged]
    assert len(ids) == 5 + 3 * 19
    for event_id in ids:
        came = found.first("read|recvfrom|recvmsg", rf"\"_id\": \"{event_id}\"")
        answered = found.first("write|writev|sendto|sendmsg", rf"\"requestId\":\"r-{event_id}\"")
        assert 0 <= came < answered, f"{event_id} is not in the trace"
        assert found.synced_between(came, answered), f"{event_id} was answered before its sync"


def _whole(trace: Path) -> Traced:
    """The trace once strace, which outlives the server a little, has written it to its end."""
    deadline = time.monotonic() + 10
    size = -1
    while size != trace.stat().st_size and time.monotonic() < deadline:
        size = trace.stat().st_size
        time.sleep(0.2)
    return traced(trace)
