"""`python -m bench [NAME …]`: figures, each a ratio within this one run, added to results.jsonl."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from bench import (
    cold_load,
    decision,
    event,
    floods,
    growth,
    import_rows,
    interact,
    lookup,
    pql_answers,
    pql_build,
    pql_compile,
    pql_decide,
    pql_match,
    profile_bytes,
    ready,
    request_parts,
    slow_connections,
    workers,
)
from bench.interact import MissingWrk
from bench.pql_peers import MissingPeers

Measure = Callable[[], None]


class Figure(Struct, frozen=True):
    """what: what is measured, in words."""

    what: str
    measure: Measure


# By name, in the order of a whole run.
FIGURES: Mapping[str, Figure] = {
    "lookup": Figure("a lookup of a profile in memory, in dict reads", lookup.measure),
    "event": Figure("an event with ten times the audiences", event.measure),
    "slow": Figure("500 connections that hold on, and a healthy visitor", slow_connections.measure),
    "floods": Figure("a flood: other visitors beside it, and what it leaves", floods.measure),
    "match": Figure("which rules hold for one event, beside five engines", pql_match.measure),
    "decide": Figure("what one event of a stream changes", pql_decide.measure),
    "answers": Figure("the same answers from CEL", pql_answers.measure),
    "build": Figure("rule sets of three sizes", pql_build.measure),
    "compile": Figure("10,000 rules compiled", pql_compile.measure),
    "memory": Figure("what a visitor takes in memory", profile_bytes.measure),
    "decision": Figure("one event from the body's bytes to the answer's", decision.measure),
    "ready": Figure("perso serve, until its port answers", ready.measure),
    "growth": Figure("an event and a load, with more audiences and more events", growth.measure),
    "cold": Figure("a profile not in memory, of ten thousand and of a million", cold_load.measure),
    "parts": Figure(
        "what proof, consent, limits and warnings add to a request", request_parts.measure
    ),
    "import": Figure(
        "a million rows of an import, beside the shell of sqlite3", import_rows.measure
    ),
    "interact": Figure("requests per second, beside aiohttp alone", interact.measure),
    "workers": Figure("what a second worker brings, beside aiohttp alone", workers.measure),
}


def main(arguments: Sequence[str], figures: Mapping[str, Figure] = FIGURES) -> int:
    """The exit status: 1 where a figure is missing, 2 for a name that is none."""
    parser = _parser(figures)
    names = parser.parse_args(arguments).names or [*figures]
    unknown = [name for name in names if name not in figures]
    if unknown:
        parser.error(f"{unknown[0]} is no figure; they are {', '.join(figures)}")
    missing = False
    for name in dict.fromkeys(names):
        print(f"... {name}: {figures[name].what}", file=sys.stderr, flush=True)
        why = _missing(figures[name].measure)
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


def _parser(figures: Mapping[str, Figure]) -> argparse.ArgumentParser:
    width = max(map(len, figures))
    told = "\n".join(f"  {name:{width}}  {figure.what}" for name, figure in figures.items())
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
