"""Each of the forty audiences, through `perso apply` and the edge, tells two visitors apart."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct, field

from tests.cli.test_commands import perso
from tests.journeys.audience_cases import CASES
from tests.journeys.server import ROOT, serving
from tests.pql.cases import AUDIENCES

IDS: Mapping[str, str] = {audience["name"]: audience["id"] for audience in AUDIENCES}
# Both are told of all forty; crmAlias, of three.
ALIASES = {"personalizationAlias", "adServerAlias"}
ANSWER_LIMIT_S = 10
ABSENT = object()


class Browser(Struct):
    """Keeps the cookies that the edge gives it."""

    url: str
    cookies: dict[str, str] = field(default_factory=dict)
    ecid: str = ""

    def send(self, event: dict[str, Any]) -> dict[str, list[str]]:
        """Ids of the audiences told, by alias. Raises HTTPError where the edge refuses."""
        request = urllib.request.Request(
            f"{self.url}/v1/interact?configId=demo",
            data=json.dumps({"events": [{"xdm": event}]}).encode(),
            headers={
                "Content-Type": "application/json",
                "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            },
        )
        with urllib.request.urlopen(request, timeout=ANSWER_LIMIT_S) as answer:
            told = json.load(answer)
        assert not told.get("errors"), told
        return self._learn(told["handle"])

    def _learn(self, handles: list[dict[str, Any]]) -> dict[str, list[str]]:
        segments: dict[str, list[str]] = {}
        for handle in handles:
            for item in handle["payload"]:
                if handle["type"] == "identity:result":
                    self.ecid = item["id"]
                elif handle["type"] == "state:store":
                    self.cookies[item["key"]] = item["value"]
                elif handle["type"] == "activation:pull":
                    segments[item["alias"]] = [one["id"] for one in item["segments"]]
        return segments


class Pair(Struct):
    inside: Browser
    outside: Browser


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Pair]]:
    """Audience name -> two visitors, known to the edge, whose attributes are put."""
    directory = tmp_path_factory.mktemp("audiences")
    data_dir = directory / "data"
    with serving(data_dir) as server:
        definitions = str(ROOT / "demo_site/perso.toml")
        applied = perso(directory, "apply", definitions, "--data-dir", str(data_dir))
        assert applied.returncode == 0, applied.stderr
        assert "40 audiences" in applied.stdout
        everyone = {name: Pair(_newcomer(server.url), _newcomer(server.url)) for name in CASES}
        _put(directory, data_dir, everyone)
        yield everyone


def _newcomer(url: str) -> Browser:
    browser = Browser(url)
    browser.send({"eventType": "arrival"})
    return browser


def _put(directory: Path, data_dir: Path, everyone: Mapping[str, Pair]) -> None:
    """One file for all, put while the server runs."""
    lines = []
    for name, pair in everyone.items():
        lines.append(_line(pair.inside, CASES[name].visitor_in()))
        lines.append(_line(pair.outside, CASES[name].visitor_out()))
    (directory / "profiles.jsonl").write_text("\n".join(lines), "utf-8")
    words = ("profile", "put", "profiles.jsonl", "--data-dir", str(data_dir))
    done = perso(directory, *words)
    assert done.returncode == 0, done.stderr
    assert f"{2 * len(CASES)} profiles updated" in done.stdout


def _line(browser: Browser, visitor: dict[str, Any]) -> str:
    identity = {"namespace": "ECID", "id": browser.ecid}
    return json.dumps({"identity": identity, "attributes": visitor["attributes"]})


def test_each_of_the_forty_audiences_has_its_case() -> None:
    assert list(CASES) == list(IDS)
    assert len(CASES) == 40


@pytest.mark.parametrize("name", IDS)
def test_of_two_visitors_who_differ_in_one_value_one_is_in_and_one_is_out(
    name: str, pairs: dict[str, Pair]
) -> None:
    case, pair = CASES[name], pairs[name]
    assert _differences(case.visitor_in(), case.visitor_out()) == [case.at]

    inside = pair.inside.send(case.visitor_in()["event"])
    outside = pair.outside.send(case.visitor_out()["event"])

    assert {alias for alias, ids in inside.items() if IDS[name] in ids} >= ALIASES
    assert {alias for alias, ids in outside.items() if IDS[name] in ids} == set()
    assert outside.keys() >= ALIASES, "the one who is out is answered, too"


@pytest.mark.parametrize("name", IDS)
def test_the_demo_defines_the_audience_as_the_forty_do(name: str) -> None:
    text = (ROOT / "demo_site/perso.toml").read_text("utf-8")
    audience = next(one for one in AUDIENCES if one["name"] == name)

    assert f"pql = '''{audience['pql']}'''" in text


def _differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Paths of the leaves in which two values differ; a leaf that one lacks is a difference."""
    if isinstance(one, list) and isinstance(other, list):
        one, other = dict(enumerate(one)), dict(enumerate(other))
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return [] if type(one) is type(other) and one == other else [path.removeprefix(".")]
    return [
        found
        for key in {**one, **other}
        for found in _differences(one.get(key, ABSENT), other.get(key, ABSENT), f"{path}.{key}")
    ]
