"""`python -m tests.soak [NAME ...]`: the tests that go on for longer, one after the other, each
within its time. What they say on the way is shown as it comes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).parents[1]


class Soak(Struct, frozen=True):
    """shows: what holds afterwards. tests: modules, or tests of theirs. within_min: minutes; about
    three times what it takes on two cores."""

    name: str
    shows: str
    tests: tuple[str, ...]
    within_min: int


SOAKS = (
    Soak(
        "power",
        "no power cut loses what was acknowledged: 10,000 states of the disk",
        ("tests/stores/test_power_cut.py", "tests/stores/test_joining_cut.py"),
        20,
    ),
    Soak(
        "disk-errors",
        "each operation of the disk fails, once and from then on",
        ("tests/stores/test_io_errors.py",),
        10,
    ),
    Soak(
        "disk-full",
        "20 disks that are full again and again: no page breaks, nothing is lost",
        ("tests/journeys/test_disk.py",),
        20,
    ),
    Soak(
        "kills",
        "2,000 kills at operations of the disk, named and at random",
        ("tests/stores/test_kill_points.py",),
        20,
    ),
    Soak(
        "kills-under-load",
        "200 kills of `perso serve` while events come in",
        ("tests/journeys/test_kill.py",),
        20,
    ),
    Soak(
        "two-processes",
        "what one process adds to a profile another one takes over as if it read all of it",
        ("tests/stores/test_appended.py",),
        20,
    ),
    Soak(
        "parking",
        "a visitor who is parked between visits is told what one is who never was",
        ("tests/engine/test_parking.py", "tests/rules/test_parked.py"),
        20,
    ),
    Soak(
        "history",
        "1,000,000 reads at four workers that are killed: none stale, lost, doubled, another's",
        ("tests/journeys/test_history.py",),
        20,
    ),
    Soak(
        "gunicorn",
        "100,000 reads at three processes of gunicorn's",
        ("tests/journeys/test_gunicorn.py",),
        10,
    ),
    Soak(
        "revocation",
        "1,000 withdrawals, 1,000 erasures, 200 switched-off destinations: in force within 2 s",
        ("tests/journeys/test_revocation.py",),
        15,
    ),
    Soak(
        "identities",
        "profiles that become one, whatever the order",
        ("tests/decision/test_union.py", "tests/worker/test_identity_graph.py"),
        15,
    ),
    Soak(
        "parts",
        "many events of one call that are decided in parts come to what they do at one go",
        (
            "tests/worker/test_parts.py",
            "tests/worker/test_parts_of_one.py",
            "tests/worker/test_parts_meanwhile.py",
        ),
        10,
    ),
    Soak(
        "retention",
        "visitors who come and go over days: whoever is due is forgotten, nobody else is",
        ("tests/stores/test_forgetting.py",),
        15,
    ),
    Soak(
        "imports",
        "1,000,000 rows are complete and exact though killed twice; any bytes are rows or refused",
        (
            "tests/journeys/test_import.py",
            "tests/imports/test_laws.py",
            "tests/imports/test_quotes.py",
        ),
        10,
    ),
    Soak(
        "flood",
        "1,000,000 hits without cookies, of which little is left",
        ("tests/stores/test_floods.py",),
        20,
    ),
    Soak(
        "victim",
        "10,000 calls by somebody who knows a victim's identities tell nothing of them",
        ("tests/edge/test_knowing_a_victim.py",),
        10,
    ),
)


def main(names: Sequence[str]) -> int:
    """The exit status: 1 where something did not hold, or took too long."""
    unknown = set(names) - {one.name for one in SOAKS}
    if unknown:
        known = ", ".join(one.name for one in SOAKS)
        raise SystemExit(f"There is no {', '.join(sorted(unknown))}. There are: {known}.")
    wanted = [one for one in SOAKS if not names or one.name in names]
    print(f"At most {sum(one.within_min for one in wanted)} minutes.", flush=True)
    failed = [one.name for one in wanted if not _held(one)]
    print(f"{len(wanted) - len(failed)} of {len(wanted)} held. {' '.join(failed)}".strip())
    return 1 if failed else 0


def _held(soak: Soak) -> bool:
    print(f"--- {soak.name}: {soak.shows} (at most {soak.within_min} min)", flush=True)
    began_s = time.monotonic()
    running = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", *soak.tests],
        cwd=ROOT,
        env={**os.environ, "PERSO_SOAK": "1"},
        start_new_session=True,  # so that it ends with all that it started
    )
    late = threading.Timer(soak.within_min * 60, os.killpg, (running.pid, signal.SIGKILL))
    late.start()
    try:
        status = running.wait()
    except BaseException:
        os.killpg(running.pid, signal.SIGTERM)
        raise
    finally:
        late.cancel()
    took = f"{time.monotonic() - began_s:.0f} s"
    how = "held" if status == 0 else "was too slow" if status == -signal.SIGKILL else "DID NOT HOLD"
    print(f"--- {soak.name} {how}, {took}", flush=True)
    return status == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
