"""Connections of urllib3's that keep to the times of a whole request, and know how much of it has
left.

urllib3 and the standard library below it bound each operation of a socket, not a request: a server
that drips, or one that does not read, could hold a thread for ever. So every operation is given
what is left of the request's time. And the standard library writes a whole request before it reads
a byte: a reply that comes while a large document is still being sent is overheard here, and ends
the sending.
"""

from __future__ import annotations

import http.client
import io
import selectors
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from attrs import define, field
from urllib3.connection import HTTPConnection, HTTPSConnection

from ...domain.integration import Timeouts
from .outgoing import CHUNK, Sent

Which: TypeAlias = Literal["connect", "idle", "total"]

_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class LateError(Exception):
    """One of the times of a request has run out: `which`."""

    def __init__(self, which: Which) -> None:
        self.which: Which = which
        super().__init__(which)


class AnsweredError(Exception):
    """The server has said something, or hung up, before the whole request was sent."""


class CutReplyError(http.client.HTTPException):
    """The line ended among a reply's headers."""


def is_foreign(error: BaseException) -> bool:
    """Whether an exception comes from elsewhere (a time limit of the host's, a signal), and not
    from the network.

    A time-out of the network's is a `LateError` by the time that this is asked, or has an errno.
    """
    if isinstance(error, TimeoutError):
        return error.errno is None
    return not isinstance(error, LateError | AnsweredError | OSError | http.client.HTTPException)


@define(eq=False)
class Course:
    """One request's way: its times, and how far it has got."""

    timeouts: Timeouts
    sent: Sent = Sent.NOTHING
    connected: bool = False
    proxy_status: int | None = None
    _begun: float = field(factory=time.monotonic)

    def left(self, *, listening: bool = False) -> tuple[float, Which]:
        """For how many seconds one may wait now, and which time runs out then."""
        gone = time.monotonic() - self._begun
        total = self.timeouts.total.total_seconds() - gone
        if not self.connected:
            connect = self.timeouts.connect.total_seconds() - gone
            return (connect, "connect") if connect <= total else (total, "total")
        idle = self.timeouts.idle.total_seconds()
        return (idle, "idle") if listening and idle <= total else (total, "total")

    @contextmanager
    def within(
        self, sock: socket.socket, *, listening: bool = False, sharers: int = 1
    ) -> Iterator[None]:
        """Let one operation of the socket take the time that is left, or its share of that, and
        no more: LateError then."""
        seconds, which = self.left(listening=listening)
        if seconds <= 0:
            raise LateError(which)
        seconds /= sharers
        until = time.monotonic() + seconds
        sock.settimeout(seconds)
        try:
            yield
        except TimeoutError as error:
            if error.errno is None and time.monotonic() >= until:
                raise LateError(which) from None
            raise

    def kept_back(self) -> None:
        """The connection did not take all of what was noted as sent."""
        if self.sent is Sent.ALL:
            self.sent = Sent.PART


class _Ear(io.RawIOBase):
    """What is read from a connection: first what was overheard, then the rest, in time."""

    def __init__(self, line: Line, sock: socket.socket) -> None:
        self._line = line
        self._sock = sock
        # Counted by the socket, which stays open as long as this does.
        self._file = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if early := self._line.overheard:
            count = min(len(early), len(buffer))
            buffer[:count] = early[:count]
            self._line.overheard = early[count:]
            return count
        with self._line.course.within(self._sock, listening=True):
            return self._file.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


class _Lines(io.BufferedReader):
    """Notices where the line ends in the middle of a reply's headers."""

    cut = False

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(size)
        self.cut = not line.endswith(b"\n")
        return line


@define
class _Ears:
    """A socket as far as a response looks at it."""

    line: Line
    sock: socket.socket

    def makefile(self, mode: str) -> _Lines:
        return _Lines(_Ear(self.line, self.sock))


class Reply(http.client.HTTPResponse):
    """A reply whose interim ones are read over, and whose head is whole and makes sense:
    HTTPException otherwise."""

    def __init__(self, line: Line, sock: socket.socket, method: str | None) -> None:
        super().__init__(_Ears(line, sock), method=method)  # type: ignore[arg-type]
        self._line = line

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not self._line.course.connected:
                self._line.course.proxy_status = status
            if not 100 <= status < 200 or status == http.client.SWITCHING_PROTOCOLS:
                return version, status, reason
            http.client.parse_headers(self.fp)
            _refuse_cut(self.fp)

    def begin(self) -> None:
        """Read the head."""
        lines = self.fp
        super().begin()
        _refuse_cut(lines)
        lengths = self.msg.get_all("Content-Length", [])
        if self.msg.defects or len(set(lengths)) > 1 or not all(map(str.isdecimal, lengths)):
            raise http.client.HTTPException("a header that is none")


def _refuse_cut(lines: io.BufferedReader) -> None:
    if isinstance(lines, _Lines) and lines.cut:
        raise CutReplyError


class Line(HTTPConnection):
    """A connection; `course` is the request that is under way on it, `overheard` what came
    before the request was sent whole."""

    course: Course
    overheard: bytes
    sock: Any

    def response_class(  # type: ignore[override]  # it is called, whatever it is
        self,
        sock: socket.socket,
        debuglevel: int = 0,
        method: str | None = None,
        url: str | None = None,
    ) -> Reply:
        """Where the standard library asks for a reply to be read."""
        return Reply(self, sock, method)

    def connect(self) -> None:
        """Connect, with all that belongs to it (a tunnel, TLS), in time."""
        try:
            super().connect()
        except TimeoutError as error:
            seconds, which = self.course.left()
            if error.errno is None and seconds <= 0:  # a handshake that took all the time there was
                raise LateError(which) from None
            raise
        self.course.connected = True

    def _new_conn(self) -> socket.socket:
        """Connect to one of the name's addresses. Each is given its share of the time that is
        left."""
        try:
            found = socket.getaddrinfo(self._dns_host, self.port, type=socket.SOCK_STREAM)
        except UnicodeError:
            raise socket.gaierror(socket.EAI_NONAME, "no name of a host") from None
        for later, (family, kind, protocol, _, address) in zip(
            range(len(found) - 1, -1, -1), found, strict=True
        ):
            sock = socket.socket(family, kind, protocol)
            try:
                for option in self.socket_options or ():
                    sock.setsockopt(*option)
                with self.course.within(sock, sharers=later + 1):
                    sock.connect(address)
                sock.settimeout(max(self.course.left()[0], 0.001))
            except BaseException as error:
                sock.close()
                if not later or is_foreign(error):
                    raise
            else:
                return sock
        raise socket.gaierror(socket.EAI_NONAME, "a name without an address")

    def send(self, data: Any) -> None:
        """Hand bytes to the connection, in time; AnsweredError where the server speaks first."""
        left = memoryview(data)
        try:
            while left:
                self._wait_until_writable()
                with self.course.within(self.sock):
                    left = left[self.sock.send(left) :]
        except BaseException as error:
            if left and not is_foreign(error):
                self.course.kept_back()
            raise

    def _wait_until_writable(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.sock, selectors.EVENT_READ | selectors.EVENT_WRITE)
            ready = 0
            while not ready & selectors.EVENT_WRITE:
                seconds, which = self.course.left()
                if seconds <= 0:
                    raise LateError(which)
                ready = sum(mask for _, mask in selector.select(seconds))
                if ready & selectors.EVENT_READ and self._overhear():
                    raise AnsweredError

    def _overhear(self) -> bool:
        """Whether the server has said something. On a line under TLS there may be no more than a
        ticket for the next time."""
        self.sock.settimeout(0)
        try:
            self.overheard = self.sock.recv(CHUNK)
        except _NOT_NOW:
            return False
        return True


class TlsLine(Line, HTTPSConnection):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A connection under TLS."""
