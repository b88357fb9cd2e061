"""`perso audience test`: cases that people keep beside their audiences."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence

from perso_core.cli.audience_rules import rules_from
from perso_core.cli.files import settings_of, text_of
from perso_core.cli.terminal import shown
from perso_core.errors import BadCases
from perso_core.pql.cases import Case, Outcome, Rule, cases_from_json, run_case
from perso_core.pql.nodes import Node

MAX_FILE_BYTES = 64 * 1024 * 1024
TELLING_S = 1.0


def test(arguments: argparse.Namespace) -> int:
    """0: all passed. Raises BadCases, DefinitionFaults."""
    text = text_of(arguments.file, max_bytes=MAX_FILE_BYTES, problem=_unreadable, stdin=True)
    rules = rules_from(arguments.definitions, settings_of(arguments))
    known = None
    if arguments.definitions is not None:
        known = {
            word: Rule(one.pql, rules.compiled[one.id].event_window_ms)
            for word, one in rules.by_word().items()
        }
    outcomes = _run(cases_from_json(text, known), rules.nodes)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for outcome in failed:
        print(shown(f"{outcome.case_id}: expected {outcome.expected}, got {outcome.got}"))
    print(f"{len(outcomes) - len(failed):,} passed, {len(failed):,} failed")
    return 1 if failed else 0


def _run(cases: Sequence[Case], nodes: Mapping[str, Node]) -> list[Outcome]:
    """In order, with a line on a terminal's stderr each second."""
    outcomes: list[Outcome] = []
    told_s = time.monotonic()
    for case in cases:
        outcomes.append(run_case(case, cpu_ms=_cpu_ms, rules=nodes))
        now_s = time.monotonic()
        if now_s - told_s >= TELLING_S and sys.stderr.isatty():
            told_s = now_s
            print(f"{len(outcomes):,} of {len(cases):,} run …", file=sys.stderr)
    return outcomes


def _cpu_ms() -> float:
    # Processor time: a busy machine fails no case.
    return time.process_time() * 1_000


def _unreadable(detail: str, fix: str) -> BadCases:
    return BadCases(detail, fix=fix)
