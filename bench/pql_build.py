"""What a rule set costs to build and to hold, and one visitor's standing in it.

`python -m bench.pql_build COUNT` measures one size in this fresh process.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any, TypeVar

from bench.audiences_mixed import mixed
from bench.audiences_stream import visitors
from bench.figures import ROOT, record
from bench.pql_rules import compiled, first_step
from bench.timing import cpu_us
from perso_core.rules.ruleset import RuleSet

SIZES = (100, 1_000, 10_000)
T = TypeVar("T")


def measure() -> None:
    for count in SIZES:
        told = subprocess.run(
            [sys.executable, "-m", "bench.pql_build", str(count)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=120,
        )
        found: dict[str, Any] = json.loads(told.stdout)
        record(f"build_{count}_ms", found.pop("build_ms"), unit="ms", **found)


def sizes(count: int) -> dict[str, float]:
    """Bytes are those that Python gave out for the set beyond the compiled rules, for the
    standing beyond its profile."""
    rules = compiled(mixed(count))
    gc.collect()
    build_ms = cpu_us(lambda: RuleSet(rules)) / 1_000
    ours, set_bytes = _held(lambda: RuleSet(rules))
    (visitor, another) = visitors(2)
    first_step(ours, another)  # what the set remembers of values is not the visitor's
    _, standing_bytes = _held(lambda: first_step(ours, visitor))
    return {
        "build_ms": round(build_ms, 2),
        "set_bytes": set_bytes,
        "set_bytes_per_rule": round(set_bytes / count),
        "standing_bytes": standing_bytes,
        "standing_ms": round(cpu_us(lambda: first_step(ours, another)) / 1_000, 2),
    }


def _held(make: Callable[[], T]) -> tuple[T, int]:
    gc.collect()
    tracemalloc.start()
    made = make()
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return made, held


if __name__ == "__main__":
    print(json.dumps(sizes(int(sys.argv[1]))))
