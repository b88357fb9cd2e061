"""What may be done with a visitor's data, by the visitor's word or the datastream's default."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from perso_core.definitions.datastream import DefaultConsent

Choice = Literal["in", "out"]


class Consent(Struct, frozen=True):
    """What the visitor chose for `general` (standard Adobe, version 1.0), and when."""

    general: Choice
    since_ms: int


def may_collect(chosen: Consent | None, default: DefaultConsent) -> bool:
    """Whether a profile may be kept and answered from. Before a choice the default holds;
    only `in` permits."""
    return (chosen.general if chosen else default) == "in"
