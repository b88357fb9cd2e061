"""What `make fuzz` sends to the edge, from a fixed seed; and that it would see a fault."""

from __future__ import annotations

import hmac
import random
from types import ModuleType

import pytest

from perso_core.edge import bearer, cookies, interact
from tests.edge.servers import written_key
from tests.fuzz import body as bodies
from tests.fuzz import cookies as jars
from tests.fuzz import jwt as credentials
from tests.fuzz.edge import Wrong, edge
from tests.fuzz.request import Request, request_in, request_of
from tests.fuzz.telling import Told, summary
from tests.fuzz.timed import TooSlow, soon
from tests.fuzz.wire import Answered

TARGETS = [bodies, jars, credentials]
BY_NAME = pytest.mark.parametrize("target", TARGETS, ids=["body", "cookies", "credentials"])


def begin(target: ModuleType) -> None:
    """What a search begins with."""
    for data in target.TEXTS:
        target.fuzz_one(data)


@BY_NAME
def test_the_searchs_own_inputs_pass(target: ModuleType) -> None:
    begin(target)


@BY_NAME
@pytest.mark.parametrize("seed", range(2))
def test_changed_inputs_pass(target: ModuleType, seed: int) -> None:
    chance = random.Random(seed)
    for number in range(1_500):
        data = chance.choice(target.TEXTS)
        target.fuzz_one(target.mutated(data, target.MOST_BYTES, seed * 10_000 + number))


@BY_NAME
def test_bytes_of_no_request_pass(target: ModuleType) -> None:
    chance = random.Random(1)
    for length in range(200):
        target.fuzz_one(chance.randbytes(length))


@BY_NAME
def test_what_is_answered_straight_is_answered_as_by_its_route(target: ModuleType) -> None:
    chance, wire = random.Random(2), edge()
    for number in range(300):
        data = target.mutated(chance.choice(target.TEXTS), target.MOST_BYTES, number)
        sent = request_in(data).as_http()
        straight, by_route = (wire.ask(sent, by_route=one) for one in (False, True))
        assert told(straight) == told(by_route)


@BY_NAME
def test_what_is_known_by_its_head_is_answered_as_by_its_route(target: ModuleType) -> None:
    chance, wire = random.Random(3), edge()
    before = wire.known_heads
    for number in range(150):
        data = target.mutated(chance.choice(target.TEXTS), target.MOST_BYTES, number)
        sent = request_in(data).as_http(stays=True)
        by_route = told(wire.ask(sent, by_route=True))
        for _ in range(3):
            assert told(wire.ask(sent)) == by_route
    assert wire.known_heads > before


def told(answer: Answered) -> tuple[object, ...]:
    """All but when."""
    headers = [one for one in answer.headers if one[0].lower() != "date"]
    return answer.status, headers, answer.body, answer.database.events


# ---- the search reaches what it is meant for -------------------------------------


def status(request: Request) -> int:
    return edge().ask(request.as_http()).status


def test_every_body_to_begin_with_is_one_that_the_edge_takes() -> None:
    assert {status(request) for request in bodies.REQUESTS} == {200, 202, 204}


def test_the_visitors_own_cookies_are_told_its_own_audiences() -> None:
    told = edge().ask(jars.REQUESTS[1].as_http())

    assert b'"id":"gold"' in told.body


def test_a_good_credential_is_told_of_whom_it_asks_about() -> None:
    wire = edge(credentials.issuer())
    request = credentials.shown({"x-api-key": written_key()})

    assert b"Hyacinth" in wire.ask(request.as_http()).body


def test_an_assertion_of_the_visitors_own_device_is_taken_and_one_of_anothers_is_not() -> None:
    wire = edge(credentials.issuer())
    own, victims = (
        wire.ask(credentials.with_assertion(credentials.asserting(said)).as_http()).body
        for said in credentials.ASSERTED[:2]
    )

    assert b"assertion-ignored" not in own
    assert b"assertion-ignored" in victims


def test_an_input_can_be_read_and_written_again() -> None:
    request = request_of("v1/collect?configId=demo", {"a": 1}, {"Cookie": "a=b; c=d"})

    assert request_in(request.written()) == request


# ---- says how it goes ------------------------------------------------------------


def test_a_run_tells_of_its_progress_and_of_nothing_that_is_no_fault() -> None:
    told = Told()

    assert told.line("#12345\tREDUCE cov: 1542 ft: 3 corp: 1/2b exec/s: 9", 10) == ""
    assert told.line("#23456\tpulse  cov: 1550 ft: 3 corp: 1/2b exec/s: 9", 31) == (
        "31 s, 23,456 inputs, 1,550 branches of our code"
    )
    assert told.line('"flag" # Uses: 55', 32) == ""
    assert told.line("stat::number_of_executed_units: 30000", 40) == ""
    assert summary(told, 40, 0) == "30,000 inputs in 40 s, and nothing found"


def test_a_run_that_found_something_says_how_to_see_it_again() -> None:
    told = Told()

    assert told.line("Wrong: 207: it failed inside", 3) == "Wrong: 207: it failed inside"
    told.line("artifact_prefix='x'; Test unit written to .data/fuzz/body-crash-1", 3)
    assert "python -m tests.fuzz --replay .data/fuzz/body-crash-1" in summary(told, 3, 77)


def test_a_run_that_broke_off_says_so() -> None:
    assert summary(Told(), 3, 1) == "0 inputs in 3 s, then it broke off itself"


# ---- and sees faults -------------------------------------------------------------


def test_a_failure_inside_is_found_though_the_page_gets_a_valid_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def planted(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(interact, "event_from", planted)

    with pytest.raises(Wrong, match="failed inside"):
        bodies.fuzz_one(bodies.TEXTS[0])


def test_a_proof_that_is_not_compared_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hmac, "compare_digest", lambda *_: True)
    cookies._proof.cache_clear()
    try:
        with pytest.raises(Wrong, match="the victim"):
            begin(jars)
    finally:
        cookies._proof.cache_clear()


def test_a_signature_that_is_not_verified_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Believing:
        def verify(self, *_: object) -> bool:
            return True

    monkeypatch.setattr(bearer, "_VERIFIERS", dict.fromkeys(bearer._VERIFIERS, Believing()))

    with pytest.raises(Wrong, match="the victim"):
        begin(credentials)


def test_what_takes_too_long_is_found() -> None:
    with pytest.raises(TooSlow):
        soon("", lambda: sum(range(10_000)), most_ms=0)
