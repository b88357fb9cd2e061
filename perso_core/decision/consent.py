"""What may be done with a visitor's data, by the visitor's word or the datastream's default."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, structs

from perso_core.definitions.datastream import DefaultConsent

Choice = Literal["in", "out"]
# Adobe 2.0's `share`: sharing or selling what is known of the visitor.
Sharing = Literal["y", "n"]


class Statement(Struct, frozen=True):
    """What a visitor said in one call. None: nothing about it.

    gpc: the browser sent `Sec-GPC: 1` with it. stated: the consent objects as sent, JSON text.
    unless_chosen: it counts only where the visitor has not chosen `general` yet. of: of which
    device it is the word, where it is said of whoever holds that; "": the visitor's own. said_ms:
    when it was said there.
    """

    general: Choice | None = None
    share: Sharing | None = None
    gpc: bool = False
    stated: str = ""
    unless_chosen: bool = False
    of: str = ""
    said_ms: int = 0


class Consent(Struct, frozen=True):
    """What a visitor chose, and when; all times by our clock, epoch milliseconds.

    general: whether anything may be kept; None: not chosen. since_ms: when that was said last
    with another meaning. share, share_since_ms: the same of sharing. gpc_since_ms: when the
    browser first sent `Sec-GPC: 1` after the last word on sharing; None: never since. stated: the
    consent objects that say so, as they were sent. share_of: of which device the last of it on
    sharing is, where that is another profile; "": the visitor's own.
    """

    general: Choice | None
    since_ms: int
    share: Sharing | None = None
    share_since_ms: int = 0
    gpc_since_ms: int | None = None
    stated: str = ""
    share_of: str = ""


class SharingRefused(Struct, frozen=True):
    """Nothing may go to advertising. reason: the visitor's own word, or the browser's signal."""

    reason: Literal["share-refused", "gpc"]
    since_ms: int


NOTHING_CHOSEN = Consent(None, 0)


def may_collect(chosen: Consent | None, default: DefaultConsent) -> bool:
    """Whether a profile may be kept and answered from. Before a choice the default holds;
    only `in` permits."""
    return holding(chosen, default) == "in"


def holding(chosen: Consent | None, default: DefaultConsent) -> DefaultConsent:
    """What holds for a visitor: the choice, or the datastream's default before one."""
    return chosen.general if chosen and chosen.general else default


def refused(chosen: Consent | None, *, said_out: bool = False) -> bool:
    """Whether the visitor said no to being kept, whatever the datastream. said_out: what the
    browser's own cookie says, which counts where nothing was chosen."""
    return chosen.general == "out" if chosen and chosen.general else said_out


def last_said_ms(consent: Consent | None) -> int:
    """When the visitor or the browser said the last of it; 0: never."""
    if consent is None:
        return 0
    return max(consent.since_ms, consent.share_since_ms, consent.gpc_since_ms or 0)


def sharing_refused(chosen: Consent | None) -> SharingRefused | None:
    """Why nothing may go to advertising; None: it may. Who said nothing has not refused."""
    if chosen is None:
        return None
    if chosen.share == "n":
        return SharingRefused("share-refused", chosen.share_since_ms)
    signal_ms = chosen.gpc_since_ms
    # A word of the same instant came with the signal on: the visitor knew of it.
    if signal_ms is None or (chosen.share == "y" and chosen.share_since_ms >= signal_ms):
        return None
    return SharingRefused("gpc", signal_ms)


def after_statement(before: Consent | None, said: Statement, *, now_ms: int) -> Consent:
    """The consent after a statement. What it says nothing about stays: a word on collecting takes
    no word on sharing back, and a device's word for sharing no refusal but its own. Equal to
    `before` where it says the same again.
    """
    held = before or NOTHING_CHOSEN
    if said.of and said.share is not None and not _counts(said, before):
        return held
    now_ms = _after_last(before, now_ms)
    if said.general is not None and said.general != held.general:
        held = structs.replace(held, general=said.general, since_ms=now_ms)
    if said.share is not None:
        held = _after_share(held, said.share, said.gpc, said.of, now_ms)
    elif said.gpc:
        held = _with_signal(held, said.of, now_ms)
    return structs.replace(held, stated=said.stated or held.stated)


def _counts(said: Statement, before: Consent | None) -> bool:
    """Whether a device's word on sharing says something new."""
    if said.share == "y":
        return takes_back(before, said)
    return before is None or before.share != "n"


def takes_back(held: Consent | None, said: Statement) -> bool:
    """Whether a device's word for sharing takes back what is held: the refusal is its own, and a
    signal older than the word, or known to whoever said it."""
    against = sharing_refused(held)
    if held is None or against is None or held.share_of != said.of:
        return False
    return against.reason == "share-refused" or said.gpc or said.said_ms > against.since_ms


def _after_share(held: Consent, share: Sharing, gpc: bool, of: str, now_ms: int) -> Consent:
    in_force = share == held.share and (sharing_refused(held) is None) == (share == "y")
    # Who repeats a device's refusal in words of their own has it for themselves from then on.
    if in_force and of == held.share_of and gpc == (held.gpc_since_ms is not None):
        return held
    # A signal that comes with the word is older than it; the next one after it is a new one.
    return structs.replace(
        held,
        share=share,
        share_since_ms=now_ms,
        gpc_since_ms=now_ms if gpc else None,
        share_of=of,
    )


def after_signal(before: Consent | None, *, of: str = "", now_ms: int) -> Consent:
    """The consent after a request with `Sec-GPC: 1`. of: as in Statement. Equal to `before` where
    the signal is known."""
    return _with_signal(before or NOTHING_CHOSEN, of, _after_last(before, now_ms))


def signal_known(held: Consent | None, *, of: str = "") -> bool:
    """Whether a signal says nothing that is not held already. of: as in Statement."""
    if held is None or held.gpc_since_ms is None:
        return False
    return of == held.share_of or sharing_refused(held) is not None


def _with_signal(held: Consent, of: str, now_ms: int) -> Consent:
    if signal_known(held, of=of):
        return held
    # Whose a refusal is stays; that there was a signal is known from now on.
    whose = of if sharing_refused(held) is None else held.share_of
    return structs.replace(held, gpc_since_ms=now_ms, share_of=whose)


def _after_last(before: Consent | None, now_ms: int) -> int:
    """now_ms, where the clock has gone on since the last word. A later word is always dated later:
    by these instants a signal counts after a word or not, and a process learns from a version token
    that there is something newer than it knows."""
    return max(now_ms, last_said_ms(before) + 1) if before else now_ms
