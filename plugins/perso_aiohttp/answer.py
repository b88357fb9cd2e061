"""What the visitor's cookies and the page's privacy do to the headers of an answer."""

from __future__ import annotations

import re
from collections.abc import Iterable

from aiohttp import web

from perso_core import PersoError, SetCookie

_MAX_WAIT = 60_000  # a minute: whoever waits longer has left
_DOMAIN = re.compile(r"\.?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*")
# They speak to shared caches past Cache-Control, and would keep one visitor's page for another: to
# Fastly and others, to nginx, to Akamai. Each CDN has a ...-Cache-Control of its own (RFC 9213).
_CACHE_OVERRIDES = ("Surrogate-Control", "Expires", "X-Accel-Expires", "Edge-Control")
_OF_ONE_CACHE = "-cache-control"


class BadCookieDomain(PersoError):
    code = "aiohttp.cookie-domain"
    title = "The cookie domain is no domain"


def checked_domain(cookie_domain: str | None) -> str | None:
    """The domain as it was given. Raises BadCookieDomain."""
    if cookie_domain is not None and not _DOMAIN.fullmatch(cookie_domain):
        raise BadCookieDomain(
            f"{cookie_domain!r}", fix="Give the apex alone, without scheme and port: example.org."
        )
    return cookie_domain


class BadWait(PersoError):
    code = "aiohttp.wait"
    title = "The wait is no number of milliseconds"


def checked_wait(wait_ms: object) -> int:
    """The milliseconds as they were given. Raises BadWait: each page would fail by them."""
    if isinstance(wait_ms, bool) or not isinstance(wait_ms, int) or not 0 <= wait_ms <= _MAX_WAIT:
        raise BadWait(
            f"{wait_ms!r}", fix=f"Give wait_ms as an integer from 0 to {_MAX_WAIT}, such as 50."
        )
    return wait_ms


def keep_private(response: web.StreamResponse) -> None:
    """The page is one visitor's: no cache may keep it."""
    headers = response.headers
    headers["Cache-Control"] = "private, no-store"
    of_one = [name for name in headers if name.lower().endswith(_OF_ONE_CACHE)]
    for header in (*_CACHE_OVERRIDES, *of_one):
        headers.popall(header, None)


def add_cookies(
    response: web.StreamResponse,
    cookies: Iterable[SetCookie],
    *,
    domain: str | None,
    secure: bool,
) -> None:
    """One Set-Cookie header for each.

    Written by hand: response.set_cookie would put quotes around base64 values, and it comes too
    late once an answer is being prepared.
    """
    for cookie in cookies:
        response.headers.add("Set-Cookie", _set_cookie(cookie, domain=domain, secure=secure))


def _set_cookie(cookie: SetCookie, *, domain: str | None, secure: bool) -> str:
    # Not HttpOnly: the Web SDK in the page reads these cookies and sends them along. What the
    # readable one claims is proved by the MAC in its sibling, so reading gives nothing away.
    parts = [f"{cookie.name}={cookie.value}", "Path=/"]
    if domain is not None:
        parts.append(f"Domain={domain}")
    if cookie.max_age_s is not None:
        parts.append(f"Max-Age={cookie.max_age_s}")
    parts.append("SameSite=Lax")
    if secure:
        parts.append("Secure")
    return "; ".join(parts)
