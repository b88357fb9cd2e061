"""The errors of the ad-server plugins."""

from __future__ import annotations

from collections.abc import Sequence

from perso_core import PersoError


class BadTargeting(PersoError):
    """All faults of one configuration, as sentences, in the order of its fields. Never empty."""

    code = "ads.targeting"
    title = "The ad server would not take this configuration"

    def __init__(self, faults: Sequence[str]) -> None:
        assert faults, "BadTargeting is raised for at least one fault"
        super().__init__(
            " ".join(faults), fix="Mend each of them where the targeting is configured."
        )
        self.faults = tuple(faults)
