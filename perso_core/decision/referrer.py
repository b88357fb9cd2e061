"""Where a visitor came from, as XDM's webReferrer.type says it."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import SplitResult, urlsplit

ReferrerType = Literal["internal", "search_engine", "external"]

# Hosts have 253. urlsplit normalises what is not ASCII, and combining characters one after another
# take the square of their number: 1.2 s of 30,000.
MAX_AUTHORITY_CHARS = 1_024

# Whole host names: google.example.org is nobody's search engine. A short list on purpose; a site
# that needs more sends the type itself.
_SEARCH_HOST = re.compile(
    r"(?:www\.|m\.)?(?:google|bing|duckduckgo|ecosia|qwant|startpage|baidu|yandex)"
    r"\.(?:com?\.)?[a-z]{2,3}"
    r"|(?:[a-z]{2}\.)?search\.yahoo\.com|search\.brave\.com"
)


def referrer_type(url: str, *, own_host: str) -> ReferrerType | None:
    """By the host of the referrer's address. None: the address cannot be read.

    own_host: the page's own, with its port or without; "" where it is not known.
    """
    host, own = _host_name(url), _host_name(f"//{own_host}")
    if not host:
        return None
    if own and (host == own or host.endswith(f".{own}") or own.endswith(f".{host}")):
        return "internal"
    return "search_engine" if _SEARCH_HOST.fullmatch(host) else "external"


def authority_of(url: str) -> SplitResult:
    """An address whose host and port can be read, and nothing else of it. Raises ValueError where
    it has none that any site has."""
    parts = urlsplit(url[:MAX_AUTHORITY_CHARS])
    if len(url) > MAX_AUTHORITY_CHARS and not (parts.path or parts.query or parts.fragment):
        raise ValueError("its host is too long")
    return parts


def _host_name(url: str) -> str:
    """Lower case, without port; empty when the address cannot be read."""
    try:
        return authority_of(url).hostname or ""
    except ValueError:
        return ""
