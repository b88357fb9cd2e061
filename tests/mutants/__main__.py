"""`python -m tests.mutants [NAME ...]`: each break in a copy of the tree; its test has to go red.

A break is `NAME.patch`: lines before the diff say what a careless change would have done (`why:`)
and which test notices (`test:`). A test that is red without the break proves nothing, so all of
them are run on the whole tree first.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TEST_LIMIT_S = 300
# pytest's exit code where a test failed; anything else means that none ran, or that it crashed.
FAILED = 1


class Mutant(Struct, frozen=True):
    """why: what the break does. test: node id of the test that has to notice."""

    name: str
    why: str
    test: str


def mutants(names: Sequence[str] = ()) -> list[Mutant]:
    """Those of these names; all of them where none is given. Raises SystemExit for a name that
    there is not."""
    found = [_read(path) for path in sorted(HERE.glob("*.patch"))]
    unknown = set(names) - {one.name for one in found}
    if unknown:
        raise SystemExit(f"There is no {', '.join(sorted(unknown))} in {HERE}.")
    return [one for one in found if not names or one.name in names]


def _read(path: Path) -> Mutant:
    text = path.read_text(encoding="utf-8")
    said = dict(re.findall(r"^(why|test): (.+)$", text.partition("--- ")[0], re.MULTILINE))
    assert said.keys() == {"why", "test"}, f"{path.name} says why, and which test notices"
    return Mutant(path.stem, said["why"], said["test"])


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the tree's own files, the tools beside it linked."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    with tempfile.TemporaryDirectory(prefix="perso-mutants-") as scratch:
        tree = Path(scratch)
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, tree / name)
        if (ROOT / "node_modules").exists():
            (tree / "node_modules").symlink_to(ROOT / "node_modules")
        yield tree


def patched(tree: Path, mutant: Mutant, *, back: bool = False) -> bool:
    """Whether the break could be put in, or taken out again."""
    words = ["patch", "-p1", "--batch", "--forward", "--no-backup-if-mismatch", "-r", "-"]
    if back:
        words = ["patch", "-p1", "--batch", "--reverse", "--no-backup-if-mismatch", "-r", "-"]
    with (HERE / f"{mutant.name}.patch").open("rb") as given:
        done = subprocess.run(words, cwd=tree, stdin=given, capture_output=True, check=False)
    return done.returncode == 0


def tested(tree: Path, tests: Sequence[str]) -> int:
    """pytest's exit code. A test that never ends is as red as any."""
    environment = {**os.environ, "PYTHONPATH": f"{tree}{os.pathsep}{tree / 'plugins'}"}
    try:
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
            cwd=tree,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TEST_LIMIT_S,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        return 1


def main(names: Sequence[str]) -> int:
    """The exit status: 1 where a break went unnoticed."""
    wanted = mutants(names)
    with copied() as tree:
        print(f"... {len(wanted)} tests on the whole tree", flush=True)
        if tested(tree, sorted({one.test for one in wanted})) != 0:
            print("A test is red without any break. Run the tests first.", file=sys.stderr)
            return 1
        noticed = [_noticed(tree, one) for one in wanted]
    print(f"{sum(noticed)} of {len(wanted)} breaks noticed")
    return 0 if all(noticed) else 1


def _noticed(tree: Path, mutant: Mutant) -> bool:
    if not patched(tree, mutant):
        print(f"STALE     {mutant.name}: the patch no longer fits the code", flush=True)
        return False
    try:
        noticed = tested(tree, [mutant.test]) == FAILED
    finally:
        assert patched(tree, mutant, back=True), "what was put in can be taken out"
    print(f"{'noticed  ' if noticed else 'UNNOTICED'} {mutant.name}: {mutant.why}", flush=True)
    return noticed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
