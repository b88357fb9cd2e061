"""Any text at all, as a TC string: what it says or why it says nothing, soon.

`make fuzz` runs it under atheris (`__main__.py`), which need not be installed to import this.
"""

from __future__ import annotations

import random

from perso_core.decision.tcf import TcString, Undecodable, decode, refusal
from tests.decision.tc_encoder import ALPHABET
from tests.decision.test_tcf import STRINGS, WHOLE
from tests.fuzz.timed import soon

MOST_MS = 1_000
# Twice what a reader takes, to have texts beyond that.
MOST_BYTES = 16_384
SAID = [*(text for text, _ in STRINGS.values() if len(text) < 2_000), *WHOLE.values()]
TEXTS = [text.encode("utf-8", "replace") for text in SAID]


def fuzz_one(data: bytes) -> None:
    """Raises what a visitor's string must never cause: anything but an answer, and TooSlow."""
    text = data.decode("utf-8", "surrogateescape")
    decoded = soon(text, lambda: decode(text), most_ms=MOST_MS)
    if isinstance(decoded, Undecodable):
        assert decoded.reason
        return
    assert all(letter in ALPHABET or letter == "." for letter in text)
    said = soon(text, lambda: refusal(decoded, vendor_id=565, purposes=(1,)), most_ms=MOST_MS)
    assert (said == "") == _consents(decoded)


def _consents(said: TcString) -> bool:
    """The same, said in another way."""
    limits = [one for one in said.restrictions if one.purpose == 1 and 565 in one.vendors]
    return (
        1 in said.purposes
        and 565 in said.vendors
        and (said.disclosed is None or 565 in said.disclosed)
        and all(one.kind == 1 for one in limits)
    )


def mutated(data: bytes, most: int, seed: int) -> bytes:
    """The text with characters exchanged, left out or doubled: most of it stays a string."""
    chance = random.Random(seed)
    letters = list(data.decode("utf-8", "replace")) or ["C"]
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(letters))
        letters[at : at + chance.randint(0, 2)] = chance.choices(ALPHABET, k=chance.randint(0, 2))
        letters = letters or ["C"]
    if chance.random() < 0.2:
        letters += [".", *chance.choice(SAID)]
    return "".join(letters).encode("utf-8", "replace")[:most]
