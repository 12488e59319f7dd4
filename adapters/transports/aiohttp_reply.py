"""Has aiohttp read replies as `reply_head` writes them anew, and keeps the status of those that it
cannot read."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from ...ports.dialogue import Headers
from .reply_head import ReplyHead


class RefusedError(Exception):
    """A reply decides by its status, and could not be read to the end of its head."""

    def __init__(self, status: int, headers: Headers) -> None:
        self.status = status
        self.headers = headers
        super().__init__()


class Handler(ResponseHandler):
    """A connection; `head` is that of the reply to the request that is under way on it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.head = ReplyHead()
        self._waited_since: float | None = None
        self._timer_at = 0.0

    # --- the idle timeout ---
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
        late = self._waited_since + timeout
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
        if since + timeout > self._loop.time():
            self._start_timer(since + timeout)
        else:
            super()._on_read_timeout()

    # --- replies ---

    def set_response_params(self, **params: Any) -> None:
        """Called by aiohttp before each request."""
        self.head = ReplyHead()
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        handed_on = self.head.feed(data)
        if handed_on or not data:  # nothing: aiohttp goes on with what it has
            super().data_received(handed_on)
        else:
            self.start_timeout()  # what is held back is a sign of life, too
        # A parser that takes lines of this size would read an endless head for ever.
        spoiled = self.head.has_surplus or self.head.is_endless
        if spoiled and self.transport is not None:
            self.transport.close()


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
            if refusal := head.refusal():
                raise RefusedError(*refusal) from error
            if isinstance(error, aiohttp.ClientResponseError):
                error.status = head.status or 0  # it knows none
            raise
        return self
