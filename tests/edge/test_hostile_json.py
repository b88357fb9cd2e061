"""Bodies that are no JSON, or JSON in which two readers could see two things: over a socket, to
`perso serve`, and the connection serves the next request."""

from __future__ import annotations

import json

import pytest

from tests.edge.raw import EVENT, connected, request, still_answers

MAX_BODY = 65_536


def event(xdm: bytes) -> bytes:
    """A request whose one event has this text as its xdm."""
    return b'{"events":[{"xdm":' + xdm + b"}]}"


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """A request of so many levels in all."""
    inside = levels - 4  # the request, its events, one event, its xdm
    return event(b'{"a":' + opening * inside + b"1" + closing * inside + b"}")


def sized(length: int) -> bytes:
    return event(b'{"a":"' + b"x" * (length - len(event(b'{"a":""}'))) + b'"}')


# What is sent -> the status and the code; "" for an answer that is none.
TAKEN = (200, "")
BAD_JSON = (400, "EXEG-0101-400")
BAD_FIELD = (400, "EXEG-0102-400")
MISSING = (400, "EXEG-0103-400")
EMPTY = (408, "EXEG-0109-408")
TOO_LARGE = (413, "EXEG-0112-413")

TABLE: dict[str, tuple[bytes, tuple[int, str]]] = {
    # ---- names that stand twice ----
    "a name twice": (b'{"events":[{"xdm":{}}],"events":[{"xdm":{}}]}', BAD_JSON),
    "a name twice, apart": (b'{"events":[{}],"meta":{},"events":[{}]}', BAD_JSON),
    "a name twice in an event": (event(b'{"a":1,"a":2}'), BAD_JSON),
    "a name twice with one value": (event(b'{"a":1,"a":1}'), BAD_JSON),
    "a name twice, once escaped": (event(b'{"a":1,"\\u0061":2}'), BAD_JSON),
    "a name twice, escaped in two ways": (event('{"é":1,"\\u00E9":2}'.encode()), BAD_JSON),
    "a name twice, with a slash escaped": (event(b'{"a/b":1,"a\\/b":2}'), BAD_JSON),
    "an empty name twice": (event(b'{"":1,"":2}'), BAD_JSON),
    "a name twice, deep": (event(b'{"a":{"b":[{"c":1,"c":2}]}}'), BAD_JSON),
    "a name twice, once in capitals": (event(b'{"a":1,"A":2}'), TAKEN),
    "a name in two objects": (event(b'{"a":{"a":{"a":1}}}'), TAKEN),
    "two names that look alike": (event('{"\u00e9":1,"e\u0301":2}'.encode()), TAKEN),
    # ---- numbers ----
    "NaN": (event(b'{"a":NaN}'), BAD_JSON),
    "Infinity": (event(b'{"a":Infinity}'), BAD_JSON),
    "minus Infinity": (event(b'{"a":-Infinity}'), BAD_JSON),
    "a number beyond what a float holds": (event(b'{"a":1e999}'), BAD_JSON),
    "a number too small for a float": (event(b'{"a":1e-999}'), TAKEN),
    "minus zero": (event(b'{"a":-0}'), TAKEN),
    "the largest of 64 bits": (event(b'{"a":18446744073709551615}'), TAKEN),
    "one more than 64 bits": (event(b'{"a":18446744073709551616}'), BAD_FIELD),
    "the smallest of 64 bits": (event(b'{"a":-9223372036854775808}'), TAKEN),
    "one more than 64 bits, of an event with an _id": (
        event(b'{"_id":"e","a":[{"b":18446744073709551616}]}'),
        BAD_FIELD,
    ),
    "one more than 64 bits for a time": (
        event(b'{"_id":"e","timestamp":18446744073709551616}'),
        BAD_FIELD,
    ),
    "one more than 64 bits beside the xdm": (
        b'{"events":[{"xdm":{"_id":"e"},"data":{"a":18446744073709551616}}]}',
        BAD_FIELD,
    ),
    "one less than 64 bits": (event(b'{"a":-9223372036854775809}'), BAD_FIELD),
    "six thousand digits": (event(b'{"a":' + b"9" * 6_000 + b"}"), BAD_FIELD),
    "six thousand digits below zero": (event(b'{"a":-' + b"9" * 6_000 + b"}"), BAD_FIELD),
    "six thousand digits and a fraction": (event(b'{"a":' + b"9" * 6_000 + b".5}"), BAD_JSON),
    "a zero in front": (event(b'{"a":01}'), BAD_JSON),
    "a plus": (event(b'{"a":+1}'), BAD_JSON),
    "no digit before the point": (event(b'{"a":.5}'), BAD_JSON),
    "no digit behind the point": (event(b'{"a":5.}'), BAD_JSON),
    "an exponent without digits": (event(b'{"a":1e}'), BAD_JSON),
    "a hexadecimal number": (event(b'{"a":0x1f}'), BAD_JSON),
    "an underscore in a number": (event(b'{"a":1_000}'), BAD_JSON),
    "other scripts' digits": (event('{"a":１２}'.encode()), BAD_JSON),
    "a minus alone": (event(b'{"a":-}'), BAD_JSON),
    # ---- what other parsers take ----
    "a comment": (event(b'{"a":1/* b */}'), BAD_JSON),
    "a comment of one line": (b"// a\n" + EVENT, BAD_JSON),
    "single quotes": (event(b"{'a':1}"), BAD_JSON),
    "a name without quotes": (event(b"{a:1}"), BAD_JSON),
    "a comma at an object's end": (event(b'{"a":1,}'), BAD_JSON),
    "a comma at a list's end": (event(b'{"a":[1,]}'), BAD_JSON),
    "two commas": (event(b'{"a":1,,"b":2}'), BAD_JSON),
    "no colon": (event(b'{"a" 1}'), BAD_JSON),
    "True": (event(b'{"a":True}'), BAD_JSON),
    "undefined": (event(b'{"a":undefined}'), BAD_JSON),
    "a guard against scripts": (b")]}',\n" + EVENT, BAD_JSON),
    "a form": (b"events=%5B%5D", BAD_JSON),
    "XML": (b"<events/>", BAD_JSON),
    # ---- where the text ends ----
    "a text behind": (EVENT + b"x", BAD_JSON),
    "a second request behind": (EVENT + EVENT, BAD_JSON),
    "a second request on the next line": (EVENT + b"\n" + EVENT, BAD_JSON),
    "a null byte behind": (EVENT + b"\x00", BAD_JSON),
    "a comma behind": (EVENT + b",", BAD_JSON),
    "spaces around": (b" \r\n\t" + EVENT + b" \r\n\t", TAKEN),
    "a space that JSON does not know behind": (EVENT + b"\xc2\xa0", BAD_JSON),
    "a form feed in front": (b"\x0c" + EVENT, BAD_JSON),
    "the last byte cut off": (EVENT[:-1], BAD_JSON),
    "half of it": (EVENT[:17], BAD_JSON),
    "a bracket alone": (b"{", BAD_JSON),
    "the wrong bracket at the end": (EVENT[:-1] + b"]", BAD_JSON),
    "nothing": (b"", EMPTY),
    "spaces alone": (b" \r\n\t", EMPTY),
    # ---- characters ----
    "a byte order mark": (b"\xef\xbb\xbf" + EVENT, BAD_JSON),
    "UTF-16 with its mark": (EVENT.decode().encode("utf-16"), BAD_JSON),
    "UTF-16, little end first": (EVENT.decode().encode("utf-16-le"), BAD_JSON),
    "UTF-16, big end first": (EVENT.decode().encode("utf-16-be"), BAD_JSON),
    "UTF-32": (EVENT.decode().encode("utf-32"), BAD_JSON),
    "Latin-1": (event('{"a":"é"}'.encode("latin-1")), BAD_JSON),
    "a byte that UTF-8 has not": (event(b'{"a":"\xff"}'), BAD_JSON),
    "a character cut in two": (event(b'{"a":"\xe2\x82"}'), BAD_JSON),
    "a slash in two bytes": (event(b'{"a":"\xc0\xaf"}'), BAD_JSON),
    "a surrogate in UTF-8": (event(b'{"a":"\xed\xa0\x80"}'), BAD_JSON),
    "beyond the last character": (event(b'{"a":"\xf4\x90\x80\x80"}'), BAD_JSON),
    "half a surrogate pair": (event(b'{"a":"\\ud800"}'), BAD_JSON),
    "the other half": (event(b'{"a":"\\udc00"}'), BAD_JSON),
    "a pair the wrong way round": (event(b'{"a":"\\udc00\\ud800"}'), BAD_JSON),
    "half a pair in a name": (event(b'{"\\ud800":1}'), BAD_JSON),
    "a whole pair": (event(b'{"a":"\\ud83d\\ude00"}'), TAKEN),
    "an emoji as it is": (event('{"a":"😀"}'.encode()), TAKEN),
    "a null character, escaped": (event(b'{"a":"\\u0000"}'), TAKEN),
    "a null byte in a text": (event(b'{"a":"\x00"}'), BAD_JSON),
    "a line's end in a text": (event(b'{"a":"b\nc"}'), BAD_JSON),
    "a tab in a text": (event(b'{"a":"b\tc"}'), BAD_JSON),
    "an escape that there is not": (event(b'{"a":"\\x41"}'), BAD_JSON),
    "an escape cut short": (event(b'{"a":"\\u00"}'), BAD_JSON),
    "a text without end": (b'{"events":"', BAD_JSON),
    # ---- size and shape ----
    "32 levels": (nested(32), TAKEN),
    "33 levels": (nested(33), BAD_JSON),
    "33 levels of objects": (nested(33, b'{"a":', b"}"), BAD_JSON),
    "30,000 levels": (nested(30_000), BAD_JSON),
    "60,000 brackets that never close": (b"[" * 60_000, BAD_JSON),
    "brackets in a text": (event(b'{"a":"' + b"[{" * 5_000 + b'"}'), TAKEN),
    "5,000 names": (
        event(b"{" + b",".join(b'"%x":0' % at for at in range(5_000)) + b"}"), TAKEN),
    "5,000 names and one of them twice": (
        event(b"{" + b",".join(b'"%x":0' % at for at in range(5_000)) + b',"0":1}'), BAD_JSON),
    "a name of 60,000 letters": (event(b'{"' + b"n" * 60_000 + b'":1}'), TAKEN),
    "names that Python's dicts or classes know": (
        event(b'{"__class__":1,"__proto__":{"a":1},"constructor":{}}'), TAKEN),
    "as large as may be": (sized(MAX_BODY), TAKEN),
    "one byte more": (sized(MAX_BODY + 1), TOO_LARGE),
    "a hundred events": (b'{"events":[' + b",".join([b'{"xdm":{}}'] * 100) + b"]}", TAKEN),
    "a hundred and one": (b'{"events":[' + b",".join([b'{"xdm":{}}'] * 101) + b"]}", BAD_FIELD),
    # ---- JSON, and no request ----
    "a list": (b"[]", BAD_FIELD),
    "a text": (b'"events"', BAD_FIELD),
    "a number": (b"5", BAD_FIELD),
    "null": (b"null", BAD_FIELD),
    "true": (b"true", BAD_FIELD),
    "an object with nothing in it": (b"{}", MISSING),
    "events that are null": (b'{"events":null}', BAD_FIELD),
    "events in another case": (b'{"Events":[{}]}', MISSING),
    "no event": (b'{"events":[]}', BAD_FIELD),
    "an event that is a list": (b'{"events":[[]]}', BAD_FIELD),
    "an xdm that is a text": (event(b'"{}"'), BAD_FIELD),
}  # fmt: skip


def test_the_table_of_bodies_has_at_least_90_rows() -> None:
    assert len(TABLE) >= 90


@pytest.mark.parametrize("row", TABLE)
def test_a_body_is_taken_or_refused_and_the_connection_goes_on(served: str, row: str) -> None:
    body, expected = TABLE[row]

    with connected(served) as connection:
        connection.send(request(body))
        told = connection.answer()

        assert told is not None
        assert (told.status, told.code) == expected
        assert still_answers(connection)


@pytest.mark.parametrize("row", [name for name, (_, expected) in TABLE.items() if expected[1]])
def test_a_refusal_of_a_body_is_a_problem_that_says_where(served: str, row: str) -> None:
    with connected(served) as connection:
        connection.send(request(TABLE[row][0]))
        told = connection.answer()

    assert told is not None
    assert told.header("content-type") == "application/problem+json"
    assert told.sent["status"] == told.status
    assert told.sent["report"]["configId"] == "demo"
    assert len(told.body) < 1_000
    assert json.loads(told.body)["detail"]
