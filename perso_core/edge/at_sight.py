"""Whose call it is, as far as it can be told before its body is decoded. Pure.

To find whose it is takes most of what a flood's call costs. A body that names no device, and no
choice, leaves it to the Cookie header, or to the cookies in it.
"""

from __future__ import annotations

import re

from perso_core.edge.call import Call
from perso_core.edge.cookies import PREFIX, cookie_names, cookie_pairs

# With none of these a body holds no cookies of ours (they count where the header has none), no
# consent and no assertion. Any name in it may be spelled with escapes.
_TELLING = (PREFIX.encode(), b"onsent", b"__perso", b"\\u")
# What an identity map names a device by. Other identities in it are claims, which tell nobody's.
_NAMING = re.compile(rb'"(?:ECID|FPID)"\s*:')
# Where the cookies stand that a body carries: in what follows nothing else is before them. Behind
# `{` or `,` the quote of `"meta"` begins a name, in whatever is JSON at all.
_STATE = re.compile(
    rb'[{,]\s*"meta"\s*:\s*\{\s*(?:"queueTimeMillis"\s*:\s*[0-9]{1,6}\s*,\s*)?(?="state")'
)
# Of a body with more than that to be remembered it has to be decoded whose it is.
MAX_SHOWN_BYTES = 4_096


# The cookies by which a call may prove whose it is: name and value of those in its header, and the
# part of its body that holds them.
Shown = tuple[tuple[tuple[str, str], ...], bytes]


def told_by_header(body: bytes) -> bool:
    """Whether the Cookie header alone says whose call it is that has this body."""
    for word in _TELLING:  # a generator would take twice as long
        if word in body:
            return False
    return b"identityMap" not in body or _NAMING.search(body) is None


def shown_in(body: bytes) -> bytes | None:
    """What of a body, beside the Cookie header, says whose call it is: whoever has the same in
    theirs, and the same header, is the same. b"": nothing does. Cookies, as a page carries them to
    an edge on another site, go with all that comes before them or all that comes after: so they
    stand in the same place of any JSON. None: it has to be decoded."""
    if told_by_header(body):
        return b""
    place = _STATE.search(body)
    if place is None:
        return None
    begin = place.end()
    if body.find(b'"events"', begin) < 0:
        part, rest = body[begin:], body[:begin]
        alone = rest.count(b'"meta"') == 1
    else:
        end = body.find(b"]", begin) + 1
        part, rest = body[:end], body[end:]
        alone = bool(end) and b'"meta"' not in rest
    return part if alone and len(part) <= MAX_SHOWN_BYTES and told_by_header(rest) else None


def shown_by(call: Call) -> Shown | None:
    """What it shows to prove a device; None: that is not to be seen before it is decoded, or its
    header has not one identity cookie with one MAC."""
    part = shown_in(call.body)
    if part is None:
        return None
    if part:  # they count where the header has none, and a device of another datastream may be one
        return (("", call.cookie_header), ("", call.datastream.id)), part
    names = cookie_names(call.org)
    proving = (names.identity, names.mac)
    pairs = [pair for pair in cookie_pairs(call.cookie_header) if pair[0] in proving]
    return (tuple(pairs), b"") if len(pairs) == len(proving) else None


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
