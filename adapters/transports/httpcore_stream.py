"""Connections for httpcore that keep to the times of a whole request and know how much of it has
left.

httpcore bounds each operation of a socket, not a request: a server that drips, or one that does not
read, could hold a thread for ever. It hands the time-out of a request through to the connection, so
a `Course` travels in its place, and each operation is given what is left of the request's time.
httpcore also writes a whole request before it reads: here a reply that comes while a large document
is still being sent ends the sending.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

import httpcore
from attrs import define, field

from ...domain.integration import Timeouts
from ...ports.dialogue import HttpRequest
from .names import Names
from .outgoing import CHUNK, Late, Sent, chunks_of
from .reply_head import ReplyHead

_TROUBLE = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    OSError,
)
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_PIECE: Final = 16 * 1024
"""How many bytes a connection that can be written to takes at once."""


def is_foreign(error: BaseException) -> bool:
    """Whether an exception comes from elsewhere (a time limit of the host's, a signal), and not
    from the network. A time-out of the network's is one of httpcore's or has an errno."""
    if isinstance(error, TimeoutError):
        return error.errno is None
    return not isinstance(error, _TROUBLE)


@define(eq=False)
class Course:
    """One request's way: its times, how far it has got, and the head of its reply."""

    request: HttpRequest
    timeouts: Timeouts
    sent: Sent = Sent.NOTHING
    connected: bool = False
    late: Late | None = field(default=None, init=False)
    hung_up: bool = field(default=False, init=False)
    head: ReplyHead = field(factory=ReplyHead, init=False)
    _begun: float = field(factory=time.monotonic, init=False)

    def chunks(self) -> Iterator[Any]:
        """The body. A piece is noted before it is written: an exception that comes in between may
        come when the piece has left already."""
        left = self.request.body_size
        for chunk in chunks_of(self.request.body, left):
            left -= len(chunk)
            self.sent = Sent.PART if left else Sent.ALL
            yield chunk

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """What httpcore tells of its doing: a connection (through the proxy, if there is one) is
        there when the head is sent. A request without a body leaves with its head."""
        if event == "http11.send_request_headers.started" and info["request"].method != b"CONNECT":
            self.connected = True
            self.sent = Sent.NOTHING if self.request.body_size else Sent.ALL

    @contextmanager
    def within(self, *, listening: bool = False, sharers: int = 1) -> Iterator[float]:
        """Give one operation the seconds that are left, or its share of them. Once they have
        passed, `late` says which time has run out."""
        self.late = None
        seconds, which = self._left(listening)
        until = time.monotonic() + seconds / sharers
        try:
            if seconds <= 0:
                raise httpcore.TimeoutException
            yield seconds / sharers
        except httpcore.TimeoutException as error:
            early = error.args[0] if error.args and time.monotonic() < until else None
            if early is None:
                self.late = which
            elif early.errno is None:
                raise early from None  # a time limit of the host's, which httpcore took for its own
            raise

    def _left(self, listening: bool) -> tuple[float, Late]:
        gone = time.monotonic() - self._begun
        times = [(self.timeouts.total.total_seconds() - gone, Late.TOTAL)]
        if not self.connected:
            times.append((self.timeouts.connect.total_seconds() - gone, Late.CONNECT))
        elif listening:
            times.append((self.timeouts.idle.total_seconds(), Late.IDLE))
        return min(times, key=lambda time: time[0])


class Stream(httpcore.NetworkStream):
    """A connection. Each `timeout` that httpcore hands over is the `Course` of a request."""

    def __init__(self, inner: httpcore.NetworkStream, opened: set[Stream]) -> None:
        self._inner = inner
        self._socket: socket.socket = inner.get_extra_info("socket")
        self._overheard = b""
        self._head: ReplyHead | None = None
        self._opened = opened
        opened.add(self)

    def read(self, max_bytes: int, timeout: Any = None) -> bytes:
        """What the parser is to read next: nothing only where the connection has ended."""
        course = cast(Course, timeout)
        handed, self._overheard = self._overheard, b""
        while not handed and not course.hung_up:
            with course.within(listening=True) as seconds:
                data = self._inner.read(max_bytes, seconds)
            handed = course.head.feed(data)
            course.hung_up = not data or course.head.is_broken
        return handed

    def write(self, buffer: bytes, timeout: Any = None) -> None:
        """Send, in time. WriteError where the server answers first: httpcore then reads."""
        course = cast(Course, timeout)
        if self._head is not course.head:  # this request's first bytes on this connection
            self._head = course.head = ReplyHead()
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE)
                for start in range(0, len(buffer), _PIECE):
                    self._wait_until_writable(selector, course)
                    with course.within() as seconds:
                        self._inner.write(buffer[start : start + _PIECE], seconds)
        except (httpcore.NetworkError, httpcore.TimeoutException):
            # the connection did not take all of what was noted as sent
            course.sent = Sent.PART if course.sent is Sent.ALL else course.sent
            raise

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: Any = None
    ) -> Stream:
        """The same connection under TLS."""
        with cast(Course, timeout).within() as seconds:
            host = (server_hostname or "").strip("[]")
            inner = self._inner.start_tls(ssl_context, host, seconds)
        self._opened.discard(self)
        return Stream(inner, self._opened)

    def close(self) -> None:
        """Close the connection."""
        self._opened.discard(self)
        self._inner.close()

    def shut_down(self) -> None:
        """Let the thread that waits for the connection hear that it has ended, and close it."""
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def get_extra_info(self, info: str) -> Any:
        """As the connection below says. One that has something to read is not used again."""
        if info == "is_readable" and self._head is not None and self._head.may_hold_more:
            return True
        return self._inner.get_extra_info(info)

    def _wait_until_writable(self, selector: selectors.BaseSelector, course: Course) -> None:
        ready = 0
        while not ready & selectors.EVENT_WRITE:
            with course.within() as seconds:
                ready = sum(mask for _, mask in selector.select(seconds))
            if ready & selectors.EVENT_READ:
                self._overhear(course.head)

    def _overhear(self, head: ReplyHead) -> None:
        """WriteError where the server has replied, or hung up. Under TLS there may be no more than
        a ticket for the next time to read."""
        try:
            data = self._inner.read(CHUNK, 0.0)
        except httpcore.ReadError as error:
            if isinstance(error.args[0], _NOT_NOW):
                return
            raise httpcore.WriteError(*error.args) from error
        self._overheard += head.feed(data)
        if self._overheard or not data:
            raise httpcore.WriteError("the server has replied")


class Backend(httpcore.NetworkBackend):
    """Connects to one of a name's addresses; `opened` are the connections that are open."""

    def __init__(self) -> None:
        self.opened: set[Stream] = set()
        self._names = Names()
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: Any = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> Stream:
        """Each address is given its share of the time that is left."""
        course = cast(Course, timeout)
        found = self._look_up(host.strip("[]"), course)
        for later, address in zip(range(len(found) - 1, -1, -1), found, strict=True):
            try:
                with course.within(sharers=later + 1) as seconds:
                    inner = self._inner.connect_tcp(address, port, seconds)
                return Stream(inner, self.opened)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if not later:
                    raise
        raise httpcore.ConnectError(socket.gaierror(socket.EAI_NONAME, "a name without an address"))

    def _look_up(self, host: str, course: Course) -> list[str]:
        with course.within() as seconds:
            try:
                return [address for _, address in self._names.look_up(host).result(seconds)]
            except TimeoutError as error:
                raise httpcore.ConnectTimeout(error) from error
            except OSError as error:
                raise httpcore.ConnectError(error) from error
