"""`python -m bench [NAME …]`: figures, each a ratio within this one run, added to results.jsonl."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from bench import (
    event,
    interact,
    lookup,
    pql_answers,
    pql_build,
    pql_compile,
    pql_decide,
    pql_match,
    request_parts,
    slow_connections,
)
from bench.interact import MissingWrk
from bench.pql_peers import MissingPeers

Measure = Callable[[], None]

# Name -> (what is measured, how), in the order of a whole run.
FIGURES: Mapping[str, tuple[str, Measure]] = {
    "lookup": ("a lookup of a profile in memory, in dict reads", lookup.measure),
    "event": ("an event with ten times the audiences", event.measure),
    "slow": ("500 connections that hold on, and a healthy visitor", slow_connections.measure),
    "match": ("which rules hold for one event, beside five engines", pql_match.measure),
    "decide": ("what one event of a stream changes", pql_decide.measure),
    "answers": ("the same answers from CEL", pql_answers.measure),
    "build": ("rule sets of three sizes", pql_build.measure),
    "compile": ("10,000 rules compiled", pql_compile.measure),
    "parts": ("what proof, consent, limits and warnings add to a request", request_parts.measure),
    "interact": ("requests per second, beside aiohttp alone", interact.measure),
}


def main(arguments: Sequence[str], figures: Mapping[str, tuple[str, Measure]] = FIGURES) -> int:
    """The exit status: 1 where a figure is missing, 2 for a name that is none."""
    parser = _parser(figures)
    names = parser.parse_args(arguments).names or [*figures]
    unknown = [name for name in names if name not in figures]
    if unknown:
        parser.error(f"{unknown[0]} is no figure; they are {', '.join(figures)}")
    missing = False
    for name in dict.fromkeys(names):
        what, measure = figures[name]
        print(f"... {name}: {what}", file=sys.stderr, flush=True)
        why = _missing(measure)
        if why:
            print(f"{name}: missing, because {why}", file=sys.stderr)
            missing = True
    return int(missing)


def _missing(measure: Measure) -> str:
    """Why the figure is missing, and what helps; "": it was measured."""
    try:
        measure()
    except MissingPeers as peers:
        return f"{peers}. Run: pip install -e '.[bench]'"
    except MissingWrk:
        return "wrk is not installed. As root: sh tests/install-tools.sh"
    except RuntimeError as error:
        return str(error)
    return ""


def _parser(figures: Mapping[str, tuple[str, Measure]]) -> argparse.ArgumentParser:
    width = max(map(len, figures))
    told = "\n".join(f"  {name:{width}}  {what}" for name, (what, _) in figures.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        epilog=f"names, in the order of a whole run:\n{told}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to measure; without: all")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
