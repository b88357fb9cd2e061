"""Perso: audiences decided on every event, for templates and ad servers.

The public names. Importing this package loads no server and no store; to run one, see
`perso_core.assembly.open_perso`.
"""

import perso_core.compiled  # noqa: F401  # first: it settles which form of the others is imported
from perso_core.decision.governance import Refused
from perso_core.decision.identity import Identity
from perso_core.decision.lookup import DestinationLookup, Lookup
from perso_core.decision.referrer import referrer_type
from perso_core.errors import (
    BadAttributes,
    BadChoice,
    NothingDefined,
    NoVisitor,
    PersoError,
    StoreUnavailable,
    UnknownAudience,
    UnknownDatastream,
)
from perso_core.visitor import AudienceReason, PageRequest, SetCookie, Site, Visitor

__all__ = [
    "AudienceReason",
    "BadAttributes",
    "BadChoice",
    "DestinationLookup",
    "Identity",
    "Lookup",
    "NoVisitor",
    "NothingDefined",
    "PageRequest",
    "PersoError",
    "Refused",
    "SetCookie",
    "Site",
    "StoreUnavailable",
    "UnknownAudience",
    "UnknownDatastream",
    "Visitor",
    "referrer_type",
]
