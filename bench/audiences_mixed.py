"""Audiences in the mix of a site: of a hundred 59 that read the profile alone, 30 with one event
literal, 11 with several, counts or chains; windows of 30 minutes to 35 days.

The order is one of dependency: an audience asks only for audiences before it.
"""

from __future__ import annotations

from random import Random

from bench.audiences_parts import (
    AllOf,
    AnyOf,
    Followed,
    Happened,
    Has,
    InSegment,
    Is,
    Missing,
    Not,
    Number,
    Older,
    OneOf,
    Part,
    Rule,
    ThisMonth,
    Within,
)

SEED = 3
OF_PROFILE, SIMPLE, TURN = 59, 30, 100

TYPE = "eventType"
PAGE = "web.webPageDetails.name"
SECTION = "web.webPageDetails.siteSection"
PRICE = "commerce.order.priceTotal"
COUNTRY = "placeContext.geo.countryCode"
ITEMS = "productListItems"

# What visitors do, the most frequent first.
TYPES = (
    "web.webpagedetails.pageViews",
    "commerce.productViews",
    "web.webinteraction.linkClicks",
    "commerce.productListAdds",
    "search.site",
    "media.play",
    "commerce.checkouts",
    "form.submit",
    "commerce.purchases",
    "app.launch",
)
PAGES, SECTIONS, SKUS, COUNTRIES = 2_000, 40, 1_000, 60
TIERS = ("Bronze", "Silver", "Gold", "Platinum", "Diamond")
PLANS, CLUSTERS, STORES = 20, 200, 400
MINUTES = (30, 60, 120, 240, 720, 1_440, 4_320, 10_080, 20_160, 43_200, 50_400)
DAYS = (7, 14, 30, 60, 90, 180, 365)
NO_DATE_DAYS = 3_000
# Rules about things that never happen name them so.
ABSENT = "-not-here"


def mixed(count: int) -> tuple[Rule, ...]:
    """The same count: the same audiences; a smaller count: the first of them."""
    return tuple(_rule(number) for number in range(count))


def with_absent(few: int, count: int) -> tuple[Rule, ...]:
    """The first few audiences of the mix, and others up to count that nothing in a visitor's
    stream changes: no event satisfies their literals, no date comes due."""
    return (*mixed(few), *(_rule(number, ABSENT) for number in range(few, count)))


def kind_of(number: int) -> str:
    """Of the audience at that place: "profile", "simple" or "general"."""
    place = number % TURN
    return (
        "profile" if place < OF_PROFILE else "simple" if place < OF_PROFILE + SIMPLE else "general"
    )


def _rule(number: int, suffix: str = "") -> Rule:
    return Rule(_id(number), _Author(number, suffix).part())


def _id(number: int) -> str:
    return f"aud-{number:05d}"


class _Author:
    """Writes one audience. suffix: appended to what its events would have to say."""

    def __init__(self, number: int, suffix: str) -> None:
        self._number = number
        self._place = number % TURN
        self._suffix = suffix
        self._chance = Random(SEED * 1_000_003 + number)

    def part(self) -> Part:
        kind = kind_of(self._number)
        if kind == "profile":
            return self._of_profile(self._place)
        if kind == "simple":
            return self._simple(self._place - OF_PROFILE)
        return self._general(self._place - OF_PROFILE - SIMPLE)

    # ---- the profile alone ----------------------------------------------------

    def _of_profile(self, place: int) -> Part:
        if place < 40:
            return self._attributes()
        if place < 46:
            return AllOf((self._date(), self._attribute()))
        if place < 50:
            return self._date()
        if place < 53:
            return AllOf((ThisMonth("person.birthDate"), self._attribute()))
        if place < 56:
            return AllOf((Missing("personalEmail.address"), self._attribute()))
        # The first turn's own profile audiences stand before these.
        return AllOf((self._segment(0, 40), Not(self._segment(40, 56))))

    def _attributes(self) -> Part:
        first, second = self._attribute(), self._attribute()
        return self._chance.choice(
            (first, AllOf((first, second)), AllOf((first, Not(second))), AnyOf((first, second)))
        )

    def _attribute(self) -> Part:
        pick = self._chance
        spend = pick.randrange(0, 3_000)
        return pick.choice(
            (
                Is("loyalty.tier", pick.choice(TIERS), folded=True),
                Number("loyalty.points", ">=", pick.randrange(0, 5_000)),
                OneOf("homeAddress.countryCode", self._countries()),
                Is("subscriptions.digital.plan", f"Plan-{pick.randrange(PLANS)}", folded=True),
                Is("_shopco.cluster", f"Cluster-{pick.randrange(CLUSTERS)}", folded=True),
                Is("_shopco.store", f"store-{pick.randrange(STORES)}"),
                AllOf(
                    (
                        Number("_shopco.spend", ">=", spend),
                        Number("_shopco.spend", "<", spend + pick.randrange(50, 1_000)),
                    )
                ),
            )
        )

    def _date(self) -> Part:
        # An audience that never changes asks for more days than any date is away.
        days = self._chance.choice(DAYS) + (NO_DATE_DAYS if self._suffix else 0)
        return self._chance.choice(
            (
                Within("_shopco.lastOrder", days, "before"),
                Older("loyalty.joined", days),
                Within("subscriptions.digital.renewal", days, "after"),
            )
        )

    def _segment(self, first: int, last: int) -> Part:
        """An audience of this turn, from the first place up to before the last."""
        turn = self._number - self._place
        return InSegment(_id(turn + self._chance.randrange(first, last)))

    # ---- one event literal ----------------------------------------------------

    def _simple(self, place: int) -> Part:
        literal = self._happened()
        if place < 10:
            return literal
        if place < 20:
            return AllOf((literal, self._attribute()))
        if place < 22:
            return AllOf((self._date(), literal))
        if place < 24:
            return AnyOf((AllOf((self._attribute(), self._attribute())), literal))
        if place < 28:
            return AllOf((self._attribute(), Not(literal)))
        return AllOf((literal, self._segment(0, OF_PROFILE)))

    def _happened(self) -> Happened:
        return Happened(self._condition(), self._chance.choice(MINUTES))

    def _condition(self) -> Part:
        pick = self._chance
        kind = Is(TYPE, pick.choice(TYPES) + self._suffix, folded=True)
        draw = pick.random()
        if draw < 0.40:
            return Is(PAGE, f"Shop:Page:P-{self._popular(PAGES)}{self._suffix}", folded=True)
        if draw < 0.60:
            return AllOf((kind, self._section()))
        if draw < 0.70:
            return AllOf((kind, Number(PRICE, ">=", pick.randrange(100, 500))))
        if draw < 0.88:
            return Has(ITEMS, "SKU", f"SKU-{self._popular(SKUS)}{self._suffix}")
        if draw < 0.92:
            return AllOf((kind, OneOf(COUNTRY, self._countries())))
        return kind

    def _popular(self, count: int) -> int:
        """Half of the pages and articles that marketers name are among the best visited."""
        return self._chance.randrange(self._chance.choice((count // 10, count)))

    def _section(self) -> Part:
        return Is(SECTION, f"Section-{self._chance.randrange(SECTIONS)}{self._suffix}", folded=True)

    def _countries(self) -> tuple[str, ...]:
        return tuple(f"C{number}" for number in self._chance.sample(range(COUNTRIES), 3))

    # ---- several literals, counts, chains -------------------------------------

    def _general(self, place: int) -> Part:
        pick = self._chance
        minutes = pick.choice(MINUTES)
        if place < 4:
            return Happened(self._condition(), minutes, at_least=pick.randrange(2, 6))
        if place == 4:
            literal = Happened(self._condition(), minutes, at_least=pick.randrange(2, 4))
            return AllOf((self._attribute(), Not(literal)))
        if place == 5:
            return AllOf((self._happened(), self._happened()))
        if place == 6:
            return AllOf((self._happened(), Not(self._happened())))
        if place == 7:
            return AnyOf((self._happened(), self._happened(), self._attribute()))
        if place == 8:
            simple = self._segment(OF_PROFILE, OF_PROFILE + SIMPLE)
            return AllOf((simple, self._happened()))
        first = Is(TYPE, pick.choice(TYPES) + self._suffix, folded=True)
        return Followed(first, self._condition(), minutes)
