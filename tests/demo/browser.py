"""Chromium and what runs in it, for the tests that need a browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserType, Page, sync_playwright

ROOT = Path(__file__).parent.parent.parent
ALLOY_JS = ROOT / "node_modules/@adobe/alloy/dist/alloy.min.js"
ALLOY_2_33_JS = ROOT / "node_modules/alloy-2.33.1/dist/alloy.min.js"
TSC = ROOT / "node_modules/typescript/bin/tsc"
AXE_JS = ROOT / "node_modules/axe-core/axe.min.js"

# Each browser profile has a window, and in it two pages of Chromium's own for what one types into
# the address bar: 1 s of CPU, more than a test's page. The others are those that Playwright does
# without; of two lists Chromium takes the last.
_LEFT_OUT = (
    "WebUIOmniboxPopup",
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxFullPopup",
    "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose",
    "HttpsUpgrades",
    "HttpsFirstBalancedModeAutoEnable",
    "LensOverlay",
    "MediaRouter",
    "PaintHolding",
    "ThirdPartyStoragePartitioning",
    "AvoidCorsURLLoaderRestartOnRedirect",
    "OptimizationHints",
    "NetworkTimeServiceQuerying",
    "AimEnabled",
    "PreconnectToSearch",
)
# No sandbox: tests run as root in a container. The rest keeps Chromium from calling home.
_ARGUMENTS = (
    "--no-sandbox",
    "--headless=new",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(_LEFT_OUT)}",
)


def need(path: str | Path | None, *, install: str) -> Path:
    """A tool that is there; otherwise the test skips, saying how to install it. In CI it fails."""
    if path is not None and Path(path).exists():
        return Path(path)
    if os.environ.get("CI") == "true":
        pytest.fail(f"Not installed. Run: {install}")
    pytest.skip(f"Not installed. Run: {install}")


def need_alloy(path: Path = ALLOY_JS) -> Path:
    return need(path, install="npm ci --ignore-scripts")


def need_axe() -> str:
    return need(AXE_JS, install="npm ci --ignore-scripts").read_text(encoding="utf-8")


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """A browser with further arguments; closed at the end."""
    with sync_playwright() as playwright, launched(playwright.chromium, *arguments) as browser:
        yield browser


@contextmanager
def launched(kind: BrowserType, *arguments: str) -> Iterator[Browser]:
    """Of one Playwright, of which a thread can have only one, also beside another browser."""
    path = need(shutil.which("chromium"), install="apt-get install chromium")
    browser = kind.launch(executable_path=str(path), args=[*_ARGUMENTS, *arguments])
    try:
        yield browser
    finally:
        browser.close()


def problems_of(page: Page) -> list[str]:
    """Filled with what the page's console and scripts complain of, from now on."""
    problems: list[str] = []

    def heard(message: Any) -> None:
        if message.type in ("error", "warning"):
            problems.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: problems.append(str(error)))
    return problems
