"""What must be true of issuers: a wrong one would let strangers in, or nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args
from urllib.parse import SplitResult, urlsplit

from perso_core.definitions.document import Definitions
from perso_core.definitions.finding import Finding, nearest, shown, unknown
from perso_core.definitions.issuer import Issuer
from perso_core.definitions.jwks import ALGORITHMS, keys_from_jwks
from perso_core.definitions.permission import Permission
from perso_core.definitions.toml_places import Path

MAX_CLAIM_CHARS = 512
PERMISSIONS = get_args(Permission)
# An issuer on this very machine needs no TLS: for tests and for a proxy beside us.
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


def check_issuers(definitions: Definitions) -> Iterator[Finding]:
    datastreams = {stream.id for stream in definitions.datastreams}
    first: dict[str, int] = {}
    for index, issuer in enumerate(definitions.issuers):
        path = ("issuer", index)
        yield from _claims(issuer, path)
        yield from _words(issuer, path)
        yield from _keys(issuer, path)
        for position, datastream in enumerate(issuer.datastreams):
            if datastream not in datastreams:
                yield unknown(
                    (*path, "datastreams", position), "datastream", datastream, datastreams
                )
        if first.setdefault(issuer.issuer, index) != index:
            yield Finding(
                path=(*path, "issuer"),
                detail=f"The issuer {shown(issuer.issuer)} stands in two entries of [[issuer]];"
                " a token could not tell whose keys are meant.",
                fix="Keep one entry for each iss.",
                of=("issuer", first[issuer.issuer], "issuer"),
            )


def _claims(issuer: Issuer, path: Path) -> Iterator[Finding]:
    for key, claim in (("issuer", "iss"), ("audience", "aud")):
        value = getattr(issuer, key)
        if not (0 < len(value) <= MAX_CLAIM_CHARS and value.isprintable()):
            yield Finding(
                path=(*path, key),
                detail=f"The {key} {shown(value)} is not 1 to {MAX_CLAIM_CHARS} printable"
                " characters.",
                fix=f"Write what `{claim}` of its tokens is, to the letter.",
            )


def _words(issuer: Issuer, path: Path) -> Iterator[Finding]:
    for key, known in (("algorithms", tuple(ALGORITHMS)), ("may", PERMISSIONS)):
        for position, word in enumerate(getattr(issuer, key)):
            if word not in known:
                near = nearest(word, known)
                yield Finding(
                    path=(*path, key, position),
                    detail=f"{key} has {shown(word)}, which is none of {', '.join(known)}.",
                    fix=f'Write "{near}".' if near else "Take it out.",
                )
    if not issuer.algorithms:
        yield Finding(
            path=(*path, "algorithms"),
            detail="No algorithm is named, so no token could be verified.",
            fix='Write the one its tokens are signed with, e.g. algorithms = ["RS256"].',
        )


def _keys(issuer: Issuer, path: Path) -> Iterator[Finding]:
    if bool(issuer.jwks_url) == bool(issuer.jwks):
        yield Finding(
            path=path,
            detail=f"The issuer {shown(issuer.name)} has"
            f" {'both jwks_url and jwks' if issuer.jwks else 'neither jwks_url nor jwks'}.",
            fix="Write jwks_url, where its public keys are fetched, or the keys as jwks.",
        )
    elif issuer.jwks_url:
        problem = url_problem(issuer.jwks_url)
        if problem:
            yield Finding(
                path=(*path, "jwks_url"),
                detail=f"The jwks_url {shown(issuer.jwks_url)} {problem}.",
                fix='Write where the issuer publishes its keys, e.g. "https://id.example/jwks.json".',
            )
    else:
        yield from _inline(issuer, (*path, "jwks"))


def _inline(issuer: Issuer, path: Path) -> Iterator[Finding]:
    known = tuple(name for name in issuer.algorithms if name in ALGORITHMS)
    try:
        problem = "" if keys_from_jwks(issuer.jwks, known) else "no key of it can be used"
    except ValueError as fault:
        problem = str(fault)
    if problem and known:
        yield Finding(
            path=path,
            detail=f"The jwks of {shown(issuer.name)}: {problem}.",
            fix='Write the public keys as JSON, {"keys": […]}, each with a kid, of the kind that'
            " the algorithms need; RSA of 2,048 bits or more.",
        )


def url_problem(url: str) -> str | None:
    """What is wrong with where keys are to be fetched, as the end of a sentence; None: nothing."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is no URL"
    if not _PRINTABLE.fullmatch(url) or not parts.hostname or port == 0:
        return "is no URL"
    if parts.username is not None or parts.fragment:
        return "has a user or a fragment in it"
    return None if _is_safe(parts) else "is not https"


def _is_safe(parts: SplitResult) -> bool:
    # Who can change keys on their way to us can sign any token.
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
