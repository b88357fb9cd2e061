"""Whose pages may call: an origin is compared as it is, never by part or pattern."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import urlsplit

from perso_core.decision.referrer import MAX_AUTHORITY_CHARS
from perso_core.definitions.datastream import Datastream
from perso_core.edge.problem import OriginRefused, shown


def listed(origin: str, datastreams: Iterable[Datastream]) -> bool:
    """Whether any of these datastreams, where enabled, lists the origin."""
    return any(one.enabled and origin in one.allowed_origins for one in datastreams)


def is_own(origin: str, *, edge: str) -> bool:
    """Whether the origin is the edge's, as the Host header has it: text that need not be an
    address, and then is nobody's."""
    if origin != edge or len(origin) > MAX_AUTHORITY_CHARS:
        return False
    try:
        return bool(urlsplit(origin).hostname)
    except ValueError:
        return False


def refuse_unlisted(origin: str | None, datastream: Datastream, *, own: bool) -> None:
    """Raises OriginRefused. origin None: the caller is no page (a server). own: the page came
    from the edge's own origin.
    """
    if origin is None or own or origin in datastream.allowed_origins:
        return
    raise OriginRefused(
        f"'{shown(origin)}' is not among the allowed origins of this datastream.",
        fix="Add it to allowed_origins if it is yours.",
    )


# The pages of a site say the same with each call. Bounded as first_party is.
@lru_cache(maxsize=256)
def same_site_none(origin: str | None, *, host: str, fetch_site: str | None) -> bool:
    """Whether cookies of this page need SameSite=None: an https page of another site.

    host: the request's own. fetch_site: the Sec-Fetch-Site header, the browser's own word;
    where it is absent, another host counts as another site.
    """
    if origin is None or not origin.startswith("https://"):
        return False
    if fetch_site is not None:
        return fetch_site == "cross-site"
    return urlsplit(origin).netloc.partition(":")[0] != host.partition(":")[0]
