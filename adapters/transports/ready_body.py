"""A request's body whose bytes are ready, and which notes how much of it has been handed to the
connection."""

from __future__ import annotations

from typing import cast

from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_writer import StreamWriter
from aiohttp.payload import Payload

from .outgoing import BODY_TYPE, Sent, chunks_of


class ReadyBody(Payload):
    """The parts of a body, in order, with their size known. Good for one request."""

    def __init__(self, parts: tuple[bytes, ...]) -> None:
        super().__init__(parts, content_type=BODY_TYPE)
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
        for chunk in chunks_of(self._parts, self._length):
            left -= len(chunk)
            if left:
                self.sent = Sent.PART
                await connection.write(chunk)
            else:
                # This write does not wait, so nothing can come between the last bytes and the note.
                # After it they may arrive even if the connection is closed at once.
                await connection.write(chunk, drain=False)
                self.sent = Sent.ALL
                await connection.drain()
