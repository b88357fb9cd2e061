"""A system whose disk fails a process that runs: calls that fail or are slow, no room left."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

# The calls by which SQLite writes its files; sockets are written by others.
WRITES = "pwrite64,ftruncate,fallocate"
SYNCS = "fsync,fdatasync"
_PAGE = 4_096


def needs(there: bool, reason: str) -> None:
    """Skips, or fails in CI."""
    if not there:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


def strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    return tried.returncode == 0


@contextmanager
def calls_of(pid: int, calls: str, fault: str) -> Iterator[None]:
    """Meanwhile these calls of a process go wrong. fault: as strace has it, e.g. `error=EIO`."""
    words = ["strace", "-f", "-p", str(pid), "-o", os.devnull, "-e", f"trace={calls}"]
    tracing = subprocess.Popen(
        [*words, "-e", f"inject={calls}:{fault}"], stderr=subprocess.PIPE, text=True
    )
    try:
        assert tracing.stderr is not None
        said = tracing.stderr.readline()
        assert " attached" in said, said
        yield
    finally:
        tracing.terminate()
        tracing.wait(30)
        if tracing.stderr:
            tracing.stderr.close()


def _ran(words: Sequence[str]) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@contextmanager
def small_disk(place: Path, *, megabytes: int) -> Iterator[Path]:
    """A disk of its own, which is in memory."""
    place.mkdir()
    size = f"size={megabytes}m"
    mounted = os.geteuid() == 0 and _ran(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(place)])
    needs(mounted, "only root can mount a small disk")
    try:
        yield place
    except BaseException:
        _ran(["umount", "--lazy", str(place)])  # whatever the test left open there
        raise
    in_use = not _ran(["umount", str(place)])
    if in_use:
        _ran(["umount", "--lazy", str(place)])
    assert not in_use, f"{place} is in use"


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    """Meanwhile nobody can write there. Nobody may be at it when this begins."""
    assert _ran(["mount", "-o", "remount,ro", str(disk)]), f"{disk} is in use"
    try:
        yield
    finally:
        assert _ran(["mount", "-o", "remount,rw", str(disk)])


@contextmanager
def full(disk: Path, *, but_for: int = 0) -> Iterator[None]:
    """Meanwhile there is no room. but_for: pages of 4,096 bytes that there is room for."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(_PAGE))
    os.truncate(filler, max(0, filler.stat().st_size - but_for * _PAGE))
    try:
        yield
    finally:
        filler.unlink()
