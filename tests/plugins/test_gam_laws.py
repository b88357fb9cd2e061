"""Laws of Ad Manager targeting, for any answer and any configuration that is accepted."""

from __future__ import annotations

import re
from collections import Counter
from urllib.parse import unquote

from hypothesis import given
from hypothesis import strategies as st

from perso_ads import GamConfig, gam_targeting
from perso_core import DestinationLookup, Refused

# Mostly values that fit, or nearly: differing in case, a forbidden letter, one too long.
VALUES = st.one_of(
    st.text("abAB01_.-", max_size=4),
    st.text("abcABC_.- ,=&%\u212aß", max_size=43),
    st.text(max_size=8),
)
KEYS = st.from_regex(r"[a-z_][a-z0-9_]{0,19}", fullmatch=True)
REFUSED = st.builds(
    Refused,
    VALUES,
    st.sampled_from(["not-started", "ended"]),
    st.integers(-(2**63), 2**63 - 1),
)


@st.composite
def configs(draw: st.DrawFn, audiences: list[str]) -> GamConfig:
    key = draw(KEYS)
    mapped = draw(st.lists(st.sampled_from(audiences), unique=True)) if audiences else []
    extra = draw(st.dictionaries(KEYS, st.one_of(VALUES, st.lists(VALUES, max_size=4)), max_size=3))
    extra.pop(key, None)
    return GamConfig(
        key=key,
        values={audience: f"V{number}" for number, audience in enumerate(mapped)},
        extra=extra,
        priority=draw(st.permutations(mapped)),
        budget_chars=draw(st.integers(1, 300)),
    )


@st.composite
def cases(draw: st.DrawFn) -> tuple[DestinationLookup, GamConfig]:
    audiences = draw(st.lists(VALUES, max_size=12))
    entry = DestinationLookup("d", "ads", tuple(audiences), tuple(draw(st.lists(REFUSED))))
    return entry, draw(configs(audiences))


@given(cases())
def test_every_key_and_value_obeys_the_limits_and_the_whole_the_budget(
    case: tuple[DestinationLookup, GamConfig],
) -> None:
    targeting = gam_targeting(*case)

    for key, values in targeting.page.items():
        assert re.fullmatch(r"[a-z_][a-z0-9_]{0,19}", key)
        assert values is None or values
        for value in values or ():
            assert re.fullmatch(r"[a-z0-9_.-]{1,40}", value)
        assert values is None or sorted(set(values)) == values
    assert len(targeting.cust_params) <= case[1].budget_chars
    assert list(targeting.page) == sorted(targeting.page)


@given(cases())
def test_cust_params_decode_once_to_exactly_the_page(
    case: tuple[DestinationLookup, GamConfig],
) -> None:
    targeting = gam_targeting(*case)
    decoded = {
        key: values.split(",")
        for key, _, values in (
            pair.partition("=") for pair in unquote(targeting.cust_params).split("&") if pair
        )
    }

    assert decoded == {key: values for key, values in targeting.page.items() if values}


@given(cases())
def test_nothing_vanishes_and_nothing_is_invented(
    case: tuple[DestinationLookup, GamConfig],
) -> None:
    entry, config = case
    targeting = gam_targeting(entry, config)

    given_values = Counter(
        [(config.key, audience) for audience in entry.audiences]
        + [(config.key, refused.audience_id) for refused in entry.refused]
        + [
            (key, value)
            for key, listed in config.extra.items()
            for value in ([listed] if isinstance(listed, str) else listed)
        ]
    )
    left = given_values - Counter((dropped.key, dropped.value) for dropped in targeting.dropped)
    sent = Counter((key, value) for key, values in targeting.page.items() for value in values or ())

    def as_sent(key: str, value: str) -> str:
        return (config.values.get(value, value) if key == config.key else value).lower()

    assert Counter((key, as_sent(key, value)) for key, value in left.elements()) == sent
    assert left.total() + len(targeting.dropped) == given_values.total()
    assert all(dropped.reason.endswith(".") for dropped in targeting.dropped)


@given(cases())
def test_the_order_of_the_input_changes_nothing(
    case: tuple[DestinationLookup, GamConfig],
) -> None:
    entry, config = case
    turned = DestinationLookup(
        entry.destination_id, entry.alias, entry.audiences[::-1], entry.refused[::-1]
    )
    turned_config = GamConfig(
        key=config.key,
        values=dict(reversed(list(config.values.items()))),
        extra={
            key: listed if isinstance(listed, str) else listed[::-1]
            for key, listed in reversed(list(config.extra.items()))
        },
        priority=config.priority,
        budget_chars=config.budget_chars,
    )

    assert gam_targeting(turned, turned_config) == gam_targeting(entry, config)
