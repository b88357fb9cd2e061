"""Any number of audiences: the forty of tests/pql/audiences.json with other constants."""

from __future__ import annotations

import json
import random
import re
from typing import Any

from bench.figures import ROOT
from perso_core.definitions.activation import Activation
from perso_core.definitions.audience import Audience
from perso_core.definitions.datastream import Datastream
from perso_core.definitions.destination import Destination
from perso_core.definitions.document import Definitions

ORG = "5BFE274A5F6980A50A495C08@AdobeOrg"
DATASTREAM = "demo"
_ORIGINALS: list[dict[str, Any]] = json.loads((ROOT / "tests/pql/audiences.json").read_text())

# What varies: the constants a marketer would type. Event types, map keys, patterns, statuses and
# window lengths stay: 1,000 audiences of one site share those.
_TEXT = re.compile(r'(siteSection|SKU|name|tier|POIinteraction\.poiDetail\.name)(\.\w+\()"([^"]+)"')
_NUMBER = re.compile(r"(>=|<=|>|<) (\d+(?:\.\d+)?)(?=[ )\]]|$)(?! (?:minute|hour|day|year))")
_OTHER = re.compile(r'inSegment\("([^"]+)"\)')


def definitions(count: int) -> Definitions:
    """`count` audiences, all activated on one destination. The same count: the same rules; a
    smaller count: the first of them."""
    return on_one_destination(tuple(_audience(number) for number in range(count)))


def on_one_destination(audiences: tuple[Audience, ...]) -> Definitions:
    """One datastream, and one destination for which all of these are activated."""
    return Definitions(
        org=ORG,
        datastreams=(Datastream(id=DATASTREAM, name="Demo", default_consent="in"),),
        destinations=(
            Destination(
                id="d-cms",
                kind="custom-personalization",
                name="Banners",
                integration_alias="cms",
                datastream=DATASTREAM,
            ),
        ),
        audiences=audiences,
        activations=tuple(Activation(audience=one.id, destination="d-cms") for one in audiences),
    )


def _audience(number: int) -> Audience:
    turn, place = divmod(number, len(_ORIGINALS))
    original = _ORIGINALS[place]
    return Audience(
        id=_id(original["id"], turn),
        name=f"{original['name']} {turn}",
        pql=_varied(original["pql"], turn, random.Random(number)) if turn else original["pql"],
    )


def _id(original: str, turn: int) -> str:
    return f"{original}-{turn}" if turn else original


def _varied(rule: str, turn: int, chance: random.Random) -> str:
    rule = _TEXT.sub(lambda found: f'{found[1]}{found[2]}"{found[3]}{turn}"', rule)
    rule = _NUMBER.sub(lambda found: f"{found[1]} {_number(found[2], chance)}", rule)
    # An audience of one turn reads the audiences of its own turn.
    return _OTHER.sub(lambda found: f'inSegment("{_id(found[1], turn)}")', rule)


def _number(text: str, chance: random.Random) -> str:
    factor = chance.uniform(0.5, 2.0)
    return f"{float(text) * factor:.3f}" if "." in text else str(round(int(text) * factor))
