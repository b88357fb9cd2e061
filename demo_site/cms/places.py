"""The lettered places of a page: which audiences each looks at, and which one it showed."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from perso_core import Visitor

SHOP_ALIAS = "personalizationAlias"
AD_ALIAS = "adServerAlias"


class Place(Struct, frozen=True, kw_only=True):
    """looks_at: aliases of audiences in the order in which the template asks for them
    (templates/places.html; a test compares). Empty for an ad slot: the ad server picks."""

    letter: str
    name: str
    asks: str  # what the tag on the page links to: "why this one"
    looks_at: tuple[str, ...] = ()


PLACES: Mapping[str, Place] = {
    place.letter: place
    for place in (
        Place(
            letter="A",
            name="Banner",
            asks="why this one",
            looks_at=(
                "basket-hour",
                "sneaker-browser",
                "beach-today",
                "departs-soon",
                "trial-ends",
                "gold",
                "family",
            ),
        ),
        Place(
            letter="B",
            name="Offer",
            asks="why this one",
            looks_at=(
                "no-marketing",
                "gold",
                "lapsed",
                "big-basket",
                "loan-candidates",
                "meter-low",
                "new-member",
            ),
        ),
        Place(letter="C", name="Top ad slot", asks="what it was told"),
        Place(
            letter="D",
            name="Article order",
            asks="why this order",
            looks_at=("politics-now", "beach-today", "sneaker-browser", "live-sport", "prospects"),
        ),
        Place(letter="E", name="Bottom ad slot", asks="what it was told"),
    )
}

# Why a place shows its default, by what is known of the visitor.
_DEFAULT_LABELS = {
    "known": "the default",
    "new": "no audience yet",
    "no-consent": "no consent, the default",
    "unavailable": "no answer in 50 ms",
}


class Use(Struct, frozen=True):
    """What one place showed. audience: an alias; None: its default."""

    place: Place
    audience: str | None
    label: str


class PlacesUsed:
    """Filled while a page renders, in the order of the page; read by the inspector after it."""

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self.uses: list[Use] = []

    def use(self, letter: str, audience: str | None = None) -> Use:
        """A template's word that a place shows what it has for an audience, or its default."""
        place = PLACES[letter]
        use = Use(place, audience, f"{place.name}: {self._label(place, audience)}")
        self.uses.append(use)
        return use

    def looked_at(self) -> list[str]:
        """Aliases that this page's places ask for, each once, in order."""
        names = [name for use in self.uses for name in use.place.looks_at]
        return list(dict.fromkeys(names))

    def _label(self, place: Place, audience: str | None) -> str:
        if audience or (not place.looks_at and self._visitor.state in ("known", "new")):
            return place.asks
        return _DEFAULT_LABELS[self._visitor.state]
