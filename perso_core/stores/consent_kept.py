"""What a batch makes of the consent that is stored. Pure: every store keeps the same."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from perso_core.decision.consent import NOTHING_CHOSEN, Consent, after_signal
from perso_core.engine.journal import ConsentChosen, Entry, Forgotten, PrivacySignalled


class ConsentWords(Struct, frozen=True, kw_only=True):
    """What the entries of one key say of consent.

    consent: after the last statement, on top of what this process knew; None: there was none.
    general, share, gpc, stated: whether one speaks of it. What none speaks of stays as it is
    stored: another process may have kept it meanwhile. yields: they speak of collecting only where
    nothing is stored of it. signalled_ms: when the browser's signal against sharing came; None: it
    came with a statement or not at all, or a word on sharing came after it.
    """

    consent: Consent | None = None
    general: bool = False
    yields: bool = False
    share: bool = False
    gpc: bool = False
    stated: bool = False
    signalled_ms: int | None = None


NO_WORDS = ConsentWords()


def words_of(entries: Sequence[Entry]) -> ConsentWords:
    """NO_WORDS where none of a key's entries speaks of consent, or was forgotten after it did."""
    said: list[ConsentChosen] = []
    consent, gpc, signalled_ms = None, False, None
    for entry in entries:
        change = entry.change
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
            signalled_ms = entry.now_ms if signalled_ms is None else signalled_ms
    if not said and not gpc:
        return NO_WORDS
    of_general = [one for one in said if one.general is not None]
    return ConsentWords(
        consent=consent,
        general=bool(of_general),
        yields=bool(of_general) and all(one.unless_chosen for one in of_general),
        share=any(one.share is not None for one in said),
        gpc=gpc,
        stated=any(one.stated for one in said),
        signalled_ms=signalled_ms,
    )


def after_words(words: ConsentWords, stored: Consent | None) -> Consent | None:
    """The consent to be kept on top of what is stored. `stored` itself: it stays."""
    after = stored if words.consent is None else _chosen(words, words.consent, stored)
    if words.signalled_ms is not None:
        after = after_signal(after, now_ms=words.signalled_ms)
    return stored if after == stored else after


def _chosen(words: ConsentWords, said: Consent, stored: Consent | None) -> Consent:
    held = stored or NOTHING_CHOSEN
    yields = words.yields and held.general is not None
    of_general = said if words.general and not yields else held
    of_share = said if words.share else held
    gpc_since_ms = of_share.gpc_since_ms
    if words.gpc and gpc_since_ms is None and not words.share:
        gpc_since_ms = said.gpc_since_ms
    told = said if words.stated and not (yields and not words.share) else held
    return Consent(
        general=of_general.general,
        since_ms=of_general.since_ms,
        share=of_share.share,
        share_since_ms=of_share.share_since_ms,
        gpc_since_ms=gpc_since_ms,
        stated=told.stated,
    )
