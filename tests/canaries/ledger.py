"""What was planted, searched and found, by all processes of one run: a file of each in a directory.

A line is written as it happens: servers are also killed.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Literal

from msgspec import Struct

# The environment variable that names the directory of the run.
VARIABLE = "CANARIES"

# planted: profiles with canaries. answer, log, stream: what was searched. proven: answers to
# proven servers that hold one, as they should. leak: a canary where none may be.
Kind = Literal["planted", "answer", "log", "stream", "proven", "leak"]


class Count(Struct):
    times: int = 0
    bytes: int = 0


def noted(kind: Kind, size: int = 0, what: str = "") -> None:
    """what: where a leak is; it is kept on one line."""
    line = f"{kind} {size} {' '.join(what.split())[:500]}\n".encode()
    directory = os.environ[VARIABLE]
    written = os.open(f"{directory}/{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(written, line)
    finally:
        os.close(written)


def counted(directory: Path) -> dict[str, Count]:
    """By kind, over all processes."""
    found: dict[str, Count] = {}
    for kind, size, _ in _lines(directory):
        count = found.setdefault(kind, Count())
        count.times += 1
        count.bytes += size
    return found


def leaks(directory: Path) -> Counter[str]:
    """Where canaries were found, and how often."""
    return Counter(what for kind, _, what in _lines(directory) if kind == "leak")


def _lines(directory: Path) -> list[tuple[str, int, str]]:
    split = (
        line.removesuffix("\n").split(" ", 2)
        for path in sorted(directory.iterdir())
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True)
        if line.endswith("\n")  # else its process was killed as it wrote that
    )
    return [(kind, int(size), what) for kind, size, what in split]


def told(directory: Path) -> list[str]:
    """The counts as sentences, for the end of a run."""
    found = counted(directory)
    searched = [
        f"{found[kind].times:,} {kind}s of {found[kind].bytes:,} bytes"
        for kind in ("answer", "log", "stream")
        if kind in found
    ]
    planted, proven = found.get("planted", Count()).times, found.get("proven", Count()).times
    where = leaks(directory)
    return [
        f"planted in {planted:,} profiles; {proven:,} answers to proven servers held them",
        f"searched: {'; '.join(searched) or 'nothing'}",
        f"found where none may be: {where.total():,}",
        *(f"{times:,} times: {what}" for what, times in where.most_common(20)),
    ]
