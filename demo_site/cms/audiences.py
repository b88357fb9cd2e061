"""The demo's audiences as the inspector lists them, read from the demo's own definitions file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

DEFINITIONS_FILE = Path(__file__).parent.parent / "perso.toml"


class AudienceCard(Struct, frozen=True):
    """title: the name without the industry before it."""

    id: str
    alias: str
    title: str
    industry: str
    description: str


class Audiences:
    """In the file's order."""

    def __init__(self, cards: Iterable[AudienceCard], org: str) -> None:
        self.cards = tuple(cards)
        self.org = org
        self._by_name = {card.alias: card for card in self.cards}
        self._by_name.update((card.id, card) for card in self.cards)

    def __getitem__(self, name: str) -> AudienceCard:
        """By id or alias. Raises KeyError."""
        return self._by_name[name]

    def get(self, name: str) -> AudienceCard | None:
        return self._by_name.get(name)


def audiences_from(path: Path = DEFINITIONS_FILE) -> Audiences:
    """Of a definitions file that is in force, so checked."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return Audiences(map(_card, table["audience"]), table["org"])


def _card(entry: dict[str, str]) -> AudienceCard:
    industry, _, title = entry["name"].partition(" - ")
    return AudienceCard(
        id=entry["id"],
        alias=entry.get("alias", entry["id"]),
        title=title or industry,
        industry=industry,
        description=entry.get("description", ""),
    )
