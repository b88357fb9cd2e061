"""What rules about the page at hand ask for, and SDKs leave out of their events. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from perso_core.decision.referrer import authority_of, referrer_type

# Of a header nothing more is read, nor kept: in a page's own process it may be of any length.
_MAX_LANGUAGE_CHARS = 512
_RANGE = re.compile(
    r"\s*(?P<tag>[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)\s*(?:;\s*q\s*=\s*(?P<q>[01](?:\.\d{0,3})?)\s*)?"
)


def with_page_facts(xdm: Mapping[str, Any], *, accept_language: str) -> Mapping[str, Any]:
    """The event with two fields more, where its sender did not set them:

    environment.browserDetails.acceptLanguage: what the browser asks for first (not of an app:
    environment.type says so). web.webReferrer.type: internal, search_engine or external.
    Returns xdm itself when nothing is added.
    """
    if accept_language:
        xdm = _with_language(xdm, preferred_language(accept_language[:_MAX_LANGUAGE_CHARS]))
    return _with_referrer_type(xdm)


# Browsers of one language send the same header: 0.1 µs instead of 2.
@lru_cache(maxsize=256)
def preferred_language(accept_language: str) -> str | None:
    """The tag that an Accept-Language header asks for first, as it is written there: `de-CH`.
    None: it names none.
    """
    best, best_weight = None, 0.0
    for part in accept_language.split(","):
        found = _RANGE.fullmatch(part)
        weight = float(found["q"] or 1) if found else 0.0
        if found and weight > best_weight:
            best, best_weight = found["tag"], weight
    return best


def _with_language(xdm: Mapping[str, Any], language: str | None) -> Mapping[str, Any]:
    environment = xdm.get("environment", {})
    if language is None or not isinstance(environment, dict):
        return xdm
    details = environment.get("browserDetails", {})
    browser = environment.get("type", "browser") == "browser"
    if not browser or not isinstance(details, dict) or "acceptLanguage" in details:
        return xdm
    return {
        **xdm,
        "environment": {**environment, "browserDetails": {**details, "acceptLanguage": language}},
    }


def _with_referrer_type(xdm: Mapping[str, Any]) -> Mapping[str, Any]:
    web = xdm.get("web")
    referrer = web.get("webReferrer") if isinstance(web, dict) else None
    if not isinstance(web, dict) or not isinstance(referrer, dict) or "type" in referrer:
        return xdm
    url = referrer.get("URL")
    kind = referrer_type(url, own_host=_page_host(web)) if isinstance(url, str) else None
    if kind is None:
        return xdm
    return {**xdm, "web": {**web, "webReferrer": {**referrer, "type": kind}}}


def _page_host(web: Mapping[str, Any]) -> str:
    page = web.get("webPageDetails")
    url = page.get("URL") if isinstance(page, dict) else None
    try:
        return authority_of(url).netloc if isinstance(url, str) else ""
    except ValueError:
        return ""
