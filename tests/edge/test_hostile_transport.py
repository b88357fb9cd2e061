"""Requests that a proxy in front of us could read in another way, or that no client should send:
as bytes, to `perso serve`. What is refused is refused alike whoever sends it, and where the end of
a request is in doubt the connection ends with it."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import pytest
from aiohttp import web

from perso_core.edge.guard import GuardedRunner
from tests.edge.listening import listening
from tests.edge.raw import EVENT, GOOD, TARGET, connected, request, still_answers

TEXT = b"Content-Type: text/plain\r\n"
CHUNKED = TEXT + b"Transfer-Encoding: chunked\r\n"
LAST = b"0\r\n\r\n"
SIZE = b"%x\r\n" % len(EVENT)

After = Literal["open", "closed"]
Row = tuple[bytes, int, str, After]


def line(method: bytes = b"POST", version: bytes = b"HTTP/1.1") -> bytes:
    return b" ".join((method, TARGET.encode(), version))


def chunks(*parts: bytes, end: bytes = LAST) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + end


def headers(*lines: bytes) -> bytes:
    """A whole request with these headers besides the ordinary ones."""
    return request(headers=TEXT + b"".join(one + b"\r\n" for one in lines))


def coded(body: bytes, *codings: bytes) -> bytes:
    lines = b"".join(b"Content-Encoding: %s\r\n" % coding for coding in codings)
    return request(body, headers=TEXT + lines)


def transferred(lines: bytes) -> bytes:
    """A chunked body under these headers."""
    return request(None, headers=TEXT + lines) + chunks(EVENT)


def chunked(body: bytes) -> bytes:
    return request(None, headers=CHUNKED) + body


def typed(stated: bytes) -> bytes:
    return request(headers=b"Content-Type: %s\r\n" % stated)


def taken(sent: bytes, after: After = "open") -> Row:
    return sent, 200, "", after


def malformed(sent: bytes) -> Row:
    return sent, 400, "edge.http-malformed", "closed"


def refused(sent: bytes, status: int, code: str) -> Row:
    return sent, status, code, "open"


def compressed(sent: bytes) -> Row:
    return refused(sent, 415, "EXEG-0111-415")


LENGTHS: dict[str, Row] = {
    "a length that is too short": malformed(request(length=b"5")),
    "a length with a plus": malformed(request(length=b"+38")),
    "a length below zero": malformed(request(length=b"-1")),
    "a hexadecimal length": malformed(request(length=b"0x26")),
    "a length in words": malformed(request(length=b"many")),
    "an empty length": malformed(request(length=b"")),
    "a length with a point": malformed(request(length=b"38.0")),
    "a length with an underscore": malformed(request(length=b"3_8")),
    "a length in other digits": malformed(request(length="３８".encode())),
    "a list of lengths": malformed(request(length=b"38, 38")),
    "a length of 30 digits": malformed(request(length=b"9" * 30)),
    "the length twice": malformed(headers(b"Content-Length: 38")),
    "two lengths": malformed(headers(b"Content-Length: 5")),
    "zeros before the length": taken(request(length=b"0038")),
    "a length of nothing": refused(request(b""), 408, "EXEG-0109-408"),
    "no length": refused(request(None), 408, "EXEG-0109-408"),
}
CHUNKS: dict[str, Row] = {
    "a body in one chunk": taken(chunked(chunks(EVENT))),
    "a chunk for each byte": taken(chunked(chunks(*(bytes([byte]) for byte in EVENT)))),
    "no chunk": refused(chunked(LAST), 408, "EXEG-0109-408"),
    "a chunk's size in capitals": taken(chunked(b"2A\r\n%s    \r\n" % EVENT + LAST)),
    "zeros before a chunk's size": taken(chunked(b"00000" + SIZE + EVENT + b"\r\n" + LAST)),
    "a word behind a chunk's size": taken(chunked(b"26;a=b\r\n" + EVENT + b"\r\n" + LAST)),
    "a line's end inside that word": malformed(chunked(b"26;a\nb\r\n" + EVENT + b"\r\n" + LAST)),
    "a chunk's size with 0x": malformed(chunked(b"0x" + SIZE + EVENT + b"\r\n" + LAST)),
    "a chunk's size with a plus": malformed(chunked(b"+" + SIZE + EVENT + b"\r\n" + LAST)),
    "a chunk's size below zero": malformed(chunked(b"-1\r\n" + EVENT + b"\r\n" + LAST)),
    "an underscore in a chunk's size": malformed(chunked(b"2_6\r\n" + EVENT + b"\r\n" + LAST)),
    "a space before a chunk's size": malformed(chunked(b" " + SIZE + EVENT + b"\r\n" + LAST)),
    "a space behind a chunk's size": malformed(chunked(b"26 \r\n" + EVENT + b"\r\n" + LAST)),
    "no chunk's size": malformed(chunked(b"\r\n" + EVENT + b"\r\n" + LAST)),
    "a chunk's size of 80 bits": malformed(chunked(b"f" * 20 + b"\r\n" + EVENT)),
    "chunks with half line ends": malformed(chunked(b"26\n" + EVENT + b"\n0\n\n")),
    "a chunk that is longer than it says": malformed(chunked(SIZE + EVENT + b"XX\r\n" + LAST)),
    "a chunk with no line's end": malformed(chunked(SIZE + EVENT + LAST)),
    "a header behind the chunks": taken(chunked(chunks(EVENT, end=b"0\r\nX-A: b\r\n\r\n"))),
    "a length behind the chunks": malformed(
        chunked(chunks(EVENT, end=b"0\r\nContent-Length: 3\r\n\r\n"))),
    "2,000 headers behind the chunks": malformed(
        chunked(chunks(EVENT, end=b"0\r\n" + b"X-A: b\r\n" * 2_000 + b"\r\n"))),
    "no header behind the chunks": malformed(chunked(chunks(EVENT, end=b"0\r\nbad\r\n\r\n"))),
    "one chunk over the limit": refused(chunked(chunks(b" " * 70_000)), 413, "EXEG-0112-413"),
    "many chunks over the limit": refused(
        chunked(chunks(*[b" " * 1_024] * 80)), 413, "EXEG-0112-413"),
}  # fmt: skip
BOTH: dict[str, Row] = {
    "chunks and their length": malformed(request(chunks(EVENT), headers=CHUNKED)),
    "chunks and a shorter length": malformed(
        request(None, headers=CHUNKED, length=b"4") + chunks(EVENT)),
    "chunks said twice": malformed(transferred(b"Transfer-Encoding: chunked\r\n" * 2)),
    "chunks of chunks": malformed(transferred(b"Transfer-Encoding: chunked, chunked\r\n")),
    "chunks, then nothing": malformed(transferred(b"Transfer-Encoding: chunked, identity\r\n")),
    "another word for chunks": malformed(transferred(b"Transfer-Encoding: xchunked\r\n")),
    "no coding of the transfer": malformed(transferred(b"Transfer-Encoding: identity\r\n")),
    "chunks in quotes": malformed(transferred(b'Transfer-Encoding: "chunked"\r\n')),
    "chunks on the next line": malformed(transferred(b"Transfer-Encoding:\r\n chunked\r\n")),
    "a space before chunks' colon": malformed(transferred(b"Transfer-Encoding : chunked\r\n")),
    "a vertical tab before chunks": malformed(transferred(b"Transfer-Encoding: \x0bchunked\r\n")),
    "chunks in capitals": taken(transferred(b"Transfer-Encoding: CHUNKED\r\n")),
    "a tab before chunks": taken(transferred(b"Transfer-Encoding:\tchunked\r\n")),
    "chunks of gzip": compressed(transferred(b"Transfer-Encoding: gzip, chunked\r\n")),
    # Then there is no body, and what follows is read as the next request, which it is not.
    "chunks under a name with an underscore": malformed(
        transferred(b"Transfer_Encoding: chunked\r\n")),
    "chunks that are not named": malformed(transferred(b"Transfer-Encoding:\r\n")),
}  # fmt: skip
HEADERS: dict[str, Row] = {
    "a null byte": malformed(headers(b"X-A: a\x00b")),
    "a carriage return alone": malformed(headers(b"X-A: a\rb")),
    "a line feed alone": malformed(headers(b"X-A: a\nX-B: b")),
    "line feeds alone at every line's end": malformed(GOOD.replace(b"\r\n", b"\n")),
    "no colon": malformed(headers(b"XA")),
    "no name": malformed(headers(b": a")),
    "a space in a name": malformed(headers(b"X A: a")),
    "a space before a colon": malformed(headers(b"X-A : a")),
    "a bracket in a name": malformed(headers(b"X(A: a")),
    "a name that is not ASCII": malformed(headers(b"X\xe9: a")),
    "a value on two lines": malformed(headers(b"X-A: a", b" b")),
    "a value before the first name": malformed(request(host=b" a\r\nHost: edge.test\r\n")),
    "a header of 9,000 bytes": taken(headers(b"X-A: " + b"a" * 9_000)),
    "a header of 10,000 bytes": malformed(headers(b"X-A: " + b"a" * 10_000)),
    "a header of a million bytes": malformed(headers(b"X-A: " + b"a" * 1_000_000)),
    "a name of 10,000 bytes": malformed(headers(b"a" * 10_000 + b": a")),
    "100 headers": taken(headers(*[b"X-A: a"] * 100)),
    "200 headers": malformed(headers(*[b"X-A: a"] * 200)),
    "2,000 headers": malformed(headers(*[b"X-A: a"] * 2_000)),
    "1,600 cookies": taken(headers(b"Cookie: " + b"a=b; " * 1_600)),
    "cookies in two headers": taken(headers(b"Cookie: a=b", b"Cookie: c=d")),
    "a method named in a header": (
        request(line=line(b"GET"), headers=TEXT + b"X-HTTP-Method-Override: POST\r\n"),
        405, "edge.method-refused", "open"),
    "a wish for another protocol": taken(
        headers(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13")),
    "a wish for HTTP/2": taken(
        headers(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMA")),
    "a wish for a part": taken(headers(b"Range: bytes=0-1", b"If-None-Match: *")),
    "a wish to close": taken(headers(b"Connection: close"), "closed"),
}  # fmt: skip
TYPES: dict[str, Row] = {
    "no type": refused(request(headers=b""), 400, "EXEG-0106-400"),
    "an empty type": refused(typed(b""), 400, "EXEG-0106-400"),
    "a type that is none": refused(typed(b";"), 400, "EXEG-0106-400"),
    "a space in the type": refused(typed(b"text /plain"), 400, "EXEG-0106-400"),
    "two types in one header": refused(typed(b"text/plain, text/html"), 400, "EXEG-0106-400"),
    "two types": malformed(headers(b"Content-Type: text/html")),
    "the type twice": malformed(headers(TEXT.strip())),
    "a type in capitals": taken(typed(b"TEXT/PLAIN")),
    "a charset": taken(typed(b"application/json;charset=utf-8")),
    "another charset, for a body of UTF-8": taken(typed(b"text/plain; charset=utf-16")),
    "a script": taken(typed(b"text/javascript")),
    "a form": compressed(typed(b"application/x-www-form-urlencoded")),
    "a form in parts": compressed(typed(b"multipart/form-data; boundary=x")),
    "XML": compressed(typed(b"text/xml")),
    "smile": compressed(typed(b"application/x-jackson-smile")),
    "any type": compressed(typed(b"*/*")),
    "a problem": compressed(typed(b"application/problem+json")),
}
CODINGS: dict[str, Row] = {
    "gzip": compressed(coded(gzip.compress(EVENT), b"gzip")),
    "a gzip of 50 megabytes": compressed(coded(gzip.compress(b" " * 50_000_000), b"gzip")),
    "gzip in gzip": compressed(coded(gzip.compress(gzip.compress(EVENT)), b"gzip, gzip")),
    "no gzip that says it is": compressed(coded(EVENT, b"gzip")),
    "gzip in chunks": compressed(
        request(None, headers=CHUNKED + b"Content-Encoding: gzip\r\n")
        + chunks(gzip.compress(EVENT))),
    "deflate": compressed(coded(zlib.compress(EVENT), b"deflate")),
    "brotli": compressed(coded(EVENT, b"br")),
    "zstandard": compressed(coded(EVENT, b"zstd")),
    "an unknown coding": compressed(coded(EVENT, b"x")),
    "an empty coding": compressed(coded(EVENT, b"")),
    "gzip behind a header that says none": compressed(
        coded(gzip.compress(EVENT), b"identity", b"gzip")),
    "none": taken(coded(EVENT, b"identity")),
    "none in capitals": taken(coded(EVENT, b"IDENTITY")),
}  # fmt: skip
FIRST_LINES: dict[str, Row] = {
    **{
        f"the method {method.decode()}": (
            request(line=line(method)), 405, "edge.method-refused", "open")
        for method in (b"GET", b"PUT", b"DELETE", b"PATCH", b"TRACE", b"PROPFIND")
    },
    "a method in small letters": malformed(request(line=line(b"post"))),
    "a space in the method": malformed(request(line=line(b"POS T"))),
    "a null byte in the method": malformed(request(line=line(b"P\x00ST"))),
    "a method of 200 letters": malformed(request(line=line(b"X" * 200))),
    "no method": malformed(request(line=line(b""))),
    "HTTP/1.0": taken(request(line=line(version=b"HTTP/1.0")), "closed"),
    "HTTP/1.0 that wants to go on": taken(
        request(line=line(version=b"HTTP/1.0"), headers=TEXT + b"Connection: keep-alive\r\n")),
    "HTTP/1.0 without a host": taken(
        request(line=line(version=b"HTTP/1.0"), host=b""), "closed"),
    "HTTP/1.0 in chunks": taken(
        request(None, line=line(version=b"HTTP/1.0"), headers=CHUNKED) + chunks(EVENT), "closed"),
    **{
        f"the version '{version.decode()}'": malformed(request(line=line(version=version)))
        for version in (b"HTTP/1.2", b"HTTP/3", b"HTTP/11", b"HTTPS/1.1", b"http/1.1", b"",
                        b"HTTP/1.1 x")
    },
    "the beginning of HTTP/2": malformed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "the beginning of TLS": malformed(
        bytes.fromhex("1603010200010001fc0303") + b"\x00" * 100),
    "no HTTP at all": malformed(b"\x00\xff\x80garbage\r\n\r\n"),
    "an empty line first": taken(b"\r\n" + GOOD),
}  # fmt: skip
TABLE = {
    f"{about}: {row}": rows[row]
    for about, rows in {
        "lengths": LENGTHS,
        "chunks": CHUNKS,
        "lengths and chunks": BOTH,
        "headers": HEADERS,
        "types": TYPES,
        "codings": CODINGS,
        "first lines": FIRST_LINES,
    }.items()
    for row in rows
}


def test_the_table_of_requests_has_at_least_90_rows() -> None:
    assert len(TABLE) >= 90


@pytest.mark.parametrize("row", TABLE)
def test_a_request_is_answered_as_it_should_and_the_connection_goes_on_or_ends(
    served: str, row: str
) -> None:
    sent, status, code, after = TABLE[row]

    with connected(served) as connection:
        connection.send(sent)
        told = connection.answer()

        assert told is not None
        assert (told.status, told.code) == (status, code)
        if after == "open":
            assert still_answers(connection)
        else:
            # A last answer may say that what came behind it was no request.
            rest = connection.answer()
            assert rest is None or rest.code == "edge.http-malformed"
            assert not still_answers(connection)


# ---- requests one after the other --------------------------------------------


def test_requests_that_come_at_once_are_answered_in_order(served: str) -> None:
    bad = request(b"{")
    with connected(served) as connection:
        connection.send(GOOD + bad + GOOD + bad)

        told = [connection.answer() for _ in range(4)]

    assert [answer and answer.code for answer in told] == ["", "EXEG-0101-400", "", "EXEG-0101-400"]


def test_what_follows_a_request_that_cannot_be_read_is_not_answered(served: str) -> None:
    with connected(served) as connection:
        connection.send(headers(b"X A: a") + GOOD)

        told = [connection.answer() for _ in range(2)]

    assert [answer and answer.code for answer in told] == ["edge.http-malformed", None]


def test_a_request_hidden_behind_a_refused_one_is_its_body(served: str) -> None:
    """With a length that is the hidden one's too: there is one answer, and then one for ours."""
    with connected(served) as connection:
        connection.send(request(GOOD))
        told = connection.answer()

        assert told is not None
        assert told.code == "EXEG-0101-400"
        assert still_answers(connection)


@pytest.mark.parametrize("asked", [1, 3])
def test_a_caller_that_ends_its_side_reads_all_answers_to_what_it_sent(
    served: str, asked: int
) -> None:
    """As `nc -N` and some proxies do."""
    with connected(served) as connection:
        connection.send(GOOD * asked)
        connection.no_more()
        told = [connection.answer() for _ in range(asked)]
        after = connection.answer()

    assert [one and one.status for one in told] == [200] * asked
    assert after is None


def test_a_caller_that_ends_its_side_while_it_is_answered_still_reads_that(served: str) -> None:
    with connected(served) as connection:
        connection.send(GOOD)
        assert connection.answer() is not None
        connection.send(GOOD[:-1])
        connection.send(GOOD[-1:])
        connection.no_more()

        assert connection.answer() is not None
        assert connection.answer() is None


def test_a_caller_that_ends_in_a_body_is_not_answered_as_if_it_had_sent_it(served: str) -> None:
    with connected(served) as connection:
        connection.send(request(length=b"100"))
        connection.no_more()
        told = connection.answer()

    assert told is None or told.code == "EXEG-0109-408"


def test_who_expects_to_be_told_to_go_on_is_told(served: str) -> None:
    with connected(served) as connection:
        connection.send(request(None, headers=TEXT + b"Expect: 100-continue\r\n", length=b"38"))
        assert connection.interim() == 100
        connection.send(EVENT)
        told = connection.answer()

    assert told is not None
    assert told.status == 200


def test_who_expects_something_else_is_refused(served: str) -> None:
    with connected(served) as connection:
        connection.send(headers(b"Expect: 200-ok"))
        told = connection.answer()

    assert told is not None
    assert told.status == 417


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(served: str) -> None:
    with connected(served) as connection:
        connection.send(request(b"", length=b"%d" % 2**62))
        told = connection.answer()

    assert told is not None
    assert told.code == "EXEG-0112-413"


def test_an_answer_to_head_has_no_body(served: str) -> None:
    with connected(served) as connection:
        connection.send(request(None, line=line(b"HEAD")))
        connection.head = True
        told = connection.answer()
        connection.head = False

        assert told is not None
        assert told.status == 405
        assert still_answers(connection)


# ---- what a request that cannot be read leaves behind -------------------------


@asynccontextmanager
async def guarded() -> AsyncIterator[str]:
    runner = GuardedRunner(web.Application())
    async with listening(runner) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    "sent",
    [headers(b"Authorization: Bearer SECRET\x00"), request(line=b"SECRET"), b"SECRET\r\n\r\n"],
)
async def test_a_request_that_cannot_be_read_is_neither_logged_nor_told_back(
    sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """There may be a token in it; and whoever can connect could fill the log."""
    async with guarded() as url:
        told = await asyncio.to_thread(_answered, url, sent)

    assert b"http-malformed" in told
    assert b"SECRET" not in told
    assert caplog.text == ""


def _answered(url: str, sent: bytes) -> bytes:
    with connected(url) as connection:
        connection.send(GOOD)
        assert connection.answer() is not None
        connection.send(sent)
        told = connection.answer()
    assert told is not None
    return told.body + repr(told.headers).encode()
