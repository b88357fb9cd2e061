"""The rules that were compiled, kept in a file beside the store for the next start.

Code is among them, and it is run: the file is believed only where this user owns it and no other
may write it, where this very Perso and Python wrote it, and where its checksum is right. Whoever
can write as this user can run code as this user in any case (docs/decisions/0011). Without the
file, or with one that is not believed, rules are compiled. It may be deleted at any time.
"""

from __future__ import annotations

import logging
import os
import stat
import sys
import time
from collections.abc import Iterable
from hashlib import blake2b
from importlib.util import MAGIC_NUMBER
from pathlib import Path

from perso_core import pql, rules
from perso_core.definitions.document import Definitions
from perso_core.definitions.snapshot import FEW, Snapshot, compile_snapshot
from perso_core.pql.compiler import DEFAULT_EVENT_WINDOW_MS
from perso_core.rules.kept import Known, Prepared, UnreadableRules, kept_rules, rules_from
from perso_core.stores.owner import made

NAME = "compiled-rules"
# A hundred thousand audiences take 80 MB.
MAX_BYTES = 1024 * 1024 * 1024
FORMAT = b"perso 1\n"
_DIGEST_BYTES = 32
# Whoever began to write one so long ago is gone.
UNFINISHED_S = 3_600

_log = logging.getLogger("perso.stores")


class CompiledFile:
    """enabled: False: nothing is read and nothing is written."""

    def __init__(self, directory: Path, *, enabled: bool = True) -> None:
        self.path = directory / NAME
        self._origin = origin() if enabled else b""
        # Whether the last snapshot has more than FEW rules that had to be compiled.
        self.lacked = False

    def snapshot(
        self,
        definitions: Definitions,
        *,
        event_window_ms: int = DEFAULT_EVENT_WINDOW_MS,
        before: Snapshot | None = None,
        in_force_ms: int = 0,
        tolerant: bool = False,
    ) -> Snapshot:
        """compile_snapshot, with what the file has. It blocks. Raises RuleFaults."""
        known: Known = {}

        def kept() -> Known:
            nonlocal known
            known = self.read()
            return known

        found = compile_snapshot(
            definitions,
            event_window_ms=event_window_ms,
            before=before,
            in_force_ms=in_force_ms,
            tolerant=tolerant,
            kept=kept,
        )
        earlier = before.prepared() if before is not None else {}
        self.lacked = len(found.prepared().keys() - known.keys() - earlier.keys()) > FEW
        return found

    def read(self) -> Known:
        """Nothing where there is no file, or none to believe."""
        if not self._origin:
            return {}
        try:
            return rules_from(self._content())
        except FileNotFoundError:
            return {}
        except _OfAnother:
            # So it is after every upgrade: nothing is wrong.
            _log.info("%s is another Perso's or Python's: the rules are compiled.", self.path)
            return {}
        except OSError as error:
            why = error.strerror or str(error)
        except (_Doubtful, UnreadableRules) as error:
            why = str(error)
        _log.warning("%s is not used: %s. The rules are compiled.", self.path, why)
        return {}

    def keep(self, snapshot: Snapshot) -> None:
        """Write the file; where that fails the next start takes longer, and the log says why."""
        if not self._origin or len(snapshot.rules.rules) <= FEW:
            return
        pairs = zip(snapshot.rules.rules, snapshot.rules.outlines, strict=True)
        try:
            self._write(Prepared(rule, outline) for rule, outline in pairs)
        except OSError as error:
            _log.warning("%s cannot be written: %s.", self.path, error.strerror or error)

    def _content(self) -> bytes:
        """Raises OSError, _OfAnother, _Doubtful."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(self.path, flags), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
                raise _Doubtful("it is not a file of this user's")
            if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise _Doubtful("other users may write it")
            if found.st_size > MAX_BYTES:
                raise _Doubtful(f"it has {found.st_size:,} bytes")
            whole = file.read(MAX_BYTES)
        head = FORMAT + self._origin
        if not whole.startswith(FORMAT):
            raise _Doubtful("it is nothing that Perso writes")
        if not whole.startswith(head):
            raise _OfAnother
        content = memoryview(whole)[len(head) + _DIGEST_BYTES :]
        if whole[len(head) : len(head) + _DIGEST_BYTES] != _digest(content):
            raise _Doubtful("it is damaged")
        return bytes(content)

    def _write(self, prepared: Iterable[Prepared]) -> None:
        content = kept_rules(prepared)
        self._remove_unfinished()
        unfinished = self.path.with_name(f"{NAME}.{os.getpid()}.new")
        unfinished.unlink(missing_ok=True)
        try:
            with os.fdopen(made(unfinished, os.O_WRONLY), "wb") as file:
                file.write(FORMAT + self._origin + _digest(content))
                file.write(content)
            # Not synced: after a power cut its checksum tells.
            os.replace(unfinished, self.path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise

    def _remove_unfinished(self) -> None:
        for one in self.path.parent.glob(f"{NAME}.*.new"):
            if one.stat().st_mtime < time.time() - UNFINISHED_S:
                one.unlink(missing_ok=True)


class _Doubtful(Exception):
    """Why the file is not believed."""


class _OfAnother(Exception):
    """Another Perso or Python wrote it."""


def _digest(content: bytes | memoryview) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()


def origin() -> bytes:
    """What the file's bytes depend on beside the rules: Python, and the modules of ours that write
    and run them, by size and time as Python's own byte code has it. Empty where those cannot be
    seen, such as in an archive."""
    found = []
    for package in (pql, rules):
        for directory in package.__path__:
            try:
                entries = [(one.name, one.stat()) for one in os.scandir(directory) if one.is_file()]
            except OSError:
                return b""
            found += sorted((name, one.st_size, one.st_mtime_ns) for name, one in entries)
    told = (sys.version, sys.implementation.cache_tag, MAGIC_NUMBER, sys.flags.optimize, found)
    return _digest(repr(told).encode())
