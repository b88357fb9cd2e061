"""The compiled form of the rules: which form runs, that it is never an old one, and that both
answer alike."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import perso_core
from perso_core.compiled import COMPILED, FORM, MODULES, PURE, directory, sources
from tests.rules.told_in_form import told

ROOT = Path(__file__).parents[1]
PACKAGE = Path(perso_core.__file__).parent
COMMAND_LIMIT_S = 60
LAWS_LIMIT_S = 300
WHICH = """
import perso_core.compiled, perso_core.rules.draft
print(perso_core.compiled.FORM, perso_core.rules.draft.__file__)
"""

needs_compiled = pytest.mark.skipif(FORM != COMPILED, reason=f"the rules run {FORM}")


def run(
    *words: str, tree: Path = ROOT, more: Mapping[str, str] = {}, limit_s: float = COMMAND_LIMIT_S
) -> str:
    """What Python says with these words, of the Perso in the tree."""
    ours = (PURE, "PYTEST_")
    kept = {name: one for name, one in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tree,
        env={**kept, "PYTHONPATH": str(tree), **more},
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Another checkout, with what is compiled of it."""
    shutil.copytree(PACKAGE, tmp_path / "perso_core", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "hatch_build.py", tmp_path)
    return tmp_path


# ---- which form runs --------------------------------------------------------


@pytest.mark.skipif("CI" not in os.environ, reason="who edits the rules runs what was edited")
@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no compiler")
def test_where_there_is_a_compiler_the_suite_runs_the_compiled_form() -> None:
    assert os.environ.get(PURE) or FORM == COMPILED, "run `make compiled`, and see what it says"


@needs_compiled
def test_every_module_that_has_a_compiled_form_runs_in_it() -> None:
    for name in MODULES:
        file = importlib.import_module(f"perso_core.{name}").__file__
        assert file is not None, name
        assert Path(file).parent == directory(PACKAGE), name


@needs_compiled
def test_a_source_that_was_changed_runs_as_it_is_and_not_as_it_was_compiled(tree: Path) -> None:
    before = run("-c", WHICH, tree=tree)
    source = tree / "perso_core" / "rules" / "alone.py"
    source.write_text(source.read_text(encoding="utf-8") + "\n# changed\n", encoding="utf-8")

    after = run("-c", WHICH, tree=tree)

    assert before.startswith(f"{COMPILED} {tree / 'perso_core' / '_compiled'}")
    assert after.startswith("as pure Python (nothing is compiled of these sources")
    assert after.endswith(f"{tree / 'perso_core' / 'rules' / 'draft.py'}\n")


@pytest.mark.parametrize("suffix", [".py", ".pxd"])
def test_each_source_and_its_types_tell_one_compiled_form_from_another(
    tree: Path, suffix: str
) -> None:
    package = tree / "perso_core"
    seen = {directory(package)}
    changed = [source for source in sources(package) if source.suffix == suffix]
    for source in changed:
        source.write_bytes(source.read_bytes() + b"\n")
        seen.add(directory(package))

    assert len(changed) == len(MODULES)
    assert len(seen) == len(MODULES) + 1


def test_whoever_asks_for_pure_python_gets_it_and_is_told() -> None:
    said = run("-c", WHICH, more={PURE: "1"})

    assert said == f"as pure Python ({PURE} is set) {PACKAGE / 'rules' / 'draft.py'}\n"


def test_the_command_line_tells_the_version_and_the_form() -> None:
    assert f"Its rules run {FORM}." in run("-m", "perso_core", "--version", more=_as_here())


def _as_here() -> dict[str, str]:
    return {PURE: os.environ[PURE]} if PURE in os.environ else {}


# ---- building ---------------------------------------------------------------


def test_without_a_compiler_nothing_is_compiled_and_nothing_fails(tree: Path) -> None:
    shutil.rmtree(tree / "perso_core" / "_compiled", ignore_errors=True)

    said = run("hatch_build.py", tree=tree, more={"CC": str(tree / "no-compiler")})

    assert "are not compiled, and run as Python: CompileError" in said
    assert [*(tree / "perso_core" / "_compiled").iterdir()] == []
    assert "as pure Python" in run("-c", WHICH, tree=tree)


def test_who_asks_for_pure_python_has_nothing_compiled(tree: Path) -> None:
    shutil.rmtree(tree / "perso_core" / "_compiled", ignore_errors=True)

    said = run("hatch_build.py", tree=tree, more={PURE: "1"})

    assert f"{PURE} is set" in said
    assert not (tree / "perso_core" / "_compiled").exists()


# ---- both answer alike ------------------------------------------------------


@needs_compiled
def test_both_forms_come_to_the_same_standings_whatever_an_event_holds() -> None:
    in_python = run("-m", "tests.rules.told_in_form", more={PURE: "1"}).splitlines()

    assert [*told()] == in_python


@needs_compiled
def test_the_laws_of_rules_and_kept_events_hold_in_pure_python_as_well() -> None:
    laws = ("tests/rules/test_standing.py", "tests/decision/test_kept_events.py")

    said = run(
        *("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *laws),
        more={PURE: "1", "HYPOTHESIS_PROFILE": "few"},
        limit_s=LAWS_LIMIT_S,
    )

    assert "passed" in said


@needs_compiled
def test_a_batch_is_kept_alike_in_pure_python() -> None:
    promises = ("tests/stores/test_record.py", "tests/stores/test_promises.py")

    said = run(
        *("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *promises),
        more={PURE: "1"},
        limit_s=LAWS_LIMIT_S,
    )

    assert "passed" in said
