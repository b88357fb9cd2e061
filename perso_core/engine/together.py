"""Changes of several profiles that are applied at once, or not at all."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from perso_core.decision.caps import Caps
from perso_core.engine.caps import refuse_too_large
from perso_core.engine.engine import Answer, Engine, Interaction, NeedProfile
from perso_core.engine.journal import AttributesPatched
from perso_core.errors import Overloaded


def decide_together(
    engine: Engine, asked: Sequence[Interaction], *, caps: Caps, now_ms: int
) -> list[Answer] | NeedProfile:
    """An answer to each, whose entries follow each other in the journal. NeedProfile: nothing is
    applied yet. asked: of different profiles, attributes alone. Raises, with nothing applied,
    Overloaded and RecordTooLarge."""
    for one in asked:
        found = engine.decide(structs.replace(one, changes=(), visits=False), now_ms=now_ms)
        if isinstance(found, NeedProfile):
            return found
        hot = engine.held(one.profile_key)
        assert hot is not None, "it was asked for just now"
        for change in one.changes:
            if isinstance(change, AttributesPatched):
                refuse_too_large(hot.latest, change, caps)
    refuse_no_room(sum(len(one.changes) for one in asked), len(asked), engine.room)
    answers = []
    for one in asked:
        answer = engine.decide(one, now_ms=now_ms)
        assert isinstance(answer, Answer), "all is at hand, as was seen just now"
        answers.append(answer)
    return answers


def refuse_no_room(changes: int, profiles: int, room: int) -> None:
    """Raises Overloaded where so many changes of so many profiles cannot wait for the store
    together. room: for how many entries there is."""
    # With the return or the end of a first visit that is noted before.
    if changes + profiles > room:
        raise Overloaded(
            f"{profiles:,} changes belong together, and fewer may wait for the store.",
            fix="Find what slows the disk, or raise journal_limit.",
        )
