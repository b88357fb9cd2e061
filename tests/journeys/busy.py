"""Edges that refuse some calls and then answer, by their own refusals; and edges of a full disk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from msgspec import Struct, field

from perso_core.edge import unstored
from perso_core.edge.abuse import Limits
from perso_core.edge.problem import TooManyRequests


class Refused(Struct):
    """at_s: when each call came, refused or not, on a clock of its own."""

    at_s: list[float] = field(default_factory=list)

    @property
    def waits_s(self) -> list[float]:
        return [after - before for before, after in zip(self.at_s, self.at_s[1:], strict=False)]


@contextmanager
def busy_edge(*, times: int, status: int = 429, retry_after_s: int = 1) -> Iterator[Refused]:
    """Edges of this process refuse that many calls. status: 503 as a proxy in front would say."""
    refused = Refused()

    def count_call(
        _: Limits, peer: str | None, forwarded_for: Sequence[str], datastream: str, now_ms: int
    ) -> None:
        refused.at_s.append(time.monotonic())
        if len(refused.at_s) <= times:
            error = TooManyRequests("Busy.", fix="Wait.", retry_after_s=retry_after_s)
            error.status = status  # type: ignore[misc] # of this one error alone
            raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Limits, "count_call", count_call)
        yield refused


@contextmanager
def full_disk() -> Iterator[None]:
    """Edges of this process are told of nothing that it is on disk."""

    async def never(*_: object) -> bool:
        return False

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unstored, "_on_disk", never)
        yield
