"""`perso key create | list | rotate | revoke`: the API keys that servers call /v2 with."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from perso_core.cli.definitions import everywhere, has_store, in_force, nothing_defined
from perso_core.cli.files import settings_of
from perso_core.cli.terminal import shown
from perso_core.definitions.api_key import (
    KEY_ID_HEX,
    SECRET_BYTES,
    ApiKey,
    KeySecret,
    digest,
    rotated,
)
from perso_core.definitions.document import Definitions
from perso_core.definitions.key_ring import key_of, with_key
from perso_core.definitions.permission import OF_A_KEY, Permission
from perso_core.errors import BadApiKey
from perso_core.settings import Settings

MS_PER_HOUR = 3_600_000
MS_PER_DAY = 24 * MS_PER_HOUR

Keys = tuple[ApiKey, ...]


def create(arguments: argparse.Namespace) -> int:
    """Make a key and print it, this once. Raises BadApiKey and what saving raises."""
    settings, now_ms = settings_of(arguments), _now_ms()
    key_id = secrets.token_hex(KEY_ID_HEX // 2)
    written = _written(key_id)
    key = ApiKey(
        id=key_id,
        name=arguments.name,
        datastreams=tuple(dict.fromkeys(arguments.datastream)),
        created_ms=now_ms,
        secrets=(KeySecret(digest(written), now_ms + _days(arguments) * MS_PER_DAY),),
        may=_may(arguments.may),
    )
    saving = _change(
        lambda definitions: with_key(definitions, key),
        settings,
        done=f"key {key.id} is made",
        tell=lambda: _tell(
            written, f"Key {key.id} may be used until {_day(key.secrets[0].until_ms)}."
        ),
    )
    asyncio.run(saving)
    return 0


def rotate(arguments: argparse.Namespace) -> int:
    """Give a key a new secret and print it, this once; the old one is taken a while longer.
    Raises UnknownApiKey, BadApiKey and what saving raises."""
    settings, now_ms = settings_of(arguments), _now_ms()
    if not 0 <= arguments.overlap_hours <= 24 * 90:
        raise BadApiKey("--overlap-hours is from 0 to 2160.", fix="Write how long both are taken.")
    written = _written(arguments.id)
    fresh = KeySecret(digest(written), now_ms + _days(arguments) * MS_PER_DAY)
    old_until_ms = now_ms + arguments.overlap_hours * MS_PER_HOUR

    def change(definitions: Definitions) -> Keys:
        before = key_of(definitions, arguments.id)
        after = rotated(before, fresh, now_ms=now_ms, old_until_ms=old_until_ms)
        if after is None:
            raise BadApiKey(
                f"Two secrets of {before.id} are live, the older one until"
                f" {_day(before.live(now_ms)[-1].until_ms)}.",
                fix="Wait until the older one ends, or revoke the key and create another.",
            )
        return tuple(after if one is before else one for one in definitions.api_keys)

    saving = _change(
        change,
        settings,
        done=f"the new secret of key {shown(arguments.id)} is kept",
        tell=lambda: _tell(
            written, f"The secret before it is taken until {_day(old_until_ms)} at the latest."
        ),
    )
    asyncio.run(saving)
    return 0


def revoke(arguments: argparse.Namespace) -> int:
    """Take a key out; when this returns, no running server takes it. Raises UnknownApiKey and
    what saving raises."""

    def change(definitions: Definitions) -> Keys:
        gone = key_of(definitions, arguments.id)
        return tuple(one for one in definitions.api_keys if one is not gone)

    done = f"key {shown(arguments.id)} is revoked"
    asyncio.run(_change(change, settings_of(arguments), done=done))
    print(f"Key {shown(arguments.id)} is revoked on every running server.")
    return 0


def list_keys(arguments: argparse.Namespace) -> int:
    """Print the keys, one a line, without anything secret. Raises NothingDefined."""
    now_ms = _now_ms()
    for key in in_force(settings_of(arguments)).api_keys:
        live = key.live(now_ms)
        until = f"until {_day(max(one.until_ms for one in live))}" if live else "expired"
        two = ", two secrets" if len(live) > 1 else ""
        may = ",".join(key.may) or "look up alone"
        print(shown(f"{key.id}  {key.name}  [{' '.join(key.datastreams)}]  {may}  {until}{two}"))
    return 0


async def _change(
    change: Callable[[Definitions], Keys],
    settings: Settings,
    *,
    done: str,
    tell: Callable[[], None] = lambda: None,
) -> None:
    """Save changed keys; returns once every running server answers by them. done: what that is, for
    the error where one does not. tell: what is to be told once they are saved, also then."""
    from perso_core.assembly import open_perso

    if not has_store(settings):
        raise nothing_defined(settings)
    async with open_perso(settings, announce=True) as perso:
        version = await perso.change_api_keys(change)
    try:
        await everywhere(version, settings, done=done)
    finally:
        tell()


def _may(words: str) -> tuple[Permission, ...]:
    given = [word.strip() for word in words.split(",") if word.strip()]
    may = tuple(one for one in OF_A_KEY if one in given)
    if len(may) != len(given):
        raise BadApiKey(f"--may is {words!r}.", fix=f"Write one or more of {','.join(OF_A_KEY)}.")
    return may


def _days(arguments: argparse.Namespace) -> int:
    days: int = arguments.days
    if not 1 <= days <= 3_650:
        raise BadApiKey(f"--days is {days}.", fix="Write a whole number from 1 to 3650.")
    return days


def _written(key_id: str) -> str:
    return f"perso_{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"


def _tell(written: str, remark: str) -> None:
    # The key alone on stdout, so that a script can put it where it belongs.
    print(written, flush=True)
    print(f"{remark} It is shown this once: keep it where your server reads it.", file=sys.stderr)


def _day(epoch_ms: int) -> str:
    return datetime.fromtimestamp(epoch_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
