"""A request's body whose bytes are ready, and which notes how much of it has been handed to the connection.

Why it matters: a request that was surely not sent whole was surely not taken, and may be sent again without
a second thought; one that was may have been taken, whatever happens to the line afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final, cast

from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_writer import StreamWriter
from aiohttp.payload import Payload

STREAMED_FROM: Final = 1024 * 1024
"""A smaller body is joined and handed over at once, together with the headers; a bigger one is streamed."""
CHUNK: Final = 64 * 1024


class Sent(Enum):
    """How much of a body may have left."""

    NOTHING = "nothing"
    PART = "part"
    ALL = "all"


class ReadyBody(Payload):
    """The parts of a body, in order, with their size known. Good for one request."""

    def __init__(self, parts: tuple[bytes, ...]) -> None:
        super().__init__(parts, content_type="application/octet-stream")
        self._parts = parts
        self._length = sum(map(len, parts))
        self._size = self._length  # where aiohttp looks for the Content-Length
        self.sent = Sent.NOTHING

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text: never needed to send it."""
        return b"".join(self._parts).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Hand the body to the connection, waiting whenever it is full."""
        connection = cast(StreamWriter, writer)
        left = self._length
        for chunk in self._chunks():
            left -= len(chunk)
            if left:
                self.sent = Sent.PART
                await connection.write(chunk)
            else:
                # This write does not wait, so nothing can come between the last bytes and the note. After it
                # they may arrive even if the connection is closed at once.
                await connection.write(chunk, drain=False)
                self.sent = Sent.ALL
                await connection.drain()

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """As `write`: the Content-Length is this body's own size."""
        await self.write(writer)

    def _chunks(self) -> Iterator[bytes | memoryview]:
        if self._length < STREAMED_FROM:
            yield b"".join(self._parts)
            return
        for part in self._parts:
            view = memoryview(part)
            for start in range(0, len(part), CHUNK):
                yield view[start : start + CHUNK]
