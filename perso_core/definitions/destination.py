"""A destination: a consumer that asks, under an integration alias, who is in what."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

DestinationKind = Literal["custom-personalization", "custom-personalization-with-attributes"]


class AttributeMapping(Struct, frozen=True, kw_only=True):
    """A profile field (dotted path, `person.name.firstName`) under the name its reader sees."""

    source: str
    target: str


class Destination(Struct, frozen=True, kw_only=True):
    """One connected destination, bound to one datastream.

    integration_alias: the name by which the answer's reader finds its entry; unique on the
    datastream. attributes: kept for authenticated callers, never sent to a browser.
    advertising: what it is told is shared or sold, so that a visitor's opt-out of that holds it
    back.
    """

    id: str
    kind: DestinationKind
    name: str
    integration_alias: str
    datastream: str
    description: str = ""
    advertising: bool = False
    attributes: tuple[AttributeMapping, ...] = ()
