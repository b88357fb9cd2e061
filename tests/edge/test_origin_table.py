"""Origins as bytes, to `perso serve`: which page is answered, and may read it. Everything that is
not letter by letter an origin of the datastream, or the edge's own, is refused."""

from __future__ import annotations

import pytest

from tests.edge.raw import LISTED, TARGET, Answer, connected, request, still_answers

SHOP = b"https://shop.example"

ALLOWED: tuple[bytes, ...] = (
    *(origin.encode() for origin in LISTED),
    b"  https://shop.example  ",  # spaces around a header's value are not part of it
    b"http://edge.test",  # the edge's own, as the Host header names it
)
REFUSED: dict[str, bytes] = {
    # ---- what ends or begins as a listed one ----
    "a name before it": b"https://evilshop.example",
    "a name and a dash before it": b"https://evil-shop.example",
    "a name and a dot before it": b"https://evil.shop.example",
    "its www": b"https://www.shop.example",
    "a listed host without its www": b"https://shop.test",
    "a name behind it": b"https://shop.example.evil.test",
    "letters behind it": b"https://shop.examples",
    "a letter less": b"https://shop.exampl",
    "a name behind its name": b"https://shopexample",
    "a dash for its dot": b"https://shop-example",
    "any letter for its dot": b"https://shopXexample",
    "two dots": b"https://shop..example",
    "a dot in front": b"https://.shop.example",
    "a dot at the end": b"https://shop.example.",
    "its top domain": b"https://example",
    "a star": b"https://*.example",
    "a star alone": b"*",
    # ---- the rest of an address ----
    "a slash at the end": b"https://shop.example/",
    "a path": b"https://shop.example/page",
    "it in another's path": b"https://evil.test/https://shop.example",
    "it in another's query": b"https://evil.test?https://shop.example",
    "it in another's fragment": b"https://evil.test#https://shop.example",
    "a user": b"https://user@shop.example",
    "a user and a password": b"https://user:pw@shop.example",
    "it as another's user": b"https://shop.example@evil.test",
    "it as another's user, with a port": b"https://shop.example:443@evil.test",
    "a backslash and another": b"https://shop.example\\@evil.test",
    "a null byte as text": b"https://shop.example%00.evil.test",
    "a dot as text": b"https://shop%2eexample",
    "a line's end as text": b"https://shop.example%0d%0a",
    # ---- scheme and port ----
    "plain http": b"http://shop.example",
    "another scheme": b"ftp://shop.example",
    "a scheme of an extension": b"chrome-extension://shop.example",
    "a script": b"javascript://shop.example",
    "a file": b"file://",
    "data": b"data:text/html,x",
    "no scheme": b"shop.example",
    "no scheme but its slashes": b"//shop.example",
    "one slash": b"https:/shop.example",
    "three slashes": b"https:///shop.example",
    "the default port, written": b"https://shop.example:443",
    "another port": b"https://shop.example:8443",
    "a colon without a port": b"https://shop.example:",
    "port 0": b"https://shop.example:0",
    "a listed port on another host": b"https://www.shop.test:8443",
    "a listed host without its port": b"https://localhost",
    "a zero before a listed port": b"https://shop.test:08443",
    "another port of this machine": b"http://localhost:8081",
    "this machine, in TLS": b"https://localhost:8080",
    # ---- capitals and other letters ----
    "capitals in the host": b"https://Shop.example",
    "capitals in the scheme": b"HTTPS://shop.example",
    "all in capitals": b"HTTPS://SHOP.EXAMPLE",
    "a listed name in its own letters": "https://bücher.example".encode(),
    "a listed name in Latin-1": "https://bücher.example".encode("latin-1"),
    "a listed name in capitals": b"https://XN--BCHER-KVA.example",
    "another name in punycode": b"https://xn--bcher-kvb.example",
    "a letter of another script": "https://shоp.example".encode(),
    "a wide dot": "https://shop．example".encode(),
    "a wide full stop": "https://shop。example".encode(),
    "bytes of no character": b"https://\xff\xfe.example",
    "an invisible space": "https://shop.example\u200b".encode(),
    # ---- addresses ----
    "another address": b"https://192.0.2.8",
    "a listed address in plain http": b"http://192.0.2.7",
    "a listed address as one number": b"https://3221225991",
    "a listed address in hexadecimal": b"https://0xc0000207",
    "a listed address with zeros": b"https://192.000.002.007",
    "a listed address inside IPv6": b"https://[::ffff:192.0.2.7]",
    "IPv6": b"https://[2001:db8::1]",
    "this machine in IPv6": b"http://[::1]:8080",
    "IPv6 without its end": b"https://[::1",
    "this machine by another number": b"http://127.0.0.2:8080",
    "this machine in short": b"http://127.1:8080",
    "any address of this machine": b"http://0.0.0.0:8080",
    # ---- several, none, odd ----
    "null": b"null",
    "NULL": b"NULL",
    "undefined": b"undefined",
    "nothing": b"",
    "spaces alone": b"   ",
    "two, with a space": b"https://shop.example https://www.shop.test",
    "two, with a comma": b"https://shop.example, https://www.shop.test",
    "two, with a semicolon": b"https://shop.example;https://www.shop.test",
    "two, with nothing between": b"https://shop.examplehttps://shop.example",
    "quotes": b'"https://shop.example"',
    "brackets": b"<https://shop.example>",
    "a tab inside": b"https://shop.\texample",
    "a space before the host": b"https:// shop.example",
    "8,000 letters": b"https://" + b"a" * 8_000 + b".shop.example",
    "a pattern": b"https://.*",
    "a statement": b"https://shop.example' OR '1'='1",
    "the edge's own in TLS": b"https://edge.test",
    "the edge's own on another port": b"http://edge.test:8080",
    "a host under the edge's own": b"http://a.edge.test",
}

PREFLIGHT = (
    b"Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: content-type\r\n"
)


def test_the_table_of_origins_has_at_least_60_rows() -> None:
    assert len(REFUSED) + len(ALLOWED) >= 60


def told_to(served: str, *origins: bytes, preflight: bool = False) -> Answer:
    lines = b"".join(b"Origin: %s\r\n" % origin for origin in origins)
    with connected(served) as connection:
        if preflight:
            line = b"OPTIONS %s HTTP/1.1" % TARGET.encode()
            connection.send(request(None, line=line, headers=lines + PREFLIGHT))
        else:
            connection.send(request(headers=b"Content-Type: text/plain\r\n" + lines))
        told = connection.answer()
        assert told is not None
        assert still_answers(connection)
    return told


def cors(told: Answer) -> dict[str, str]:
    return {
        name.removeprefix("access-control-"): value
        for name, value in told.headers
        if name.startswith("access-control-")
    }


@pytest.mark.parametrize("origin", ALLOWED)
def test_a_listed_page_is_answered_and_reads_it_with_its_cookies(
    served: str, origin: bytes
) -> None:
    told = told_to(served, origin)

    assert told.status == 200
    assert cors(told) == {
        "allow-origin": origin.decode().strip(),
        "allow-credentials": "true",
        "expose-headers": "Retry-After, x-adobe-edge, x-request-id",
    }
    assert told.header("vary") == "Origin"


@pytest.mark.parametrize("row", REFUSED)
def test_another_page_is_refused_and_reads_nothing(served: str, row: str) -> None:
    told = told_to(served, REFUSED[row])

    assert (told.status, told.code) == (403, "edge.origin-refused")
    assert cors(told) == {}
    assert told.header("vary") == "Origin"
    assert b"kndctr_" not in told.body + repr(told.headers).encode()


@pytest.mark.parametrize("origin", ALLOWED)
def test_the_preflight_of_a_listed_page_permits_what_it_may_send(
    served: str, origin: bytes
) -> None:
    told = told_to(served, origin, preflight=True)

    assert told.status == 204
    assert cors(told) == {
        "allow-origin": origin.decode().strip(),
        "allow-credentials": "true",
        "expose-headers": "Retry-After, x-adobe-edge, x-request-id",
        "allow-methods": "POST",
        "allow-headers": "content-type, x-request-id",
        "max-age": "600",
    }
    assert told.header("vary") == "Origin"


@pytest.mark.parametrize("row", REFUSED)
def test_the_preflight_of_another_page_permits_nothing(served: str, row: str) -> None:
    told = told_to(served, REFUSED[row], preflight=True)

    assert told.status == 403
    assert cors(told) == {}
    assert told.header("vary") == "Origin"


@pytest.mark.parametrize(
    "origins", [(SHOP, b"https://evil.test"), (b"https://evil.test", SHOP), (SHOP, SHOP)]
)
@pytest.mark.parametrize("preflight", [False, True], ids=["call", "preflight"])
def test_two_origins_are_refused_in_any_order(
    served: str, origins: tuple[bytes, ...], preflight: bool
) -> None:
    told = told_to(served, *origins, preflight=preflight)

    assert told.status == 403
    assert cors(told) == {}


def test_a_call_without_an_origin_is_no_pages_and_no_page_may_read_it(served: str) -> None:
    told = told_to(served)

    assert told.status == 200
    assert cors(told) == {}
    assert told.header("vary") == "Origin"


def test_a_referrer_is_no_origin(served: str) -> None:
    with connected(served) as connection:
        headers = b"Content-Type: text/plain\r\nOrigin: null\r\nReferer: %s/\r\n" % SHOP
        connection.send(request(headers=headers))
        told = connection.answer()

    assert told is not None
    assert (told.status, cors(told)) == (403, {})


def test_of_an_absolute_address_and_a_host_the_address_says_what_is_the_edges_own(
    served: str,
) -> None:
    """RFC 9112, 3.2.2. No browser sends one to the edge; a proxy may."""
    line = b"POST http://address.test%s HTTP/1.1" % TARGET.encode()
    found = []
    for origin in (b"http://address.test", b"http://edge.test"):
        with connected(served) as connection:
            headers = b"Content-Type: text/plain\r\nOrigin: %s\r\n" % origin
            connection.send(request(line=line, headers=headers))
            told = connection.answer()
        assert told is not None
        found.append((told.status, cors(told).get("allow-origin")))

    assert found == [(200, "http://address.test"), (403, None)]
