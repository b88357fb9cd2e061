"""The words of the command line: commands, what they take, and their help."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from perso_core.cli import running, words_rows
from perso_core.cli.words_parser import Commands, Parser, Version, command, takes_settings


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """The command in `run`, what it takes, and in `rest` the demo's own words.

    Raises SystemExit after help (0) and after a usage error (2), which are printed.
    """
    parser = _parser()
    arguments, rest = parser.parse_known_args(words)
    if rest and arguments.run is not running.demo:
        parser.error(f"unknown argument: {' '.join(rest)}")
    arguments.rest = rest  # the demo knows its own words
    return arguments


def _parser() -> Parser:
    parser = Parser(
        prog="perso",
        description="Custom personalization on your own machines.",
        epilog="Example: perso apply perso.toml && perso serve",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version",
        action=Version,
        nargs=0,
        help="this Perso's version, and in which form it runs the rules (docs/operating.md)",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_demo(commands)
    _add_apply(commands)
    _add_export(commands)
    _add_profile(commands)
    _add_key(commands)
    _add_import(commands)
    _add_backup(commands)
    _add_doctor(commands)
    _add_audience(commands)
    return parser


def _add_serve(commands: Commands[Parser]) -> None:
    parser = command(
        commands,
        "serve",
        running.serve,
        does="Run the edge until stopped, in one process or several. SIGHUP restarts the several "
        "one after the other, and no connection is refused.",
        example="perso serve --port 8080 --definitions perso.toml",
    )
    takes_settings(parser)
    parser.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", help="the port to listen on (default: 8080; 0: any free one)")
    parser.add_argument(
        "--workers", metavar="N", help="how many processes serve the address (default: 1)"
    )
    parser.add_argument(
        "--definitions", metavar="FILE", help="apply this definitions file before serving"
    )
    # What a supervisor gives its workers: descriptors that they inherit.
    parser.add_argument("--sockets", help=argparse.SUPPRESS)
    parser.add_argument("--pipe", type=int, help=argparse.SUPPRESS)


def _add_demo(commands: Commands[Parser]) -> None:
    command(
        commands,
        "demo",
        running.demo,
        does="Run the demo shop with its ad server. PORT, AD_PORT and DATA_DIR of the environment "
        "say where (docs/demo.md).",
        example="perso demo",
    )


def _add_apply(commands: Commands[Parser]) -> None:
    parser = command(
        commands,
        "apply",
        running.apply,
        does="Check a definitions file whole and put it in force, also on a running server.",
        example="perso apply perso.toml --dry-run",
    )
    parser.add_argument("file", metavar="FILE", help="the definitions (docs/definitions.md)")
    parser.add_argument("--dry-run", action="store_true", help="check only; change nothing")
    takes_settings(parser)


def _add_export(commands: Commands[Parser]) -> None:
    parser = command(
        commands,
        "export",
        running.export,
        prints=True,
        does="Write the definitions in force as a file that `perso apply` takes.",
        example="perso export -o perso.toml",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="the file to write; else stdout")
    takes_settings(parser)


def _add_profile(commands: Commands[Parser]) -> None:
    group = commands.add_parser(
        "profile",
        help="Read, export or erase a profile, or write attributes of profiles.",
        description="Read, export or erase a profile, or write attributes of profiles.",
        epilog="Example: perso profile put customers.jsonl",
        allow_abbrev=False,
    )
    verbs = group.add_subparsers(metavar="VERB", required=True)
    put = command(
        verbs,
        "put",
        running.profile_put,
        does="Patch profiles' attributes from JSON (RFC 7396): all of them, or none where one has "
        "a fault or no room. Only a store that fails on the way keeps what came before. "
        'Each record is {"identity": {"namespace": "ECID", "id": "…"}, "attributes": {…}}; the '
        "file is one record, a list of records, or one record per line. Your own word on somebody "
        "is under no datastream's retention: it is kept until you erase it.",
        example="perso profile put customers.jsonl",
    )
    put.add_argument("file", metavar="FILE", help="a JSON file, or - for stdin")
    takes_settings(put)
    for name, says in (("show", ""), ("get", " The same as show.")):
        get = command(
            verbs,
            name,
            running.profile_get,
            prints=True,
            does=f"Print what is kept of one profile, as of now, as JSON.{says}",
            example=f"perso profile {name} ECID 38407190248302938471029384710293847102",
        )
        get.add_argument("namespace", metavar="NAMESPACE", help="of the identity, e.g. ECID")
        get.add_argument("id", metavar="ID", help="the id in that namespace")
        get.add_argument(
            "--datastream", metavar="ID", help="as the servers of this datastream know the identity"
        )
        takes_settings(get)
    _add_profile_rights(verbs)


def _add_profile_rights(verbs: Commands[Parser]) -> None:
    """What a visitor may ask for."""
    export = command(
        verbs,
        "export",
        running.profile_export,
        prints=True,
        does="Print all that is kept of an identity as JSON: attributes, claims, events, "
        "memberships, consent, and which identities are one person's; on every datastream, of an "
        "ECID also what devices have that merely named it. What a browser merely claimed, as an "
        "e-mail, lies with its device: ask by the device's ECID.",
        example="perso profile export CRMID 4711 > 4711.json",
    )
    erase = command(
        verbs,
        "erase",
        running.profile_erase,
        does="Erase all that is kept of an identity and of the person whose it is. When it returns "
        "no running server answers by it, and nothing that was under way brings it back. What a "
        "browser merely claimed, as an e-mail, goes with its device: erase the device's ECID.",
        example="perso profile erase CRMID 4711",
    )
    for verb in (export, erase):
        verb.add_argument("namespace", metavar="NAMESPACE", help="of the identity, e.g. ECID")
        verb.add_argument("id", metavar="ID", help="the id in that namespace")
        takes_settings(verb)


def _add_key(commands: Commands[Parser]) -> None:
    does = "Make, list, rotate and revoke the API keys of servers that call /v2."
    group = commands.add_parser(
        "key",
        help=does,
        description=does,
        epilog="Example: perso key list",
        allow_abbrev=False,
    )
    verbs = group.add_subparsers(metavar="VERB", required=True)
    _add_key_create(verbs)
    _add_key_rotate(verbs)
    listing = command(
        verbs,
        "list",
        running.key_list,
        prints=True,
        does="Print the keys: id, name, datastreams, what they may do, until when.",
        example="perso key list",
    )
    takes_settings(listing)
    revoke = command(
        verbs,
        "revoke",
        running.key_revoke,
        does="Take a key out. When it returns, no running server takes the key any more.",
        example="perso key revoke 5f0c2a9be714",
    )
    revoke.add_argument("id", metavar="ID", help="the key, as `perso key list` names it")
    takes_settings(revoke)


def _add_key_create(verbs: Commands[Parser]) -> None:
    parser = command(
        verbs,
        "create",
        running.key_create,
        prints=True,
        does="Make a key and print it, this once: only its hash is kept (docs/server-api.md).",
        example="perso key create --name 'Shop backend' --datastream shop",
    )
    parser.add_argument("--name", required=True, help="who uses it, for people")
    parser.add_argument(
        "--datastream",
        metavar="ID",
        action="append",
        required=True,
        help="a datastream that it may call; may be given several times",
    )
    parser.add_argument(
        "--may",
        metavar="WORDS",
        default="events,attributes",
        help="what it may do besides asking for audiences, with commas between: events, "
        "attributes, privacy, import (default: events,attributes)",
    )
    _takes_key_days(parser)
    takes_settings(parser)


def _add_key_rotate(verbs: Commands[Parser]) -> None:
    parser = command(
        verbs,
        "rotate",
        running.key_rotate,
        prints=True,
        does="Give a key a new secret and print it, this once; the old one is taken for a while.",
        example="perso key rotate 5f0c2a9be714 --overlap-hours 24",
    )
    parser.add_argument("id", metavar="ID", help="the key, as `perso key list` names it")
    parser.add_argument(
        "--overlap-hours",
        metavar="HOURS",
        type=int,
        default=24,
        help="how long the old secret is taken (default: 24)",
    )
    _takes_key_days(parser)
    takes_settings(parser)


def _takes_key_days(parser: Parser) -> None:
    parser.add_argument(
        "--days",
        metavar="DAYS",
        type=int,
        default=365,
        help="how long the new secret is taken (default: 365)",
    )


def _add_audience(commands: Commands[Parser]) -> None:
    does = "Check a rule, run its cases, or tell why a profile is in an audience."
    group = commands.add_parser(
        "audience",
        help=does,
        description=does,
        epilog="Example: perso audience check rule.pql",
        allow_abbrev=False,
    )
    verbs = group.add_subparsers(metavar="VERB", required=True)
    _add_audience_check(verbs)
    _add_audience_test(verbs)
    _add_audience_explain(verbs)


def _add_audience_check(verbs: Commands[Parser]) -> None:
    parser = command(
        verbs,
        "check",
        running.audience_check,
        does="Tell every fault of a rule with its place, or which edges take it, what it reads and "
        "what it costs. A file that ends in .toml is a definitions file: all its audiences.",
        example="echo 'loyalty.points >= 1000' | perso audience check -",
    )
    parser.add_argument("file", metavar="FILE", help="one rule in PQL, or - for stdin")
    parser.add_argument(
        "--definitions", metavar="FILE", help="whose schema and audiences the rule may read"
    )
    parser.add_argument(
        "--edge",
        choices=("local", "edge-2025", "edge-classic"),
        help="exit with 1 when this edge refuses the rule (default: local)",
    )
    parser.add_argument(
        "--event-window-days",
        metavar="DAYS",
        type=int,
        help="how long an event counts for the rule (default: the setting, 35)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_audience_test(verbs: Commands[Parser]) -> None:
    parser = command(
        verbs,
        "test",
        running.audience_test,
        does="Run cases: a rule, a profile, an instant and what is expected (docs/pql.md). Prints "
        "what failed, and exits with 1 when something did.",
        example="perso audience test cases.json --definitions perso.toml",
    )
    parser.add_argument("file", metavar="CASES", help="a JSON list of cases, or - for stdin")
    parser.add_argument("--definitions", metavar="FILE", help="whose audiences the cases may name")


def _add_audience_explain(verbs: Commands[Parser]) -> None:
    parser = command(
        verbs,
        "explain",
        running.audience_explain,
        prints=True,
        does="Tell why a profile is in an audience or not, since when, and until when. Reads the "
        "store, also beside a running server, or a profile from a file.",
        example="perso audience explain gold --identity CRMID:4711",
    )
    parser.add_argument("audience", metavar="AUDIENCE", help="its id, alias or name")
    parser.add_argument("--profile", metavar="KEY", help="the key of a profile in the store")
    parser.add_argument("--identity", metavar="NS:ID", help="an identity, e.g. CRMID:4711")
    parser.add_argument(
        "--datastream", metavar="ID", help="as the servers of this datastream know the identity"
    )
    parser.add_argument(
        "--profile-file", metavar="FILE", help="a profile as JSON, as the cases have it; - is stdin"
    )
    parser.add_argument(
        "--definitions", metavar="FILE", help="with --profile-file: the audiences, not the store's"
    )
    parser.add_argument(
        "--now", metavar="INSTANT", help="ask as of this instant, e.g. 2026-03-15T12:30:00Z"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    takes_settings(parser)


def _add_backup(commands: Commands[Parser]) -> None:
    backup = command(
        commands,
        "backup",
        running.backup,
        does="Copy the database and the cookie keys to a new directory, as of one moment, beside "
        "running servers.",
        example="perso backup /backups/monday",
    )
    restore = command(
        commands,
        "restore",
        running.restore,
        does="Put a backup in the place of what is there. No server may run on it. Whoever was "
        "erased since the backup was made, in the last 400 days, stays erased.",
        example="perso restore /backups/monday",
    )
    takes_settings(
        command(
            commands,
            "compact",
            running.compact,
            does="Make the database as small as what it holds; one that an earlier Perso made "
            "gets smaller by itself from then on. No server may run on it, and there has to be "
            "room for a second one.",
            example="perso compact",
        )
    )
    for verb in (backup, restore):
        verb.add_argument("directory", metavar="DIRECTORY", help="where the backup is kept")
        takes_settings(verb)


def _add_doctor(commands: Commands[Parser]) -> None:
    doctor = command(
        commands,
        "doctor",
        running.doctor,
        does="Whether the database is safe where it is, and whole: all of it is read, beside "
        "running servers, and nothing is written.",
        example="perso doctor --data-dir /var/lib/perso",
    )
    takes_settings(doctor)


def _add_import(commands: Commands[Parser]) -> None:
    group = commands.add_parser(
        "import",
        help="Bring definitions, memberships or attributes from elsewhere.",
        description="Bring definitions, memberships or attributes from elsewhere.",
        epilog="Example: perso import segments export.json",
        allow_abbrev=False,
    )
    verbs = group.add_subparsers(metavar="VERB", required=True)
    _add_import_segments(verbs)
    members = command(
        verbs,
        "audience",
        running.import_audience,
        does=words_rows.AUDIENCE,
        example="perso import audience members.csv --namespace CRMID --audience churn-risk",
    )
    attributes = command(
        verbs,
        "attributes",
        running.import_attributes,
        does=words_rows.ATTRIBUTES,
        example="perso import attributes customers.ndjson --report refused.csv",
    )
    for rows in (members, attributes):
        words_rows.takes_rows(rows, memberships=rows is members)
        takes_settings(rows)


def _add_import_segments(verbs: Commands[Parser]) -> None:
    parser = command(
        verbs,
        "segments",
        running.import_segments,
        does="Make audiences of the segment definitions that Adobe's API answered, and report on "
        "each (docs/import.md). Without -o and --apply only the report is made.",
        example="perso import segments export.json --merge perso.toml -o perso.toml",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a JSON file, or - for stdin")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="write a definitions file; - for stdout"
    )
    parser.add_argument(
        "--merge", metavar="FILE", help="add to the definitions of this file; it may be that of -o"
    )
    parser.add_argument("--apply", action="store_true", help="add to the definitions in force")
    parser.add_argument("--org", metavar="ID", help="the organisation of a new definitions file")
    parser.add_argument(
        "--replace",
        action="store_true",
        help="take the export's word on audiences that are defined already; overwrite -o's file",
    )
    parser.add_argument(
        "--strict", action="store_true", help="write nothing where a definition is refused"
    )
    parser.add_argument("--json", action="store_true", help="report as JSON")
    takes_settings(parser)
