"""Rules compiled by one start are taken over by the next, and by nobody whom they would harm."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import structs

from perso_core import pql
from perso_core.assembly import open_perso
from perso_core.beside import kept_profile
from perso_core.decision.identity import Identity
from perso_core.definitions.document import Definitions
from perso_core.definitions.snapshot import FEW, Snapshot
from perso_core.pql.compiler import compile_rule
from perso_core.settings import Settings
from perso_core.stores.compiled_file import NAME, CompiledFile
from perso_core.stores.protocol import StoredDefinitions
from tests.building import definitions

RULES = {f"a{n}": f'loyalty.tier = "t{n}"' for n in range(FEW)} | {
    f"b{n}": f'xEvent[page = "p{n}"].count() > {n}' for n in range(FEW)
}
MANY = definitions(RULES)
KNOWN = len(RULES)


@pytest.fixture
def kept(tmp_path: Path) -> CompiledFile:
    """A file that has the rules of MANY."""
    file = CompiledFile(tmp_path)
    file.keep(file.snapshot(MANY))
    return file


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that are compiled from now on."""
    texts: list[str] = []

    def noted(text: str, *, event_window_ms: int) -> object:
        texts.append(text)
        return compile_rule(text, event_window_ms=event_window_ms)

    monkeypatch.setattr("perso_core.definitions.snapshot.compile_rule", noted)
    return texts


def told(snapshot: Snapshot) -> object:
    return [(one.id, one.rule.text, one.rule.reads) for one in snapshot.audiences]


def test_what_was_kept_is_not_compiled_again(kept: CompiledFile, compiled: list[str]) -> None:
    again = CompiledFile(kept.path.parent).snapshot(MANY)

    assert compiled == []
    assert told(again) == told(CompiledFile(kept.path.parent, enabled=False).snapshot(MANY))


def test_only_what_is_new_is_compiled(kept: CompiledFile, compiled: list[str]) -> None:
    new = 'loyalty.tier = "new"'
    file = CompiledFile(kept.path.parent)

    file.snapshot(definitions({**RULES, "new": new}))

    assert compiled == [new]
    assert not file.lacked, "one rule is no reason to write all of them again"


def test_a_rule_for_which_events_count_longer_is_another_rule(
    kept: CompiledFile, compiled: list[str]
) -> None:
    longer = structs.replace(MANY.audiences[-1], event_window_days=40)

    CompiledFile(kept.path.parent).snapshot(
        structs.replace(MANY, audiences=(*MANY.audiences[:-1], longer))
    )

    assert compiled == [longer.pql]


def test_the_file_is_its_owners_alone(kept: CompiledFile) -> None:
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def of_another(path: Path) -> None:
    path.write_bytes(os.urandom(10_000))


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def writable_by_the_group(path: Path) -> None:
    path.chmod(0o620)


def writable_by_all(path: Path) -> None:
    path.chmod(0o602)


@pytest.mark.parametrize(
    "spoilt",
    [
        cut,
        emptied,
        longer,
        of_another,
        a_directory,
        a_link,
        a_pipe,
        writable_by_the_group,
        writable_by_all,
    ],
)
def test_a_file_that_may_not_be_ours_is_not_believed(
    spoilt: Callable[[Path], None], kept: CompiledFile, caplog: pytest.LogCaptureFixture
) -> None:
    spoilt(kept.path)

    assert CompiledFile(kept.path.parent).read() == {}
    assert f"{kept.path} is not used" in caplog.text


def test_a_byte_that_changed_anywhere_is_noticed(kept: CompiledFile) -> None:
    whole = kept.path.read_bytes()
    for at in range(0, len(whole), len(whole) // 97):
        changed = bytearray(whole)
        changed[at] ^= 0x10
        kept.path.write_bytes(changed)
        assert CompiledFile(kept.path.parent).read() == {}, f"byte {at}"

    kept.path.write_bytes(whole)
    assert len(CompiledFile(kept.path.parent).read()) == KNOWN


def test_a_file_of_another_user_is_not_believed(
    kept: CompiledFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.stat(kept.path).st_uid + 1)

    assert CompiledFile(kept.path.parent).read() == {}


@pytest.mark.parametrize("what", ["sys.version", "sys.flags", "sys.implementation", "MAGIC_NUMBER"])
def test_a_file_of_another_python_is_not_believed(
    what: str, kept: CompiledFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other:
        optimize = 2
        cache_tag = "other-312"

    monkeypatch.setattr(f"perso_core.stores.compiled_file.{what}", Other())

    assert CompiledFile(kept.path.parent).read() == {}


def test_a_file_of_another_perso_is_not_believed_and_no_warning(
    kept: CompiledFile,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "newer").mkdir()
    (tmp_path / "newer" / "compiler.py").write_text("# compiles better\n")
    monkeypatch.setattr(pql, "__path__", [str(tmp_path / "newer")])

    assert CompiledFile(kept.path.parent).read() == {}
    assert caplog.text == "", "so it is after every upgrade"


def test_where_our_own_modules_cannot_be_seen_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pql, "__path__", [str(tmp_path / "perso.zip" / "pql")])

    file = CompiledFile(tmp_path)
    file.keep(file.snapshot(MANY))

    assert not file.path.exists()


def test_what_cannot_be_written_is_told_and_the_rules_are_in_force(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / NAME).mkdir()
    file = CompiledFile(tmp_path)

    snapshot = file.snapshot(MANY)
    file.keep(snapshot)

    assert len(snapshot.audiences) == KNOWN
    assert "cannot be written" in caplog.text
    assert [one.name for one in tmp_path.iterdir()] == [NAME], "nothing half-written stays"


def test_few_rules_are_not_kept(tmp_path: Path) -> None:
    file = CompiledFile(tmp_path)

    file.keep(file.snapshot(definitions({"gold": 'tier = "gold"'})))

    assert not file.path.exists()


# ---- the whole of Perso -----------------------------------------------------


async def started(settings: Settings, applied: Definitions | None = None) -> None:
    async with open_perso(settings) as perso:
        if applied is not None:
            await perso.apply(applied)
        assert perso.definitions() is not None


async def test_the_second_start_compiles_nothing(tmp_path: Path, compiled: list[str]) -> None:
    settings = Settings(data_dir=str(tmp_path))
    await started(settings, MANY)
    del compiled[:]

    await started(settings)

    assert compiled == []


async def test_one_audience_that_changed_is_all_that_is_compiled(
    tmp_path: Path, compiled: list[str]
) -> None:
    settings = Settings(data_dir=str(tmp_path))
    await started(settings, MANY)
    written = (tmp_path / NAME).stat().st_mtime_ns
    del compiled[:]
    new = 'loyalty.tier = "new"'

    await started(settings, definitions({**RULES, "a0": new}))

    assert compiled == [new]
    assert (tmp_path / NAME).stat().st_mtime_ns == written


async def test_a_start_without_the_file_leaves_it_for_the_next(
    tmp_path: Path, compiled: list[str]
) -> None:
    settings = Settings(data_dir=str(tmp_path))
    await started(settings, MANY)
    (tmp_path / NAME).unlink()

    await started(settings)
    del compiled[:]
    await started(settings)

    assert compiled == []


async def test_nothing_is_kept_where_the_settings_say_so(
    tmp_path: Path, compiled: list[str]
) -> None:
    settings = Settings(data_dir=str(tmp_path), keep_compiled=0)
    await started(settings, MANY)

    await started(settings)

    assert not (tmp_path / NAME).exists()
    assert len(compiled) == 2 * KNOWN


async def test_a_look_at_one_profile_compiles_nothing_either(
    tmp_path: Path, compiled: list[str]
) -> None:
    settings = Settings(data_dir=str(tmp_path))
    ada = Identity("CRMID", "ada")
    async with open_perso(settings) as perso:
        await perso.apply(MANY)
        await perso.put_profile(ada, {"loyalty": {"tier": "t7"}})
    del compiled[:]

    found = kept_profile(ada, StoredDefinitions(1, MANY), settings, now_ms=1_800_000_000_000)

    assert found is not None
    assert "a7" in found.memberships
    assert compiled == []


def test_a_write_that_never_ended_is_cleared_away(kept: CompiledFile) -> None:
    left = kept.path.with_name(f"{NAME}.1.new")
    left.write_bytes(b"half")
    os.utime(left, (0, 0))

    kept.keep(kept.snapshot(MANY))

    assert sorted(one.name for one in kept.path.parent.iterdir()) == [NAME]


def test_no_word_is_lost_on_a_first_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        CompiledFile(tmp_path).snapshot(MANY)

    assert caplog.text == ""
