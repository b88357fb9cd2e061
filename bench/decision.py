"""decision_1000/typed_decode: one event of a visitor's stream, from the body's bytes to the
answer's: decoded, its sender known, kept in memory, decided with how long it holds, told.

floor_decision/typed_decode: of that only what is C already: the body decoded once, one MAC, the
compiled rules, the event encoded to be kept."""

from __future__ import annotations

import gc
import hmac
from collections.abc import Sequence
from statistics import fmean

import msgspec

from bench.audiences_mixed import mixed
from bench.audiences_stream import BEFORE, Visitor, visitors
from bench.figures import record
from bench.mixed_site import Sent, Site
from bench.pql_rules import Step, decide, first_step
from bench.timing import Spent, cpu_us
from bench.typed_event import BODY, decode
from perso_core.worker.collection import old_left_alone

AUDIENCES = 1_000
ROUNDS = 12
# Visitors of each round; their events come in turn, as a server sees them.
VISITORS = 10
_KEY = bytes(32)


def measure() -> None:
    site, sizes = Site(mixed(AUDIENCES)), list[int]()
    ours, floor, decodes = list[float](), list[float](), list[float]()
    everyone = visitors(VISITORS * (ROUNDS + 1))
    with old_left_alone():
        for turn in range(ROUNDS + 1):
            sent = _in_memory(site, everyone, turn)
            gc.collect()
            replies: list[bytes] = []

            def session(sent: list[Sent] = sent, replies: list[bytes] = replies) -> None:
                replies.extend([site.answer(one).body for one in sent])

            took_us = cpu_us(session) / len(sent)
            assert all(b"activation:pull" in reply for reply in replies), "each was decided"
            least_us = _least_us(site, everyone, turn, sent)
            if turn:  # the first one warms up
                ours.append(took_us)
                floor.append(least_us)
                decodes.append(cpu_us(decode, 3_000))
                sizes += [len(one.call.body) for one in sent]
    decided, decoded, least = Spent(tuple(ours)), Spent(tuple(decodes)), Spent(tuple(floor))
    record(
        "decision_1000/typed_decode",
        decided.over(decoded),
        unit="ratio",
        decision_us=decided.told(),
        typed_decode_us=decoded.told(),
        audiences=AUDIENCES,
        body_bytes=round(fmean(sizes)),
        typed_body_bytes=len(BODY),
        rounds=ROUNDS,
        events=len(sizes),
    )
    record(
        "floor_decision/typed_decode",
        least.over(decoded),
        unit="ratio",
        floor_us=least.told(),
        typed_decode_us=decoded.told(),
        audiences=AUDIENCES,
        rounds=ROUNDS,
    )


def _in_memory(site: Site, everyone: tuple[Visitor, ...], turn: int) -> list[Sent]:
    """The visitors of a round with the first BEFORE events of each; what they send then."""
    streams = []
    for number in range(turn * VISITORS, (turn + 1) * VISITORS):
        sent = site.welcome(number, everyone[number])
        for one in sent[:BEFORE]:
            site.answer(one)
        streams.append(sent[BEFORE:])
    return [one for step in zip(*streams, strict=True) for one in step]


def _least_us(site: Site, everyone: tuple[Visitor, ...], turn: int, sent: Sequence[Sent]) -> float:
    """CPU microseconds for each of the same events, where nothing is done that Python does."""
    rules, read = site.snapshot.rules, msgspec.json.Decoder().decode
    write = msgspec.msgpack.Encoder().encode
    senders = everyone[turn * VISITORS : (turn + 1) * VISITORS]
    following = [first_step(rules, visitor) for visitor in senders]

    def session() -> None:
        for place, one in enumerate(sent):
            step = following[place % VISITORS]
            body = read(one.call.body)
            hmac.digest(_KEY, one.call.body[:64], "sha256")
            write(body["events"])
            done = decide(rules, step)
            following[place % VISITORS] = Step(step.visitor, step.place + 1, done.after)

    return cpu_us(session) / len(sent)
