"""What can be shown in a slot, and for whom: the choice by key-values, with its reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

KeyValues = Mapping[str, Sequence[str]]


class LineItem(Struct, frozen=True, kw_only=True):
    """wants: key -> values of which one must be told; all keys must fit; {}: fits anything.
    priority: 1 goes first. slot: the one slot it is sold for; None: any."""

    name: str
    title: str
    line: str
    priority: int
    art: str
    wants: Mapping[str, frozenset[str]] = {}
    slot: str | None = None


class Verdict(Struct, frozen=True):
    """Whether a line item may be shown, as a sentence that names what was told and what is
    needed."""

    item: LineItem
    fits: bool
    sentence: str


LINE_ITEMS = (
    LineItem(
        name="Locker Six",
        title="Collect it tonight, until ten",
        line="A locker at the station, and no doorbell.",
        priority=1,
        art="locker",
        wants={"aud": frozenset({"basket-hour", "big-basket"})},
        slot="top",
    ),
    LineItem(
        name="Quill & Daughter, cobblers",
        title="A second sole for your sneakers",
        line="By post, in nine days, from € 39.",
        priority=2,
        art="shoe",
        wants={"aud": frozenset({"sneaker-browser"})},
        slot="top",
    ),
    LineItem(
        name="Kittiwake Air",
        title="Palma from € 82 a seat",
        line="Thursdays, with a rucksack in the price.",
        priority=2,
        art="plane",
        wants={"aud": frozenset({"beach-today", "departs-soon"})},
    ),
    LineItem(
        name="Harbour Bank",
        title="Gold has a quiet counter",
        line="And a card that costs nothing abroad.",
        priority=3,
        art="card",
        wants={"aud": frozenset({"gold", "elite"})},
    ),
    LineItem(
        name="Little Peaks",
        title="A rucksack of their own",
        line="From three years. With a whistle.",
        priority=3,
        art="pack",
        wants={"aud": frozenset({"family"})},
    ),
    LineItem(
        name="The Morning Brief",
        title="Eight minutes before the tram",
        line="Politics, weather, one good walk. By e-mail.",
        priority=4,
        art="paper",
        wants={"aud": frozenset({"commuter", "trial-ends", "politics-now", "prospects"})},
    ),
    LineItem(
        name="Tarn Supply",
        title="Down bags, warm to −6 °C",
        line="Washed by hand, filled on Tuesdays.",
        priority=6,
        art="bag",
        wants={"section": frozenset({"tents", "camp", "trips"})},
    ),
    LineItem(
        name="Wax & Welt",
        title="Leather drinks this",
        line="One tin, four winters.",
        priority=6,
        art="tin",
        wants={"section": frozenset({"boots", "sneakers", "gear"})},
    ),
    LineItem(
        name="Fell Rescue",
        title="They came for us, too",
        line="Run by volunteers. A house ad, unpaid.",
        priority=12,
        art="cross",
    ),
)


def choose(slot: str, told: KeyValues) -> list[Verdict]:
    """Every line item with its verdict: those that fit first, by priority; the first is shown.
    Never empty: the house's own fits anything."""
    verdicts = [_verdict(item, slot, told) for item in LINE_ITEMS]
    return sorted(verdicts, key=lambda verdict: (not verdict.fits, verdict.item.priority))


def _verdict(item: LineItem, slot: str, told: KeyValues) -> Verdict:
    if item.slot not in (None, slot):
        return Verdict(item, False, f"Sold for the {item.slot} slot; this is the {slot} slot.")
    for key, wanted in item.wants.items():
        hits = sorted(wanted.intersection(told.get(key, ())))
        if not hits:
            was = ", ".join(told.get(key, ())) or "nothing"
            need = " or ".join(sorted(wanted))
            return Verdict(item, False, f"{key} was {was}; needs {need}.")
        return Verdict(item, True, f"{key} has {', '.join(hits)}.")
    return Verdict(item, True, "It asks for nothing: the house's own.")
