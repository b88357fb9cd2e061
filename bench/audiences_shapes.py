"""Rules for the compiler: every one of another shape, or nine of ten of a shape seen before.

A shape is what is left of a rule without its texts, numbers and fields. No two shapes differ in
their fields alone, so a compiler that shares code between fields gains nothing from that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random

FEW_SHAPES = 1_000

# The shape fills in the fields, the rule the texts and numbers.
_OF_PROFILE = (
    '$words.equals("$text", false)',
    '$words = "$text"',
    '$words != "$text"',
    '$words in ["$text", "$text", "$text"]',
    '$words notIn ["$text", "$text"]',
    '$words.startsWith("$text")',
    '$words.contains("$text", false)',
    '$words like "%$text"',
    '$words.matches("^$text[0-9]+")',
    'stringCompare("equals", $words, ["$text", "$text"], false)',
    "$amount >= $number",
    "$amount < $number",
    "($amount > $number and $amount <= $number)",
    "$amount + $number != $amount",
    "$instant occurs <= $number days before now",
    "$instant occurs > $number days before today",
    "$instant occurs <= $number weeks after now",
    "$instant.getMonth() = currentMonth()",
    "$words.isNotNull()",
    "($words.isNull() or $amount = $number)",
)
_OF_EVENT = (
    '$words.equals("$text", false)',
    '$words = "$text"',
    '$words.notEqualTo("$text")',
    '$words in ["$text", "$text"]',
    '$words.startsWith("$text", false)',
    '$words.doesNotContain("$text")',
    '$words like "$text%"',
    '$words.matches("$text$")',
    "$amount >= $number",
    "$amount < $number",
    "($amount > $number or $amount = $number)",
    'productListItems.exists(SKU = "$text")',
    'productListItems.exists(SKU.equals("$text", false) and quantity > $number)',
    "productListItems.sum(priceTotal) >= $number",
    "productListItems.count() > $number",
    'not($words = "$text")',
)
_WINDOWS = (
    "",
    "WHEN(<= $number hours before now)",
    "WHEN(<= $number days before now)",
    "WHEN(today)",
    "WHEN(<= $number minutes before now) COUNT($number)",
    "WHEN(last week)",
)
_CHAIN = "CHAIN(xEvent, timestamp, [C0: WHAT($event) $window])"
_TWO = "CHAIN(xEvent, timestamp, [C0: WHAT($event and $event) $window])"
# Of ten rules four read the profile alone, as audiences do, and three ask two things of an event.
_RULES = (
    "$profile and $profile and $profile",
    "$profile and ($profile or $profile)",
    "($profile or not($profile)) and $profile",
    "not($profile) and $profile and not($profile)",
    f"$profile and {_CHAIN}",
    f"$profile or {_CHAIN}",
    f"$profile and not({_CHAIN})",
    f"$profile and {_TWO}",
    f"$profile or {_TWO}",
    f"not($profile) and {_TWO}",
)
_PARTS = {"profile": _OF_PROFILE, "event": _OF_EVENT, "window": _WINDOWS}

_PROFILE_FIELDS = {
    "words": ("loyalty.tier", "homeAddress.city", "_shopco.cluster", "subscriptions.plan"),
    "amount": ("loyalty.points", "_shopco.spend", "_shopco.orders", "_shopco.score"),
    "instant": ("loyalty.joined", "_shopco.lastOrder", "subscriptions.renewal"),
}
_EVENT_FIELDS = {
    "words": ("web.webPageDetails.name", "web.webPageDetails.siteSection", "eventType", "search"),
    "amount": ("commerce.order.priceTotal", "commerce.order.pieces", "media.playhead"),
}


def distinct(count: int) -> tuple[str, ...]:
    """So many rules, each of another shape. The same count: the same rules."""
    shapes = _shapes(count, Random(1))
    return tuple(_rule(shape, number) for number, shape in enumerate(shapes))


def repeated(count: int) -> tuple[str, ...]:
    """So many rules of FEW_SHAPES shapes, no two the same. The same count: the same rules."""
    chance = Random(2)
    shapes = _shapes(FEW_SHAPES, chance)
    order = [shapes[number % FEW_SHAPES] for number in range(count)]
    chance.shuffle(order)
    return tuple(_rule(shape, number) for number, shape in enumerate(order))


def _shapes(count: int, chance: Random) -> list[str]:
    """So many different shapes, fields filled in; of each form alike many."""
    found: dict[tuple[str, ...], str] = {}
    while len(found) < count:
        form = _RULES[len(found) % len(_RULES)]
        slots = re.findall(r"\$(\w+)", form)
        chosen = [chance.choice(_PARTS[slot]) for slot in slots]
        # Without a text of its own, a rule could be the same again.
        if any("$text" in part for part in chosen):
            found.setdefault((form, *chosen), _filled(form, chosen, chance))
    return list(found.values())


def _filled(form: str, chosen: list[str], chance: Random) -> str:
    parts = iter(chosen)
    fields = {"profile": _PROFILE_FIELDS, "event": _EVENT_FIELDS, "window": {}}
    return re.sub(
        r"\$(profile|event|window)",
        lambda at: _with_fields(next(parts), fields[at[1]], chance),
        form,
    )


def _with_fields(part: str, fields: Mapping[str, tuple[str, ...]], chance: Random) -> str:
    return re.sub(r"\$(words|amount|instant)", lambda at: chance.choice(fields[at[1]]), part)


def _rule(shape: str, number: int) -> str:
    values = Random(number)
    texts = re.sub(r"\$text", lambda _: f"v{values.randrange(10**6)}", shape)
    return re.sub(r"\$number", lambda _: str(values.randrange(1, 400)), texts)
