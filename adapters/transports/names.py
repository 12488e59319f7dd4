"""Looks names up in threads of its own, at most one for each name.

A look-up cannot be interrupted, and asyncio makes them all in the few threads that it shares with
the host's `asyncio.to_thread`: some names that do not resolve would hold up everything.
"""

from __future__ import annotations

import socket
import threading
from concurrent.futures import Future
from typing import TypeAlias

from attrs import define, field

Address: TypeAlias = tuple[socket.AddressFamily, str]


@define
class Names:
    """Looks names up; may be used by several threads at once."""

    _lock: threading.Lock = field(factory=threading.Lock, init=False)
    _under_way: dict[str, Future[list[Address]]] = field(factory=dict, init=False)

    def look_up(self, host: str) -> Future[list[Address]]:
        """The name's addresses. The result raises OSError for a name that has none."""
        with self._lock:
            addresses = self._under_way.get(host)
            if addresses is None:
                addresses = self._under_way[host] = Future()
                addresses.set_running_or_notify_cancel()  # one who gives up does not end it
                threading.Thread(target=self._run, args=(host, addresses), daemon=True).start()
            return addresses

    def _run(self, host: str, addresses: Future[list[Address]]) -> None:
        try:
            try:
                found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            finally:
                with self._lock:
                    del self._under_way[host]
            addresses.set_result([(each[0], str(each[4][0])) for each in found])
        except Exception as error:
            addresses.set_exception(error)
