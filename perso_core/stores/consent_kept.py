"""What a batch makes of the consent that is stored. Pure: every store keeps the same."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from perso_core.decision.consent import NOTHING_CHOSEN, Consent, after_signal, takes_back
from perso_core.engine.journal import (
    ConsentChosen,
    Entry,
    EventArrived,
    Forgotten,
    PrivacySignalled,
)


class ConsentWords(Struct, frozen=True, kw_only=True):
    """What the entries of one key say of consent.

    consent: after the last statement, on top of what this process knew; None: there was none.
    general, share, gpc, stated: whether one speaks of it. What none speaks of stays as it is
    stored: another process may have kept it meanwhile. yields: they speak of collecting only where
    nothing is stored of it. signalled_ms: when the browser's signal against sharing came; None: it
    came with a statement or not at all, or a word on sharing came after it. signalled_of: of which
    device. taking_back: a device's word for sharing: it counts only where its refusal is stored.
    """

    consent: Consent | None = None
    general: bool = False
    yields: bool = False
    share: bool = False
    gpc: bool = False
    stated: bool = False
    signalled_ms: int | None = None
    signalled_of: str = ""
    taking_back: ConsentChosen | None = None


NO_WORDS = ConsentWords()


def words_of(entries: Sequence[Entry]) -> ConsentWords:
    """NO_WORDS where none of a key's entries speaks of consent, or was forgotten after it did."""
    said: list[ConsentChosen] = []
    consent, gpc, signalled_ms, signalled_of = None, False, None, ""
    for entry in entries:
        change = entry.change
        if isinstance(change, EventArrived):
            continue
        if isinstance(change, ConsentChosen):
            said.append(change)
            consent = entry.consent
            if change.share is not None:
                signalled_ms = None
            gpc = gpc or change.gpc
        elif isinstance(change, Forgotten):
            said, consent, gpc, signalled_ms = [], None, False, None
        elif isinstance(change, PrivacySignalled):
            gpc = True
            if signalled_ms is None:
                signalled_ms, signalled_of = entry.now_ms, change.of
    if not said and not gpc:
        return NO_WORDS
    of_general = [one for one in said if one.general is not None]
    of_share = [one for one in said if one.share is not None]
    last = of_share[-1] if of_share else None
    return ConsentWords(
        consent=consent,
        general=bool(of_general),
        yields=bool(of_general) and all(one.unless_chosen for one in of_general),
        share=bool(of_share),
        gpc=gpc,
        stated=any(one.stated for one in said),
        signalled_ms=signalled_ms,
        signalled_of=signalled_of,
        taking_back=last if last is not None and last.of and last.share == "y" else None,
    )


def after_words(words: ConsentWords, stored: Consent | None) -> Consent | None:
    """The consent to be kept on top of what is stored. `stored` itself: it stays."""
    after = stored if words.consent is None else _chosen(words, words.consent, stored)
    if words.signalled_ms is not None:
        after = after_signal(after, of=words.signalled_of, now_ms=words.signalled_ms)
    return stored if after == stored else after


def _chosen(words: ConsentWords, said: Consent, stored: Consent | None) -> Consent:
    held = stored or NOTHING_CHOSEN
    yields = words.yields and held.general is not None
    of_general = said if words.general and not yields else held
    back = words.taking_back
    shares = words.share and (back is None or takes_back(held, back))
    of_share = said if shares else held
    gpc_since_ms = of_share.gpc_since_ms
    if words.gpc and gpc_since_ms is None and not words.share:
        gpc_since_ms = said.gpc_since_ms
    counts = shares or (words.general and not yields)
    told = said if words.stated and counts else held
    return Consent(
        general=of_general.general,
        since_ms=of_general.since_ms,
        share=of_share.share,
        share_since_ms=of_share.share_since_ms,
        gpc_since_ms=gpc_since_ms,
        stated=told.stated,
        share_of=of_share.share_of,
    )
