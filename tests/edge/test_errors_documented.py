"""docs/errors.md lists every error there is."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import perso_ads
import perso_aiohttp
import perso_core
import perso_jinja
from perso_core.edge.problem import EdgeError
from perso_core.errors import PersoError

DOCUMENT = (Path(__file__).parents[2] / "docs" / "errors.md").read_text()


PACKAGES = (perso_core, perso_ads, perso_aiohttp, perso_jinja)


def every_error() -> Iterator[type[PersoError]]:
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    waiting: list[type[PersoError]] = [PersoError]
    while waiting:
        error = waiting.pop()
        yield error
        waiting.extend(error.__subclasses__())


ERRORS = sorted(every_error(), key=lambda error: error.code)


@pytest.mark.parametrize("error", ERRORS, ids=[error.code for error in ERRORS])
def test_an_error_stands_in_the_documents_with_its_title(error: type[PersoError]) -> None:
    row = next((row for row in DOCUMENT.splitlines() if row.startswith(f"| `{error.code}`")), "")

    assert f" | {error.title} | " in row


def test_a_code_belongs_to_one_cause() -> None:
    codes = [error.code for error in ERRORS]

    assert sorted(set(codes)) == codes


def test_the_documents_list_no_error_that_is_gone() -> None:
    rows = [row for row in DOCUMENT.splitlines() if row.startswith("| `")]

    assert sorted(row.split("`")[1] for row in rows) == [error.code for error in ERRORS]


@pytest.mark.parametrize(
    "error", [error for error in ERRORS if error.code.startswith("EXEG-")], ids=str
)
def test_the_status_of_an_adobe_code_is_its_last_part(error: type[PersoError]) -> None:
    assert issubclass(error, EdgeError)
    assert error.code.endswith(f"-{error.status}")
