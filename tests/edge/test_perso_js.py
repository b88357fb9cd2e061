"""The edge hands out its own client."""

from __future__ import annotations

from importlib.resources import files

from tests.edge.running import running_edge


async def test_the_edge_serves_perso_js_as_it_is_installed_and_lets_a_cache_keep_it() -> None:
    async with running_edge(None) as edge, edge.http.get(f"{edge.url}/ee/perso.js") as answer:
        body = await answer.read()

    assert answer.status == 200
    assert answer.content_type == "text/javascript"
    assert "public" in answer.headers["Cache-Control"]
    assert body == files("perso_core").joinpath("edge", "static", "perso.js").read_bytes()
