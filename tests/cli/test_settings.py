"""Settings come from a file, then the environment, then options, and are checked at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest
import tomli_w
from msgspec import structs

import perso_core
from perso_core.assembly import open_perso
from perso_core.compiled import PURE
from perso_core.errors import BadSettings
from perso_core.settings import FORMS, NAMES, RANGES, Settings, settings_from


def problem_of(
    toml_text: str | None = None,
    environ: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
) -> str:
    with pytest.raises(BadSettings) as raised:
        settings_from(toml_text, environ or {}, options or {})
    return raised.value.detail


def test_nothing_given_means_the_defaults() -> None:
    assert settings_from(None, {"PATH": "/bin"}) == Settings()


def test_every_setting_has_a_check() -> None:
    assert {*RANGES, *FORMS, "own_origins", "trusted_proxies"} == {*NAMES}


def test_every_setting_stands_in_the_operators_page_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs/operating.md").read_text(encoding="utf-8")
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", page)
    for name, default in structs.asdict(Settings()).items():
        assert re.search(rf"\b{name}\b", page), name
        assert default == () or str(default) in plain, f"{name}: {default}"


def test_every_default_passes_its_own_check() -> None:
    values = {name: value for name, value in structs.asdict(Settings()).items() if value}

    assert settings_from(tomli_w.dumps(values), {}) == Settings()


def test_the_environment_wins_over_the_file_and_an_option_over_both() -> None:
    text = 'port = 1\nhost = "a.test"\nregion_id = 3'

    settings = settings_from(text, {"PERSO_PORT": "2", "PERSO_HOST": "b.test"}, {"port": "3"})

    assert (settings.port, settings.host, settings.region_id) == (3, "b.test", 3)


def test_a_list_in_the_environment_is_written_with_commas() -> None:
    settings = settings_from(None, {"PERSO_OWN_ORIGINS": "https://a.test, http://b.test:81"})

    assert settings.own_origins == ("https://a.test", "http://b.test:81")


def test_which_form_of_the_rules_runs_is_told_by_the_environment_beside_the_settings() -> None:
    """`PERSO_PURE=1` is documented, and every command had refused it as no setting."""
    assert settings_from(None, {PURE: "1"}) == Settings()


def test_a_file_may_begin_with_a_byte_order_mark_and_end_its_lines_as_windows_does() -> None:
    text = "\ufeffport = 1\r\nregion_id = 1000\r\n"

    assert settings_from(text.replace("1000", "3"), {}).region_id == 3
    assert "(line 2 of the settings file)" in problem_of(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", -1),
        ("port", 65_536),
        ("port", "8080"),
        ("port", True),
        ("port", 80.0),
        ("journal_limit", 0),
        ("load_timeout_ms", 0),
        ("host", "not a host"),
        ("host", ""),
        ("data_dir", ""),
        ("data_dir", 5),
        ("location_hint", "Or2!"),
        ("region_id", {"a": 1}),
        ("own_origins", "https://a.test"),
        ("own_origins", ["https://a.test/path"]),
        ("own_origins", ["*"]),
        ("own_origins", [5]),
    ],
)
def test_a_wrong_value_in_the_file_is_named_with_its_line(name: str, value: Any) -> None:
    problem = problem_of(f"# a comment\n{tomli_w.dumps({name: value})}")

    assert problem.startswith(f"“{name}” (line")
    assert "Write" in problem


@pytest.mark.parametrize("value", ["eighty", "", "8 0", "0x50", "9" * 5_000, "65536"])
def test_a_wrong_number_in_the_environment_is_named_by_its_variable(value: str) -> None:
    problem = problem_of(environ={"PERSO_PORT": value})

    assert problem.startswith("PERSO_PORT is")
    assert "from 0 to 65535" in problem


def test_a_wrong_option_is_named_as_it_was_typed() -> None:
    assert problem_of(options={"data_dir": ""}).startswith("--data-dir is")


def test_an_unknown_setting_is_told_the_nearest_one() -> None:
    problem = problem_of("hot_profile = 5", {"PERSO_PROT": "80"})

    assert (
        "“hot_profile” (line 1 of the settings file) is no setting. Write hot_profiles." in problem
    )
    assert "“PERSO_PROT” is no setting. Write PERSO_PORT." in problem


def test_a_setting_like_no_other_is_told_which_there_are() -> None:
    problem = problem_of(None, {"PERSO_FOO": "1"})

    assert "“PERSO_FOO” is no setting. Take it out; the settings are data_dir, host," in problem


@pytest.mark.parametrize(
    ("name", "argument"), [("html_wait_ms", "wait_ms"), ("cookie_domain", "cookie_domain")]
)
def test_a_setting_that_is_the_plugins_is_told_what_to_write_there(
    name: str, argument: str
) -> None:
    problem = problem_of(f"{name} = 50", {f"PERSO_{name.upper()}": "50"})

    advice = f"Take it out; where a site needs it, write perso_aiohttp.init_app(…, {argument}=…)."
    assert problem == (
        f"“{name}” (line 1 of the settings file) is no setting. {advice}"
        f" “PERSO_{name.upper()}” is no setting. {advice}"
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_read_by_something(name: str) -> None:
    modules = Path(perso_core.__file__).parent.rglob("*.py")

    assert any(
        f"settings.{name}" in path.read_text("utf-8")
        for path in modules
        if path.name != "settings.py"
    )


def test_all_problems_are_told_in_one_message() -> None:
    problem = problem_of('port = "x"\nregion_id = -1', {"PERSO_HOST": ""})

    assert all(name in problem for name in ("port", "region_id", "PERSO_HOST"))


@pytest.mark.parametrize(
    "text", ["hot_profiles = 10", "journal_limit = 50000", "hot_profiles = 7\njournal_limit = 7"]
)
def test_a_journal_that_does_not_fit_in_memory_is_told_with_both_settings(text: str) -> None:
    with pytest.raises(BadSettings) as raised:
        settings_from(text, {})

    for told in (raised.value.detail, raised.value.fix):
        assert "hot_profiles" in told
        assert "journal_limit" in told


def test_one_profile_more_in_memory_than_may_wait_is_enough() -> None:
    assert settings_from("hot_profiles = 8\njournal_limit = 7", {}).hot_profiles == 8


@pytest.mark.parametrize("text", ["port = ", "a = " + "[" * 100_000, "port = " + "9" * 5_000])
def test_a_file_that_is_not_toml_is_told_as_such(text: str) -> None:
    assert "not TOML" in problem_of(text)


def test_a_hostile_value_is_told_by_its_kind() -> None:
    assert "more than 64 parts" in problem_of("port" + ".a" * 500_000 + " = 1")
    assert "a table" in problem_of("port" + ".a" * 60 + " = 1")
    assert "a whole number" in problem_of("port = 0x" + "f" * 9_000)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Settings(workers=0), "workers is 0. Write a whole number from 1 to 64."),
        (Settings(trusted_proxies=("nobody",)), "which is no network. Write"),
        (Settings(hot_profiles=7, journal_limit=7), "hot_profiles is 7 and journal_limit is 7"),
        (Settings(port=-1, region_id=-1), "region_id is -1"),
    ],
)
async def test_settings_that_a_program_made_are_checked_as_those_of_a_file(
    settings: Settings, told: str, tmp_path: Path
) -> None:
    """An assertion had ended the opening, or the first call."""
    own = structs.replace(settings, data_dir=str(tmp_path / "data"))
    with pytest.raises(BadSettings, match=re.escape(told)):
        async with open_perso(own):
            pass

    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Settings(data_dir=cast(Any, Path("data"))), "data_dir is a PosixPath. Write a directory"),
        (Settings(data_dir=cast(Any, None)), "data_dir is a NoneType. Write a directory"),
        (Settings(host=cast(Any, b"x")), "host is a bytes. Write"),
    ],
)
async def test_a_setting_of_a_kind_that_no_file_has_is_told_by_its_kind(
    settings: Settings, told: str
) -> None:
    """It had ended as `RuntimeError: async generator raised StopIteration`."""
    with pytest.raises(BadSettings, match=re.escape(told)):
        async with open_perso(settings):
            pass
