"""What a run says of itself, out of all that atheris says."""

from __future__ import annotations

import re

EVERY_S = 30

_STATUS = re.compile(r"#(\d+)\s+\w+\s+cov: (\d+)")
_COUNTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_KEPT = re.compile(r"Test unit written to (\S+)")
_QUIET = re.compile(
    r"#|INFO:|WARNING: Failed to find|stat::|Done |BINGO|NEW_FUNC|\s*$|MS: |0x|artifact_prefix"
    r"|Base64: |\".*# Uses: "
)


class Told:
    """inputs: how many there were. kept: files of what broke something."""

    def __init__(self) -> None:
        self.inputs = self.paths = 0
        self.kept: list[str] = []
        self._next_s = float(EVERY_S)

    def line(self, line: str, passed_s: float) -> str:
        """What to show of a line; "": nothing."""
        status, counted, kept = (found.search(line) for found in (_STATUS, _COUNTED, _KEPT))
        if counted:
            self.inputs = int(counted[1])
        if kept:
            self.kept.append(kept[1])
            return f"found {kept[1]}"
        if not status:
            return "" if _QUIET.match(line) else line.rstrip()
        self.inputs, self.paths = int(status[1]), int(status[2])
        if passed_s < self._next_s:
            return ""
        self._next_s = passed_s + EVERY_S
        return f"{passed_s:.0f} s, {self.inputs:,} inputs, {self.paths:,} branches of our code"


def summary(told: Told, passed_s: float, code: int) -> str:
    """The last line; where something was found, how to see it again. code: what the run ended
    with."""
    ran = f"{told.inputs:,} inputs in {passed_s:.0f} s"
    if not told.kept:
        return f"{ran}, and nothing found" if code == 0 else f"{ran}, then it broke off itself"
    again = "\n".join(f"  python -m tests.fuzz --replay {kept}" for kept in told.kept)
    return f"{ran}. See again what was found:\n{again}"
