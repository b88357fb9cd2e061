"""The keys that sign device cookies, kept in a file beside the database."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec
from msgspec import Struct

from perso_core.edge.cookies import CookieKeys
from perso_core.errors import BadSettings
from perso_core.stores.owner import made

_KEY_BYTES = 32


class _KeyFile(Struct, forbid_unknown_fields=True):
    """current: key id of the signing key. keys: key id (0..255) -> hex of 32 bytes. naming: hex,
    absent in files of before there was one.
    """

    current: int
    keys: dict[int, str]
    naming: str = ""


def keys_from(path: Path) -> CookieKeys:
    """The keys in a file; made on first use, readable by its owner alone.

    Losing the file makes every visitor new; sharing it lets its reader be any visitor. To renew:
    add a key under a new id, make it `current`, keep the old one for 395 days. `naming` stays: a
    file without one takes the key of the lowest id for it, which is then to be written there
    before that key goes.
    Raises BadSettings for a file that cannot be understood.
    """
    try:
        written = path.read_bytes()
    except FileNotFoundError:
        return _keys(_written_new(path), path)
    return _keys(written, path)


def _written_new(path: Path) -> bytes:
    naming = secrets.token_hex(_KEY_BYTES)
    fresh = msgspec.json.encode(_KeyFile(1, {1: secrets.token_hex(_KEY_BYTES)}, naming))
    unfinished = path.with_suffix(f".{secrets.token_hex(4)}")
    descriptor = made(unfinished, os.O_WRONLY)
    with os.fdopen(descriptor, "wb") as file:
        file.write(fresh)
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link fails where another process was first: then its keys hold.
        os.link(unfinished, path)
    except FileExistsError:
        return path.read_bytes()
    finally:
        unfinished.unlink()
    return fresh


def _keys(written: bytes, path: Path) -> CookieKeys:
    try:
        kept = msgspec.json.decode(written, type=_KeyFile)
        keys = {key_id: bytes.fromhex(text) for key_id, text in kept.keys.items()}
        naming = bytes.fromhex(kept.naming)
    except ValueError as fault:
        raise BadSettings(f"{path.name}: {fault}.", fix="Restore the key file.") from fault
    if kept.current not in keys or any(len(key) < _KEY_BYTES for key in keys.values()):
        raise BadSettings(
            f"{path.name}: no usable key {kept.current}.", fix="Restore the key file."
        )
    return CookieKeys(current=kept.current, keys=keys, naming=naming)
