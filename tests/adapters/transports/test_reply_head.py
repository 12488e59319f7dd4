"""The head and the body of a reply, read without a connection: whatever comes, and in whatever
pieces."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpResponseParser
from hypothesis import example, given
from hypothesis import strategies as st

from evidence_courier.adapters.transports.reply_body import read_as_it_says
from evidence_courier.adapters.transports.reply_head import HEAD_LIMIT, ReplyHead
from evidence_courier.ports.dialogue import REPLY_LIMIT, HttpResponse

AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)

lines = st.sampled_from(
    [
        b"HTTP/1.1 200 OK",
        b"http/1.0 404",
        b"HTTP/1.1 102 P",
        b"Content-Length: 3",
        b"Content-Length : 3",
        b"Transfer-Encoding: chunked",
        b"  folded",
        b"no colon",
        b"X-Odd: \x00\xff",
        b"",
    ]
) | st.binary(max_size=20)
replies = st.lists(lines, max_size=8).map(b"\r\n".join) | st.binary(max_size=60)


@given(replies, st.lists(st.integers(0, 60)))
def test_a_reply_in_pieces_is_read_as_one_that_arrived_at_once(
    said: bytes, cuts: list[int]
) -> None:
    whole, pieces = ReplyHead(), ReplyHead()
    at_once = whole.feed(said)
    edges = [0, *sorted(cut for cut in cuts if cut < len(said)), len(said)]
    parts = [said[start:end] for start, end in pairwise(edges)]
    assert b"".join(map(pieces.feed, parts)) == at_once
    assert pieces.refusal() == whole.refusal()
    assert (pieces.is_whole, pieces.is_unreadable) == (whole.is_whole, whole.is_unreadable)


@given(replies)
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nno colon\r\n\r\n")
@example(b"http/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabcdef")
def test_a_head_that_was_written_anew_is_read_as_it_stands(said: bytes) -> None:
    head = ReplyHead()
    anew = head.feed(said)
    if head.is_whole:
        again = ReplyHead()
        assert again.feed(anew) == anew
        assert again.status == head.status


def test_what_is_no_reply_is_handed_on_unread() -> None:
    """At once if it cannot become one, at the limit if its head has no end."""
    head = ReplyHead()
    assert head.feed(b"SSH") == b"SSH"
    assert head.is_unreadable
    head, fed = ReplyHead(), 0
    assert head.feed(b"HTTP/1.1 200 OK\r\nX-Long: ") == b""
    while not head.is_unreadable:
        assert fed <= HEAD_LIMIT
        head.feed(b"x" * 10_000)
        fed += 10_000


names = st.sampled_from(["Content-Type", "Content-Encoding", "content-type"])
texts = st.text(max_size=40) | st.sampled_from(
    [
        "gzip, deflate, gzip",
        "text/html; charset*0*=x''%; charset*1=y",
        "application/json; charset=idna",
        "application/json; charset=\x00",
        'text/plain; charset="',
        "application/json; charset=utf-16",
        "application/json; charset=hex",
    ]
)


@given(st.lists(st.tuples(names, texts), max_size=3).map(tuple), st.binary(max_size=200))
def test_a_body_is_read_whatever_its_headers_say(
    headers: tuple[tuple[str, str], ...], body: bytes
) -> None:
    read = read_as_it_says(HttpResponse(200, headers, body, AT))
    assert len(read.body) <= REPLY_LIMIT
    assert (read.status, read.headers, read.received_at) == (200, headers, AT)


@pytest.mark.parametrize("piece", [1_000, 70_000, 400_000])
def test_a_head_that_is_too_large_is_unreadable_in_whatever_pieces(piece: int) -> None:
    text = b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 300_000 + b"\r\n\r\n{}"
    head = ReplyHead()
    for start in range(0, len(text), piece):
        head.feed(text[start : start + piece])
    assert (head.is_unreadable, head.is_whole) == (True, False)


@pytest.mark.parametrize("framing", [b"content-length: 3", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("around", [b"", b"X-Odd: \xe9\t:\r\n"])
def test_a_head_that_every_parser_reads_is_handed_on_as_it_arrived(
    framing: bytes, around: bytes
) -> None:
    head = b"HTTP/1.1 200 OK\r\n" + around + framing + b"\r\n" + around + b"\r\n"
    assert ReplyHead().feed(head) == head


names = st.sampled_from(["Content-Type", "content-length", "X-A", "Set-Cookie", "Upgrade", "x"])
texts = st.text("ab:,=\t ~\xe9", max_size=8)


@given(
    st.integers(200, 599).filter(lambda status: status not in (204, 304)),
    st.sampled_from([b"", b"OK", b"Not  Found "]),
    st.lists(st.tuples(names, texts)),
    st.binary(max_size=9),
)
@example(200, b"OK", [("Connection", " Keep-Alive ")], b"{}")
def test_a_reply_that_arrived_at_once_is_read_as_the_parser_reads_it(
    status: int, phrase: bytes, headers: list[tuple[str, str]], body: bytes
) -> None:
    lines = [f"{name}:{text}" for name, text in headers if name != "content-length"]
    start = b"HTTP/1.1 %d %b\r\n" % (status, phrase)
    rest = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode()
    head = ReplyHead()
    fed = head.feed(start + rest + body)
    whole = head.reply_in(start + rest + body)
    assert whole is not None
    code, parsed, content = asyncio.run(parsed_by_aiohttp(fed))
    assert (whole.code, whole.body) == (code, content)
    assert [(name.lower(), text) for name, text in whole.headers] == parsed


async def parsed_by_aiohttp(said: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
    loop = asyncio.get_running_loop()
    parser = HttpResponseParser(ResponseHandler(loop), loop, 2**16)
    [(message, payload)], _, _ = parser.feed_data(said)
    headers = [(name.lower(), text) for name, text in message.headers.items()]
    return message.code, headers, await payload.read()


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nconnection: Keep-Alive, X\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
    ],
)
def test_any_other_reply_is_left_to_the_parser(said: bytes) -> None:
    head = ReplyHead()
    head.feed(said)
    assert head.reply_in(said) is None


@pytest.mark.parametrize(
    "head",
    [
        b"http/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 3\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Odd: \x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Odd: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 \xe9\r\nContent-Length: 3\r\n\r\n",
    ],
)
def test_any_other_head_is_written_anew(head: bytes) -> None:
    assert ReplyHead().feed(head) != head
