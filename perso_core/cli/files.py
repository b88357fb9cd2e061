"""Reading what a person named on the command line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from perso_core.errors import BadSettings, PersoError
from perso_core.settings import MAX_SETTINGS_BYTES, Settings, settings_from

STDIN = "/dev/stdin"

# From what is wrong and how to mend it, the error of the file's kind.
Problem = Callable[[str, str], PersoError]


def settings_of(arguments: argparse.Namespace) -> Settings:
    """The settings of a command's --settings file, the environment and its other options.
    Raises BadSettings."""
    text = None
    path = getattr(arguments, "settings", None)  # not every command takes one
    if path is not None:
        text = text_of(
            path,
            max_bytes=MAX_SETTINGS_BYTES,
            problem=lambda detail, fix: BadSettings(detail, fix=fix),
        )
    given = {
        name: getattr(arguments, name, None) for name in ("data_dir", "host", "port", "workers")
    }
    options = {name: value for name, value in given.items() if value is not None}
    return settings_from(text, os.environ, options)


def text_of(path: str, *, max_bytes: int, problem: Problem, stdin: bool = False) -> str:
    """A file's text. stdin: `-` is the standard input.

    Raises what `problem` makes, for a file that cannot be opened, is too large or is not UTF-8.
    """
    try:
        content = _bytes_of(STDIN if stdin and path == "-" else path, max_bytes + 1)
    except OSError as error:
        raise problem(
            f"{path}: {error.strerror or error}.", "Name a file that exists and that you may read."
        ) from None
    if len(content) > max_bytes:
        size = f"{max_bytes >> 20} MiB" if max_bytes >= 1 << 20 else f"{max_bytes >> 10} KiB"
        raise problem(f"{path} is larger than {size}.", "Split it, or name another.")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise problem(
            f"{path}:{line}: this line is not UTF-8 (byte 0x{content[error.start]:02x}).",
            "Save the file as UTF-8.",
        ) from None


def _bytes_of(path: str, at_most: int) -> bytes:
    if path == STDIN:
        if sys.stdin is None:  # closed by whoever started us
            raise OSError("the standard input is closed")
        return sys.stdin.buffer.read(at_most)
    with open(path, "rb") as file:
        return file.read(at_most)
