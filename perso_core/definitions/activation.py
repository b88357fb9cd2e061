"""An activation: an audience that a destination may be told about, from a day to a day."""

from __future__ import annotations

from datetime import date

from msgspec import Struct


class Activation(Struct, frozen=True, kw_only=True):
    """audience -> destination (ids). Whole UTC days, both inclusive; None: no bound."""

    audience: str
    destination: str
    start_date: date | None = None
    end_date: date | None = None
