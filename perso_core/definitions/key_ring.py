"""The API keys among the definitions: what must be true of a new one, and which one is meant."""

from __future__ import annotations

from perso_core.definitions.api_key import ApiKey
from perso_core.definitions.document import Definitions
from perso_core.errors import BadApiKey, UnknownApiKey

MAX_NAME_CHARS = 256
MAX_KEYS = 1_000


def with_key(definitions: Definitions, key: ApiKey) -> tuple[ApiKey, ...]:
    """The keys with one more. Raises BadApiKey."""
    known = [stream.id for stream in definitions.datastreams]
    for datastream in key.datastreams:
        if datastream not in known:
            raise BadApiKey(
                f"No datastream has the id {datastream!r}.",
                fix=f"Name one of: {', '.join(known) or 'none is defined'}.",
            )
    if not (key.name.strip() and key.name.isprintable() and len(key.name) <= MAX_NAME_CHARS):
        raise BadApiKey("The name is not 1 to 256 printable characters.", fix="Name who uses it.")
    if len(definitions.api_keys) >= MAX_KEYS:
        raise BadApiKey(f"There are {MAX_KEYS:,} keys.", fix="Revoke those out of use.")
    return (*definitions.api_keys, key)


def key_of(definitions: Definitions, key_id: str) -> ApiKey:
    """Raises UnknownApiKey."""
    found = next((one for one in definitions.api_keys if one.id == key_id), None)
    if found is None:
        raise UnknownApiKey(f"{key_id!r}.", fix="`perso key list` has the ids.")
    return found
