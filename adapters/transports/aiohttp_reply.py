"""Has aiohttp read replies as `reply_head` writes them anew, and keeps the status of those that it
cannot read."""

from __future__ import annotations

import asyncio
from functools import partial
from math import inf
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError

from ...ports.dialogue import REPLY_LIMIT, Ending, Headers
from .reply_head import ReplyHead


class RefusedError(Exception):
    """A reply decides by its status, and could not be read to the end of its head."""

    def __init__(self, status: int, headers: Headers) -> None:
        self.status = status
        self.headers = headers
        super().__init__()


class UnreadableError(Exception):
    """What came is no reply; `status` if it says one."""

    def __init__(self, status: int | None) -> None:
        self.status = status
        super().__init__()


class Handler(ResponseHandler):
    """A connection; `head` is that of the reply to the request that is under way on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.head = ReplyHead()
        self._waited_since: float | None = None
        self._deadline = inf
        self._timer_at = 0.0
        self._direct: object = None

    # --- the idle timeout, and the end of the total one ---
    #
    # aiohttp has no public place for it: it sets a timer anew with each request and whatever comes.
    # Here a timer that is early sets itself anew. Where aiohttp should cease to call these, it does
    # as it does by itself.

    def _reschedule_timeout(self) -> None:
        """Called by aiohttp when the peer is waited for, or has given a sign of life."""
        timeout = self._read_timeout
        self._waited_since = self._loop.time() if timeout else None
        if self._waited_since is None or not timeout:
            return
        late = min(self._waited_since + timeout, self._deadline)
        if self._read_timeout_handle is None or self._timer_at > late:
            self._stop_timer()
            self._start_timer(late)

    def _drop_timeout(self) -> None:
        """Called by aiohttp when the peer is not waited for, or is gone."""
        self._waited_since = None
        if not self.is_connected():
            self._stop_timer()

    def _start_timer(self, at: float) -> None:
        self._timer_at = at
        self._read_timeout_handle = self._loop.call_at(at, self._on_read_timeout)

    def _stop_timer(self) -> None:
        if self._read_timeout_handle is not None:
            self._read_timeout_handle.cancel()
            self._read_timeout_handle = None

    def _on_read_timeout(self) -> None:
        self._read_timeout_handle = None
        since, timeout = self._waited_since, self._read_timeout
        if since is None or not timeout:
            return
        late = min(since + timeout, self._deadline)
        if late > self._loop.time():
            self._start_timer(late)
        elif late < self._deadline:
            super()._on_read_timeout()
        else:
            payload = self._payload
            for waits in (self, payload) if payload is not None else (self,):
                waits.set_exception(TimeoutError())

    # --- replies ---

    def set_response_params(self, **params: Any) -> None:
        """Called by aiohttp before each request."""
        self.head, self._direct = ReplyHead(), None
        self._deadline = inf
        super().set_response_params(**params)

    def expect(self, deadline: float, read_timeout: float | None, **params: Any) -> None:
        """Before a request whose reply must have come by then. The parser of the one before is
        good for it if that was such a request, too, as the others' have other parameters; and if
        it holds nothing that came behind its reply."""
        is_good = self._parser is not None and self._direct is self._parser
        if not is_good or self.head.may_hold_more:
            self.set_response_params(read_timeout=read_timeout, **params)
            self._direct = self._parser
        self.head, self._deadline, self._read_timeout = ReplyHead(), deadline, read_timeout

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        payload = self._payload
        if data and self.head.is_whole and payload is not None and payload.is_eof():
            # Nothing was asked: it would be read as the reply to the next request.
            self.head.has_surplus = True
            self.close()
            return
        is_first = not self.head.is_whole
        handed_on = self.head.feed(data) if data else data
        reply: Any = self.head.reply_in(data) if is_first and self._direct is not None else None
        if reply is not None:  # as a rule; the parser does not see it, and is good for the next one
            self._payload = aiohttp.EMPTY_PAYLOAD
            self._drop_timeout()
            self.feed_data((reply, self._payload))
        elif handed_on or not data:  # nothing: aiohttp goes on with what it has
            super().data_received(handed_on)
            if self.exception() is not None:
                _end(self._payload)
        else:
            self.start_timeout()  # what is held back is a sign of life, too
        # A parser that takes lines of this size would read an endless head for ever.
        spoiled = self.head.has_surplus or self.head.is_endless or self.head.is_broken
        if spoiled and self.transport is not None:
            self.transport.close()
        if self.transport is not None and self.transport.is_closing():
            self._drop_unsent()

    # --- ends ---

    def eof_received(self) -> None:
        """Called by the event loop: the peer sends no more, and what it has not read is lost."""
        super().eof_received()
        self._drop_unsent()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the event loop."""
        payload = self._payload
        super().connection_lost(exc)
        _end(payload)

    def close(self) -> None:
        """Called by the connector."""
        payload = self._payload
        self._drop_unsent()
        super().close()
        _end(payload)

    def _drop_unsent(self) -> None:
        """A close that waits for a peer to read may wait for ever."""
        if self.transport is not None and self.transport.get_write_buffer_size():
            self.transport.abort()


def _end(payload: aiohttp.StreamReader | None) -> None:
    """Who reads the body of a reply is told that nothing follows: of a chunk that is none aiohttp
    does not say it, and would have more of it waited for."""
    if payload is not None and not payload.is_eof() and payload.exception() is None:
        payload.set_exception(aiohttp.ClientConnectionError())


class Connector(aiohttp.TCPConnector):
    """Connections that read heads first."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # aiohttp has no public place for it. Where it should cease to have this one, replies are
        # read as aiohttp reads them.
        self._factory: Any = partial(Handler, loop=self._loop)


class Reply(aiohttp.ClientResponse):
    """A reply."""

    async def start(self, connection: Any) -> Reply:
        """Called by aiohttp to read the head."""
        head: ReplyHead = getattr(connection.protocol, "head", None) or ReplyHead()
        try:
            await super().start(connection)
        except Exception as error:
            raise heard_of(head, error) from error
        return self


def heard_of(head: ReplyHead, error: Exception) -> Exception:
    """What an exception comes to while a head is read."""
    if refusal := head.refusal():
        return RefusedError(*refusal)
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return UnreadableError(head.status)
    return error


async def read(payload: aiohttp.StreamReader) -> tuple[bytes, Ending]:
    """The reply's body as far as it is read, and how it ended."""
    content = bytearray()
    try:
        while not payload.at_eof():
            content += await payload.readany()
            if len(content) > REPLY_LIMIT:
                return bytes(content[:REPLY_LIMIT]), Ending.TOO_LONG
    except Exception:
        # A reset, a timeout, a length that does not fit: the status is known, the rest never came.
        return bytes(content), Ending.CUT_SHORT
    return bytes(content), Ending.COMPLETE
