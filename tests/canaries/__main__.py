"""`python -m tests.canaries MODULE …`: what `python -m MODULE …` does, planted and watched."""

from __future__ import annotations

import runpy
import sys

from tests.canaries.planting import plant
from tests.canaries.watching import watch, watch_prints

plant()
watch()
watch_prints()
del sys.argv[0]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
