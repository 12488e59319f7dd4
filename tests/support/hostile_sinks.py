"""A webhook and a mail server that mostly do what no sink should, for `running.py`."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from attrs import define, field

SECRET = "the-secret-of-the-webhook"
HOW = ("well", "hangs", "refuses", "drips", "closes", "redirects", "floods")


@define(eq=False)
class Sink:
    """Listens on loopback, and answers each connection as it is told to in `how`."""

    serve: Callable[[Sink, socket.socket], None]
    how: str = "well"
    taken: dict[str, int] = field(factory=dict)
    """How often it has taken each notice, by its id."""
    wrong: list[str] = field(factory=list)
    ended: threading.Event = field(factory=threading.Event)
    _server: socket.socket = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.getsockname()[1])

    def close(self) -> None:
        """Take no more, and let go of what hangs."""
        self.ended.set()
        self._server.close()

    def take(self, notice_id: str, told: str) -> None:
        """Note that it has taken a notice, and what it should not have been told."""
        self.taken[notice_id] = self.taken.get(notice_id, 0) + 1
        for bad in ("key-", "person-", SECRET, "secrets/"):
            if bad in told:
                self.wrong.append(f"a notice shows {bad!r}: {told}")

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        connection.settimeout(30)
        with connection, suppress(OSError):
            if self.how == "closes":
                return
            if self.how == "hangs":
                self.ended.wait(60)
                return
            self.serve(self, connection)


def webhook(sink: Sink, connection: socket.socket) -> None:
    """One request."""
    with connection.makefile("rb") as stream:
        stream.readline()
        headers = {}
        while (line := stream.readline().decode().strip()) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers["content-length"]))
    how = sink.how
    if how == "well":
        timestamp = headers["evidence-courier-timestamp"]
        signed = hmac.new(SECRET.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
        if headers["evidence-courier-signature"] != f"sha256={signed.hexdigest()}":
            sink.wrong.append(f"the signature is wrong: {body!r}")
        notice = json.loads(body)
        if notice["id"] != headers["evidence-courier-notice"]:
            sink.wrong.append("the header names another notice than the body")
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        sink.take(notice["id"], body.decode())
    elif how == "refuses":
        connection.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nkey-?")
    elif how == "redirects":
        elsewhere = f"http://127.0.0.1:{sink.port}/elsewhere"
        connection.sendall(f"HTTP/1.1 301 Moved\r\nLocation: {elsewhere}\r\n\r\n".encode())
    elif how == "drips":
        for one in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 600:
            connection.sendall(bytes([one]))
            if sink.ended.wait(0.5):
                return
    else:
        for _ in range(2_000):
            connection.sendall(b"HTTP/1.1 100 Continue\r\nX: " + b"x" * 60_000 + b"\r\n\r\n")


def mail(certificate: Path, key: Path, sink: Sink, connection: socket.socket) -> None:
    """One conversation, which begins in the clear and goes on under TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if sink.how == "floods":
        for _ in range(3_000):
            connection.sendall(b"220-" + b"x" * 400 + b"\r\n")
    connection.sendall(b"220 ready\r\n")
    with connection.makefile("rb", 0) as stream:
        while (line := stream.readline().strip().lower()) != b"starttls":
            if not line:
                return
            connection.sendall(b"250-here\r\n250 STARTTLS\r\n")
    connection.sendall(b"220 go on\r\n")
    with context.wrap_socket(connection, server_side=True) as under_tls:
        _converse(sink, under_tls)


def _converse(sink: Sink, connection: socket.socket) -> None:
    how, lines, in_data = sink.how, list[str](), False
    with connection.makefile("rwb") as stream:

        def say(answer: str) -> None:
            for one in [answer] if how != "drips" else answer:
                stream.write(one.encode())
                stream.flush()
                if how == "drips" and sink.ended.wait(0.5):
                    raise OSError("ended")

        for raw in stream:
            line = raw.decode().rstrip("\r\n")
            if in_data:
                in_data = line != "."
                if in_data:
                    lines.append(line)
                elif how == "well":
                    text = "\n".join(lines)
                    say("250 taken\r\n")
                    sink.take(_id_in(text), text)
                else:
                    say("451 not now\r\n")
            elif line.lower() == "data":
                lines, in_data = [], True
                say("354 go on\r\n")
            elif line.lower() == "quit":
                say("221 bye\r\n")
                return
            elif how in ("refuses", "redirects") and line.lower().startswith("rcpt"):
                say("550 no such box\r\n" if how == "refuses" else "251 elsewhere\r\n")
            else:
                say("250 fine\r\n")


def _id_in(text: str) -> str:
    for line in text.splitlines():
        if line.lower().startswith("message-id:"):
            return line.partition("<")[2].partition("@")[0]
    return f"no id in {text[:200]!r}"
