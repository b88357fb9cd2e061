"""Whose call it is, as far as it can be told before its body is decoded. Pure.

To find whose it is takes most of what a flood's call costs. A body that names nobody, and no
choice, leaves it to the Cookie header.
"""

from __future__ import annotations

from perso_core.edge.call import Call
from perso_core.edge.cookies import PREFIX, cookie_names, cookie_pairs

# With none of these a body holds no cookies of ours (they count where the header has none), no
# identity map, no consent and no assertion. Any name in it may be spelled with escapes.
_TELLING = (PREFIX.encode(), b"identityMap", b"onsent", b"__perso", b"\\u")


# The cookies by which a call may prove whose it is: name and value.
Shown = tuple[tuple[str, str], ...]


def told_by_header(body: bytes) -> bool:
    """Whether the Cookie header alone says whose call it is that has this body."""
    return not any(word in body for word in _TELLING)


def shown_by(call: Call) -> Shown:
    """What its header shows to prove a device; none: not one identity cookie with one MAC."""
    names = cookie_names(call.org)
    proving = (names.identity, names.mac)
    pairs = [pair for pair in cookie_pairs(call.cookie_header) if pair[0] in proving]
    return tuple(pairs) if len(pairs) == len(proving) else ()


def events_in(body: bytes) -> int:
    """How many events there are in a body, or a few more."""
    return max(body.count(b'"xdm"'), 1)


def of_nobody(call: Call) -> bool:
    """Whether the call is certain to be of somebody who was never here. False: its body has to
    tell, or its cookies."""
    header, fpid = call.cookie_header, call.datastream.fpid_cookie
    return (
        cookie_names(call.org).identity not in header
        and (not fpid or fpid not in header)
        and told_by_header(call.body)
    )
