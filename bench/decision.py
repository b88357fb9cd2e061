"""decision_1000/typed_decode: one event of a visitor's stream, from the body's bytes to the
answer's: decoded, its sender known, kept in memory, decided with how long it holds, told."""

from __future__ import annotations

import gc
from statistics import fmean

from bench.audiences_mixed import mixed
from bench.audiences_stream import BEFORE, Visitor, visitors
from bench.figures import record
from bench.mixed_site import Sent, Site
from bench.timing import Spent, cpu_us
from bench.typed_event import BODY, decode
from perso_core.worker.collection import old_left_alone

AUDIENCES = 1_000
ROUNDS = 12
# Visitors of each round; their events come in turn, as a server sees them.
VISITORS = 10


def measure() -> None:
    site, ours, decodes, sizes = Site(mixed(AUDIENCES)), list[float](), list[float](), list[int]()
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
            if turn:  # the first one warms up
                ours.append(took_us)
                decodes.append(cpu_us(decode, 3_000))
                sizes += [len(one.call.body) for one in sent]
    decided, decoded = Spent(tuple(ours)), Spent(tuple(decodes))
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


def _in_memory(site: Site, everyone: tuple[Visitor, ...], turn: int) -> list[Sent]:
    """The visitors of a round with the first BEFORE events of each; what they send then."""
    streams = []
    for number in range(turn * VISITORS, (turn + 1) * VISITORS):
        sent = site.welcome(number, everyone[number])
        for one in sent[:BEFORE]:
            site.answer(one)
        streams.append(sent[BEFORE:])
    return [one for step in zip(*streams, strict=True) for one in step]
