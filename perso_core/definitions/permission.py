"""What somebody who proved themselves may do: kept with an issuer or an API key."""

from __future__ import annotations

from typing import Literal

# events: send events that are kept. attributes: receive mapped attributes. Asking for audiences
# needs neither. identities, of an issuer alone: say in a page whom a device belongs to. privacy:
# show, export and erase what is kept of a visitor. import: bring memberships and attributes in
# bulk. Nobody has the last two who is not given them.
Permission = Literal["events", "attributes", "identities", "privacy", "import"]
OF_A_KEY: tuple[Permission, ...] = ("events", "attributes", "privacy", "import")
OF_A_SERVER: tuple[Permission, ...] = ("events", "attributes")
