"""What an import asks of a store, and what it hears back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct, structs

from perso_core.errors import UnreadableRecord

# Profile key, audience id, until when; an instant that is not after the import's ends what is kept.
Row = tuple[str, str, int]


class Progress(Struct, frozen=True, kw_only=True):
    """How far one file is imported; kept in the transaction of the rows that it counts.

    began_ms: when its first run began: who was erased since is passed over, and a row without an
    expiry counts from then. offset, line: up to where it is read; of Parquet both are rows.
    checksum: of the bytes up to offset. kept, removed, refused, passed_over: lines, each in one of
    the four; of those that were passed over nothing is kept. withheld: memberships of visitors who
    may not be kept, of all lines: a line has one in each profile it goes to. done: to its end.
    """

    began_ms: int
    offset: int = 0
    line: int = 0
    checksum: int = 0
    kept: int = 0
    removed: int = 0
    refused: int = 0
    passed_over: int = 0
    withheld: int = 0
    done: bool = False


class Batch(Struct, frozen=True, kw_only=True):
    """Rows to keep in one transaction. Of rows of one key and audience the last counts.

    now_ms: from when on they count. began_ms: keys that were erased since are passed over. name,
    progress: how far the file is, kept with the rows; None: the file is not remembered. recounted:
    its lines, once it is known which of the rows' keys were withheld. tell: the keys to the other
    processes; False: only that some were written.
    """

    rows: Sequence[Row]
    now_ms: int
    began_ms: int
    name: bytes = b""
    progress: Progress | None = None
    recounted: Callable[[Progress, frozenset[str]], Progress] | None = None
    tell: bool = True


def last_of_each(rows: Sequence[Row], now_ms: int) -> Sequence[Row]:
    """Of rows of one key and audience the last, where any row ends: what begins is kept before what
    ends. Else the rows themselves."""
    if all(until_ms > now_ms for _, _, until_ms in rows):
        return rows
    return list({row[:2]: row for row in rows}.values())


def progress_record(progress: Progress) -> bytes:
    return msgspec.json.encode(progress)


def progress_from(record: bytes) -> Progress:
    """Raises UnreadableRecord."""
    try:
        return msgspec.json.decode(record, type=Progress)
    except msgspec.DecodeError as error:
        raise UnreadableRecord(
            f"how far an import came: {error}.", fix="Import the file with --from-start."
        ) from None


def with_withheld(progress: Progress, batch: Batch, withheld: frozenset[str]) -> Progress:
    """The progress with the rows of these keys counted."""
    number = sum(key in withheld for key, _, _ in batch.rows) if withheld else 0
    found = structs.replace(progress, withheld=progress.withheld + number)
    return batch.recounted(found, withheld) if batch.recounted else found
