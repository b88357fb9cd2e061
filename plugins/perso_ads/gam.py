"""Google Ad Manager: key-values for the Google Publisher Tag and for VAST tags.

The limits are those of Ad Manager's own pages (keys of 20, values of 40 characters, reserved
characters); names are kept to what needs no quoting anywhere. A value that does not fit is
reported, never bent: a cut or transliterated value could be another audience's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from msgspec import Struct

from perso_ads.errors import BadTargeting
from perso_ads.withheld import Dropped, refusal_sentence
from perso_core import DestinationLookup

KEY_PATTERN = re.compile(r"[a-z_][a-z0-9_]{0,19}")
# Upper case is taken and lowered: Ad Manager compares without case. ASCII alone is lowered, since
# str.lower() also turns some other letters (the Kelvin sign) into ASCII: a transliteration.
VALUE_PATTERN = re.compile(r"[A-Za-z0-9_.-]{1,40}")
# No current page of Google's gives the length of a request. Its older ones gave 2,000 characters
# of key-values and 2,083 of address; this leaves room for slots, sizes and consent strings.
BUDGET_CHARS = 1_500

_VALUE_RULE = "1 to 40 of a-z, 0-9, underscore, dot and hyphen"
_KEY_RULE = "1 to 20 of a-z, 0-9 and underscore, not a digit first"


class GamConfig(Struct, frozen=True, kw_only=True):
    """How audiences are told to one Ad Manager network.

    key: the key that carries the audiences; it must exist in Ad Manager.
    values: audience id -> the short value it is sent as; an audience without one is sent by id.
    extra: the site's own key-values, such as the page type. They come before audiences when
    room is short. Its keys are configuration; its values are data, and are dropped when unfit.
    priority: audience ids, those to keep first; the others follow by value.
    budget_chars: how long cust_params may be, percent-encoded.
    Raises BadTargeting at construction, with every fault.
    """

    key: str = "aud"
    values: Mapping[str, str] = {}
    extra: Mapping[str, str | Sequence[str]] = {}
    priority: Sequence[str] = ()
    budget_chars: int = BUDGET_CHARS

    def __post_init__(self) -> None:
        faults = self.check()
        if faults:
            raise BadTargeting(faults)

    def check(self) -> tuple[str, ...]:
        """Every fault, as sentences; empty when Ad Manager would take all of it. Of fields that
        are of another kind nothing else is told."""
        return (*_kind_faults(self),) or (
            *(
                f"The key {key!r} is not {_KEY_RULE}."
                for key in (self.key, *self.extra)
                if not _fits(KEY_PATTERN, key)
            ),
            *([f"The key {self.key!r} is also in extra."] if self.key in self.extra else []),
            *_value_faults(self.values),
            *_extra_faults(self.extra),
            *_priority_faults(self.priority),
            *(["budget_chars is below 1."] if self.budget_chars < 1 else []),
        )


class GamTargeting(Struct, frozen=True):
    """Ready to be sent.

    page: key -> values, for `googletag.setConfig({targeting: page})`; None clears a key, so that
    nothing of an earlier view lingers. Keys and values are sorted.
    cust_params: the same for a VAST tag, percent-encoded once: paste it as it is. Keys that are
    None are absent; empty when all are.
    dropped: what was given and is not sent, sorted. It may name audiences that are held back
    from this destination: show it to operators, do not put it into a visitor's page.
    """

    page: Mapping[str, list[str] | None]
    cust_params: str
    dropped: tuple[Dropped, ...]

    def payload(self) -> dict[str, Any]:
        """What the page's script needs, as JSON: page and cust_params, nothing of `dropped`."""
        return {"page": dict(self.page), "cust_params": self.cust_params}


class _Candidate(NamedTuple):
    """A value on its way out. Compares by rank: what comes first is kept first."""

    rank: int
    key: str
    value: str  # as it would be sent
    given: str  # as it came


def gam_targeting(entry: DestinationLookup | None, config: GamConfig) -> GamTargeting:
    """The key-values for one answer.

    entry: None where there is no answer (no consent, no such alias): the audience key is cleared.
    Every audience and every extra value is either in the result's page or in its dropped.
    The same for any order of the input.
    """
    fit: list[_Candidate] = []
    dropped: list[Dropped] = []
    for candidate in (*_extras(config), *_audiences(entry, config)):
        if VALUE_PATTERN.fullmatch(candidate.value):
            fit.append(candidate._replace(value=candidate.value.lower()))
        else:
            dropped.append(Dropped(candidate.key, candidate.given, _unfit(candidate)))
    sent = _within_budget(_unique(sorted(fit), dropped), config.budget_chars, dropped)
    if entry:
        dropped += [
            Dropped(config.key, held_back.audience_id, refusal_sentence(held_back))
            for held_back in entry.refused
        ]
    page = _page(sent, keys=(config.key, *config.extra))
    return GamTargeting(page, _cust_params(page), tuple(sorted(dropped)))


def _extras(config: GamConfig) -> Iterator[_Candidate]:
    for key, given in config.extra.items():
        for value in (given,) if isinstance(given, str) else given:
            yield _Candidate(0, key, value, value)


def _audiences(entry: DestinationLookup | None, config: GamConfig) -> Iterator[_Candidate]:
    ranks = {audience_id: rank for rank, audience_id in enumerate(config.priority, start=1)}
    last = len(ranks) + 1
    for audience_id in entry.audiences if entry else ():
        value = config.values.get(audience_id, audience_id)
        yield _Candidate(ranks.get(audience_id, last), config.key, value, audience_id)


def _unfit(candidate: _Candidate) -> str:
    if candidate.value == candidate.given:
        return f"The value is not {_VALUE_RULE}."
    return f"It would be sent as {candidate.value!r}, which is not {_VALUE_RULE}."


def _unique(ranked: Iterable[_Candidate], dropped: list[Dropped]) -> Iterator[_Candidate]:
    """The first of those that would be sent as the same value; the others go to dropped."""
    first: dict[tuple[str, str], _Candidate] = {}
    for candidate in ranked:
        kept = first.setdefault((candidate.key, candidate.value), candidate)
        if kept is candidate:
            yield candidate
        else:
            reason = f"{candidate.value!r} is already sent, for {kept.given!r}."
            dropped.append(Dropped(candidate.key, candidate.given, reason))


def _within_budget(
    ranked: Iterable[_Candidate], budget_chars: int, dropped: list[Dropped]
) -> list[_Candidate]:
    """The longest beginning of the ranking that fits; the rest goes to dropped.

    Nothing that ranks lower slips past one that did not fit: who reads the report can say
    "everything after this", and a short value never beats a wanted one.
    """
    sent: list[_Candidate] = []
    keys: set[str] = set()
    used = 0
    full = False
    for candidate in ranked:
        cost = _cost(candidate, first_key=not keys, new_key=candidate.key not in keys)
        full = full or used + cost > budget_chars
        if full:
            reason = f"No room: the values before it take {used} of {budget_chars} characters."
            dropped.append(Dropped(candidate.key, candidate.given, reason))
            continue
        used += cost
        keys.add(candidate.key)
        sent.append(candidate)
    return sent


def _cost(candidate: _Candidate, *, first_key: bool, new_key: bool) -> int:
    """How many characters the value adds to cust_params. `&`, `=` and `,` take 3 when encoded."""
    if not new_key:
        return 3 + len(candidate.value)
    return (0 if first_key else 3) + len(candidate.key) + 3 + len(candidate.value)


def _page(sent: Iterable[_Candidate], *, keys: Iterable[str]) -> dict[str, list[str] | None]:
    values: dict[str, list[str]] = {key: [] for key in sorted(keys)}
    for candidate in sent:
        values[candidate.key].append(candidate.value)
    # GPT keeps a key's last values when it is handed []; null clears them.
    return {key: sorted(kept) or None for key, kept in values.items()}


def _cust_params(page: Mapping[str, list[str] | None]) -> str:
    pairs = (f"{key}={','.join(values)}" for key, values in page.items() if values)
    return quote("&".join(pairs), safe="")


def _fits(pattern: re.Pattern[str], text: object) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None


def _kind_faults(config: GamConfig) -> Iterator[str]:
    if not isinstance(config.key, str):
        yield f"The key {config.key!r} is not {_KEY_RULE}."
    if not isinstance(config.values, Mapping):
        yield "values does not say by audience id what is sent."
    if not isinstance(config.extra, Mapping):
        yield "extra does not say by key what is sent."
    if isinstance(config.priority, str) or not isinstance(config.priority, Sequence):
        yield f"priority is {config.priority!r}, not a list of audience ids."
    if type(config.budget_chars) is not int:
        yield f"budget_chars is {config.budget_chars!r}, not a whole number."


def _value_faults(values: Mapping[str, str]) -> Iterator[str]:
    """Of the short values: each must fit, and two audiences must not share one."""
    owner: dict[str, str] = {}
    for audience_id, value in sorted(values.items(), key=lambda pair: str(pair[0])):
        if not isinstance(audience_id, str):
            yield f"{audience_id!r} in values is no audience id: those are text."
        if not _fits(VALUE_PATTERN, value):
            yield f"The value {value!r} of audience {audience_id!r} is not {_VALUE_RULE}."
        first = owner.setdefault(str(value).lower(), audience_id)
        if first != audience_id:
            yield (
                f"Audiences {first!r} and {audience_id!r} have the same value {value!r}:"
                " Ad Manager compares without case."
            )


def _extra_faults(extra: Mapping[str, str | Sequence[str]]) -> Iterator[str]:
    for key, given in extra.items():
        listed = (given,) if isinstance(given, str) else given
        if not isinstance(listed, Sequence) or not all(isinstance(one, str) for one in listed):
            yield f"The values of the extra key {key!r} are neither text nor a list of text."


def _priority_faults(priority: Sequence[str]) -> Iterator[str]:
    counts = Counter(one for one in priority if isinstance(one, str))
    for audience_id in sorted(one for one, count in counts.items() if count > 1):
        yield f"Audience {audience_id!r} is in priority more than once."
    for other in priority:
        if not isinstance(other, str):
            yield f"{other!r} in priority is no audience id: those are text."
