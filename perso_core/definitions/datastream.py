"""A datastream: what one site's calls to the edge may do."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

# What holds for a visitor who has not chosen. `pending` and `out` both store nothing.
DefaultConsent = Literal["in", "pending", "out"]
# mixed: whoever calls is answered, as a browser where it proves nothing. authenticated: only
# servers that prove themselves are.
AccessType = Literal["mixed", "authenticated"]


class Datastream(Struct, frozen=True, kw_only=True):
    """One datastream.

    edge_segmentation: evaluate audiences on each event.
    personalization_destinations: answer with the destinations of this datastream.
    allowed_origins: exact origins (scheme://host[:port]) whose pages may call the edge, besides
    the edge's own origin.
    fpid_cookie: name of the cookie in which the site's own server keeps its device id (FPID); None:
    it has none. trust_fpid_cookie: what that cookie says selects the visitor's profile.
    tcf_vendor, tcf_purposes: what a TC string has to consent to, for the visitor to be in.
    identity_priority: namespaces that name a person's profile before all others (decision/graph.py
    has the order of these).
    consent_strings_opt_in: a consent string on an event may also opt in a visitor who has not
    chosen; it always opts out.
    retention_days: for how long a profile is kept that nobody touches; None: for ever.
    """

    id: str
    name: str
    enabled: bool = True
    edge_segmentation: bool = True
    personalization_destinations: bool = True
    allowed_origins: tuple[str, ...] = ()
    default_consent: DefaultConsent = "pending"
    access_type: AccessType = "mixed"
    fpid_cookie: str | None = None
    trust_fpid_cookie: bool = False
    # Adobe's number in IAB Europe's list; purpose 1 is storing on the visitor's device.
    tcf_vendor: int = 565
    tcf_purposes: tuple[int, ...] = (1,)
    consent_strings_opt_in: bool = False
    identity_priority: tuple[str, ...] = ()
    retention_days: int | None = None
