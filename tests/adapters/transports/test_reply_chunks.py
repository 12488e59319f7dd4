"""Chunks are written anew, in whatever form and pieces they come."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from evidence_courier.adapters.transports.reply_chunks import Chunks

ENDS = st.sampled_from([b"\r\n", b"\n"])


def read(chunks: bytes) -> bytes:
    """The body of chunks in the one form that every parser reads."""
    body = b""
    while not chunks.startswith(b"0\r\n"):
        size, _, chunks = chunks.partition(b"\r\n")
        assert size.isalnum()  # neither blanks nor an extension
        number = int(size, 16)
        body += chunks[:number]
        assert chunks[number : number + 2] == b"\r\n"
        chunks = chunks[number + 2 :]
    assert chunks == b"0\r\n\r\n"
    return body


@given(
    parts=st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    end=ENDS,
    size=st.sampled_from([b"%x", b"%X", b"00%x", b" %x \t", b"%x;name=a b", b"%x ;a"]),
    trailers=st.lists(st.sampled_from([b"X-Sum: 1", b"odd"]), max_size=2),
    surplus=st.sampled_from([b"", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]),
    cuts=st.lists(st.integers(0, 300), max_size=9),
)
@example(parts=[], end=b"\r\n", size=b"%x", trailers=[], surplus=b"0\r\n\r\n", cuts=[])
@example(parts=[b"a"], end=b"\r\n", size=b"%x;name=a b", trailers=[], surplus=b"", cuts=[])
@example(parts=[b"a"], end=b"\r\n", size=b" %x \t", trailers=[], surplus=b"", cuts=[])
def test_they_are_read_in_whatever_form_and_pieces_they_come(
    parts: Sequence[bytes],
    end: bytes,
    size: bytes,
    trailers: Sequence[bytes],
    surplus: bytes,
    cuts: Sequence[int],
) -> None:
    said = b"".join(size % len(part) + end + part + end for part in parts)
    said += end.join([b"0", *trailers, b"", surplus])
    chunks, written, at = Chunks(), b"", 0
    for cut in [*sorted(min(one, len(said)) for one in cuts), len(said)]:
        if not chunks.is_over:  # else the connection has been closed
            written += chunks.feed(b"head" + said[at:cut], 4).removeprefix(b"head")
            at = cut
    assert (chunks.is_over, chunks.is_broken) == (True, False)
    assert read(written) == b"".join(parts)
    assert chunks.has_surplus == (len(surplus) > len(said) - at)


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=5))
def test_what_is_no_chunk_is_handed_on_no_further(junk: bytes, cuts: Sequence[int]) -> None:
    chunks, written, at = Chunks(), b"", 0
    said = b"3\r\nabc\r\n" + junk
    for cut in [*sorted(min(one, len(said)) for one in cuts), len(said)]:
        written += chunks.feed(said[at:cut])
        at = cut
    assert written.startswith(b"3\r\nabc\r\n")
    assert not (chunks.is_broken and chunks.is_over)
