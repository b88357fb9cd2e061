"""`python -m demo_site`: the demo. PORT, AD_PORT, DATA_DIR and ALLOY_JS change where things are."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from demo_site.serve import DemoSettings, PortRefused, Running, serve
from perso_core import PersoError

_ALLOY = Path("node_modules/@adobe/alloy/dist/alloy.min.js")


def settings_from(environ: Mapping[str, str], root: Path) -> DemoSettings:
    """root: where node_modules is looked for. Raises ValueError, which names the variable."""
    alloy = Path(environ.get("ALLOY_JS") or root / _ALLOY)
    return DemoSettings(
        data_dir=Path(environ.get("DATA_DIR") or ".data/demo"),
        port=_port(environ, "PORT", 8080),
        ad_port=_port(environ, "AD_PORT", 8081),
        alloy=alloy if alloy.is_file() else None,
    )


def _port(environ: Mapping[str, str], variable: str, default: int) -> int:
    text = environ.get(variable) or str(default)
    if not text.isdecimal() or int(text) > 65_535:
        raise ValueError(f"{variable} is {text!r}. Give a port, 0 to 65535: {variable}={default}")
    return int(text)


def _tell(where: Running) -> None:
    print(
        f"""
Fell & Ford, shop and magazine   {where.shop_url}
Perso's edge                     {where.shop_url}/ee
The ad server                    {where.ad_url}

Three things to try:
  1. Same page: open {where.shop_url}/product/pathfinder. The banner knows at once.
  2. Next page: add it to the basket, and go on to any page.
  3. Next day: "Come back tomorrow" in the inspector. The basket's hour is over; gold stays gold.

Ctrl-C ends it. What it knows stays in the data directory.
""",
        flush=True,
    )


def main() -> int:
    """The exit status."""
    try:
        if words := sys.argv[1:]:
            raise ValueError(
                f"The demo takes no words, and got {' '.join(words)!r}. Say where in the"
                " environment, by PORT, AD_PORT and DATA_DIR: PORT=9000 perso demo"
            )
        settings = settings_from(os.environ, Path(__file__).parent.parent)
        asyncio.run(serve(settings, ready=_tell))
    except (PortRefused, ValueError, PersoError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
