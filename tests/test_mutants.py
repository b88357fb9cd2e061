"""The breaks of `make mutants` fit the code they break, and name tests that there are."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.mutants.__main__ import HERE, ROOT, Mutant, mutants


@pytest.mark.parametrize("mutant", mutants(), ids=[one.name for one in mutants()])
def test_a_break_fits_the_code(mutant: Mutant, tmp_path: Path) -> None:
    with (HERE / f"{mutant.name}.patch").open("rb") as given:
        tried = subprocess.run(
            ["patch", "-p1", "--batch", "--forward", "--dry-run"],
            cwd=ROOT,
            stdin=given,
            capture_output=True,
            text=True,
            check=False,
        )
    assert tried.returncode == 0, tried.stdout


@pytest.mark.parametrize("mutant", mutants(), ids=[one.name for one in mutants()])
def test_a_break_names_a_test_that_there_is(mutant: Mutant) -> None:
    path, _, name = mutant.test.partition("::")
    text = (ROOT / path).read_text(encoding="utf-8")

    assert f"def {name.partition('[')[0]}(" in text
