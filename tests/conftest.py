"""What holds for every test.

How many examples a law gets: HYPOTHESIS_PROFILE=deep for the long run, =first for the first fault
without a search for its smallest form. Which tests have the machine to themselves: alone.py.
What is planted in every profile, and searched for: canaries/.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.alone import turn

pytest_plugins = ["tests.canaries.plugin"]

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

settings.register_profile("ci", max_examples=200, deadline=None, suppress_health_check=SLOW)
settings.register_profile("deep", max_examples=2000, deadline=None, suppress_health_check=SLOW)
settings.register_profile("few", max_examples=50, deadline=None, suppress_health_check=SLOW)
settings.register_profile("first", settings.get_profile("deep"), phases=[Phase.generate])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# The processes that tests start share their compiled code: `perso audience check` takes 0.10 s of
# CPU rather than 0.21 s, and there are hundreds of them.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected lives as long as the run: garbage is looked for in what the tests make, and
    a tenth as often as Python would."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()
        gc.set_threshold(10_000, 10, 10)


@pytest.fixture(autouse=True)
def _turn(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    alone = request.node.get_closest_marker("alone") is not None
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    # Each process has a directory of its own in the one that the run has.
    with turn(tmp_path_factory.getbasetemp().parent, alone=alone):
        yield
