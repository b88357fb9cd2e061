"""The edge hands out the scripts that pages need."""

from __future__ import annotations

import gzip

import pytest

from perso_core.edge.scripts import bare, script
from tests.demo.browser import ROOT
from tests.edge.running import RunningEdge, running_edge

STATIC = ROOT / "perso_core/edge/static"
SCRIPTS = sorted(file.name for file in STATIC.glob("*.js"))


async def fetched(edge: RunningEdge, name: str, accepted: str) -> tuple[dict[str, str], bytes]:
    """Headers and body, as they go over the wire."""
    async with edge.http.get(
        f"{edge.url}/ee/{name}", headers={"Accept-Encoding": accepted}, auto_decompress=False
    ) as answer:
        assert answer.status == 200
        return dict(answer.headers), await answer.read()


@pytest.mark.parametrize("name", SCRIPTS)
async def test_the_edge_serves_its_scripts_before_anything_is_defined_and_a_cache_may_keep_them(
    name: str,
) -> None:
    async with running_edge(None) as edge:
        headers, body = await fetched(edge, name, "identity")

    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert "public" in headers["Cache-Control"]
    assert body == script(name).plain


@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_script_goes_compressed_to_whoever_takes_that(edge: RunningEdge, name: str) -> None:
    headers, body = await fetched(edge, name, "br, gzip")

    assert headers["Content-Encoding"] == "gzip"
    assert headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(body) == script(name).plain


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_served_line_by_line_as_it_stands_in_the_file(name: str) -> None:
    source = (STATIC / name).read_text(encoding="utf-8")
    lines = [line.strip() for line in source.splitlines()]

    assert "`" not in source  # a text over several lines would lose its indentation
    assert "/*" not in source
    assert script(name).plain.decode().splitlines() == [
        line for line in lines if line and not line.startswith("//")
    ]


def test_an_address_in_a_line_is_no_comment() -> None:
    assert (
        bare('  // said\n  const a = "https://x"; // here\n\n')
        == 'const a = "https://x"; // here\n'
    )
