"""Starting, stopping and restarting the demo."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from demo_site import serve
from demo_site.__main__ import settings_from
from demo_site.clock import DAY_MS, DemoClock
from demo_site.serve import DemoSettings, PortRefused
from tests.demo.browser import ROOT
from tests.demo.running import Demo, demo, environment, stop
from tests.demo.shopper import Shopper, counts
from tests.edge.raw import connected


def test_ctrl_c_ends_it_cleanly(tmp_path: Path) -> None:
    with demo(tmp_path) as running:
        assert stop(running.process) == 0


def test_what_is_no_http_is_refused_as_perso_serve_refuses_it(demo: Demo) -> None:
    with connected(demo.shop) as connection:
        connection.send(b"no HTTP\r\n\r\n")
        told = connection.answer()

    assert told is not None
    assert (told.status, told.code) == (400, "edge.http-malformed")


def _start(data_dir: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "demo_site", *words],
        cwd=ROOT,
        env=environment(data_dir, **settings),
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize("variable", ["PORT", "AD_PORT"])
def test_a_port_that_is_taken_is_one_line_with_the_way_out(
    tmp_path: Path, demo: Demo, variable: str
) -> None:
    port = demo.shop.rpartition(":")[2]

    ended = _start(tmp_path, **{variable: port})

    assert ended.returncode == 1
    assert ended.stderr.startswith(f"Port {port} is taken (")
    assert ended.stderr.endswith(f"Give another: {variable}={int(port) + 10}\n")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (errno.EACCES, "Port 80 is not this user's (Permission denied). Give another: PORT=8080"),
        (
            errno.EMFILE,
            "Port 80 cannot be listened to (Too many open files). Mend that, and start again.",
        ),
    ],
)
async def test_a_port_that_the_system_refuses_is_not_called_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, told: str
) -> None:
    async def refused(site: web.TCPSite) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(web.TCPSite, "start", refused)

    with pytest.raises(PortRefused) as refusal:
        async with serve.running(DemoSettings(data_dir=tmp_path, ad_port=80)):
            pass

    assert str(refusal.value) == told.replace("PORT=8080", "AD_PORT=8081")


def test_a_port_that_is_none_is_one_line_with_the_way_out(tmp_path: Path) -> None:
    ended = _start(tmp_path, PORT="eighty")

    assert ended.stderr == "PORT is 'eighty'. Give a port, 0 to 65535: PORT=8080\n"


def test_words_that_would_change_nothing_are_refused_with_what_does(tmp_path: Path) -> None:
    ended = _start(tmp_path, "--port", "9000")

    assert ended.returncode == 1
    assert ended.stderr == (
        "The demo takes no words, and got '--port 9000'. Say where in the environment, by PORT,"
        " AD_PORT and DATA_DIR: PORT=9000 perso demo\n"
    )


def test_it_says_where_it_is_and_what_to_try(tmp_path: Path) -> None:
    settings = settings_from({}, tmp_path)

    assert (settings.port, settings.ad_port) == (8080, 8081)
    assert settings.alloy is None


def test_without_alloy_the_page_says_how_to_have_it(tmp_path: Path) -> None:
    alloy = tmp_path / "alloy.min.js"
    assert settings_from({"ALLOY_JS": str(alloy)}, tmp_path).alloy is None
    alloy.write_text("// the SDK")

    assert settings_from({"ALLOY_JS": str(alloy)}, tmp_path).alloy == alloy


async def test_definitions_that_an_operator_applied_stay_as_long_as_the_file_does(
    tmp_path: Path,
) -> None:
    with demo(tmp_path):
        pass
    text = (ROOT / "demo_site/perso.toml").read_text(encoding="utf-8")
    other = tmp_path / "other.toml"
    other.write_text(text.replace('default_consent = "in"', 'default_consent = "out"'))
    _apply(other, tmp_path)

    with demo(tmp_path) as again:
        async with Shopper(again.shop) as shopper:
            page = await shopper.open("/product/pathfinder")

    assert counts(page) == "0 in, 40 not, 0 held back"


def _apply(definitions: Path, data_dir: Path) -> None:
    """As an operator does."""
    subprocess.run(
        [sys.executable, "-m", "perso_core", "apply", str(definitions)],
        check=True,
        env=environment(data_dir, PERSO_DATA_DIR=str(data_dir)),
        cwd=ROOT,
    )


def test_the_clock_s_offset_survives_a_restart(tmp_path: Path) -> None:
    clock = DemoClock(tmp_path / "offset", real_ms=lambda: 1_000)
    clock.move_on(DAY_MS)

    assert DemoClock(tmp_path / "offset", real_ms=lambda: 2_000)() == 2_000 + DAY_MS


def test_a_clock_file_that_somebody_else_wrote_is_no_offset(tmp_path: Path) -> None:
    (tmp_path / "offset").write_text("tomorrow")

    assert DemoClock(tmp_path / "offset", real_ms=lambda: 1_000)() == 1_000


def test_its_definitions_are_the_40_audiences_told_to_both_aliases() -> None:
    from perso_core.definitions.toml_file import definitions_from_toml

    definitions = definitions_from_toml((ROOT / "demo_site/perso.toml").read_text(encoding="utf-8"))

    ids = {audience.id for audience in definitions.audiences}
    told = {
        destination.integration_alias: {
            activation.audience
            for activation in definitions.activations
            if activation.destination == destination.id
        }
        for destination in definitions.destinations
    }
    assert len(ids) == 40
    assert told["personalizationAlias"] == told["adServerAlias"] == ids
    assert [destination.kind for destination in definitions.destinations] == [
        "custom-personalization",
        "custom-personalization",
        "custom-personalization-with-attributes",
    ]


def test_the_lock_file_names_no_registry_and_pins_the_sdk() -> None:
    text = (ROOT / "package-lock.json").read_text()
    packages = json.loads(text)["packages"]

    assert not re.search(r"https?://", text)
    assert packages["node_modules/@adobe/alloy"]["version"] == "2.32.0"
