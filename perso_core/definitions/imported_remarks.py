"""What is to be said of an import as a whole: one sentence each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from perso_core.definitions.finding import shown
from perso_core.definitions.imported_outcome import Outcome
from perso_core.definitions.imported_page import Page

# So many fields, or organisations, are named; a count says the rest.
MAX_NAMED = 40


def remarks_of(
    pages: Sequence[Page], outcomes: Sequence[Outcome], *, org: str | None
) -> Iterator[str]:
    """Pages that are missing, organisations that differ, fields that nothing was made of.

    org: the one that the audiences come into; None: it is taken from them.
    """
    yield from _missing_pages(pages, outcomes)
    yield from _organisations(outcomes, org)
    yield from _not_kept(outcomes)


def organisations(outcomes: Iterable[Outcome]) -> list[str]:
    """Those that the accepted definitions say they are of, each once."""
    found = (one.org for one in outcomes if one.audience is not None)
    return list(dict.fromkeys(org for org in found if org is not None))


def _missing_pages(pages: Sequence[Page], outcomes: Sequence[Outcome]) -> Iterator[str]:
    total = max((page.total for page in pages if page.total is not None), default=0)
    given = len({outcome.id or outcome.place for outcome in outcomes})
    if given < total:
        yield (
            f"The export says that there are {total:,} definitions; {given:,} were given. Give its"
            " other pages, too."
        )


def _organisations(outcomes: Sequence[Outcome], org: str | None) -> Iterator[str]:
    others = [one for one in organisations(outcomes) if one != org]
    if org is not None and others:
        yield f"They come from {_named(others)} into the organisation {shown(org)}."


def _not_kept(outcomes: Sequence[Outcome]) -> Iterator[str]:
    counts = Counter(name for one in outcomes if one.audience is not None for name in one.not_kept)
    if counts:
        names = [name for name, _ in counts.most_common()]
        yield f"Fields that nothing is made of here: {_named(names)}."


def _named(words: Sequence[str]) -> str:
    more = len(words) - MAX_NAMED
    named = ", ".join(shown(word) for word in words[:MAX_NAMED])
    return f"{named} and {more:,} more" if more > 0 else named
