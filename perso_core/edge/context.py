"""A server that has proved who it is, and what it may do. Pure."""

from __future__ import annotations

from msgspec import Struct

from perso_core.definitions.permission import Permission


class AuthContext(Struct, frozen=True, kw_only=True):
    """Made by authentication.py alone, for one call: whoever holds one has proof in hand.

    caller: `key:<key id>` or `issuer:<issuer id>`, nothing secret. may: what it may do on this
    datastream, besides asking for audiences.
    """

    caller: str
    datastream_id: str
    may: frozenset[Permission]
