"""Running a command: its module is imported then, so that help and usage errors come at once."""

from __future__ import annotations

import argparse

from perso_core.cli.early_signals import EarlySignals


def serve(arguments: argparse.Namespace) -> int:
    early = EarlySignals()  # before what takes long to load
    from perso_core.cli.server import serve as run

    return run(arguments, early)


def demo(arguments: argparse.Namespace) -> int:
    from perso_core.cli.server import demo as run

    return run(arguments.rest)


def apply(arguments: argparse.Namespace) -> int:
    from perso_core.cli.definitions import apply as run

    return run(arguments)


def export(arguments: argparse.Namespace) -> int:
    from perso_core.cli.definitions import export as run

    return run(arguments)


def profile_put(arguments: argparse.Namespace) -> int:
    from perso_core.cli.profiles import put as run

    return run(arguments)


def profile_get(arguments: argparse.Namespace) -> int:
    from perso_core.cli.profiles import get as run

    return run(arguments)


def backup(arguments: argparse.Namespace) -> int:
    from perso_core.cli.backup import backup as run

    return run(arguments)


def compact(arguments: argparse.Namespace) -> int:
    from perso_core.cli.backup import compact as run

    return run(arguments)


def restore(arguments: argparse.Namespace) -> int:
    from perso_core.cli.backup import restore as run

    return run(arguments)


def doctor(arguments: argparse.Namespace) -> int:
    from perso_core.cli.doctor import doctor as run

    return run(arguments)


def profile_export(arguments: argparse.Namespace) -> int:
    from perso_core.cli.profiles import export as run

    return run(arguments)


def profile_erase(arguments: argparse.Namespace) -> int:
    from perso_core.cli.profiles import erase as run

    return run(arguments)


def key_create(arguments: argparse.Namespace) -> int:
    from perso_core.cli.keys import create as run

    return run(arguments)


def key_list(arguments: argparse.Namespace) -> int:
    from perso_core.cli.keys import list_keys as run

    return run(arguments)


def key_rotate(arguments: argparse.Namespace) -> int:
    from perso_core.cli.keys import rotate as run

    return run(arguments)


def key_revoke(arguments: argparse.Namespace) -> int:
    from perso_core.cli.keys import revoke as run

    return run(arguments)


def audience_check(arguments: argparse.Namespace) -> int:
    from perso_core.cli.audience_check import check as run

    return run(arguments)


def audience_test(arguments: argparse.Namespace) -> int:
    from perso_core.cli.audience_test import test as run

    return run(arguments)


def audience_explain(arguments: argparse.Namespace) -> int:
    from perso_core.cli.audience_explain import explain as run

    return run(arguments)


def import_segments(arguments: argparse.Namespace) -> int:
    from perso_core.cli.import_segments import segments as run

    return run(arguments)


def import_audience(arguments: argparse.Namespace) -> int:
    from perso_core.cli.import_rows import audience as run

    return run(arguments)


def import_attributes(arguments: argparse.Namespace) -> int:
    from perso_core.cli.import_rows import attributes as run

    return run(arguments)
