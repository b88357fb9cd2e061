"""Every example in docs/server-api.md runs and gives what the page says."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from perso_core.definitions.permission import OF_A_SERVER
from perso_core.definitions.toml_file import definitions_from_toml
from perso_core.edge.problem import AttributeWithheld
from tests.cli.test_commands import ROOT, serving

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "server-api.md").read_text("utf-8")
(DEFINED,) = re.findall(
    r"^```toml\n(.*?)^```$", (DOCS / "definitions.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
)


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def shell(directory: Path, script: str, **variables: str) -> str:
    """What a script prints that finds `perso` and curl."""
    tools = directory / "bin"
    tools.mkdir(exist_ok=True)
    perso = tools / "perso"
    perso.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m perso_core "$@"\n')
    perso.chmod(perso.stat().st_mode | stat.S_IXUSR)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PERSO_")},
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        **variables,
    }
    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=directory,
        env=environment,
        capture_output=True,
        check=False,
        timeout=60,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def pulled(answer: str) -> list[Any]:
    handles = json.loads(answer)["handle"]
    return [one for h in handles if h["type"] == "activation:pull" for one in h["payload"]]


class Running(Struct):
    """What the page says to type first was typed. calls: what its calls printed, in order."""

    address: str
    key: str
    calls: list[str]


@pytest.fixture(scope="module")
def answers(running: Running) -> list[str]:
    return running.calls


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("page")
    # The page was written in a year in which the example's activations run.
    lasting = re.sub(r"^(start|end)_date = .*\n", "", DEFINED, flags=re.MULTILINE)
    # As the page says.
    assert 'with `default_consent = "in"`' in PAGE
    (directory / "perso.toml").write_text(lasting.replace('"pending"', '"in"'), "utf-8")
    prepare, *calls = examples("sh")
    printed = shell(directory, f'{prepare}\nprintf "%s" "$KEY" > key')
    assert printed.endswith("1 profile updated.\n")
    key = (directory / "key").read_text()
    with serving(directory) as (_, address):
        printed_by = [shell(directory, call, EDGE=address, KEY=key) for call in calls]
        yield Running(address, key, printed_by)


async def test_the_python_example_greets_by_name(running: Running) -> None:
    (example,) = [text for text in examples("python") if "Client(" in text]
    found: dict[str, Any] = {}
    exec(example, found)

    greeting = await found["greeting"](running.address, running.key)

    assert greeting == "Hello Anna"


def test_the_look_up_answers_what_the_page_shows(answers: list[str]) -> None:
    assert pulled(answers[0]) == json.loads(examples("json")[0])


def test_the_event_is_answered_with_the_same_and_what_it_decided(answers: list[str]) -> None:
    segments = [one["id"] for one in pulled(answers[1])[0]["segments"]]

    assert segments == [
        "ac2b8310-4257-549c-805a-308f3d00e502",
        "2739eda4-1fa8-5c24-aa27-67c3b6c5e077",
    ]


def test_the_batch_is_taken_as_the_page_says(answers: list[str]) -> None:
    assert answers[2] == '{"requestId":"batch-1"}'
    assert f"`202 {answers[2]}`" in PAGE


def test_the_issuer_of_the_page_is_one_that_apply_takes() -> None:
    (example,) = examples("toml")

    (issuer,) = definitions_from_toml(f"{DEFINED}\n{example}").issuers
    assert issuer.may == OF_A_SERVER


def test_the_warning_of_the_page_is_one_that_is_given() -> None:
    warning = json.loads(examples("json")[1])

    assert warning["type"] == f"urn:perso:{AttributeWithheld.code}"
    assert (warning["status"], warning["title"]) == (200, AttributeWithheld.title)


def test_the_export_holds_what_was_put_and_what_was_told(answers: list[str]) -> None:
    (profile,) = json.loads(answers[3])["profiles"]

    assert profile["attributes"]["loyalty"]["tier"] == "gold"
    assert [event["xdm"]["eventType"] for event in profile["events"]] == [
        "commerce.productListAdds",
        "commerce.purchases",
    ]
