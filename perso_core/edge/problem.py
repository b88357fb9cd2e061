"""What the edge says when it cannot do what was asked: problem+json with Adobe's types.

One class per cause. Callers of the edge match on `type`, so codes are stable; docs/errors.md
lists them and a test keeps the list whole.
"""

from __future__ import annotations

import re
from typing import ClassVar

from msgspec import UNSET, Struct, UnsetType

from perso_core.errors import PersoError

_ADOBE = "https://ns.adobe.com/aep/errors/"
_OWN = "urn:perso:"

# What a caller sent comes back in `detail` at most so long, and without control characters.
_SHOWN_CHARS = 120
_UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Report(Struct, frozen=True, kw_only=True, rename="camel"):
    """Which call a problem belongs to. Fields are left out where they are not known."""

    request_id: str | UnsetType = UNSET
    config_id: str | UnsetType = UNSET
    org_id: str | UnsetType = UNSET


class Problem(Struct, frozen=True, kw_only=True):
    """One problem as it goes on the wire (RFC 9457, with Adobe's `report`)."""

    type: str
    status: int
    title: str
    detail: str
    report: Report


class EdgeError(PersoError):
    """A problem of one call to the edge. status: the HTTP status, or, inside a 200 or 207, the
    status of that item. code `EXEG-nnnn-sss` is Adobe's; any other is ours.
    """

    code = "edge.problem"
    title = "The edge could not do this"
    status: ClassVar[int] = 500

    def problem(self, report: Report) -> Problem:
        return Problem(
            type=(_ADOBE if self.code.startswith("EXEG-") else _OWN) + self.code,
            status=self.status,
            title=self.title,
            detail=f"{self.detail} {self.fix}",
            report=report,
        )


def shown(text: str) -> str:
    """What a caller sent, fit to be told back."""
    clean = _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text[: _SHOWN_CHARS + 1])
    return clean if len(clean) <= _SHOWN_CHARS else clean[:_SHOWN_CHARS] + "…"


# ---- the datastream ----------------------------------------------------------


class DatastreamMissing(EdgeError):
    code = "EXEG-0002-400"
    title = "Missing datastream ID"
    status = 400


class DatastreamUnknown(EdgeError):
    code = "EXEG-0003-400"
    title = "Invalid datastream ID"
    status = 400


class DatastreamDisabled(EdgeError):
    code = "EXEG-0004-422"
    title = "The datastream is disabled"
    status = 422


class OriginRefused(EdgeError):
    code = "edge.origin-refused"
    title = "This origin may not call the datastream"
    status = 403


# ---- who calls ---------------------------------------------------------------


class TokenBad(EdgeError):
    code = "EXEG-0500-401"
    title = "The authorization token is missing or malformed"
    status = 401


class SignatureBad(EdgeError):
    code = "EXEG-0502-401"
    title = "The authorization token cannot be verified"
    status = 401


class TokenExpired(EdgeError):
    code = "EXEG-0503-401"
    title = "The authorization token is not valid now"
    status = 401


class ContextBad(EdgeError):
    code = "EXEG-0504-401"
    title = "The authorization token is for somebody else"
    status = 401


class ScopeBad(EdgeError):
    code = "EXEG-0505-401"
    title = "The authorization token is not for this datastream"
    status = 401


class WriteRefused(EdgeError):
    code = "EXEG-0506-401"
    title = "The authorization token may not send events"
    status = 401


class PrivacyRefused(EdgeError):
    code = "edge.privacy-refused"
    title = "The credential may not show, export or erase profiles"
    status = 403


class NotHeard(EdgeError):
    code = "edge.not-heard"
    title = "Not every server has heard of it"
    status = 504


class ImportRefused(EdgeError):
    code = "edge.import-refused"
    title = "The credential may not import"
    status = 403


# ---- the request as HTTP -----------------------------------------------------


class HttpBad(EdgeError):
    code = "edge.http-malformed"
    title = "The request is not HTTP as it should be"
    status = 400


class NoSuchPath(EdgeError):
    code = "edge.no-such-path"
    title = "The edge has no such path"
    status = 404


class MethodRefused(EdgeError):
    """allowed: the methods that are taken here, as the header Allow lists them."""

    code = "edge.method-refused"
    title = "The edge does not take this method here"
    status = 405

    def __init__(self, detail: str, *, allowed: str) -> None:
        super().__init__(detail, fix=f"Use one of {allowed}.")
        self.allowed = allowed


class ContentTypeBad(EdgeError):
    code = "EXEG-0106-400"
    title = "The Content-Type header is absent or malformed"
    status = 400


class MediaTypeUnsupported(EdgeError):
    code = "EXEG-0111-415"
    title = "Unsupported media type"
    status = 415


class BodyEmpty(EdgeError):
    code = "EXEG-0109-408"
    title = "The body is empty or did not arrive in time"
    status = 408


class BodyTooLarge(EdgeError):
    code = "EXEG-0112-413"
    title = "The payload is too large"
    status = 413


class TooManyRequests(EdgeError):
    """retry_after_s: at least 1. A client that is told 0 comes back at once. known_key: the profile
    of whoever was known again before the body was decoded."""

    code = "edge.too-many-requests"
    title = "Too many requests"
    status = 429

    def __init__(
        self, detail: str, *, fix: str, retry_after_s: int, known_key: str | None = None
    ) -> None:
        super().__init__(detail, fix=fix)
        self.retry_after_s = retry_after_s
        self.known_key = known_key

    def of(self, known_key: str) -> TooManyRequests:
        """The same, told to somebody known."""
        return TooManyRequests(
            self.detail, fix=self.fix, retry_after_s=self.retry_after_s, known_key=known_key
        )


# ---- the request as JSON -----------------------------------------------------


class JsonBad(EdgeError):
    code = "EXEG-0101-400"
    title = "Invalid JSON"
    status = 400


class FieldBad(EdgeError):
    code = "EXEG-0102-400"
    title = "Invalid field"
    status = 400


class FieldMissing(EdgeError):
    code = "EXEG-0103-400"
    title = "Missing required field"
    status = 400


class ConsentBad(EdgeError):
    code = "EXEG-0104-422"
    title = "The consent does not validate"
    status = 422


class OverridesBad(EdgeError):
    code = "EXEG-0113-400"
    title = "Invalid configuration overrides"
    status = 400


class IdentityBad(EdgeError):
    code = "EXEG-0305-400"
    title = "Invalid identity"
    status = 400


class IdentityUnexpected(EdgeError):
    code = "EXEG-0304-400"
    title = "Unexpected identities"
    status = 400


class PrimaryMissing(EdgeError):
    code = "EXEG-0306-400"
    title = "No primary identity in the event"
    status = 400


# ---- inside a 200 or a 207 ---------------------------------------------------


class Unexpected(EdgeError):
    code = "EXEG-0001-500"
    title = "An unexpected error"
    status = 500


class NotStored(EdgeError):
    code = "EXEG-0201-503"
    title = "The store is not available"
    status = 503


class ProfileSetAside(EdgeError):
    """What came with this call is stored all the same."""

    code = "edge.profile-set-aside"
    title = "The stored profile could not be read"
    status = 500


class IssuerUnreachable(EdgeError):
    """Not the caller's fault: answered inside a 207."""

    code = "EXEG-0203-502"
    title = "The issuer of the token cannot be reached"
    status = 502


class AudienceWithheld(EdgeError):
    code = "edge.audience-withheld"
    title = "An audience was withheld"
    status = 200


class AttributeWithheld(EdgeError):
    code = "edge.attribute-withheld"
    title = "An attribute was withheld"
    status = 200


class MadeRoom(EdgeError):
    code = "edge.made-room"
    title = "Something made room in a full profile"
    status = 200


class NoConsent(EdgeError):
    code = "EXEG-0301-200"
    title = "Ignored for lack of consent"
    status = 200


class ConsentUnreadable(EdgeError):
    code = "edge.consent-unreadable"
    title = "A TC string that cannot be read is no consent"
    status = 200


class AssertionIgnored(EdgeError):
    code = "edge.assertion-ignored"
    title = "An identity assertion was not taken"
    status = 200


class NamespaceNotFetched(EdgeError):
    code = "EXEG-0303-200"
    title = "An identity namespace that cannot be fetched"
    status = 200
