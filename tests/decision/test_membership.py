from perso_core.decision.membership import Membership, qualify


def test_a_profile_that_stops_matching_exits_once_and_remembers_when() -> None:
    gold = Membership(audience_id="gold", status="realized", since_ms=1_000)

    exited = qualify("gold", gold, holds=False, now_ms=2_000)
    again = qualify("gold", exited, holds=False, now_ms=3_000)

    assert exited == Membership(audience_id="gold", status="exited", since_ms=2_000)
    assert again is exited


def test_a_profile_that_never_matched_has_no_membership() -> None:
    assert qualify("gold", None, holds=False, now_ms=1_000) is None


def test_a_profile_that_matches_again_is_in_since_it_came_back() -> None:
    exited = Membership(audience_id="gold", status="exited", since_ms=1_000)

    back = qualify("gold", exited, holds=True, now_ms=2_000)

    assert back == Membership(audience_id="gold", status="realized", since_ms=2_000)


def test_a_profile_that_keeps_matching_keeps_the_instant_it_entered() -> None:
    gold = Membership(audience_id="gold", status="realized", since_ms=1_000)

    assert qualify("gold", gold, holds=True, now_ms=9_000) is gold
