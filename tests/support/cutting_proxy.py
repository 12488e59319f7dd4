"""A proxy before a PostgreSQL server that cuts connections where a test wants it."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Literal

from psycopg.conninfo import conninfo_to_dict, make_conninfo

Cut = Literal["before", "after"]


class CuttingProxy:
    """Passes bytes on. `cut_commit`: the next COMMIT is cut off `before` it reaches the server, or
    `after` that, so that the client never sees the answer."""

    def __init__(self, dsn: str) -> None:
        parts = conninfo_to_dict(dsn)
        self._server = (str(parts["host"]), int(parts["port"] or 0))
        self._listening = socket.create_server(("127.0.0.1", 0))
        host, self.port = self._listening.getsockname()
        self.dsn = make_conninfo(dsn, host=host, port=self.port)
        self.cut_commit: Cut | None = None
        self.commits_cut = 0
        self._open: list[socket.socket] = []
        self._start(self._accept)

    def cut_all(self) -> None:
        """Cut every connection."""
        open_ones, self._open = self._open, []
        for one in open_ones:
            _close(one)

    def close(self) -> None:
        """Accept no more, and cut every connection."""
        _close(self._listening)
        self.cut_all()

    def _start(self, work: object, *given: object) -> None:
        threading.Thread(target=work, args=given, daemon=True).start()  # type: ignore[arg-type]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(self._server)
                self._open += [client, server]
                self._start(self._to_server, client, server)
                self._start(self._to_client, server, client)

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                cut = self.cut_commit if b"COMMIT\0" in data else None
                if cut is not None:
                    self.cut_commit = None
                    self.commits_cut += 1
                    _close(client)
                    if cut == "after":
                        server.sendall(data)
                        server.recv(1 << 16)  # the server has answered
                    break
                server.sendall(data)
        _close(server)

    def _to_client(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                client.sendall(data)
        _close(client)


def _close(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
