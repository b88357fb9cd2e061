"""One figure: printed, and kept with what it was made of and where it was measured."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results.jsonl"


def record(name: str, value: float, *, unit: str, **ingredients: object) -> None:
    """Print `name: value` and append it to results.jsonl. ingredients: what it was made of."""
    rounded = float(f"{value:.4g}")
    print(f"{name}: {rounded:g}", flush=True)
    line = {
        "name": name,
        "value": rounded,
        "unit": unit,
        "commit": _commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        **ingredients,
    }
    with RESULTS.open("a", encoding="utf-8") as results:
        results.write(json.dumps(line) + "\n")


def _commit() -> str:
    """The short hash of HEAD; "unknown" outside a checkout."""
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"


def _machine() -> dict[str, object]:
    return {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "cpu_model": _cpu_model(),
        "kernel": platform.release(),
    }


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
