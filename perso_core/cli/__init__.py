"""The command line: `perso serve | demo | apply | export | profile | audience | import`.

This module knows exit codes, words.py the commands. Exit codes: 0 done, 1 a fault in what was given
or met, 2 usage.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from perso_core.cli.open_files import too_few
from perso_core.cli.streams import open_closed_streams, print_nowhere, writes_to_stdout
from perso_core.cli.terminal import shown
from perso_core.cli.words import parsed
from perso_core.cli.words_parser import Command
from perso_core.errors import PersoError
from perso_core.stores.system_limits import fix_of

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. argv: the words after `perso`; None: those of this process.

    Returns the exit code. What a person can mend is told on stderr as `error: …`, without a
    traceback.
    """
    _speak_any_language()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        closed = open_closed_streams()
        arguments = parsed(words)
        if closed and writes_to_stdout(arguments):
            return _failed("standard output is closed. Open it, or send it somewhere: > FILE.")
        if few := too_few():
            return _failed(few)
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
        # The reader (`head`) has gone.
        print_nowhere()
        return 1
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fix = fix_of(error, "Check the path and who may use it.")
        return _failed(f"{where}{error.strerror or error}. {fix}")
    return code


def _failed(text: str) -> int:
    print(shown(f"error: {text}"), file=sys.stderr)
    return 1


def _speak_any_language() -> None:
    """A terminal that cannot show a character gets its escape, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
