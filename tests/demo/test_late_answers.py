"""While Perso does not answer, the shop does: defaults in every place, and the reason said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo.late_site import late_shop
from tests.demo.shopper import Shopper, banner, digest, said, tags


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[str]:
    with late_shop(tmp_path) as address:
        yield address


async def test_every_place_shows_its_default_and_says_that_nobody_answered(shop: str) -> None:
    async with Shopper(shop) as shopper:
        page = await shopper.open("/product/pathfinder")

    assert banner(page) == "Pitch it before you buy it"
    assert digest(page).startswith("No answer in 50 ms")
    assert {tag.partition(": ")[2] for tag in tags(page)} == {"no answer in 50 ms"}


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/visitor/sign-in", {"customer": "nora"}),
        ("/visitor/consent", {"consent": "out"}),
        ("/visitor/forget", {}),
    ],
)
async def test_a_control_that_fails_says_what_was_not_changed_and_what_to_do(
    shop: str, path: str, form: dict[str, str]
) -> None:
    async with Shopper(shop) as shopper:
        await shopper.open("/account")
        status, page = await shopper.post(path, form)

    assert status == 200
    assert said(page) == (
        "Nothing was changed. The store is not available: The disk is full."
        " Make room and try again."
    )
    assert ">Account</a>" in page
