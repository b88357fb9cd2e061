"""What the shop sells. Invented; its SKUs and airports are those that the demo's audiences name."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct


class Product(Struct, frozen=True, kw_only=True):
    """price: whole euros. art and colours: what the illustration draws (templates/art.html).
    airport: IATA code of a trip's destination."""

    slug: str
    sku: str
    name: str
    category: str
    price: int
    blurb: str
    facts: tuple[tuple[str, str], ...]
    art: str
    colours: tuple[str, str, str]
    airport: str | None = None


class Category(Struct, frozen=True):
    slug: str
    name: str
    line: str


CATEGORIES = (
    Category("tents", "Tents", "Pitched on our lawn, rained on by us, repaired for ten years."),
    Category("boots", "Boots", "Stitched, resoled, and resoled again."),
    Category("sneakers", "Sneakers", "For the town, and the mile beyond the last tram stop."),
    Category("trips", "Trips", "A fare, a bed or a pitch, and a map with the wind drawn in."),
)

_PRODUCTS = (
    Product(
        slug="skylark-2",
        sku="TENT-SKY2",
        name="Skylark 2",
        category="tents",
        price=289,
        blurb="Two people, 1.9 kg, one pole. Stands up to a wet night on a ridge.",
        facts=(
            ("Floor", "215 × 125 cm"),
            ("Packed", "42 × 14 cm"),
            ("Repairs", "Free for ten years"),
        ),
        art="tent",
        colours=("#cf8a45", "#b06f2f", "#7b4a1c"),
    ),
    Product(
        slug="skylark-4",
        sku="TENT-SKY4",
        name="Skylark 4 Family",
        category="tents",
        price=449,
        blurb="Four sleep, two play cards in the porch. Up in nine minutes with help from a child.",
        facts=(
            ("Floor", "240 × 230 cm"),
            ("Packed", "58 × 21 cm"),
            ("Porch", "Stands a table for four"),
        ),
        art="lodge",
        colours=("#5d8a6a", "#476f54", "#2c4a37"),
    ),
    Product(
        slug="tarn-bivvy",
        sku="TENT-TARN",
        name="Tarn bivvy",
        category="tents",
        price=159,
        blurb="One person, 740 g. A hood against midges and a window for the stars.",
        facts=(("Length", "228 cm"), ("Packed", "28 × 10 cm"), ("Repairs", "Free for ten years")),
        art="tent",
        colours=("#6d7fa8", "#53658f", "#2f3c5e"),
    ),
    Product(
        slug="fellwalker",
        sku="BOOT-FELL",
        name="Fellwalker",
        category="boots",
        price=219,
        blurb="Full-grain leather, one piece. Four days to break in, fourteen years to wear out.",
        facts=(
            ("Weight", "1.3 kg the pair"),
            ("Sole", "Stitched, replaceable"),
            ("Wool", "Lining"),
        ),
        art="boot",
        colours=("#8a5a34", "#6c4426", "#3a2818"),
    ),
    Product(
        slug="scree-mid",
        sku="BOOT-SCREE",
        name="Scree Mid",
        category="boots",
        price=179,
        blurb="Light, fast, dry. A rubber rand where the stones are.",
        facts=(("Weight", "0.9 kg the pair"), ("Rand", "All round"), ("Resoling", "€ 49")),
        art="boot",
        colours=("#5f6f72", "#48575a", "#2a3538"),
    ),
    Product(
        slug="bogtrotter",
        sku="BOOT-BOG",
        name="Bogtrotter",
        category="boots",
        price=149,
        blurb="To the knee in peat, and home with dry socks.",
        facts=(("Height", "32 cm"), ("Lining", "Neoprene, 3 mm"), ("Wash", "Garden hose")),
        art="boot",
        colours=("#4d7a52", "#3b613f", "#223a25"),
    ),
    Product(
        slug="pathfinder",
        sku="SNK-PATH",
        name="Pathfinder sneaker",
        category="sneakers",
        price=129,
        blurb="A town shoe with a hill in it. Resoled free, twice.",
        facts=(("Weight", "310 g"), ("Upper", "Recycled sailcloth"), ("Drop", "6 mm")),
        art="sneaker",
        colours=("#c4553d", "#a03f2b", "#f1e7d6"),
    ),
    Product(
        slug="cobble",
        sku="SNK-COBB",
        name="Cobble sneaker",
        category="sneakers",
        price=99,
        blurb="Quiet on stairs, sure on wet cobbles.",
        facts=(("Weight", "280 g"), ("Upper", "Organic canvas"), ("Drop", "4 mm")),
        art="sneaker",
        colours=("#44697d", "#325163", "#eceadf"),
    ),
    Product(
        slug="gravel-runner",
        sku="SNK-GRAV",
        name="Gravel runner",
        category="sneakers",
        price=149,
        blurb="A running sneaker for forest roads; drains in eleven steps.",
        facts=(("Weight", "265 g"), ("Lugs", "3.5 mm"), ("Drop", "5 mm")),
        art="sneaker",
        colours=("#7b8b3f", "#5f6d2c", "#f3efdd"),
    ),
    Product(
        slug="palma",
        sku="FL-PMI",
        name="Palma, four nights",
        category="trips",
        price=164,
        blurb="Seats for two who share a rucksack, and a terraced pitch above the bay.",
        facts=(("Flies", "Thursday, 07:40"), ("Pitch", "Sa Calobra terraces"), ("Sea", "21 °C")),
        art="coast",
        colours=("#2c6e83", "#e7b566", "#c8794a"),
        airport="PMI",
    ),
    Product(
        slug="barcelona",
        sku="FL-BCN",
        name="Barcelona, and the coast path",
        category="trips",
        price=189,
        blurb="Land before lunch, walk to Sitges by Sunday.",
        facts=(("Flies", "Friday, 06:55"), ("Walk", "38 km, three days"), ("Sea", "20 °C")),
        art="coast",
        colours=("#35608a", "#f0c27a", "#b35e4f"),
        airport="BCN",
    ),
    Product(
        slug="tromso",
        sku="FL-TOS",
        name="Tromsø in the dark",
        category="trips",
        price=240,
        blurb="Three nights, one stove, and the lights if the clouds agree.",
        facts=(("Flies", "Saturday, 09:10"), ("Hut", "Wood stove, four bunks"), ("Air", "−6 °C")),
        art="aurora",
        colours=("#1d2b46", "#6fd3a8", "#0f1a2d"),
        airport="TOS",
    ),
)

PRODUCTS: Mapping[str, Product] = {product.slug: product for product in _PRODUCTS}
BY_SKU: Mapping[str, Product] = {product.sku: product for product in _PRODUCTS}
CATEGORY: Mapping[str, Category] = {category.slug: category for category in CATEGORIES}


def products_of(category: str) -> list[Product]:
    """In shop order."""
    return [product for product in _PRODUCTS if product.category == category]
