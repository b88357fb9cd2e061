"""The words of `perso import audience` and `perso import attributes`."""

from __future__ import annotations

import argparse

from perso_core.imports.source import FORMATS

AUDIENCE = (
    "Bring memberships of external audiences from a file: who, which audience, until when. They "
    "hold for the next lookup of every running server when it returns. Run again after it was "
    "stopped, it goes on (docs/external-audiences.md)."
)
ATTRIBUTES = (
    "Bring attributes of profiles from a file, row by row: rows with a fault are refused, the "
    "others are in. Run again after it was stopped, it goes on (docs/external-audiences.md)."
)


def takes_rows(parser: argparse.ArgumentParser, *, memberships: bool) -> None:
    """What both take; --audience of memberships alone."""
    parser.add_argument("file", metavar="FILE", help="CSV, NDJSON or Parquet, or - for stdin")
    parser.add_argument(
        "--format", choices=FORMATS, help="of the file (default: by its name, or how it begins)"
    )
    parser.add_argument(
        "--namespace", metavar="NS", default="", help="of rows that name none, e.g. CRMID"
    )
    parser.set_defaults(audience="")
    if memberships:
        parser.add_argument(
            "--audience", metavar="AUDIENCE", default="", help="of rows that name none"
        )
    parser.add_argument(
        "--datastream",
        metavar="ID",
        action="append",
        default=[],
        help="whose servers know the identities; may be given several times (default: all)",
    )
    parser.add_argument("--report", metavar="FILE", help="write every refused row here, as CSV")
    parser.add_argument(
        "--from-start", action="store_true", help="import the whole file, also what is in already"
    )
