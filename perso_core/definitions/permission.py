"""What a server that proved itself may do: kept with its issuer or its API key."""

from __future__ import annotations

from typing import Literal

# events: send events that are kept. attributes: receive mapped attributes. Asking for audiences
# needs neither.
Permission = Literal["events", "attributes"]
EVERYTHING: tuple[Permission, ...] = ("events", "attributes")
