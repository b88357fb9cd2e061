"""The search finds what it is for, wherever it stands, and counts what it looked at."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.canaries.ledger import VARIABLE, Count, counted, leaks
from tests.canaries.planting import CANARY, taken_out, with_canaries, without_canaries
from tests.canaries.process import python_module

ROOT = Path(__file__).parents[2]


def found_by(tmp_path: Path, *paths: str) -> dict[str, int]:
    """What the leaky server is found to leak when it is asked for these paths."""
    file, ledger = tmp_path / "file", tmp_path / "ledger"
    file.write_text(CANARY)
    ledger.mkdir()
    subprocess.run(
        [*python_module("tests.canaries.leaky"), str(file), *paths],
        env={**os.environ, VARIABLE: str(ledger), "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    found = counted(ledger)
    assert sum(found[kind].times for kind in ("answer", "proven") if kind in found) == len(paths)
    return dict(leaks(ledger))


def test_a_canary_is_found_wherever_it_leaves_the_process(tmp_path: Path) -> None:
    answers = ["body", "header", "encoded", "file", "stream"]

    found = found_by(tmp_path, *[f"/{name}" for name in (*answers, "log", "fails", "prints")])

    assert found == {
        **{f"in the answer to GET /{name}": 1 for name in answers},
        "in the log of some.where": 1,
        "in the log of aiohttp.server": 1,
        "in what a process prints": 3,  # the log goes there too
    }


def test_where_no_canary_is_none_is_found(tmp_path: Path) -> None:
    assert found_by(tmp_path, "/clean") == {}


def test_only_a_proven_servers_good_answer_may_hold_one(tmp_path: Path) -> None:
    paths = ("/v2/good", "/v2/bad", "/v1/good", "/v2/straight", "/v1/straight")

    assert found_by(tmp_path, *paths) == {
        "in the answer to GET /v2/bad": 1,
        "in the answer to GET /v1/good": 1,
        "in the answer to POST /v1/straight": 1,
    }


def test_what_is_planted_can_be_taken_out_again() -> None:
    written = {"a": {"b": {}, "c": [1]}, "d": "e"}

    assert str(with_canaries(written)).count(CANARY) == 3
    assert without_canaries(with_canaries(written)) == written
    told = b'{"attributes":{"a":{"value":1},"canary":{"value":"%s"}}}' % CANARY.encode()
    assert taken_out(told) == b'{"attributes":{"a":{"value":1}}}'


def test_a_line_that_a_killed_process_left_half_written_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "1").write_text("answer 12 \nleak 3 there\nanswe", encoding="utf-8")

    assert counted(tmp_path)["answer"] == Count(1, 12)
    assert leaks(tmp_path) == {"there": 1}
