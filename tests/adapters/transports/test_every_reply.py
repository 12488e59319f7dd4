"""A reply is judged by what it says, however it says it: one table for both transports.

A success that is not read makes a copy of the document, and another one with each attempt.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from typing import Any

import pytest
from requests_out import AT, BIG, SMALL, post, route, run, sent_to, turns

from evidence_courier.adapters.transports.reply_body import read_as_it_says
from evidence_courier.delivery.dialogues.json_reply import NotJson, mapping, parse_json
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.ports.dialogue import REPLY_LIMIT, Ending, HttpResponse, TransportFailure

RESULT = {"id": "e-1", "name": "Zoë"}
DONE = json.dumps(RESULT, ensure_ascii=False)
UTF8 = DONE.encode()
IN_CHUNKS = "Transfer-Encoding: chunked"


def reply(
    body: bytes = UTF8, *headers: str, status: str = "HTTP/1.1 200 OK", length: str | None = None
) -> bytes:
    """A reply, byte for byte."""
    head = [status, *headers, length or f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def typed(body: bytes, kind: str) -> bytes:
    return reply(body, f"Content-Type: {kind}")


def packed(body: bytes, coding: str) -> bytes:
    return reply(body, f"Content-Encoding: {coding}", "Content-Type: application/json")


def beside(what: str) -> bytes:
    """The result with something beside it."""
    return reply(UTF8[:-1] + b', "beside": ' + what.encode() + b"}")


def deflated(body: bytes) -> bytes:
    machine = zlib.compressobj(wbits=-15)
    return machine.compress(body) + machine.flush()


def chunked(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)


UTF16 = b"\xff\xfe" + DONE.encode("utf-16-le")

SUCCESSES = {
    "plain": reply(),
    "gzip": packed(gzip.compress(UTF8), "gzip"),
    "x-gzip, upper case": packed(gzip.compress(UTF8), "X-GZIP"),
    "gzip in two members": packed(gzip.compress(UTF8[:9]) + gzip.compress(UTF8[9:]), "gzip"),
    "gzip in chunks": reply(
        chunked(gzip.compress(UTF8)),
        "Content-Encoding: gzip",
        length=IN_CHUNKS,
    ),
    "deflate": packed(zlib.compress(UTF8), "deflate"),
    "deflate without a frame": packed(deflated(UTF8), "deflate"),
    "gzip with zeros behind it": packed(gzip.compress(UTF8) + b"\0" * 9, "gzip"),
    "gzip in deflate, said in two headers": reply(
        zlib.compress(gzip.compress(UTF8)), "Content-Encoding: gzip", "Content-Encoding: deflate"
    ),
    "gzip in deflate": packed(zlib.compress(gzip.compress(UTF8)), "gzip, deflate"),
    "gzip that is none": packed(UTF8, "gzip"),
    "gzip that is not said": reply(gzip.compress(UTF8)),
    "gzip with a quality": packed(gzip.compress(UTF8), "gzip;q=1.0"),
    "gzip by the name of deflate": packed(gzip.compress(UTF8), "deflate"),
    "deflate by the name of gzip": packed(zlib.compress(UTF8), "gzip"),
    "gzip with the length of what comes out": reply(
        gzip.compress(UTF8 + b" " * 500),
        "Content-Encoding: gzip",
        "Connection: close",
        length=f"Content-Length: {len(UTF8) + 500}",
    ),
    "gzip as a transfer coding": reply(
        chunked(gzip.compress(UTF8)), length="Transfer-Encoding: gzip, chunked"
    ),
    "identity": packed(UTF8, "identity"),
    "ISO-8859-1": typed(DONE.encode("latin-1"), "application/json; charset=ISO-8859-1"),
    "windows-1252": typed(DONE.encode("cp1252"), 'text/plain; charset="windows-1252"'),
    "UTF-16 with its name": typed(DONE.encode("utf-16-le"), "application/json; charset=UTF-16LE"),
    "UTF-16 without its name": typed(DONE.encode("utf-16-be"), "application/json"),
    "UTF-16 with a mark": typed(UTF16, "application/json; charset=utf-16"),
    "UTF-16 under another name": typed(UTF16, "application/json; charset=utf-8"),
    "UTF-16, compressed": packed(gzip.compress(UTF16), "gzip"),
    "a mark before UTF-8": typed(b"\xef\xbb\xbf" + UTF8, "application/json; charset=utf-8"),
    "a mark, no type": reply(b"\xef\xbb\xbf" + UTF8),
    "a charset that is none": typed(UTF8, "application/json; charset=nonsense"),
    "a charset of another continent": typed(DONE.encode("gb18030"), "text/json; charset=GB18030"),
    "UTF-32": typed(DONE.encode("utf-32"), "application/json"),
    "UTF-32 with its name": typed(DONE.encode("utf-32-be"), "application/json; charset=UTF-32BE"),
    "UTF-16 by name alone": typed(UTF8, "application/json; charset=UTF-16"),
    "two charsets": typed(UTF8, "application/json; charset=utf-8; charset=iso-8859-1"),
    "charsets that are no text's": typed(UTF8, "application/json; charset=zlib"),
    "a charset for names": typed(UTF8, "application/json; charset=idna"),
    "a charset that raises": typed(UTF8, "application/json; charset=undefined"),
    "a charset that is long": typed(UTF8, "application/json; charset=" + "a" * 5_000),
    "NaN": beside("NaN"),
    "-Infinity": beside("-Infinity"),
    "an integer of 5,000 digits": beside("9" * 5_000),
    "a float of 5,000 digits": beside("0." + "9" * 5_000),
    "a tab in a text": beside('"a\tb\x01"'),
    "a text in ISO-8859-1 that does not say so": beside('"Zo?"').replace(b"?", b"\xeb"),
    "a zero behind it": reply(UTF8 + b"\0"),
    "deep nesting": beside("[" * 200_000 + '"]"' + "]" * 200_000),
    "a header of 9,000 bytes": reply(UTF8, "Content-Security-Policy: " + "a" * 9_000),
    "130 headers": reply(UTF8, *(f"X-{n}: {n}" for n in range(130))),
    "70 kB of headers": reply(UTF8, *(f"X-{n}: " + "a" * 7_000 for n in range(10))),
    "a reason of 9,000 bytes": reply(status="HTTP/1.1 200 " + "a" * 9_000),
    "no reason": reply(status="HTTP/1.1 200"),
    "the same length twice": reply(UTF8, f"Content-Length: {len(UTF8)}"),
    "the same length twice, in one": reply(length=f"Content-Length: {len(UTF8)}, {len(UTF8)}"),
    "a length with a sign": reply(length=f"Content-Length: +{len(UTF8)}"),
    "a length in quotation marks": reply(length=f'Content-Length: "{len(UTF8)}"'),
    "a length with a semicolon": reply(length=f"Content-Length: {len(UTF8)};"),
    "a length that is empty": reply(length="Content-Length: "),
    "a length beside chunks": reply(
        chunked(UTF8), "Transfer-Encoding: chunked", length="Content-Length: 3"
    ),
    "chunks, said twice": reply(chunked(UTF8), "Transfer-Encoding: chunked", length=IN_CHUNKS),
    "a coding that is none": reply(UTF8, "Transfer-Encoding: nonsense"),
    "a coding that does nothing": reply(UTF8, "Transfer-Encoding: identity"),
    "a space before a colon": reply(length=f"Content-Length : {len(UTF8)}"),
    "http/1.1": reply(status="http/1.1 200 OK"),
    "HTTP/1.0": reply(status="HTTP/1.0 200 OK"),
    "HTTP/1.0 without a length": reply(status="HTTP/1.0 200 OK", length="X-Odd: 1"),
    "HTTP/1.1 without a length": reply(length="Connection: close"),
    "gzip without a length": reply(
        gzip.compress(UTF8), "Content-Encoding: gzip", length="Connection: close"
    ),
    "a trailer": reply(chunked(UTF8)[:-2] + b"X-Sum: 1\r\n\r\n", length=IN_CHUNKS),
    "a chunk with an extension": reply(
        chunked(UTF8).replace(b"\r\n", b";a=b\r\n", 1), length=IN_CHUNKS
    ),
    "an end of chunks that comes twice": reply(chunked(UTF8) + b"0\r\n\r\n", length=IN_CHUNKS),
    "chunks with line feeds alone": reply(b"%x\n%b\n0\n\n" % (len(UTF8), UTF8), length=IN_CHUNKS),
    "a line that is no header": reply(UTF8, "no colon here"),
    "a name that is none": reply(UTF8, "X Y: z", ": nothing"),
    "a header over two lines": reply(UTF8, "X-Long: a", "  b"),
    "control characters": reply(UTF8, "X-Odd: a\x00b\x0bc\x7f"),
    "letters beyond ASCII": reply(UTF8, "X-Odd: Zoë"),
    "line feeds alone": reply(b"").replace(b"\r\n", b"\n").replace(b": 0", b": %d" % len(UTF8))
    + UTF8,
    "an empty line first": b"\r\n" + reply(),
    "something behind it": reply() + b"\r\nnonsense: \x00\r\n\r\n",
}

UNREADABLE = {
    "nothing": (reply(b""), Ending.COMPLETE),
    "an unknown coding": (packed(b"\x1b\x03\xf8", "br"), Ending.COMPLETE),
    "a gzip that is cut": (packed(gzip.compress(UTF8)[:-9], "gzip"), Ending.CUT_SHORT),
    "a gzip that is broken": (
        packed(gzip.compress(UTF8 * 99)[:50] + b"\xff" * 99, "gzip"),
        Ending.CUT_SHORT,
    ),
    "a chunk that is none": (reply(b"nonsense\r\n", length=IN_CHUNKS), Ending.CUT_SHORT),
    "a chunk that is longer than it says": (
        reply(chunked(UTF8).replace(b"\r\n", b"!\r\n", 2), length=IN_CHUNKS),
        Ending.CUT_SHORT,
    ),
    "chunks without an end": (reply(chunked(UTF8)[:-5], length=IN_CHUNKS), Ending.CUT_SHORT),
    "a bomb": (packed(gzip.compress(b" " * 50_000_000 + UTF8), "gzip"), Ending.TOO_LONG),
    "a bomb in a bomb": (
        packed(gzip.compress(gzip.compress(b" " * 50_000_000)), "gzip, gzip"),
        Ending.TOO_LONG,
    ),
    "too long as UTF-8": (
        typed(b"\xe9" * (REPLY_LIMIT - 9), "text/plain; charset=latin-1"),
        Ending.TOO_LONG,
    ),
    "nesting that has no end": (reply(b"[" * 500_000), Ending.COMPLETE),
}

BROKEN_CHUNKS = [b"nonsense\r\n", b"5\r\n12345678\r\n", b"-1\r\n\r\n", b"a" * 70_000]

HEADS_WITHOUT_SENSE = {
    "a length that is none": reply(length="Content-Length: many"),
    "two lengths": reply(UTF8, "Content-Length: 3"),
    "300 kB of one header": reply(UTF8, "X-Long: " + "x" * 300_000),
}

REFUSALS = {
    **HEADS_WITHOUT_SENSE,
    "a head that is cut": reply()[:30],
    "a first line that is cut": b"HTTP/1.1 200",
    "a body that is cut": reply()[:-3],
    "a chunk that is none": reply(b"nonsense\r\n", "Transfer-Encoding: chunked"),
    "a gzip that is cut": packed(gzip.compress(UTF8)[:-9], "gzip"),
    "a space before a colon": reply(length=f"Content-Length : {len(UTF8)}"),
    "http/1.1": reply(status="http/1.1 200 OK"),
}

INTERIM = {
    "100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    "102": b"HTTP/1.1 102 Processing\r\n\r\n",
    "103": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
    "all, in pieces": b"HTTP/1.1 102 P\r\n\r\n" * 3 + b"HTTP/1.1 100 C\r\nA : b\r\n\r\n",
}


async def answer_to(said: bytes, transport: Any, serving: Any) -> Any:
    async def talk(line: Any) -> None:
        await line.request()
        await line.say(said)

    return await sent_to(transport, serving, talk)


@pytest.mark.parametrize("row", SUCCESSES)
def test_a_success_is_read(row: str, transport: Any, serving: Any) -> None:
    async def story() -> None:
        answer = await answer_to(SUCCESSES[row], transport, serving)
        assert isinstance(answer, HttpResponse)
        assert (answer.status, answer.ending) == (200, Ending.COMPLETE)
        read = mapping(parse_json(answer.body))
        assert {key: read[key] for key in RESULT} == RESULT

    run(story())


@pytest.mark.parametrize("row", UNREADABLE)
def test_a_success_without_a_readable_body_is_not_complete_or_no_json(
    row: str, transport: Any, serving: Any
) -> None:
    async def story() -> None:
        said, ending = UNREADABLE[row]
        answer = await answer_to(said, transport, serving)
        assert isinstance(answer, HttpResponse)
        assert (answer.status, answer.ending) == (200, ending)
        assert len(answer.body) <= REPLY_LIMIT
        if ending is Ending.COMPLETE:
            with pytest.raises(NotJson):
                parse_json(answer.body)

    run(story())


@pytest.mark.parametrize("broken", BROKEN_CHUNKS)
@pytest.mark.parametrize("at_once", [True, False])
def test_what_follows_a_chunk_that_is_none_is_not_waited_for(
    broken: bytes, at_once: bool, transport: Any, serving: Any
) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            first = reply(chunked(UTF8)[:-5], length=IN_CHUNKS)
            await line.say(first + (broken if at_once else b""))
            if not at_once:
                await turns()
                await line.say(broken)
            await line.silence()

        async with asyncio.timeout(20):
            answer = await sent_to(transport, serving, talk)
        assert isinstance(answer, HttpResponse)
        assert (answer.status, answer.ending) == (200, Ending.CUT_SHORT)

    run(story())


@pytest.mark.parametrize("row", HEADS_WITHOUT_SENSE)
def test_a_success_whose_head_makes_no_sense_may_have_been_one(
    row: str, transport: Any, serving: Any
) -> None:
    async def story() -> None:
        answer = await answer_to(HEADS_WITHOUT_SENSE[row], transport, serving)
        assert answer == TransportFailure(FailureKind.CONNECTION_LOST, answer.message)
        assert "a reply whose headers cannot be read (HTTP 200)" in answer.message

    run(story())


@pytest.mark.parametrize("status", [302, 400, 401, 429, 503])
@pytest.mark.parametrize("row", REFUSALS)
def test_a_refusal_decides_by_its_status(
    row: str, status: int, transport: Any, serving: Any
) -> None:
    async def story() -> None:
        said = REFUSALS[row].replace(b" 200", b" %d" % status, 1)
        answer = await answer_to(said, transport, serving)
        assert isinstance(answer, HttpResponse)
        assert answer.status == status

    run(story())


def test_a_refusal_keeps_the_headers_that_arrived(transport: Any, serving: Any) -> None:
    async def story() -> None:
        said = b"HTTP/1.1 429 Slow down\r\nRetry-After: 7\r\nContent-Length: many\r\n\r\n"
        answer = await answer_to(said, transport, serving)
        assert (answer.status, answer.header("retry-after")) == (429, "7")
        assert answer.ending is Ending.CUT_SHORT

    run(story())


def test_a_refusal_that_falls_silent_in_its_head_decides(transport: Any, serving: Any) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(b"HTTP/1.1 400 Bad Request\r\nX-Request-Id: r-1\r\nX-Mor")
            await line.silence()

        answer = await sent_to(transport, serving, talk, way=route(idle=0.1))
        assert (answer.status, answer.header("x-request-id")) == (400, "r-1")

    run(story())


@pytest.mark.parametrize("row", INTERIM)
@pytest.mark.parametrize("when", ["before the body", "during the body", "after the body"])
@pytest.mark.parametrize("body", [SMALL, BIG], ids=["small", "big"])
def test_interim_replies_that_were_not_asked_for_are_read_over(
    row: str, when: str, body: tuple[bytes, ...], transport: Any, serving: Any
) -> None:
    async def story() -> None:
        seen: list[bytes] = []

        async def talk(line: Any) -> None:
            head = await line.head()
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            for moment, part in (
                ("before the body", 0),
                ("during the body", length // 2),
                ("after the body", length - length // 2),
            ):
                seen.append(await line.reader.readexactly(part))
                if moment == when:
                    for piece in INTERIM[row].split(b"H"):
                        await line.say((b"H" if piece else b"") + piece)
            await line.say(reply())

        answer = await sent_to(transport, serving, talk, body)
        assert isinstance(answer, HttpResponse)
        assert (answer.status, answer.body) == (200, UTF8)
        assert b"".join(seen) == b"".join(body)

    run(story())


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("surplus", [*INTERIM.values(), reply(b"of another one"), b"nonsense"])
def test_what_comes_behind_a_reply_does_no_harm_to_the_next(
    surplus: bytes, late: bool, transport: Any, serving: Any
) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            while True:
                await line.request()
                await line.say(reply() + (b"" if late else surplus))
                if late:
                    await turns()
                    await line.say(surplus)

        async with serving(talk) as server, transport() as courier:
            for _ in range(3):
                answer = await courier.send(post(server.url), route())
                assert isinstance(answer, HttpResponse)
                assert (answer.status, answer.body) == (200, UTF8)
                await turns()
                await turns()

    run(story())


CHUNKED = reply(chunked(UTF8), length=IN_CHUNKS)


@pytest.mark.parametrize("surplus", [*INTERIM.values(), reply(b"of another one"), b"nonsense"])
@pytest.mark.parametrize("first", [CHUNKED, reply(), reply(b"", status="HTTP/1.1 204 No Content")])
def test_what_a_server_says_unasked_is_no_reply_to_the_next(
    first: bytes, surplus: bytes, transport: Any, serving: Any
) -> None:
    async def story() -> None:
        asked = 0

        async def talk(line: Any) -> None:
            nonlocal asked
            while True:
                await line.request()
                asked += 1
                await line.say(first if asked == 1 else reply(b"%d" % asked))
                await turns()
                await line.say(surplus if asked == 1 else b"")

        async with serving(talk) as server, transport() as courier:
            await courier.send(post(server.url), route())
            for number in (2, 3, 4):
                await turns()
                await turns()
                answer = await courier.send(post(server.url), route())
                assert isinstance(answer, HttpResponse)
                assert (answer.status, answer.body) == (200, b"%d" % number)

    run(story())


@pytest.mark.parametrize("first", [CHUNKED, reply(), reply(b"", status="HTTP/1.1 204 No Content")])
def test_the_connection_of_a_whole_reply_is_used_again(
    first: bytes, transport: Any, serving: Any
) -> None:
    async def story() -> None:
        connections = 0

        async def talk(line: Any) -> None:
            nonlocal connections
            connections += 1
            while True:
                await line.request()
                await line.say(first)

        async with serving(talk) as server, transport() as courier:
            for _ in range(3):
                await courier.send(post(server.url), route())
                await turns()
        assert connections == 1

    run(story())


@pytest.mark.parametrize(("word", "stays"), [("close", False), ("keep-alive", True)])
def test_a_connection_stays_open_if_its_reply_says_so(
    word: str, stays: bool, transport: Any, serving: Any
) -> None:
    async def story() -> None:
        connections = 0

        async def talk(line: Any) -> None:
            nonlocal connections
            connections += 1
            while True:
                await line.request()
                await line.say(reply(UTF8, f"Connection: {word}"))

        async with serving(talk) as server, transport() as courier:
            for _ in range(3):
                answer = await courier.send(post(server.url), route())
                assert isinstance(answer, HttpResponse)
                await turns()
        assert (connections == 1) is stays

    run(story())


def test_a_trailer_is_no_header_of_the_next_reply(transport: Any, serving: Any) -> None:
    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(CHUNKED.removesuffix(b"\r\n") + b"Y: of the first\r\n\r\n")
            await line.request()
            await line.say(reply())

        async with serving(talk) as server, transport() as courier:
            await courier.send(post(server.url), route())
            answer = await courier.send(post(server.url), route())
            assert isinstance(answer, HttpResponse)
            assert (answer.status, answer.header("y")) == (200, None)

    run(story())


def test_of_a_small_body_that_unpacks_to_much_only_the_limit_is_unpacked() -> None:
    packed = gzip.compress(b"a" * 64 * REPLY_LIMIT)
    headers = (("Content-Encoding", "gzip"),)
    tracemalloc.start()
    try:
        reply = read_as_it_says(HttpResponse(200, headers, packed, AT))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (len(reply.body), reply.ending) == (REPLY_LIMIT, Ending.TOO_LONG)
    assert most < 8 * REPLY_LIMIT
