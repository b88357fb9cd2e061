"""What a page's server says of its visitor, also of one who was not answered: attributes, a choice,
and that they want to be forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perso_core import Identity, Visitor
from perso_core.errors import BadChoice, BadIdentity, StoreUnavailable
from tests.building import definitions
from tests.edge.rendered import ANNA, FPID, held, opened, page, too_late
from tests.edge.running import NAMES


async def test_who_agrees_on_a_page_is_named_by_the_device_id_of_the_site(tmp_path: Path) -> None:
    waiting = definitions(fpid_cookie="shop_id", default_consent="pending")
    async with opened(tmp_path, waiting) as perso:
        asked = await perso.visit(page(FPID))
        agreed = await asked.choose_consent("in")
        elsewhere = await (await perso.visit(page(FPID))).choose_consent("in")
        shown = await perso.visit(page(held(agreed, FPID)))

        assert (asked.state, asked.ecid) == ("no-consent", None)
        assert agreed.ecid == elsewhere.ecid == shown.ecid
        assert "basket" in shown


@pytest.mark.parametrize("word", ["yes", "", "IN", "pending", None])
async def test_a_word_that_is_no_choice_is_refused_and_changes_nothing(
    word: Any, tmp_path: Path
) -> None:
    """As where a form's own value is passed on."""
    async with opened(tmp_path, definitions()) as perso:
        visitor = await perso.visit(page({}))

        with pytest.raises(BadChoice, match=r'"in" or "out"'):
            await visitor.choose_consent(word)

        assert "basket" in await perso.visit(page(held(visitor), xdm=None))


async def test_what_a_program_says_counts_before_a_restart_as_after_it(tmp_path: Path) -> None:
    """A tuple was a list only once it came from the store."""
    rules = {
        "bought": 'CHAIN(xEvent, timestamp, [C0: WHAT(skus = "b")])',
        "sporty": 'interests = "sport"',
    }
    async with opened(tmp_path, definitions(rules)) as perso:
        shown = await perso.visit(page({}, xdm={"skus": ("a", "b")}))

        after = await shown.update({"interests": ("food", "sport")})

        assert shown.audiences == {"bought"}
        assert after.audiences == {"bought", "sporty"}


async def test_attributes_of_a_visitor_who_may_not_be_kept_set_no_cookie(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions(default_consent="pending")) as perso:
        asked = await perso.visit(page({}))

        after = await asked.update({"loyalty": {"points": 5}})

        assert (after.state, after.cookies, after.ecid) == ("no-consent", (), None)
        why = after.reason("basket").sentence
        assert why == "Nothing is kept of this visitor, who did not agree."


# ---- a visitor who could not be looked up in time ---------------------------------


@pytest.mark.parametrize("customer", [None, ANNA], ids=["device", "customer"])
async def test_who_asks_to_be_forgotten_on_a_page_that_came_too_late_is(
    customer: Identity | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing had been erased, and the answer took the cookies away."""
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))
        if customer:
            cookies = held(await perso.visit(page(cookies, customer=customer)), cookies)
        with monkeypatch.context() as patched:
            too_late(perso, patched)
            shown = await perso.visit(page(cookies, customer=customer))
        assert (shown.state, shown.audiences) == ("unavailable", frozenset())
        assert shown.reason("basket").sentence == "This visitor could not be looked up."

        await shown.forget()

        assert "basket" not in await perso.visit(page(cookies, xdm=None, customer=customer))


async def test_so_is_one_whom_the_sites_own_trusted_cookie_alone_proves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(
        tmp_path, definitions(fpid_cookie="shop_id", trust_fpid_cookie=True)
    ) as perso:
        await perso.visit(page(FPID))
        with monkeypatch.context() as patched:
            too_late(perso, patched)
            shown = await perso.visit(page(FPID))

        await shown.forget()

        assert "basket" not in await perso.visit(page(FPID, xdm=None))


async def test_a_choice_on_a_page_that_came_too_late_is_a_new_devices_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path, definitions(default_consent="pending")) as perso:
        with monkeypatch.context() as patched:
            too_late(perso, patched)
            shown = await perso.visit(page({}, customer=ANNA))
        assert (shown.state, shown.cookies) == ("unavailable", ())

        cookies = held(await shown.choose_consent("in"))

        assert "basket" in await perso.visit(page(cookies))
        assert "basket" in await perso.visit(page({}, customer=ANNA))


async def test_a_visit_that_cannot_be_kept_is_of_its_visitor_all_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))
        shown = await perso.visit(page(cookies, xdm={"seen": object()}))

        await shown.forget()

        assert "basket" not in await perso.visit(page(cookies, xdm=None))


async def test_a_refusal_on_a_page_that_came_too_late_is_the_visitors_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had been kept of a device that nobody has, whose cookies replaced the visitor's."""
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))
        with monkeypatch.context() as patched:
            too_late(perso, patched)
            shown = await perso.visit(page(cookies))

        said = await shown.choose_consent("out")

        assert [one.name for one in said.cookies] == [NAMES.consent]
        assert (await perso.visit(page(cookies))).state == "no-consent"


async def test_a_visitor_may_be_forgotten_where_the_datastream_is_switched_off(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))
        await perso.apply(definitions(enabled=False))
        await (await perso.visit(page(cookies))).forget()
        await perso.apply(definitions())

        assert "basket" not in await perso.visit(page(cookies, xdm=None))


async def test_a_newcomer_may_choose_and_be_forgotten_where_the_datastream_is_switched_off(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, definitions(enabled=False)) as perso:
        cookies = held(await (await perso.visit(page({}))).choose_consent("out"))
        gone = await (await perso.visit(page({}))).forget()
        await perso.apply(definitions())

        assert (await perso.visit(page(cookies))).state == "no-consent"
        assert gone.state == "new"


async def test_what_is_said_beside_a_customer_that_is_none_is_the_devices(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions()) as perso:
        cookies = held(await perso.visit(page({})))
        shown = await perso.visit(page(cookies, customer=Identity("ECID", "1")))

        await shown.choose_consent("out")

        assert (await perso.visit(page(cookies))).state == "no-consent"


async def test_nothing_is_said_of_a_visitor_who_was_never_looked_up(tmp_path: Path) -> None:
    async with opened(tmp_path, definitions()) as perso:
        nobody = Visitor(state="unavailable", site=perso, datastream_id="demo", asked=False)

        for act in (nobody.forget(), nobody.update({"a": 1}), nobody.choose_consent("out")):
            with pytest.raises(StoreUnavailable, match="was not looked up"):
                await act


@pytest.mark.parametrize(
    ("identity", "told"),
    [
        (Identity("ECID", "1"), "The ECID “1” is not 38 digits."),
        (Identity("CRM ID", "c-17"), "The namespace “CRM ID” is not a letter"),
        (Identity("CRMID", ""), "is not 1 to 256 printable characters."),
    ],
)
async def test_attributes_are_not_put_under_an_identity_that_no_export_and_no_erasure_can_name(
    identity: Identity, told: str, tmp_path: Path
) -> None:
    async with opened(tmp_path, definitions()) as perso:
        with pytest.raises(BadIdentity, match=told):
            await perso.put_profile(identity, {"loyalty": {"points": 5}})

        assert await perso.everything(identity) == {}
