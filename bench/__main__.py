"""`python -m bench`: every figure, each a ratio within this one run."""

from __future__ import annotations

import sys

from bench import event, interact, lookup, pql, slow_connections


def main() -> int:
    """The exit status: 1 where a figure is missing."""
    lookup.measure()
    event.measure()
    slow_connections.measure()
    return max(_rules(), _requests())


def _rules() -> int:
    try:
        pql.measure()
    except pql.MissingPeers as missing:
        print(
            f"match_1000/fastest_peer and the others: missing, because {missing}. "
            "Run: pip install -e '.[bench]'",
            file=sys.stderr,
        )
        return 1
    return 0


def _requests() -> int:
    try:
        interact.measure()
    except interact.MissingWrk:
        print(
            "interact_100_durable/bare_aiohttp: missing, because wrk is not installed. "
            "As root: sh tests/install-tools.sh",
            file=sys.stderr,
        )
        return 1
    except RuntimeError as error:
        print(f"interact_100_durable/bare_aiohttp: missing. {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
