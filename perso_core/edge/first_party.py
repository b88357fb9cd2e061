"""Cookies by header, where page and edge are of one site. Pure.

A browser keeps what a server set as long as it says; what a script wrote some keep for a week.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from msgspec import Struct

from perso_core.visitor import SetCookie

_SAME = frozenset({"same-origin", "same-site"})


class FirstParty(Struct, frozen=True):
    """page, edge: host names without ports. secure: the page is https."""

    page: str
    edge: str
    secure: bool

    def domain(self, stated: str) -> str | None:
        """The domain for cookies of both; "": of this host alone; None: there is none.

        stated: what the SDK found to be the page's highest domain that takes cookies, "" where
        it found none. It is believed only where both hosts are in it, as the browser does.
        """
        if not stated:
            return "" if self.page == self.edge else None
        both = all(host == stated or host.endswith(f".{stated}") for host in (self.page, self.edge))
        return stated if both else None

    def header(self, cookie: SetCookie, domain: str) -> str:
        """A Set-Cookie value. Not HttpOnly: the SDK reads the identity."""
        parts = [f"{cookie.name}={cookie.value}", "Path=/"]
        if domain:
            parts.append(f"Domain={domain}")
        if cookie.max_age_s is not None:
            parts.append(f"Max-Age={cookie.max_age_s}")
        parts.append("SameSite=Lax")
        if self.secure:
            parts.append("Secure")
        return "; ".join(parts)


# The pages of a site say the same with each call. Whoever makes each one up fills 7 MB at most: a
# header has an end (assembly.MAX_HEADER_BYTES), and there are three.
@lru_cache(maxsize=256)
def first_party(origin: str | None, *, host: str, fetch_site: str | None) -> FirstParty | None:
    """fetch_site: the Sec-Fetch-Site header, the browser's own word; without it nothing is
    known."""
    if origin is None or fetch_site not in _SAME:
        return None
    page = urlsplit(origin)
    return FirstParty(page.hostname or "", host.rpartition(":")[0] or host, page.scheme == "https")
