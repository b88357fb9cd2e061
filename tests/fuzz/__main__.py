"""`python -m tests.fuzz SECONDS`: texts under atheris, starting from the project's cases.

What is found is kept in .data/fuzz; a mended input goes into tests/pql/test_found.py.
"""

from __future__ import annotations

import importlib
import sys
import tempfile
from pathlib import Path

FOUND = Path(".data/fuzz")


def main(seconds: int) -> None:
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["perso_core.pql"]):
        pql = importlib.import_module("tests.fuzz.pql")

    def mutated(text: bytes, most: int, seed: int) -> bytes:
        if seed % 4 == 0:
            changed: bytes = atheris.Mutate(text, most)
            return changed
        again: bytes = pql.mutated(text, most, seed)
        return again

    FOUND.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as corpus:
        for number, text in enumerate(pql.TEXTS):
            Path(corpus, f"case-{number}").write_text(text, encoding="utf-8")
        options = [
            f"-max_total_time={seconds}",
            f"-max_len={pql.MOST_BYTES}",
            f"-artifact_prefix={FOUND}/",
            "-timeout=30",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], *options, corpus], pql.fuzz_one, custom_mutator=mutated)
        atheris.Fuzz()


main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
