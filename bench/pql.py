"""Every figure of the rule language, peers beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from bench import pql_answers, pql_build, pql_compile, pql_decide, pql_match
from bench.pql_peers import MissingPeers

__all__ = ["MissingPeers", "measure"]

_FIGURES: Mapping[str, Callable[[], None]] = {
    "which rules hold for one event, beside five engines": pql_match.measure,
    "what one event of a stream changes": pql_decide.measure,
    "the same answers from CEL": pql_answers.measure,
    "rule sets of three sizes": pql_build.measure,
    "10,000 rules compiled": pql_compile.measure,
}


def measure() -> None:
    """Raises MissingPeers."""
    for what, measured in _FIGURES.items():
        print(f"... {what}", file=sys.stderr, flush=True)
        measured()


if __name__ == "__main__":
    measure()
