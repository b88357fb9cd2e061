"""By what an event is known again, so that it counts once (P5). Pure."""

from __future__ import annotations

from hashlib import blake2b, sha256

from perso_core.decision.event import Event
from perso_core.decision.projection import has_large_integers
from perso_core.edge.wire import SentEvent, fingerprint, unkept

MAX_EVENT_ID_CHARS = 128
HASHED_ID = "blake2b:"  # what stands before the hash of an `_id` that is not kept itself


def event_id(sent: SentEvent, index: int, sender_key: str, request_id: str) -> str:
    """The event's `_id`, or, where there is none, a hash that a retry of the same request has
    again: the SDK gives its events no `_id`, and retries with the same requestId and body. What is
    empty or no text is none. sender_key: as arrived_event has it. Raises FieldBad for a number that
    cannot be kept, where there is no `_id`.
    """
    stated = sent.xdm.get("_id")
    if isinstance(stated, str) and stated:
        return _kept(stated)
    encoded = fingerprint(sent, place_of(index))
    digest = sha256()
    for part in (sender_key.encode(), request_id.encode(), b"%d" % index, encoded):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.hexdigest()


def refuse_unkept(sent: SentEvent, event: Event, index: int) -> None:
    """event: what became of the one that was sent. Raises FieldBad for a number that cannot be
    kept."""
    if sent.data or not isinstance(sent.xdm.get("timestamp", ""), str):
        fingerprint(sent, place_of(index))  # there is more in it than became of it
    elif has_large_integers(event):
        raise unkept(place_of(index))


def place_of(index: int) -> str:
    return f"events[{index}]"


def _kept(stated: str) -> str:
    """The `_id` itself, or a hash of one that is too long or cannot be printed. The hash is kept as
    it is: whoever sends an event again as an export shows it means the same event.
    """
    if len(stated) <= MAX_EVENT_ID_CHARS and stated.isprintable():
        return stated
    return HASHED_ID + blake2b(stated.encode(), digest_size=32).hexdigest()
