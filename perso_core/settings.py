"""The settings of one process: from a TOML file and the environment, checked once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from msgspec import Struct

from perso_core.compiled import PURE
from perso_core.definitions.check import origin_problem
from perso_core.definitions.finding import nearest, seen, shown
from perso_core.definitions.toml_places import Places, parsed
from perso_core.errors import BadSettings

ENVIRONMENT_PREFIX = "PERSO_"
MAX_SETTINGS_BYTES = 1024 * 1024


class Settings(Struct, frozen=True, kw_only=True):
    """How this process runs. A name ends with its unit where the value has one.

    data_dir: where the database and the cookie keys are kept.
    own_origins: origins that count as the edge's own, besides the one it is reached under.
    trusted_proxies: addresses or networks of our own proxies, whose X-Forwarded-For counts.
    """

    data_dir: str = ".perso"
    host: str = "127.0.0.1"
    port: int = 8080  # 0: any free one
    workers: int = 1  # processes that serve the address
    own_core: int = 1  # 1: each stays on one core, where there are as many as cores
    hot_profiles: int = 50_000  # more than journal_limit
    unparked_profiles: int = 10_000  # of those in memory; the others lie as bytes between visits
    max_events_per_profile: int = 5_000
    max_identities_per_profile: int = 50
    max_record_bytes: int = 102_400  # of a profile's attributes, as JSON
    event_window_days: int = 35
    # How long a visitor is kept who came once and whose cookie no later call brought; 0: as others.
    first_visit_retention_s: int = 1_800
    journal_limit: int = 10_000  # changes that may wait for the store
    keep_compiled: int = 1  # 0: rules are compiled at each start, and no file is kept
    commit_batch: int = 512  # changes in one transaction, at most
    load_timeout_ms: int = 200
    answer_behind: int = 0  # 1: a page's events are answered before they are on disk
    answer_within_ms: int = 250  # then a call is answered with what there is (207)
    news_interval_ms: int = 20  # how often changes by other processes are looked for
    max_body_bytes: int = 65_536
    location_hint: str = "perso"
    region_id: int = 9
    own_origins: tuple[str, ...] = ()
    drain_timeout_s: int = 10  # how long a stop may wait for what is not yet stored
    # How often one may call; burst: how often at once, after a pause. Per second 0: no limit.
    visitor_per_s: int = 50
    visitor_burst: int = 5_000
    network_per_s: int = 2_000  # of one client network: /24 of IPv4, /48 of IPv6
    network_burst: int = 10_000
    datastream_per_s: int = 0
    datastream_burst: int = 10_000
    trusted_proxies: tuple[str, ...] = ()
    max_connections: int = 10_000
    head_within_s: int = 10  # how long a request's head may take to arrive
    idle_within_s: int = 75  # how long a connection may wait for its next request


# (lowest, highest), both included. The kind of each setting is read from its default.
RANGES: Mapping[str, tuple[int, int]] = {
    "port": (0, 65_535),
    "workers": (1, 64),
    "own_core": (0, 1),
    "hot_profiles": (1, 10_000_000),
    "unparked_profiles": (1, 10_000_000),
    "max_events_per_profile": (1, 100_000),
    "max_identities_per_profile": (1, 1_000),
    "max_record_bytes": (1_024, 10_485_760),
    "event_window_days": (1, 3_650),
    "first_visit_retention_s": (0, 10_000_000),
    "journal_limit": (1, 1_000_000),
    "keep_compiled": (0, 1),
    "commit_batch": (1, 100_000),
    "load_timeout_ms": (1, 60_000),
    "answer_behind": (0, 1),
    "answer_within_ms": (1, 60_000),
    "news_interval_ms": (1, 10_000),
    "max_body_bytes": (1_024, 16 * 1024 * 1024),
    "region_id": (0, 999),
    "drain_timeout_s": (0, 600),
    "visitor_per_s": (0, 1_000_000),
    "visitor_burst": (1, 1_000_000),
    "network_per_s": (0, 1_000_000),
    "network_burst": (1, 1_000_000),
    "datastream_per_s": (0, 1_000_000),
    "datastream_burst": (1, 1_000_000),
    "max_connections": (1, 1_000_000),
    "head_within_s": (1, 600),
    "idle_within_s": (1, 3_600),
}
_HOST_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
# What text may look like, and how that is told.
FORMS: Mapping[str, tuple[re.Pattern[str], str]] = {
    # SQLite opens it, which takes no other bytes.
    "data_dir": (re.compile(r"[^\x00\ud800-\udfff]+"), "a directory, in UTF-8"),
    "host": (re.compile(rf"{_HOST_NAME}|[0-9A-Fa-f:.]+(?:%\w+)?"), "a host name or an IP address"),
    "location_hint": (re.compile(r"[a-z0-9]{1,32}"), "1 to 32 small letters and digits"),
}
NAMES = Settings.__struct_fields__
# Settings that are gone -> the argument of a plugin's init_app that says it.
GONE: Mapping[str, str] = {
    "html_wait_ms": "wait_ms",
    "cookie_domain": "cookie_domain",
}
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


class _Given(Struct, frozen=True):
    """One setting as given. place: where, as its writer would say it; text: it came as text."""

    name: str
    value: Any
    place: str
    text: bool


def settings_from(
    toml_text: str | None,
    environ: Mapping[str, str],
    options: Mapping[str, str] = {},
) -> Settings:
    """The settings of a file, then PERSO_* of the environment, then options; the later wins.

    toml_text None: no file. options: settings by name, from the command line. Lists are written
    with commas where they come as text. Raises BadSettings, which names every wrong value (also
    those that a later one overrides), every unknown name, and how to mend each; without these,
    values that do not fit together.
    """
    problems: list[str] = []
    given = [
        *_from_file(toml_text, problems),
        *_from_environment(environ, problems),
        *(
            _Given(name, text, f"--{name.replace('_', '-')}", True)
            for name, text in options.items()
        ),
    ]
    values: dict[str, Any] = {}
    for one in given:
        problem, value = _read(one)
        if problem:
            problems.append(f"{one.place} {problem}")
        else:
            values[one.name] = value
    if problems:
        raise BadSettings(" ".join(problems), fix="Mend them and start again.")
    settings = Settings(**values)
    _check_together(settings)
    return settings


def refuse_bad(settings: Settings) -> None:
    """For settings that a program made by hand: the same values are taken as from a file. Raises
    BadSettings."""
    problems = []
    for name in NAMES:
        value = getattr(settings, name)
        given = list(value) if isinstance(value, tuple) else value
        problem, _ = _read(_Given(name, given, name, False))
        if problem:
            problems.append(f"{name} {problem}")
    if problems:
        raise BadSettings(" ".join(problems), fix="Mend them and open Perso again.")
    _check_together(settings)


def _check_together(settings: Settings) -> None:
    """Raises BadSettings for settings that are each in range but do not fit together."""
    journal, hot = settings.journal_limit, settings.hot_profiles
    if journal >= hot:
        raise BadSettings(
            f"hot_profiles is {hot} and journal_limit is {journal}: profiles whose changes wait for"
            " the store stay in memory, and one more has to fit.",
            fix="Raise hot_profiles above journal_limit, or lower journal_limit below it.",
        )


def _from_file(toml_text: str | None, problems: list[str]) -> list[_Given]:
    if toml_text is None:
        return []
    toml_text = toml_text.removeprefix("\ufeff")  # as some editors begin a file
    try:
        table = parsed(toml_text)
    except ValueError as error:
        problems.append(f"The settings file is not TOML: {error}.")
        return []
    places = Places(toml_text)
    given = []
    for name, value in table.items():
        place = f"{shown(name)} (line {places.line((name,))} of the settings file)"
        if name in NAMES:
            given.append(_Given(name, value, place, False))
        else:
            problems.append(f"{place} is no setting. {_advice(name)}")
    return given


def _from_environment(environ: Mapping[str, str], problems: list[str]) -> list[_Given]:
    known = {ENVIRONMENT_PREFIX + name.upper(): name for name in NAMES}
    given = []
    # That one was read as the package was imported.
    ours = {one for one in environ if one.startswith(ENVIRONMENT_PREFIX)} - {PURE}
    for variable in sorted(ours):
        if variable in known:
            given.append(_Given(known[variable], environ[variable], variable, True))
        else:
            problem = f"{shown(variable)} is no setting."
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
            problems.append(f"{problem} {_advice(name, ENVIRONMENT_PREFIX)}")
    return given


def _advice(name: str, prefix: str = "") -> str:
    """What to write for a name that is no setting. prefix: of an environment variable."""
    if name in GONE:
        return (
            f"Take it out; where a site needs it, write perso_aiohttp.init_app(…, {GONE[name]}=…)."
        )
    near = nearest(name, NAMES)
    if near is None:
        return f"Take it out; the settings are {', '.join(NAMES)}."
    return f"Write {prefix + near.upper() if prefix else near}."


def _read(given: _Given) -> tuple[str | None, Any]:
    """(what is wrong and how to mend it, None), or (None, the value)."""
    name, value = given.name, given.value
    if name in RANGES:
        return _number(given, *RANGES[name])
    if name == "own_origins":
        return _origins(given)
    if name == "trusted_proxies":
        return _networks(given)
    form, words = FORMS[name]
    if isinstance(value, str) and form.fullmatch(value):
        return None, value
    return f"is {seen(value)}. Write {words}.", None


def _number(given: _Given, lowest: int, highest: int) -> tuple[str | None, Any]:
    value = given.value
    if given.text and _NUMBER.fullmatch(value):
        value = int(value)
    if type(value) is int and lowest <= value <= highest:  # a bool is no number here
        return None, value
    return f"is {seen(given.value)}. Write a whole number from {lowest} to {highest}.", None


def _texts(given: _Given, example: str) -> tuple[str | None, list[str]]:
    """A list of texts, or texts with commas between them."""
    value = given.value
    if given.text:
        value = [one.strip() for one in value.split(",") if one.strip()]
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        return f"is {seen(value)}. Write a list, e.g. {example}.", []
    return None, value


def _origins(given: _Given) -> tuple[str | None, Any]:
    fault, origins = _texts(given, '["https://shop.example"]')
    if fault:
        return fault, None
    for origin in origins:
        problem = origin_problem(origin)
        if problem:
            return f"has {shown(origin)}, which {problem}. Write scheme://host[:port].", None
    return None, tuple(origins)


def _networks(given: _Given) -> tuple[str | None, Any]:
    fault, networks = _texts(given, '["10.0.0.0/8"]')
    if fault:
        return fault, None
    for network in networks:
        try:
            ip_network(network, strict=False)
        except ValueError:
            return f"has {shown(network)}, which is no network. Write 10.0.0.0/8 or ::1.", None
    return None, tuple(networks)
