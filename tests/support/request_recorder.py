"""A server on the loopback interface that writes down every request, byte by byte, and answers
from a script."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, field, frozen


@frozen
class Recorded:
    """One request as it came over the line."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@define
class Recorder:
    """Answers one request a connection; `requests` are all that came."""

    port: int
    answers: list[bytes]
    requests: list[Recorded] = field(factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def recorder(*answers: bytes) -> Iterator[Recorder]:
    """Serve so many requests, in order, with these bodies of HTTP 200."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        there = Recorder(listening.getsockname()[1], list(answers))
        thread = threading.Thread(target=_serve, args=(listening, there))
        thread.start()
        try:
            yield there
        finally:
            thread.join(10)


def _serve(listening: socket.socket, there: Recorder) -> None:
    listening.settimeout(10)
    for answer in there.answers:
        line, _ = listening.accept()
        with line, line.makefile("rb") as heard:
            first = heard.readline().decode().strip()
            headers: list[tuple[str, str]] = []
            while (text := heard.readline().decode().strip()) != "":
                name, _, value = text.partition(": ")
                headers.append((name, value))
            length = next(
                (int(value) for name, value in headers if name.lower() == "content-length"), 0
            )
            there.requests.append(Recorded(first, tuple(headers), heard.read(length)))
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
            line.sendall(head.encode() + answer)
