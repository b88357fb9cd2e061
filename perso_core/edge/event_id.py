"""By what an event is known again, so that it counts once (P5). Pure."""

from __future__ import annotations

from hashlib import blake2b, sha256

from perso_core.edge.wire import SentEvent, fingerprint

MAX_EVENT_ID_CHARS = 128
HASHED_ID = "blake2b:"  # what stands before the hash of an `_id` that is not kept itself


def event_id(sent: SentEvent, index: int, sender_key: str, request_id: str) -> str:
    """The event's `_id`, or, where there is none, a hash that a retry of the same request has
    again: the SDK gives its events no `_id`, and retries with the same requestId and body. What is
    empty or no text is none. sender_key: as arrived_event has it.
    """
    encoded = fingerprint(sent, f"events[{index}]")
    stated = sent.xdm.get("_id")
    if isinstance(stated, str) and stated:
        return _kept(stated)
    digest = sha256()
    for part in (sender_key.encode(), request_id.encode(), b"%d" % index, encoded):
        digest.update(len(part).to_bytes(4, "big"))
        digest.update(part)
    return digest.hexdigest()


def _kept(stated: str) -> str:
    """The `_id` itself, or a hash of one that is too long or cannot be printed. The hash is kept as
    it is: whoever sends an event again as an export shows it means the same event.
    """
    if len(stated) <= MAX_EVENT_ID_CHARS and stated.isprintable():
        return stated
    return HASHED_ID + blake2b(stated.encode(), digest_size=32).hexdigest()
