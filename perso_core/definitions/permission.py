"""What somebody who proved themselves may do: kept with an issuer or an API key."""

from __future__ import annotations

from typing import Literal

# events: send events that are kept. attributes: receive mapped attributes. Asking for audiences
# needs neither. identities, of an issuer alone: say in a page whom a device belongs to.
Permission = Literal["events", "attributes", "identities"]
OF_A_SERVER: tuple[Permission, ...] = ("events", "attributes")
