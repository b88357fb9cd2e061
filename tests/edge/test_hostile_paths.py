"""How a call spells its path, its query and its host: one spelling of each action is answered, and
nobody reaches another action or datastream than is written there."""

from __future__ import annotations

import pytest

from tests.edge.raw import connected, request, still_answers

QUERY = b"?configId=demo"
GOOD = b"/ee/v1/interact" + QUERY

TAKEN = (200, "")
NO_PATH = (404, "edge.no-such-path")
OUTSIDE = (404, "")  # not under the edge's prefix
NO_STREAM = (400, "EXEG-0002-400")
UNKNOWN = (400, "EXEG-0003-400")
MALFORMED = (400, "edge.http-malformed")

PATHS: dict[bytes, tuple[int, str]] = {
    b"/ee/v1/interact": TAKEN,
    b"/ee/va6/v1/interact": TAKEN,
    b"/ee/%/v1/interact": TAKEN,  # any one segment is a location hint
    b"/ee/%zz/v1/interact": TAKEN,
    # The same resource by the rules of URLs (RFC 3986, 6.2.2).
    b"/ee/v1/%69nteract": TAKEN,
    b"/ee/./v1/interact": TAKEN,
    b"/ee/%2e%2e/v1/interact": TAKEN,  # a location hint: nothing is resolved
    b"/": OUTSIDE,
    b"/ee": NO_PATH,
    b"/ee?configId=demo": NO_PATH,
    b"/eex": OUTSIDE,
    b"/EE/v1/interact": OUTSIDE,
    b"//ee/v1/interact": OUTSIDE,
    b"/ee%2fv1%2finteract": OUTSIDE,
    b"/ee/v1%2finteract": NO_PATH,
    b"/ee/": NO_PATH,
    b"/ee/v1": NO_PATH,
    b"/ee/v1/interact/": NO_PATH,
    b"/ee//v1/interact": NO_PATH,
    b"/ee/v1//interact": NO_PATH,
    b"/ee/V1/interact": NO_PATH,
    b"/ee/v1/INTERACT": NO_PATH,
    b"/ee/v3/interact": NO_PATH,
    b"/ee/v2/identity/acquire": NO_PATH,
    b"/ee/a/b/v1/interact": NO_PATH,
    b"/ee/../ee/v1/interact": NO_PATH,
    b"/ee/x/../v1/interact": NO_PATH,
    b"/ee/v1/interact%00": NO_PATH,
    b"/ee/v1/interact;x=1": NO_PATH,
    b"/ee/v1/interact.css": NO_PATH,
    b"/ee/v1/interact%2f": NO_PATH,
    b"/ee/v1/interact%20": NO_PATH,
    b"ee/v1/interact": MALFORMED,
    b"*": MALFORMED,
    b"\\ee\\v1\\interact": MALFORMED,
    b"/ee/v1/int\xe9ract": MALFORMED,
    b"/ee/v1/inter act": MALFORMED,
    b"/ee/v1/inter\tact": MALFORMED,
    b"edge.test:443": MALFORMED,
    b"http:///ee/v1/interact": MALFORMED,
    b"http://edge.test/ee/v1/interact": TAKEN,
    b"https://edge.test/ee/v1/interact": TAKEN,
    b"http://evil.test/ee/v1/interact": TAKEN,  # no answer depends on the host
    b"http://user:pw@edge.test/ee/v1/interact": TAKEN,
}
QUERIES: dict[bytes, tuple[int, str]] = {
    b"?configId=demo": TAKEN,
    b"?CONFIGID=demo": TAKEN,
    b"?configId=d%65mo": TAKEN,
    b"?configId=demo&configId=other": TAKEN,  # the first counts
    b"?configId=other&configId=demo": UNKNOWN,
    b"?configid=demo&datastreamId=other": TAKEN,
    b"?datastreamId=other&configId=demo": TAKEN,  # what v1 calls it comes first
    b"?configId=&datastreamId=demo": TAKEN,
    b"?configId=demo#configId=other": TAKEN,
    b"?configId=demo&%zz": TAKEN,
    b"?" + b"&".join(b"a%d=1" % at for at in range(1_000)) + b"&configId=demo": TAKEN,
    b"?configId=demo&requestId=a%0d%0aX:y": TAKEN,
    b"?configId=demo&requestId=" + b"r" * 2_000: TAKEN,
    b"": NO_STREAM,
    b"?": NO_STREAM,
    b"?configId": NO_STREAM,
    b"?configId=": NO_STREAM,
    b"?configId[]=demo": NO_STREAM,
    b"??configId=demo": NO_STREAM,
    b"?;configId=demo": NO_STREAM,
    b"?a=b;configId=demo": NO_STREAM,
    b"?c%6fnfigId%3ddemo": NO_STREAM,
    b"?configId=DEMO": UNKNOWN,
    b"?configId=demo%00": UNKNOWN,
    b"?configId=demo%20": UNKNOWN,
    b"?configId=+demo": UNKNOWN,
    b"?configId=demo?x": UNKNOWN,
    b"?configId=demo:dev": UNKNOWN,
    b"?configId=../demo": UNKNOWN,
    b"?configId=%ff": UNKNOWN,
    b"?configId=%ED%A0%80": UNKNOWN,
    b"?configId=\xff": MALFORMED,
    b"?configId=de mo": MALFORMED,
    b"?configId=demo&x=" + b"a" * 9_000: MALFORMED,
}
HOSTS: dict[bytes, tuple[int, str]] = {
    b"Host: edge.test\r\n": TAKEN,
    b"Host:\r\n": TAKEN,
    b"Host: a b\r\n": TAKEN,
    b"Host: a/b\r\n": TAKEN,
    b"Host: a@b\r\n": TAKEN,
    b"Host: [::1]:80\r\n": TAKEN,
    b"Host: [::1\r\n": TAKEN,
    b"Host: edge.test:99999\r\n": TAKEN,
    b"Host: edge.test:port\r\n": TAKEN,
    b"Host: \xff\r\n": TAKEN,
    b"": MALFORMED,
    b"Host: edge.test\r\nHost: edge.test\r\n": MALFORMED,
    b"Host: edge.test\r\nHost: evil.test\r\n": MALFORMED,
}


def told_to(served: str, sent: bytes) -> tuple[int, str]:
    with connected(served) as connection:
        connection.send(sent)
        told = connection.answer()
        assert told is not None
        assert still_answers(connection) == (told.code != "edge.http-malformed")
    # A header that a caller wrote into its query would stand among these.
    assert {name for name, _ in told.headers}.isdisjoint({"x", "x:y"})
    return told.status, told.code


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_answered_as_it_is_spelt(served: str, path: bytes) -> None:
    assert told_to(served, request(line=b"POST %s HTTP/1.1" % (path + QUERY))) == PATHS[path]


def test_a_path_that_is_refused_is_told_as_it_was_sent(served: str) -> None:
    """Decoded it was the very path that is advised."""
    with connected(served) as connection:
        connection.send(request(line=b"POST /ee/v1%2finteract?configId=demo HTTP/1.1"))
        told = connection.answer()

    assert told is not None
    assert told.sent["detail"].startswith("'/ee/v1%2finteract'. ")


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.decode("latin-1")[:40])
def test_a_datastream_is_the_one_that_the_query_names(served: str, query: bytes) -> None:
    line = b"POST /ee/v1/interact%s HTTP/1.1" % query

    assert told_to(served, request(line=line)) == QUERIES[query]


@pytest.mark.parametrize("host", HOSTS)
def test_whatever_host_is_named_once_is_answered_alike(served: str, host: bytes) -> None:
    assert told_to(served, request(host=host)) == HOSTS[host]


@pytest.mark.parametrize("name", ["X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Prefix"])
def test_a_path_in_a_header_is_no_path(served: str, name: str) -> None:
    headers = b"Content-Type: text/plain\r\n%s: %s\r\n" % (name.encode(), GOOD)

    sent = request(line=b"POST /ee/x HTTP/1.1", headers=headers)

    assert told_to(served, sent) == NO_PATH
