"""The magazine. Invented; sections are those that the demo's audiences look for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

# Articles that one may read in a month without a membership.
FREE_ARTICLES = 5


class Article(Struct, frozen=True, kw_only=True):
    """page_name: what the visit's event calls the page. wall: members alone read past `opening`.
    live: the page opens with a running stream."""

    slug: str
    title: str
    line: str
    section: str
    page_name: str
    minutes: int
    art: str
    opening: str
    body: tuple[str, ...]
    access: Literal["free", "members"] = "free"
    live: bool = False


_ARTICLES = (
    Article(
        slug="condensation",
        title="Condensation is not a leak",
        line="How to tell, and what to open",
        section="camp",
        page_name="magazine/condensation",
        minutes=4,
        art="tent",
        opening="You wake with a wet forehead and blame the tent. Wipe the inside of the fly: if it"
        " comes off in beads, the water was yours. Two sleepers breathe out a pint a night.",
        body=(
            "Open the vent at the top before you open the one at the bottom. Warm air carries the"
            " water, and warm air wants to go up. A door ajar by a hand's breadth does more than"
            " any coating.",
            "A leak has a place. It drips from one seam, always the same, and it drips in the rain"
            " only. Mark it with chalk while it is wet; we seal it for nothing, for ten years.",
        ),
    ),
    Article(
        slug="ridges",
        title="Nine ridges that let you sleep",
        line="Flat, legal and out of the wind",
        section="camp",
        page_name="magazine/ridges",
        minutes=7,
        art="ridge",
        opening="A ridge is a promise of morning sun and a threat of wind. These nine keep the"
        " first and spare you most of the second.",
        body=(
            "Look for the shoulder below the top, on the side away from tomorrow's wind, not"
            " today's. Grass that lies down has been taught to; pitch where it stands.",
            "Each of the nine has water within twenty minutes and an honest way down in the dark."
            " Three have a wall. One has a donkey, who will want your porridge.",
        ),
    ),
    Article(
        slug="resole",
        title="Resole or replace?",
        line="A cobbler's honest answer",
        section="gear",
        page_name="magazine/resole",
        minutes=5,
        art="bench",
        opening="Marta Quill has resoled eleven thousand pairs, sneakers among them since the"
        " spring. She says no to about one in nine, and tells you which ninth you are.",
        body=(
            "Press the heel with a thumb. If it springs back, the shoe has another life in it. If"
            " the thumb leaves a dent, the foam is dead and a new sole would be a hat on it.",
            "Leather forgives. Canvas forgives once. Glue forgives nobody: a shoe that was left on"
            " a radiator has decided for itself.",
        ),
    ),
    Article(
        slug="right-to-roam",
        title="Who owns the path?",
        line="Parliament votes on the right to roam",
        section="politics",
        page_name="magazine/right-to-roam",
        minutes=6,
        art="gate",
        opening="On Thursday the house decides whether a walker may cross a field that nobody"
        " ploughs. The bill has eleven clauses; the quarrel is about the fourth.",
        body=(
            "Clause four says that a path walked for twenty years is a path. Landowners ask who"
            " counts the years. Walkers ask who counts the fences.",
            "Both sides brought maps to the committee, and both maps were right. The older one was"
            " drawn by a man on foot.",
        ),
    ),
    Article(
        slug="by-the-sea",
        title="A tent by the sea",
        line="Salt, sand, and pegs that hold",
        section="trips",
        page_name="magazine/by-the-sea",
        minutes=5,
        art="coast",
        opening="Sand holds nothing that is driven straight down. Bury the peg flat, a forearm"
        " deep, and the wind may pull as it likes.",
        body=(
            "Rinse zips with fresh water every evening: salt grows teeth overnight. Sleep with the"
            " door to the land. The sea is lovely at six and a nuisance at four.",
            "On the terraces above Sa Calobra the sites are cut for mules, so they are short. Bring"
            " the small tent and the long patience.",
        ),
    ),
    Article(
        slug="fell-race",
        title="Live: the Harter Fell race",
        line="Start at noon, tops in cloud",
        section="sport",
        page_name="magazine/fell-race",
        minutes=90,
        art="race",
        opening="Two hundred and six runners, one cairn, no path after the second wall. The stream"
        " runs from the start to the last runner's tea.",
        body=(
            "12:04. The field strings out along the beck. Lowe leads in a vest that was white last"
            " year.",
            "12:21. First at the cairn, eleven seconds up: Aldous, who came by bus. She drops left,"
            " where nobody drops.",
        ),
        live=True,
    ),
    Article(
        slug="long-way-home",
        title="The long way home",
        line="Four hundred miles, for members",
        section="long reads",
        page_name="magazine/long-way-home",
        minutes=24,
        art="road",
        opening="He left the car in Inverness, with the key in it, and walked. What he carried fits"
        " in this paragraph: a tarp, a pan, eleven letters, and a debt.",
        body=(
            "The first letter was for a shepherd who had been dead a year. Her sister read it at"
            " the gate, twice, and gave him cheese.",
            "By the border he had four letters left and better boots. The boots were a stranger's;"
            " he posted them back in May.",
        ),
        access="members",
    ),
    Article(
        slug="cabin",
        title="What a bank asks for a cabin",
        line="Rates, deposits, and the well",
        section="money",
        page_name="mortgage/rates",
        minutes=6,
        art="cabin",
        opening="A hut with no road is still a house to a bank, if it has a well, a deed and a roof"
        " that somebody will insure. We asked four banks and got five answers.",
        body=(
            "Expect to bring a third. Expect a rate half a point above a flat in town, and a"
            " surveyor who charges by the mile.",
            "The well matters more than the view. Have its water tested before the bank asks, and"
            " keep the paper dry.",
        ),
    ),
)

ARTICLES: Mapping[str, Article] = {article.slug: article for article in _ARTICLES}
# The editor's order, for the strip and the magazine's front page.
EDITORS_ORDER = tuple(ARTICLES)
