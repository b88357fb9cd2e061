"""Asking for the faults of a rule."""

from __future__ import annotations

import pytest

from perso_core.errors import RuleError, RuleFaults
from perso_core.pql.compiler import compile_rule


def faults_of(text: str) -> tuple[RuleError, ...]:
    with pytest.raises(RuleFaults) as raised:
        compile_rule(text)
    return raised.value.faults


def fault_of(text: str) -> RuleError:
    (fault,) = faults_of(text)
    return fault
