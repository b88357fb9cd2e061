"""Pages of who is signed in, by the site's own session."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal, cast

import pytest

from perso_core import Identity
from perso_core.decision.consent import sharing_refused
from perso_core.decision.profile import mark_of
from perso_core.engine.engine import Interaction
from perso_core.errors import BadAttributes
from tests.building import definitions
from tests.canaries.planting import without_canaries
from tests.edge.rendered import ANNA, FPID, held, opened, page
from tests.edge.running import NAMES


async def test_a_page_shows_a_signed_in_customer_what_was_done_on_the_device_before(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))

        signed_in = await perso.visit(page(cookies, customer=ANNA, xdm={"eventType": "x"}))
        again = await perso.visit(page(cookies, customer=ANNA, xdm=None))
        signed_out = await perso.visit(page(cookies, xdm=None))

        assert "basket" in signed_in
        assert "basket" in again
        assert "basket" not in signed_out, "what was done is the customer's now"


async def test_the_signal_of_a_device_that_is_new_is_the_devices_word_with_its_customer(
    tmp_path: Path,
) -> None:
    """So that it is taken back there, as one of a device that was here before."""
    async with opened(tmp_path, definitions()) as perso:
        visitor = await perso.visit(page({}, customer=ANNA, gpc=True))
        asked = Interaction(profile_key=visitor.profile_key, datastream_id="demo")

        kept = (await perso._services.decided(asked)).consent

        assert kept is not None
        assert kept.share_of == mark_of(f"ECID:{visitor.ecid}").hex()


async def test_the_signal_of_a_device_that_is_new_holds_there_when_its_customer_has_left(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        signed_in = await perso.visit(page({}, customer=ANNA, gpc=True))
        signed_out = await perso.visit(page(held(signed_in)))
        asked = Interaction(profile_key=signed_out.profile_key, datastream_id="demo")

        kept = (await perso._services.decided(asked)).consent

        assert signed_out.ecid == signed_in.ecid
        assert sharing_refused(kept)


async def test_a_customer_is_known_on_another_device_and_to_the_sites_servers(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        first = await perso.visit(page({}, customer=ANNA))
        await first.update({"loyalty": {"tier": "gold"}})

        other = await perso.visit(page({}, customer=ANNA, xdm={"eventType": "x"}))
        kept = await perso.profile(ANNA, datastream_id="demo")

        assert first.ecid != other.ecid
        assert {"basket", "gold"} <= other.audiences
        assert kept is not None
        assert without_canaries(kept.attributes)["loyalty"] == {"tier": "gold"}


async def test_a_page_and_the_operator_write_as_much_of_a_customer_as_the_setting_says(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions(), max_record_bytes=300_000) as perso:
        visitor = await perso.visit(page({}, customer=ANNA))
        await visitor.update({"page": "x" * 140_000})
        await perso.put_profile(ANNA, {"operator": "y" * 140_000})

        for write in (visitor.update, partial(perso.put_profile, ANNA)):
            with pytest.raises(BadAttributes, match=r"300,000 is the limit.*max_record_bytes"):
                await write({"more": "z" * 300_000})
        kept = await perso.profile(ANNA, datastream_id="demo")

        assert kept is not None
        assert {"page", "operator", "more"} & set(kept.attributes) == {"page", "operator"}


async def test_a_page_shows_nobody_elses_audiences_to_who_signs_in_next_on_one_device(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({}, customer=ANNA)))

        other = await perso.visit(
            page(cookies, customer=Identity("CRMID", "c-18"), xdm={"eventType": "x"})
        )

        assert "basket" not in other


async def test_a_devices_no_holds_for_whoever_is_signed_in_on_it(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions()) as perso:
        first = await perso.visit(page({}, customer=ANNA))
        cookies = held(first)
        said_no = await first.choose_consent("out")

        after = await perso.visit(page(held(said_no, cookies), customer=ANNA))
        elsewhere = await perso.visit(page({}, customer=ANNA))

        assert after.state == "no-consent"
        assert elsewhere.state == "no-consent", "it was the customer's choice as well"


@pytest.mark.parametrize(("word", "state"), [("in", "known"), ("out", "no-consent")])
async def test_what_a_customer_chooses_on_a_new_device_is_the_devices_once_they_sign_out(
    word: Literal["in", "out"], state: str, tmp_path: Path
) -> None:
    """The choice was kept of a device whose cookies nobody got."""
    async with opened(tmp_path, definitions(default_consent="pending")) as perso:
        asked = await perso.visit(page({}, customer=ANNA))

        cookies = held(await asked.choose_consent(word))

        signed_out = await perso.visit(page(cookies))
        assert (asked.state, asked.cookies) == ("no-consent", ())
        assert signed_out.state == state
        assert NAMES.identity in cookies
        assert f"ECID:{asked.ecid}" == (signed_out.profile_key)


async def test_so_it_is_of_a_new_device_that_the_sites_own_id_names_and_of_one_that_had_refused(
    tmp_path: Path,
) -> None:
    waiting = definitions(fpid_cookie="shop_id", default_consent="pending")
    async with opened(tmp_path, waiting) as perso:
        for before in (FPID, {NAMES.consent: "general=out"}):
            asked = await perso.visit(page(before, customer=ANNA))

            cookies = held(await asked.choose_consent("in"), before)

            signed_out = await perso.visit(page(cookies))
            assert (asked.state, signed_out.state) == ("no-consent", "known")
            assert asked.device_key == signed_out.profile_key


@pytest.mark.parametrize("agreed", [True, False])
async def test_a_refusal_that_the_browser_alone_holds_shows_nothing_and_takes_no_customer_anything(
    agreed: bool, tmp_path: Path
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        signed_in = await perso.visit(page({}, customer=ANNA))
        if agreed:
            await signed_in.choose_consent("in")
        another = held(await perso.visit(page({}, xdm={"eventType": "x"})))
        refusing = {**another, NAMES.consent: "general=out"}

        visited = await perso.visit(page(refusing, customer=ANNA))
        looked = await perso.visit(page(refusing, customer=ANNA, xdm=None))
        elsewhere = await perso.visit(page({}, customer=ANNA, xdm=None))
        kept = await perso.profile(ANNA, datastream_id="demo")

        assert (visited.state, looked.state) == ("no-consent", "no-consent")
        assert "basket" in elsewhere
        assert kept is not None
        assert len(kept.events) == 1


async def test_a_cookie_that_the_devices_word_outdates_says_nothing_of_the_customer(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        await perso.visit(page({}, customer=ANNA))
        agreed = await (await perso.visit(page({}))).choose_consent("in")
        outdated = {**held(agreed), NAMES.consent: "general=out"}

        looked = await perso.visit(page(outdated, customer=ANNA, xdm=None))

        assert "basket" in looked
        assert await perso.profile(ANNA, datastream_id="demo") is not None


async def test_a_customer_who_asks_to_be_forgotten_is_on_this_device_too(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))
        signed_in = await perso.visit(page(cookies, customer=ANNA))

        await signed_in.forget()

        assert await perso.profile(ANNA, datastream_id="demo") is None
        assert "basket" not in await perso.visit(page(cookies, xdm=None))
        assert "basket" not in await perso.visit(page({}, customer=ANNA, xdm=None))


@pytest.mark.parametrize(
    "customer",
    [
        Identity("ECID", "1" * 38),
        Identity("a b", "x"),
        Identity("CRMID", ""),
        Identity("CRMID", "half \ud800"),
        Identity("CRMID", cast(str, 4711)),
        Identity(cast(str, None), "x"),
        cast(Identity, "4711"),  # as of a session that keeps the id alone
    ],
)
async def test_a_customer_that_is_none_shows_the_pages_defaults_and_the_log_says_why(
    tmp_path: Path, customer: Identity, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        shown = await perso.visit(page({}, customer=customer))

        assert shown.state == "unavailable"
        assert "BadIdentity" in caplog.text
