"""All definitions together, as an operator wrote them: what `perso apply` checks and stores."""

from __future__ import annotations

from msgspec import Struct

from perso_core.definitions.activation import Activation
from perso_core.definitions.api_key import ApiKey
from perso_core.definitions.audience import Audience
from perso_core.definitions.datastream import Datastream
from perso_core.definitions.destination import Destination
from perso_core.definitions.issuer import Issuer
from perso_core.definitions.schema import Schema


class Definitions(Struct, frozen=True, kw_only=True):
    """One consistent set. org: the organisation's id, e.g. `5BFE274A5F6980A50A495C08@AdobeOrg`;
    cookie names derive from it. Each tuple keeps the file's order. api_keys stand in no file:
    `perso key` writes them, and `perso apply` leaves them as they are.
    """

    org: str
    schema: Schema = Schema()
    datastreams: tuple[Datastream, ...] = ()
    destinations: tuple[Destination, ...] = ()
    audiences: tuple[Audience, ...] = ()
    activations: tuple[Activation, ...] = ()
    issuers: tuple[Issuer, ...] = ()
    api_keys: tuple[ApiKey, ...] = ()
