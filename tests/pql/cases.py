"""The cases that come with the project."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent

VECTORS: list[dict[str, Any]] = json.loads((HERE / "vectors.json").read_text())
AUDIENCES: list[dict[str, Any]] = json.loads((HERE / "audiences.json").read_text())

# The cases were written without an event window; this one takes every event there is.
ENDLESS_MS = 2**60
