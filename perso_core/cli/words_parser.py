"""How the command line is read: its parser, its usage errors, and the text in its words."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from perso_core.cli.terminal import shown
from perso_core.compiled import FORM

Command = Callable[[argparse.Namespace], int]

# What these name is opened by its bytes. Directories are opened by SQLite, which wants text.
_FILES = ("FILE", "CASES")
_DIRECTORIES = ("DIR", "DIRECTORY")


class Parser(argparse.ArgumentParser):
    """Takes words that are text in UTF-8, whatever the locale; files may have any name."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}. See `{self.prog} --help`.", file=sys.stderr)
        raise SystemExit(2)

    def add_argument(self, *names: Any, **how: Any) -> argparse.Action:
        metavar = how.get("metavar")
        if "type" not in how and how.get("action", "append") == "append" and metavar not in _FILES:
            how["type"] = _directory if metavar in _DIRECTORIES else _text
        return super().add_argument(*names, **how)


def _text(word: str) -> str:
    """Raises ArgumentTypeError for bytes that are no text."""
    if _is_text(word):
        return word
    try:
        return os.fsencode(word).decode()  # the locale has not the characters
    except UnicodeDecodeError:
        raise argparse.ArgumentTypeError(_no_text(word)) from None


def _directory(word: str) -> str:
    """Raises ArgumentTypeError where the locale, or nothing, has it as text."""
    if not _is_text(word):
        raise argparse.ArgumentTypeError(f"{_no_text(word)}, in a locale that has it")
    return word


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_text(word: str) -> str:
    told = os.fsencode(word).decode(errors="backslashreplace")
    return f"“{shown(told)}” is no text: write it in UTF-8"


class Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("perso")
        except PackageNotFoundError:  # run from its sources
            number = "(not installed)"
        print(f"Perso {number}. Its rules run {FORM}.")
        parser.exit()


Commands = argparse._SubParsersAction  # argparse gives this type no public name


def command(
    commands: Commands[Parser],
    name: str,
    run: Command,
    *,
    does: str,
    example: str,
    prints: bool = False,
) -> Parser:
    """prints: what it is run for goes to standard output, unless it has an -o that says where."""
    parser = commands.add_parser(
        name, help=does, description=does, epilog=f"Example: {example}", allow_abbrev=False
    )
    parser.set_defaults(run=run, prints=prints)
    return parser


def takes_settings(parser: Parser) -> None:
    parser.add_argument(
        "--data-dir", metavar="DIR", help="where the database is kept (default: .perso)"
    )
    parser.add_argument(
        "--settings", metavar="FILE", help="a TOML file of settings; PERSO_* variables win over it"
    )
