"""`make soak` has every test that goes on for longer."""

from __future__ import annotations

import pytest

from tests import soak
from tests.soak import ROOT, SOAKS, Soak


def test_every_test_that_can_go_on_for_longer_is_in_the_soak() -> None:
    longer = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if "\nfrom tests.soaking import" in path.read_text(encoding="utf-8")
    }

    assert longer == {test.partition("::")[0] for one in SOAKS for test in one.tests}


@pytest.mark.parametrize("one", SOAKS, ids=lambda one: one.name)
def test_what_a_soak_names_is_there(one: Soak) -> None:
    assert all((ROOT / test.partition("::")[0]).is_file() for test in one.tests)


def test_a_soak_that_does_not_hold_is_named_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(soak, "_held", lambda one: one.name != "power")

    assert soak.main([]) == 1
    assert "power" in capsys.readouterr().out.splitlines()[-1]
    assert soak.main(["kills"]) == 0


def test_a_name_that_there_is_not_is_told_with_those_that_there_are() -> None:
    with pytest.raises(SystemExit, match=r"no killings\. There are: power"):
        soak.main(["killings"])
