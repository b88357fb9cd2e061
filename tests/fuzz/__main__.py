"""`python -m tests.fuzz SECONDS [TARGET …]`: texts under atheris, from the project's cases on.

Each target has its share of the time, in a process of its own. What is found is kept in
.data/fuzz; a mended input goes into tests/pql/test_found.py, or the target's own tests.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
from pathlib import Path

FOUND = Path(".data/fuzz")
# Target, a module beside this one -> the code that is watched for new paths.
TARGETS = {"pql": "perso_core.pql", "tcf": "perso_core.decision"}


def main(seconds: int, names: list[str]) -> int:
    """The first exit code that is not 0."""
    share = str(max(1, seconds // len(names)))
    for name in names:
        done = subprocess.run([sys.executable, "-m", "tests.fuzz", "--one", name, share])
        if done.returncode:
            return done.returncode
    return 0


def fuzz(name: str, seconds: int) -> None:
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=[TARGETS[name]]):
        target = importlib.import_module(f"tests.fuzz.{name}")

    def mutated(text: bytes, most: int, seed: int) -> bytes:
        if seed % 4 == 0:
            changed: bytes = atheris.Mutate(text, most)
            return changed
        again: bytes = target.mutated(text, most, seed)
        return again

    FOUND.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, text in enumerate(target.TEXTS):
            Path(corpus, f"case-{number}").write_bytes(text.encode("utf-8", "replace"))
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


if sys.argv[1:2] == ["--one"]:
    fuzz(sys.argv[2], int(sys.argv[3]))
else:
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 600, sys.argv[2:] or [*TARGETS]))
