"""What the inspector says: who the visitor is here, why, and what left the site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from markupsafe import Markup
from msgspec import Struct

from demo_site.cms.ads import AdCall
from demo_site.cms.audiences import AudienceCard, Audiences
from demo_site.cms.places import AD_ALIAS, SHOP_ALIAS, PlacesUsed, Use
from perso_core import UnknownAudience, Visitor

# The mark of a row, and the word that goes with it: never colour alone.
_CHIPS = {"in": ("yes", "In"), "not": ("no", "Not in"), "held": ("warn", "Held back")}


class Row(Struct, frozen=True, kw_only=True):
    """One line of a list. letter: the place it belongs to, linked both ways."""

    title: str
    chip_kind: str
    chip: str
    reason: str
    alias: str = ""
    letter: str | None = None


class View(Struct, frozen=True, kw_only=True):
    """What the template shows.

    shop, ads: rows of the places and of what is in. asked: how many more audiences this page's
    places asked for. listed: the list that was unfolded: those (why="asked"), or all that the
    search found (why="all"). page_ms: what the page took before the inspector.
    """

    digest: Markup
    counts: str
    shop: Sequence[Row]
    ads: Sequence[Row]
    asked: int
    total: int
    why: str
    find: str
    listed: Sequence[Row]
    page_ms: float


class Unfold(Struct, frozen=True):
    """Which longer list was asked for. Each reason costs an evaluation: folded, none is made."""

    why: str = ""
    find: str = ""


def unfold_from(query: Mapping[str, str]) -> Unfold:
    """From the page's address; anything else is folded."""
    find = query.get("find", "")[:60].strip()
    why = "all" if find else query.get("why", "")
    return Unfold(why if why in ("asked", "all") else "", find)


class _Standing(Struct, frozen=True):
    """One audience for one alias. The reason is asked for when a row is made."""

    visitor: Visitor
    card: AudienceCard
    alias: str

    @property
    def state(self) -> str:
        """A key of _CHIPS, from the answer that the page was made of."""
        entry = self.visitor.for_alias(self.alias)
        if entry and self.card.id in entry.audiences:
            return "in"
        held = entry and any(refused.audience_id == self.card.id for refused in entry.refused)
        return "held" if held else "not"

    def row(self, letter: str | None = None) -> Row:
        kind, word = _CHIPS[self.state]
        return Row(
            title=self.card.title,
            chip_kind=kind,
            chip=word,
            reason=self._sentence(),
            alias=self.card.alias,
            letter=letter,
        )

    def _sentence(self) -> str:
        if self.visitor.state == "unavailable":
            return "Nobody asked: the answer came too late for this page."
        if self.visitor.state == "no-consent":
            return "Not evaluated: there is no consent."
        try:
            return self.visitor.reason(self.card.id, self.alias).sentence
        except UnknownAudience:
            return "The definitions in force have no such audience."


def inspect(
    visitor: Visitor,
    audiences: Audiences,
    places: PlacesUsed,
    ad_call: AdCall,
    *,
    decided_ms: float,
    page_ms: float,
    unfold: Unfold,
) -> View:
    """The inspector of one page, after its places were rendered."""
    standings = {card.alias: _Standing(visitor, card, SHOP_ALIAS) for card in audiences.cards}
    states = {name: standing.state for name, standing in standings.items()}
    shop_uses = [use for use in places.uses if use.place.looks_at]
    shown = {use.audience for use in shop_uses}
    inside = [name for name, state in states.items() if state != "not" and name not in shown]
    asked = [name for name in places.looked_at() if states.get(name) == "not"]
    return View(
        digest=_digest(visitor, states, places, ad_call, decided_ms=decided_ms),
        counts=_counts(states),
        shop=[
            *(_place_row(use, standings) for use in shop_uses),
            *(standings[name].row() for name in inside),
        ],
        ads=_ad_rows(visitor, audiences, places, ad_call),
        asked=len(asked),
        total=len(standings),
        why=unfold.why,
        find=unfold.find,
        listed=[standings[name].row() for name in _listed(unfold, audiences, asked)],
        page_ms=page_ms,
    )


def _listed(unfold: Unfold, audiences: Audiences, asked: list[str]) -> list[str]:
    if unfold.why == "asked":
        return asked
    if unfold.why == "all":
        return [card.alias for card in audiences.cards if _matches(card, unfold.find)]
    return []


def _place_row(use: Use, standings: Mapping[str, _Standing]) -> Row:
    letter = use.place.letter
    if use.audience is not None and use.audience in standings:
        return standings[use.audience].row(letter)
    return Row(
        title=f"{use.place.name}: the default",
        chip_kind="",
        chip="None in",
        reason=f"Asked for {len(use.place.looks_at)} audiences; none holds.",
        letter=letter,
    )


def _ad_rows(
    visitor: Visitor, audiences: Audiences, places: PlacesUsed, ad_call: AdCall
) -> list[Row]:
    told = ad_call.targeting.page.get("aud") or []
    rows = [
        Row(
            title=use.place.name,
            chip_kind="info" if told else "",
            chip=f"{len(told)} told",
            reason=f"Told: {', '.join(told)}." if told else "Told of the page alone, no audience.",
            letter=use.place.letter,
        )
        for use in places.uses
        if not use.place.looks_at
    ]
    entry = visitor.for_alias(AD_ALIAS)
    held = [audiences.get(refused.audience_id) for refused in entry.refused] if entry else []
    return [*rows, *(_Standing(visitor, card, AD_ALIAS).row() for card in held if card)]


def _matches(card: AudienceCard, find: str) -> bool:
    text = f"{card.title} {card.industry} {card.alias} {card.description}".lower()
    return all(word in text for word in find.lower().split())


def _counts(states: Mapping[str, str]) -> str:
    count = Counter(states.values())
    return f"{count['in']} in, {count['not']} not, {count['held']} held back"


def _digest(
    visitor: Visitor,
    states: Mapping[str, str],
    places: PlacesUsed,
    ad_call: AdCall,
    *,
    decided_ms: float,
) -> Markup:
    """Sentences, with what was measured marked bold."""
    if visitor.state == "unavailable":
        return Markup(
            "<b>No answer in 50 ms</b>, so the page went on. Every place shows its default."
        )
    if visitor.state == "no-consent":
        return Markup(
            "<b>No consent</b>: nothing is kept of this visitor. Every place shows its default."
        )
    inside = sum(1 for state in states.values() if state == "in")
    told = bool(ad_call.targeting.page["aud"])
    used = sum(1 for use in places.uses if use.audience or (told and not use.place.looks_at))
    places_used = f"{_WORDS[used].capitalize()} place{'' if used == 1 else 's'}"
    return Markup(
        "This page asked once and got <b>{} audience{}</b> in <b>{:.1f} ms</b>. {} used the answer."
    ).format(inside or "no", "s" if inside > 1 else "", decided_ms, places_used)


# How many places used the answer; a page has five at most.
_WORDS = ("no", "one", "two", "three", "four", "five")
