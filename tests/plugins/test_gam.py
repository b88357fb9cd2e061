"""What Google Ad Manager is told of a visitor, and what it is not told."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from perso_ads import BadTargeting, Dropped, GamConfig, gam_targeting
from perso_ads.withheld import refusal_sentence
from perso_core import DestinationLookup, Refused
from perso_core.decision.governance import Reason

MAY_1_MS = 1_777_593_600_000  # 2026-05-01T00:00Z
UUID = "2739eda4-1fa8-5c24-aa27-67c3b6c5e077"


def entry(*audiences: str, refused: tuple[Refused, ...] = ()) -> DestinationLookup:
    return DestinationLookup("d-ads", "adServerAlias", audiences, refused)


def test_audiences_are_sent_sorted_under_one_key() -> None:
    targeting = gam_targeting(entry("vip", "bargain"), GamConfig())

    assert targeting.page == {"aud": ["bargain", "vip"]}
    assert targeting.cust_params == "aud%3Dbargain%2Cvip"
    assert targeting.dropped == ()


def test_an_audience_is_sent_as_its_short_value_where_it_has_one() -> None:
    targeting = gam_targeting(entry(UUID, "vip"), GamConfig(key="a", values={UUID: "B1"}))

    assert targeting.page == {"a": ["b1", "vip"]}


def test_an_id_as_our_definitions_make_them_fits_without_a_short_value() -> None:
    assert gam_targeting(entry(UUID), GamConfig()).page == {"aud": [UUID]}


@pytest.mark.parametrize("answer", [None, entry()])
def test_who_is_in_no_audience_or_gave_no_consent_clears_the_key(
    answer: DestinationLookup | None,
) -> None:
    targeting = gam_targeting(answer, GamConfig(extra={"page_type": "article", "tags": []}))

    assert targeting.page == {"aud": None, "page_type": ["article"], "tags": None}
    assert targeting.cust_params == "page_type%3Darticle"
    assert gam_targeting(answer, GamConfig()).cust_params == ""


def test_cust_params_are_percent_encoded_once() -> None:
    config = GamConfig(extra={"page_type": ["article", "long.read"]})

    assert gam_targeting(entry("a", "b"), config).cust_params == (
        "aud%3Da%2Cb%26page_type%3Darticle%2Clong.read"
    )


@pytest.mark.parametrize(
    "unfit", ["", "été", "two words", "a,b", 'say"so', "x" * 41, "newline\n", "\u212a"]
)
def test_a_value_that_does_not_fit_is_reported_and_never_bent(unfit: str) -> None:
    targeting = gam_targeting(entry(unfit), GamConfig(extra={"tag": unfit}))

    reason = "The value is not 1 to 40 of a-z, 0-9, underscore, dot and hyphen."
    assert targeting.page == {"aud": None, "tag": None}
    assert targeting.dropped == (Dropped("aud", unfit, reason), Dropped("tag", unfit, reason))


def test_a_value_at_the_limit_is_sent() -> None:
    assert gam_targeting(entry("x" * 40), GamConfig()).page == {"aud": ["x" * 40]}


def test_two_audiences_that_differ_in_case_alone_are_one_value_and_the_second_is_reported() -> None:
    targeting = gam_targeting(entry("VIP", "vip", "Vip"), GamConfig(priority=["vip"]))

    assert targeting.page == {"aud": ["vip"]}
    assert targeting.dropped == (
        Dropped("aud", "VIP", "'vip' is already sent, for 'vip'."),
        Dropped("aud", "Vip", "'vip' is already sent, for 'vip'."),
    )


def test_what_does_not_fit_the_budget_is_dropped_from_the_end_of_the_ranking() -> None:
    config = GamConfig(priority=["z", "m"], budget_chars=len("aud%3Dm%2Cz"))

    targeting = gam_targeting(entry("a", "m", "z"), config)

    assert targeting.page == {"aud": ["m", "z"]}
    assert targeting.dropped == (
        Dropped("aud", "a", "No room: the values before it take 11 of 11 characters."),
    )


def test_a_short_value_never_slips_past_a_wanted_one_that_did_not_fit() -> None:
    config = GamConfig(priority=["first", "second-and-long", "x"], budget_chars=20)

    targeting = gam_targeting(entry("x", "second-and-long", "first"), config)

    assert targeting.page == {"aud": ["first"]}
    assert [dropped.value for dropped in targeting.dropped] == ["second-and-long", "x"]


def test_the_sites_own_keys_come_before_audiences_when_room_is_short() -> None:
    config = GamConfig(extra={"page_type": "article"}, priority=["vip"], budget_chars=20)

    targeting = gam_targeting(entry("vip"), config)

    assert targeting.page == {"aud": None, "page_type": ["article"]}
    assert [dropped.value for dropped in targeting.dropped] == ["vip"]


def test_the_budget_may_be_used_to_its_last_character() -> None:
    extra = {"page_type": ["article", "news"], "site": "shop"}
    whole = gam_targeting(entry("vip", "gold"), GamConfig(extra=extra))

    for spared, dropped in ((0, 0), (1, 1)):
        config = GamConfig(extra=extra, budget_chars=len(whole.cust_params) - spared)
        assert len(gam_targeting(entry("vip", "gold"), config).dropped) == dropped


def test_by_default_fifteen_hundred_encoded_characters_are_sent() -> None:
    audiences = [f"audience-{number:03d}" for number in range(200)]

    targeting = gam_targeting(entry(*audiences), GamConfig())

    assert 1_480 < len(targeting.cust_params) <= 1_500
    assert len(targeting.page["aud"] or []) + len(targeting.dropped) == 200


def test_a_refused_audience_is_reported_with_the_day_and_not_sent() -> None:
    refused = (
        Refused("spring", "not-started", MAY_1_MS),
        Refused("winter", "ended", MAY_1_MS),  # the end of its last day
        Refused("never", "ended", 2**62),
    )

    targeting = gam_targeting(entry("vip", refused=refused), GamConfig())

    assert targeting.page == {"aud": ["vip"]}
    assert targeting.dropped == (
        Dropped("aud", "never", "Its activation to this destination has ended."),
        Dropped(
            "aud",
            "spring",
            "Its activation to this destination has not started; it does on 2026-05-01.",
        ),
        Dropped("aud", "winter", "Its activation to this destination has ended, on 2026-04-30."),
    )


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (
            "share-refused",
            "The visitor said no to sharing on 2026-05-01, and this destination is advertising.",
        ),
        (
            "gpc",
            "The browser signals since 2026-05-01 that nothing be shared (Global Privacy Control),"
            " and this destination is advertising.",
        ),
    ],
)
def test_what_a_visitor_does_not_want_shared_is_reported_as_that(
    reason: Reason, sentence: str
) -> None:
    """It had been told as an activation that has ended."""
    targeting = gam_targeting(entry(refused=(Refused("vip", reason, MAY_1_MS),)), GamConfig())

    assert targeting.dropped == (Dropped("aud", "vip", sentence),)


def test_every_reason_for_which_something_is_held_back_has_a_sentence() -> None:
    for reason in get_args(Reason):
        assert refusal_sentence(Refused("vip", reason, 2**62)).endswith(".")


def test_the_payload_for_a_page_says_nothing_of_what_was_held_back() -> None:
    targeting = gam_targeting(
        entry("vip", refused=(Refused("secret", "ended", 0),)), GamConfig(extra={"t": "???"})
    )

    assert targeting.payload() == {
        "page": {"aud": ["vip"], "t": None},
        "cust_params": "aud%3Dvip",
    }


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"key": "2nd"}, "'2nd'"),
        ({"key": "Aud"}, "'Aud'"),
        ({"key": "x" * 21}, "1 to 20"),
        ({"key": "aud\n"}, "not a digit first"),
        ({"extra": {"page-type": "x"}}, "'page-type'"),
        ({"extra": {"aud": "x"}}, "also in extra"),
        ({"extra": {"price": 10}}, "neither text"),
        ({"extra": {"price": [10]}}, "neither text"),
        ({"values": {"a": "no spaces"}}, "'no spaces'"),
        ({"values": {"a": "One", "b": "one"}}, "without case"),
        ({"priority": ["a", "b", "a"]}, "more than once"),
        ({"budget_chars": 0}, "below 1"),
        ({"key": None}, "The key None is not"),
        ({"extra": {5: "x"}}, "The key 5 is not"),
        ({"values": {"gold": 1}}, "The value 1 of audience 'gold'"),
        ({"values": {5: "five", "gold": "g1"}}, "5 in values is no audience id"),
        ({"values": [("gold", "g1")]}, "values does not say by audience id"),
        ({"extra": [("page", "home")]}, "extra does not say by key"),
        ({"priority": "gold"}, "priority is 'gold', not a list"),
        ({"priority": [5]}, "5 in priority is no audience id"),
        ({"budget_chars": "1500"}, "budget_chars is '1500', not a whole number"),
        ({"budget_chars": 1.5}, "budget_chars is 1.5, not a whole number"),
    ],
)
def test_a_configuration_that_ad_manager_would_not_take_is_refused(
    fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(BadTargeting, match=said) as raised:
        GamConfig(**fields)
    assert raised.value.code == "ads.targeting"
    assert len(raised.value.faults) == 1


def test_all_faults_of_a_configuration_are_told_at_once() -> None:
    with pytest.raises(BadTargeting) as raised:
        GamConfig(key="1", extra={"2": ""}, values={"a": "?"}, priority=["a", "a"], budget_chars=-1)
    assert len(raised.value.faults) == 5
    assert GamConfig().check() == ()


def test_a_ranking_of_ten_thousand_is_looked_through_once() -> None:
    """Each had been counted in all of them: 1.4 seconds, on each page that makes one."""
    compared = 0

    class Counted(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

    GamConfig(priority=[Counted(f"a{number}") for number in range(10_000)])

    assert compared < 20_000
