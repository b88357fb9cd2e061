"""What a template may ask about its visitor, in words that never raise."""

from __future__ import annotations

from msgspec import Struct

from perso_core import AudienceReason, PersoError, UnknownAudience, Visitor


class Targeting(Struct, frozen=True):
    """The template variable `targeting`. Without a visitor everything is empty.

    It reads and cannot change anything, nor reach the site: hand it over as `visitor` itself
    where template authors are not trusted. (A sandbox refuses names that begin with `_`.)
    """

    _visitor: Visitor | None

    def __repr__(self) -> str:
        """Nothing but the facts: a template may print it."""
        return f"Targeting(state={self.state!r}, audiences={sorted(self.audiences)!r})"

    @property
    def state(self) -> str:
        """known, new, no-consent or unavailable (which it also is without a visitor)."""
        return self._visitor.state if self._visitor else "unavailable"

    @property
    def audiences(self) -> frozenset[str]:
        """Ids of the audiences the visitor is in; empty when nothing is known."""
        return self._visitor.audiences if self._visitor else frozenset()

    def __contains__(self, audience: object) -> bool:
        return self._visitor is not None and audience in self._visitor

    def is_defined(self, audience: object) -> bool:
        """Whether the site has such an audience. True without a visitor: nobody can say."""
        if self._visitor is None:
            return True
        return isinstance(audience, str) and self._visitor.site.audience_id(audience) is not None

    def reason(self, audience: object) -> AudienceReason:
        """Why the visitor is in the audience or not; where nobody can say, that, as a sentence."""
        if self._visitor is None:
            return _no_reason(str(audience), "This page was rendered without a visitor.")
        if not isinstance(audience, str):
            return _no_reason(str(audience), f"No audience is called {audience}.")
        try:
            return self._visitor.reason(audience)
        except UnknownAudience:
            return _no_reason(audience, f"No audience is called {audience}.")
        except PersoError as error:
            return _no_reason(audience, f"The reason cannot be told now. {error.title}.")


def targeting_of(visitor: object) -> Targeting:
    """The facts about what stands under `visitor` in a template, whatever that is."""
    if isinstance(visitor, Targeting):
        return visitor
    return Targeting(visitor if isinstance(visitor, Visitor) else None)


def _no_reason(audience: str, sentence: str) -> AudienceReason:
    return AudienceReason(
        audience_id="", name=audience, holds=False, held_back=False, sentence=sentence
    )
