"""`python -m tests.fuzz [TARGET …]`: inputs under atheris, from the project's own cases on.

Each target has its share of the time, in a process of its own. What breaks or is slow is kept in
.data/fuzz, as is all that atheris said; a mended input goes into the target's own tests.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.telling import Told, summary

FOUND = Path(".data/fuzz")
_EDGE = ("perso_core.edge", "perso_core.decision", "perso_core.engine")
# Target, a module beside this one -> the code that is watched for new paths.
TARGETS = {
    "pql": ("perso_core.pql",),
    "tcf": ("perso_core.decision",),
    "body": _EDGE,
    "cookies": _EDGE,
    "jwt": (*_EDGE, "perso_core.definitions.jwks"),
}


def main(arguments: Sequence[str]) -> int:
    """The first exit code that is not 0."""
    asked = _parser().parse_args(arguments)
    names = asked.targets or [*TARGETS]
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        print(f"{unknown[0]} is no target. They are {', '.join(TARGETS)}.", file=sys.stderr)
        return 2
    if asked.replay:
        return replay(asked.replay, asked.targets)
    if asked.one:
        fuzz(names[0], asked.seconds)
    for name in names:
        code = run(name, max(1, asked.seconds // len(names)))
        if code:
            return code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; without any, all"
    )
    parser.add_argument("--seconds", type=int, default=600, help="for all of them together (600)")
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="one kept input, without atheris"
    )
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    return parser


def run(name: str, seconds: int) -> int:
    """The exit code of a target in a process of its own, whose progress is told."""
    FOUND.mkdir(parents=True, exist_ok=True)
    told, began = Told(), time.monotonic()
    print(f"{name}: {seconds} s", flush=True)
    command = [sys.executable, "-m", "tests.fuzz", "--one", name, "--seconds", str(seconds)]
    with (
        (FOUND / f"{name}.log").open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None, "it was asked for"
        for line in process.stdout:
            log.write(line)
            shown = told.line(line, time.monotonic() - began)
            if shown:
                print(f"{name}: {shown}", flush=True)
    print(f"{name}: {summary(told, time.monotonic() - began, process.returncode)}", flush=True)
    return process.returncode


def replay(kept: Path, targets: Sequence[str]) -> int:
    """1 where the input still breaks something. The target is named, or begins the file's name."""
    name = targets[0] if targets else kept.name.partition("-")[0]
    if name not in TARGETS:
        print(f"Say which target {kept.name} is of: {', '.join(TARGETS)}.", file=sys.stderr)
        return 2
    importlib.import_module(f"tests.fuzz.{name}").fuzz_one(kept.read_bytes())
    print(f"{kept.name} breaks nothing.")
    return 0


def fuzz(name: str, seconds: int) -> None:
    """Does not return: atheris ends the process."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=[*TARGETS[name]]):
        target = importlib.import_module(f"tests.fuzz.{name}")

    def mutated(data: bytes, most: int, seed: int) -> bytes:
        if seed % 4 == 0:
            changed: bytes = atheris.Mutate(data, most)
            return changed
        again: bytes = target.mutated(data, most, seed)
        return again

    with tempfile.TemporaryDirectory() as corpus:
        for number, data in enumerate(target.TEXTS):
            Path(corpus, f"case-{number}").write_bytes(data)
        options = [
            f"-max_total_time={seconds}",
            f"-max_len={target.MOST_BYTES}",
            f"-artifact_prefix={FOUND}/{name}-",
            "-timeout=30",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], *options, corpus], target.fuzz_one, custom_mutator=mutated)
        atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
