"""`python -m bench` measures what it is asked for, and no more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bench.__main__ import FIGURES, Figure, Measure, main
from bench.interact import MissingWrk
from bench.request_parts import PARTS, Handler
from bench.stored import NOW_MS, apply, definitions, ecids, fill, of_the_mix
from perso_core.assembly import open_perso
from perso_core.decision.identity import Identity
from perso_core.settings import Settings


def noting(asked: list[str], **failing: Exception) -> dict[str, Figure]:
    """Three figures that write down that they were asked for."""

    def measure(name: str) -> Measure:
        def measured() -> None:
            asked.append(name)
            if name in failing:
                raise failing[name]

        return measured

    return {name: Figure(f"what {name} costs", measure(name)) for name in ("one", "two", "three")}


def test_without_names_everything_is_measured_in_order() -> None:
    asked: list[str] = []

    assert main([], noting(asked)) == 0
    assert asked == ["one", "two", "three"]


def test_named_figures_are_measured_alone() -> None:
    asked: list[str] = []

    assert main(["three", "one"], noting(asked)) == 0
    assert asked == ["three", "one"]


def test_help_lists_every_figure_and_measures_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(f"  {name} " in told and one.what in told for name, one in FIGURES.items())


def test_an_unknown_name_is_refused_with_the_known_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[str] = []

    with pytest.raises(SystemExit) as ended:
        main(["one", "tow"], noting(asked))

    assert ended.value.code == 2
    assert "tow is no figure; they are one, two, three" in capsys.readouterr().err
    assert asked == []


def test_a_figure_that_is_missing_says_what_helps_and_the_others_are_measured(
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[str] = []

    assert main([], noting(asked, two=MissingWrk(), three=RuntimeError("Too slow."))) == 1
    assert asked == ["one", "two", "three"]
    told = capsys.readouterr().err
    assert "two: missing, because wrk is not installed. As root: sh tests/" in told
    assert "three: missing, because Too slow." in told


async def test_a_store_that_was_filled_in_one_go_has_profiles_as_perso_writes_them(
    tmp_path: Path,
) -> None:
    await asyncio.to_thread(apply, tmp_path, definitions(of_the_mix(20)))
    await asyncio.to_thread(fill, tmp_path, 3, events=40)

    async with open_perso(Settings(data_dir=str(tmp_path)), clock_ms=lambda: NOW_MS) as perso:
        found = [await perso.profile(Identity("ECID", ecid)) for ecid in ecids(4)]

    assert [one and len(one.events) for one in found] == [40, 40, 40, None]
    assert all(one.memberships and one.attributes for one in found if one)


@pytest.mark.parametrize("kind", ["v1", "v1_tcf", "v2"])
@pytest.mark.parametrize("parts", [(), *[(part,) for part in PARTS], PARTS], ids=str)
async def test_a_request_is_answered_with_each_part_of_it_and_without(
    kind: str, parts: tuple[str, ...]
) -> None:
    assert await Handler(parts).round(kind, 1) > 0
