"""The command line: `perso serve | demo | apply | export | profile`.

This module knows words and exit codes; each command is imported when it runs, so that help and
usage errors come at once. Exit codes: 0 done, 1 a fault in what was given or met, 2 usage.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from perso_core.errors import PersoError

INTERRUPTED = 130  # 128 + SIGINT, as shells have it

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. argv: the words after `perso`; None: those of this process.

    Returns the exit code. What a person can mend is told on stderr as `error: …`, without a
    traceback.
    """
    _speak_any_language()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        arguments = _parsed(words)
        run: Command = arguments.run
        code = run(arguments)
        sys.stdout.flush()
    except SystemExit as leaving:  # argparse after help or a usage error, and the demo
        if leaving.code is None or isinstance(leaving.code, int):
            return leaving.code or 0
        return _failed(str(leaving.code))
    except PersoError as error:
        return _failed(str(error))
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (`head`) has gone. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _failed(f"{where}{error.strerror or error}. Check the path and who may use it.")
    return code


def _failed(text: str) -> int:
    print(f"error: {text}", file=sys.stderr)
    return 1


def _speak_any_language() -> None:
    """A terminal that cannot show a character gets its escape, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"error: {message}. See `{self.prog} --help`.", file=sys.stderr)
        raise SystemExit(2)


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    arguments, rest = parser.parse_known_args(words)
    if rest and arguments.run is not _demo:
        parser.error(f"unknown argument: {' '.join(rest)}")
    arguments.rest = rest  # the demo knows its own words
    return arguments


def _parser() -> _Parser:
    parser = _Parser(
        prog="perso",
        description="Custom personalization on your own machines.",
        epilog="Example: perso apply perso.toml && perso serve",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_demo(commands)
    _add_apply(commands)
    _add_export(commands)
    _add_profile(commands)
    return parser


_Commands = argparse._SubParsersAction  # argparse gives this type no public name


def _command(
    commands: _Commands[_Parser],
    name: str,
    run: Command,
    *,
    does: str,
    example: str,
) -> _Parser:
    parser = commands.add_parser(
        name, help=does, description=does, epilog=f"Example: {example}", allow_abbrev=False
    )
    parser.set_defaults(run=run)
    return parser


def _takes_settings(parser: _Parser) -> None:
    parser.add_argument(
        "--data-dir", metavar="DIR", help="where the database is kept (default: .perso)"
    )
    parser.add_argument(
        "--settings", metavar="FILE", help="a TOML file of settings; PERSO_* variables win over it"
    )


def _add_serve(commands: _Commands[_Parser]) -> None:
    parser = _command(
        commands,
        "serve",
        _serve,
        does="Run the edge and the worker in one process until stopped.",
        example="perso serve --port 8080 --definitions perso.toml",
    )
    _takes_settings(parser)
    parser.add_argument("--host", help="the address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", help="the port to listen on (default: 8080; 0: any free one)")
    parser.add_argument(
        "--definitions", metavar="FILE", help="apply this definitions file before serving"
    )


def _add_demo(commands: _Commands[_Parser]) -> None:
    _command(
        commands,
        "demo",
        _demo,
        does="Run the demo shop with its ad server; all arguments are passed on to it.",
        example="perso demo",
    )


def _add_apply(commands: _Commands[_Parser]) -> None:
    parser = _command(
        commands,
        "apply",
        _apply,
        does="Check a definitions file whole and put it in force, also on a running server.",
        example="perso apply perso.toml --dry-run",
    )
    parser.add_argument("file", metavar="FILE", help="the definitions (docs/definitions.md)")
    parser.add_argument("--dry-run", action="store_true", help="check only; change nothing")
    _takes_settings(parser)


def _add_export(commands: _Commands[_Parser]) -> None:
    parser = _command(
        commands,
        "export",
        _export,
        does="Write the definitions in force as a file that `perso apply` takes.",
        example="perso export -o perso.toml",
    )
    parser.add_argument("-o", "--output", metavar="FILE", help="the file to write; else stdout")
    _takes_settings(parser)


def _add_profile(commands: _Commands[_Parser]) -> None:
    group = commands.add_parser(
        "profile",
        help="Read a profile, or write attributes of profiles.",
        description="Read a profile, or write attributes of profiles.",
        epilog="Example: perso profile put customers.jsonl",
        allow_abbrev=False,
    )
    verbs = group.add_subparsers(metavar="VERB", required=True)
    put = _command(
        verbs,
        "put",
        _profile_put,
        does="Patch profiles' attributes from JSON (RFC 7396): all of them, or none on a fault. "
        'Each record is {"identity": {"namespace": "ECID", "id": "…"}, "attributes": {…}}; the '
        "file is one record, a list of records, or one record per line.",
        example="perso profile put customers.jsonl",
    )
    put.add_argument("file", metavar="FILE", help="a JSON file, or - for stdin")
    _takes_settings(put)
    get = _command(
        verbs,
        "get",
        _profile_get,
        does="Print what is kept of one profile, as JSON.",
        example="perso profile get ECID 38407190248302938471029384710293847102",
    )
    get.add_argument("namespace", metavar="NAMESPACE", help="of the identity, e.g. ECID")
    get.add_argument("id", metavar="ID", help="the id in that namespace")
    _takes_settings(get)


def _serve(arguments: argparse.Namespace) -> int:
    from perso_core.cli.server import serve

    return serve(arguments)


def _demo(arguments: argparse.Namespace) -> int:
    from perso_core.cli.server import demo

    return demo(arguments.rest)


def _apply(arguments: argparse.Namespace) -> int:
    from perso_core.cli.definitions import apply

    return apply(arguments)


def _export(arguments: argparse.Namespace) -> int:
    from perso_core.cli.definitions import export

    return export(arguments)


def _profile_put(arguments: argparse.Namespace) -> int:
    from perso_core.cli.profiles import put

    return put(arguments)


def _profile_get(arguments: argparse.Namespace) -> int:
    from perso_core.cli.profiles import get

    return get(arguments)
