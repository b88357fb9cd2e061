"""perso.d.ts says what perso.js takes and gives: the TypeScript compiler holds pages to it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.demo.browser import ROOT, TSC, need

STATIC = ROOT / "perso_core/edge/static"
CONFIGURE = 'perso("configure", { datastreamId: "demo", orgId: "x@AdobeOrg" })'

RIGHT = [
    CONFIGURE,
    'perso("sendEvent")',
    'perso("sendEvent", { xdm: { eventType: "a", web: { any: 1 } }, documentUnloading: true })',
    'perso("sendEvent", { edgeConfigOverrides: { datastreamId: "b", com_adobe_analytics: {} } })',
    'perso("setConsent", { consent: [{ standard: "Adobe", version: "1.0", value: {} }] })',
    'perso("appendIdentityToUrl", { url: "/" }).then(({ url }) => url.length)',
    'perso("applyResponse", { responseBody: { handle: [] } }).then((a) => a.destinations[0].alias)',
    'window.perso("getIdentity").then((a) => ("identity" in a ? a.identity.ECID : null))',
    """perso("sendEvent").then((answer) => {
      if ("destinations" in answer) answer.destinations[0].segments[0].id.trim();
    })""",
]
WRONG = [
    'perso("sendEvents")',
    'perso("configure", { orgId: "x@AdobeOrg" })',
    CONFIGURE.replace(" })", ', defaultConsent: "yes" })'),
    'perso("sendEvent", { xdm: { eventType: 1 } })',
    'perso("sendEvent", { edgeConfigOverrides: { datastream: "b" } })',
    'perso("setConsent", { consent: "in" })',
    'perso("appendIdentityToUrl", {})',
    # Without consent there are none.
    'perso("sendEvent").then((answer) => answer.destinations)',
]


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> set[int]:
    """The numbers of the lines, from 0, in which the compiler finds a fault: of RIGHT, then of
    WRONG. It reads all that a browser has for each run."""
    compiler = need(TSC, install="npm ci --ignore-scripts")
    node = need(shutil.which("node"), install="apt-get install nodejs")
    source = tmp_path_factory.mktemp("types") / "page.ts"
    one_each = [line.replace("\n", " ") + ";" for line in (*RIGHT, *WRONG)]
    source.write_text("\n".join(one_each), encoding="utf-8")
    words = ["--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom"]
    told = subprocess.run(
        [node, compiler, *words, STATIC / "perso.d.ts", source],
        capture_output=True,
        text=True,
        check=False,
    )
    places = re.findall(r"^(\S+?)\((\d+),\d+\): error", told.stdout, re.MULTILINE)
    assert {Path(file).name for file, _ in places} <= {"page.ts"}, told.stdout
    return {int(line) - 1 for _, line in places}


def test_pages_that_use_it_as_documented_compile(faults: set[int]) -> None:
    assert [line for number, line in enumerate(RIGHT) if number in faults] == []


def test_a_page_that_uses_it_wrongly_does_not_compile(faults: set[int]) -> None:
    assert [line for number, line in enumerate(WRONG, len(RIGHT)) if number not in faults] == []


@pytest.mark.parametrize(
    ("pattern_js", "pattern_ts"),
    [
        (r"^    async (\w+)\(", r'command: "(\w+)"'),
        (r"config\.(\w+)|given\.(\w+)", r"^  (\w+)\??: (?=.*;$)"),
    ],
    ids=["commands", "configuration"],
)
def test_the_types_leave_out_nothing_that_the_script_reads(
    pattern_js: str, pattern_ts: str
) -> None:
    script = (STATIC / "perso.js").read_text(encoding="utf-8")
    types = (STATIC / "perso.d.ts").read_text(encoding="utf-8")
    read = {word for found in re.finditer(pattern_js, script, re.M) for word in found.groups()}

    assert read - {None} <= set(re.findall(pattern_ts, types, re.M))
