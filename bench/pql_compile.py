"""compile_10000/import_aiohttp: what the rules of a large site cost at the start.

`python -m bench.pql_compile NAME` does one thing in this fresh process and prints its CPU time.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from time import process_time_ns

from bench.audiences_mixed import mixed
from bench.audiences_parts import pql
from bench.audiences_shapes import distinct, repeated
from bench.figures import ROOT, record
from bench.timing import Spent

RULES = 10_000
ROUNDS = 3
AIOHTTP = "import_aiohttp"
TEXTS: Mapping[str, Callable[[], Sequence[str]]] = {
    "distinct": lambda: distinct(RULES),
    "repeated": lambda: repeated(RULES),
    "mixed": lambda: [pql(rule.part) for rule in mixed(RULES)],
}


def measure() -> None:
    times: dict[str, list[float]] = {name: [] for name in (AIOHTTP, *TEXTS)}
    _in_fresh_process(AIOHTTP)  # its byte code is written once, and then read
    for _ in range(ROUNDS):
        for name, found in times.items():
            found.append(_in_fresh_process(name))
    found_us = {name: Spent(tuple(found)) for name, found in times.items()}
    for name in TEXTS:
        _record(name, found_us[name], found_us[AIOHTTP])


def _record(name: str, compiling: Spent, importing: Spent) -> None:
    figure = "compile_10000" if name == "distinct" else f"compile_10000_{name}"
    record(
        f"{figure}/import_aiohttp",
        compiling.over(importing),
        unit="ratio",
        compile_us=compiling.told(),
        import_aiohttp_us=importing.told(),
        rules=RULES,
        rounds=ROUNDS,
    )


def _in_fresh_process(name: str) -> float:
    """CPU microseconds, as that process measured it."""
    told = subprocess.run(
        [sys.executable, "-m", "bench.pql_compile", name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=120,
    )
    return float(told.stdout) / 1_000


def _import_aiohttp() -> int:
    began = process_time_ns()
    import aiohttp

    spent_ns = process_time_ns() - began
    assert aiohttp.__version__, "it is imported"
    return spent_ns


def _compile(texts: Sequence[str]) -> int:
    from perso_core.pql.compiler import compile_rule

    began = process_time_ns()
    rules = [compile_rule(text) for text in texts]
    spent_ns = process_time_ns() - began
    assert len(rules) == RULES, "every rule compiles"
    return spent_ns


if __name__ == "__main__":
    name = sys.argv[1]
    print(_import_aiohttp() if name == AIOHTTP else _compile(TEXTS[name]()))
