"""A disk that fails: once at some operation, or from then on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import apsw
import pytest
from msgspec import Struct


class Fault(Struct):
    """at: the operation that fails, from 1 on; 0: none. lasting: so do all after it. error: how.
    operations: how many there were. hits: how many failed."""

    at: int = 0
    lasting: bool = False
    error: type[apsw.Error] = apsw.IOError
    operations: int = 0
    hits: int = 0

    def pass_one(self) -> None:
        self.operations += 1
        if self.operations == self.at or (self.lasting and 0 < self.at < self.operations):
            self.hits += 1
            raise self.error("the disk fails, as the test wants it")


class _File(apsw.VFSFile):
    def __init__(self, fault: Fault, name: Any, flags: list[int]) -> None:
        self._fault = fault
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self._fault.pass_one()
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:
        self._fault.pass_one()
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:
        self._fault.pass_one()
        super().xSync(flags)

    def xRead(self, amount: int, offset: int) -> bytes:
        self._fault.pass_one()
        return super().xRead(amount, offset)


class _Failing(apsw.VFS):
    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        super().__init__("failing", "")

    def xOpen(self, name: Any, flags: list[int]) -> _File:
        return _File(self._fault, name, flags)


@contextmanager
def failing(fault: Fault) -> Iterator[None]:
    """Stores that are opened meanwhile stand on such a disk."""
    vfs = _Failing(fault)

    class Connection(apsw.Connection):
        def __init__(self, filename: str, flags: int) -> None:
            super().__init__(filename, flags=flags, vfs="failing")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(apsw, "Connection", Connection)
        yield
    vfs.unregister()
