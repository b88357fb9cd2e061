"""The demo as visitors meet it: the real process, on free ports, in a directory of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.canaries.process import python_module
from tests.demo.browser import ROOT

_STOP_S = 15


class Demo(NamedTuple):
    shop: str
    ads: str
    process: subprocess.Popen[str]


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    return {**os.environ, "PORT": "0", "AD_PORT": "0", "DATA_DIR": str(data_dir), **settings}


@contextmanager
def demo(data_dir: Path, **settings: str) -> Iterator[Demo]:
    """`python -m demo_site`, from its first address to its clean end."""
    process = subprocess.Popen(
        python_module("demo_site"),
        cwd=ROOT,
        env=environment(data_dir, **settings),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield _started(process)
    finally:
        stop(process)


def stop(process: subprocess.Popen[str]) -> int:
    """As Ctrl-C would; its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    status = process.wait(_STOP_S)
    assert process.stdout is not None
    process.stdout.close()
    return status


def _started(process: subprocess.Popen[str]) -> Demo:
    """Waits for the lines that name the addresses; they are printed once both answer."""
    assert process.stdout is not None
    told = ""
    for line in process.stdout:
        told += line
        if "ad server" in line:
            break
    addresses = re.findall(r"http://\S+", told)
    assert len(addresses) == 3, f"The demo did not start; its errors stand above. It said: {told}"
    return Demo(addresses[0], addresses[2], process)
