"""A server on the loopback interface that says exactly the bytes a rule wants, from a thread:
transports of both kinds can be tried on it."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TypeAlias

from attrs import define, field

RULE_DEADLINE = 10.0
"""After this many seconds a server gives up its wait, so a rule that hangs fails instead."""


@define(eq=False)
class Line:
    """One connection, from the server's side."""

    connection: socket.socket
    heads: list[bytes] = field(factory=list)
    over: threading.Event = field(factory=threading.Event)
    _left: bytearray = field(factory=bytearray)

    def wait_for_head(self) -> None:
        """Wait for a request's line and headers, and leave them to be read."""
        while b"\r\n\r\n" not in self._left:
            self._left += self._more()

    def head(self) -> bytes:
        """A request's line and headers. EOFError where the other side has hung up."""
        self.wait_for_head()
        head, _, self._left = self._left.partition(b"\r\n\r\n")
        self.heads.append(bytes(head))
        return bytes(head)

    def request(self) -> tuple[bytes, bytes]:
        """A whole request: head and body."""
        head = self.head()
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0].strip()
        wanted = int(length or b"0")
        while len(self._left) < wanted:
            self._left += self._more()
        body = bytes(self._left[:wanted])
        del self._left[:wanted]
        return head, body

    def say(self, *pieces: bytes) -> None:
        """Send bytes."""
        for piece in pieces:
            self.connection.sendall(piece)

    def reset(self) -> None:
        """Break off as a crash does: the other side sees a reset, not an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def silence(self) -> None:
        """Say nothing more until the rule is over."""
        self.over.wait(RULE_DEADLINE)

    def gone(self, within: float = RULE_DEADLINE) -> bool:
        """Wait until the other side has hung up, reading on; False if it has not after
        `within` seconds."""
        try:
            self.connection.settimeout(within)
            while True:
                self._more()
        except TimeoutError:
            return False
        except (OSError, EOFError):
            return not self.over.is_set()

    def _more(self) -> bytes:
        more = self.connection.recv(65_536)
        if not more:
            raise EOFError
        return more


Talk: TypeAlias = Callable[[Line], None]


@define(eq=False)
class Server:
    """Listens on a free port; `lines` are all connections that were made."""

    talk: Talk
    listening: socket.socket
    lines: list[Line] = field(factory=list)
    errors: list[Exception] = field(factory=list)
    over: threading.Event = field(factory=threading.Event)
    _threads: list[threading.Thread] = field(factory=list)

    @property
    def origin(self) -> str:
        """Its address, as ``http://127.0.0.1:PORT``."""
        return f"http://127.0.0.1:{self.listening.getsockname()[1]}"

    def serve(self) -> None:
        """Accept connections until it is closed."""
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            connection.settimeout(RULE_DEADLINE)
            line = Line(connection, over=self.over)
            self.lines.append(line)
            thread = threading.Thread(target=self._converse, args=(line,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """End all that is being said."""
        self.over.set()
        with suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        for line in self.lines:
            with suppress(OSError):
                line.connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(RULE_DEADLINE)

    def _converse(self, line: Line) -> None:
        try:
            self.talk(line)
        except (OSError, EOFError, ssl.SSLError):
            pass  # the other side has hung up, or the rule is over
        except Exception as error:
            self.errors.append(error)
        finally:
            with suppress(OSError):
                line.connection.shutdown(socket.SHUT_RDWR)
            line.connection.close()


@contextmanager
def serving(talk: Talk) -> Iterator[Server]:
    """Serve each connection as `talk` says while the block runs; what goes wrong in it is raised
    at the end."""
    server = Server(talk, socket.create_server(("127.0.0.1", 0)))
    accepting = threading.Thread(target=server.serve, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        server.close()
        accepting.join(RULE_DEADLINE)
    if server.errors:
        raise server.errors[0]


def closed_port() -> int:
    """A port that refuses connections."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
