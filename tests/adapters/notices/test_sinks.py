"""What takes notices: what is posted and signed, what is mailed, and what never hangs the rest."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from attrs import evolve

from evidence_courier import Mail, MisuseError, Notice, OnNotice, Webhook
from evidence_courier.adapters.notices import SinkTeller, mail, webhook
from evidence_courier.adapters.notices.teller import MOST_HANGING
from evidence_courier.domain.notices import notice_of
from evidence_courier.domain.telling import SEEMS_DOWN, WaitingNotice

AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
NOTICE = notice_of("blocked", AT, "tenant acmé does not work\nat all", "acmé", "sprinto", "x", 3)
SECRET = "a-secret-of-the-webhook"


class Hook(BaseHTTPRequestHandler):
    """Takes what is posted."""

    status: ClassVar[int] = 200
    got: ClassVar[list[tuple[dict[str, str], bytes]]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.got.append((dict(self.headers.items()), body))
        self.send_response(self.status)
        if self.status == 302:
            self.send_header("Location", f"http://{self.headers['Host']}/elsewhere")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hook() -> Iterator[str]:
    Hook.status, Hook.got = 200, []
    server = HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/a-path-that-is-secret"
    server.shutdown()
    server.server_close()


def test_a_webhook_posts_json_that_slack_takes_and_signs_it(hook: str) -> None:
    Webhook(hook, SECRET, now=lambda: 1_771_668_000.9).take(NOTICE)
    ((headers, body),) = Hook.got
    posted = json.loads(body)
    assert posted["text"] == "tenant acmé does not work\nat all"
    assert (posted["id"], posted["kind"], posted["number"]) == (NOTICE.id, "blocked", 3)
    assert headers["Content-Type"] == "application/json"
    assert headers["Evidence-Courier-Notice"] == NOTICE.id
    assert headers["Evidence-Courier-Timestamp"] == "1771668000"
    signed = hmac.new(SECRET.encode(), b"1771668000." + body, hashlib.sha256).hexdigest()
    assert headers["Evidence-Courier-Signature"] == f"sha256={signed}"


def test_no_tenant_calls_everybody_in_a_channel_of_slack(hook: str) -> None:
    Webhook(hook).take(notice_of("late", AT, "<!channel> & co", "<!channel> & co"))
    ((_, body),) = Hook.got
    assert json.loads(body)["text"] == "&lt;!channel&gt; &amp; co"
    assert json.loads(body)["tenant_id"] == "<!channel> & co"


def test_an_unreachable_webhook_is_reported_without_its_url() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}/secret-path"
    with pytest.raises(RuntimeError, match=r"^no connection, or it was lost: ConnectionRefused"):
        Webhook(url).take(NOTICE)


@pytest.mark.parametrize("kind", ["webhook", "mail"])
def test_a_server_that_does_not_answer_is_reported_with_the_time(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (webhook, mail):
        monkeypatch.setattr(module, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        sink = Mail(host="127.0.0.1", port=port, sender="a@b.c", to=["d@e.f"])
        with pytest.raises(RuntimeError, match=r"^no answer within 0\.05 seconds$"):
            (sink if kind == "mail" else Webhook(f"http://127.0.0.1:{port}/x")).take(NOTICE)


def test_a_webhook_that_hangs_up_is_reported_in_words(
    hook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hook, "do_POST", lambda self: None)
    with pytest.raises(RuntimeError, match=r"^no connection, or it was lost: RemoteDisconnected$"):
        Webhook(hook).take(NOTICE)


def test_what_goes_to_loopback_goes_by_no_proxy(hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        proxy = f"http://127.0.0.1:{gone.getsockname()[1]}"
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    Webhook(hook).take(NOTICE)
    assert len(Hook.got) == 1


def test_an_expired_certificate_of_a_webhook_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pem = Path(__file__).parents[1] / "transports" / "expired.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    server = HTTPServer(("127.0.0.1", 0), Hook)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(pem)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.handle_request, daemon=True)
    thread.start()
    words = "the server's certificate is not trusted: certificate has expired"
    with pytest.raises(RuntimeError, match=f"^{words}$"):
        Webhook(f"https://127.0.0.1:{server.server_port}/x", SECRET).take(NOTICE)
    thread.join(5)
    server.server_close()


def test_without_a_secret_nothing_is_signed(hook: str) -> None:
    Webhook(hook).take(NOTICE)
    ((headers, _),) = Hook.got
    assert "Evidence-Courier-Signature" not in headers


@pytest.mark.parametrize("status", [302, 400, 404, 500])
def test_any_other_answer_takes_nothing_and_no_redirect_is_followed(hook: str, status: int) -> None:
    Hook.status = status
    with pytest.raises(RuntimeError, match=f"^HTTP {status}$"):
        Webhook(hook, SECRET).take(NOTICE)
    assert len(Hook.got) == 1


@pytest.mark.parametrize("url", ["http://example.com/x", "ftp://example.com", "https://", "x"])
def test_a_url_that_others_can_read_is_refused(url: str) -> None:
    with pytest.raises(MisuseError, match="must be https"):
        Webhook(url)


def test_a_secret_that_can_be_guessed_is_refused() -> None:
    with pytest.raises(MisuseError, match="at least 16 characters.*openssl rand") as refused:
        Webhook("https://hooks.example.com/x", 15 * "x")
    assert "xxx" not in str(refused.value)
    assert Webhook("https://hooks.example.com/x", 16 * "x").secret


def test_no_name_and_no_representation_has_a_secret() -> None:
    webhook = Webhook("https://hooks.example.com/services/T0/secret-path", SECRET)
    mail = Mail(host="mx", sender="a@example.com", to=["b@example.com"], password=SECRET)
    for sink in (webhook, mail):
        for shown in (repr(sink), sink.name):
            assert not [one for one in (SECRET, "secret-path", "b@example.com") if one in shown]


class MailServer(threading.Thread):
    """A mail server for one mail, without TLS."""

    def __init__(self, refuses: bool = False) -> None:
        super().__init__(daemon=True)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._refuses = refuses
        self.port: int = self._listening.getsockname()[1]
        self.lines: list[str] = []

    def run(self) -> None:
        with self._listening:
            connection, _ = self._listening.accept()
        with connection, connection.makefile("rwb") as stream:

            def say(answer: str) -> None:
                stream.write(f"{answer}\r\n".encode())
                stream.flush()

            say("220 ready")
            in_data = False
            for raw in stream:
                line = raw.decode().rstrip("\r\n")
                self.lines.append(line)
                if in_data:
                    in_data = line != "."
                    if not in_data:
                        say("250 taken")
                elif line == "data":
                    in_data = True
                    say("354 go on")
                elif line.startswith("rcpt") and self._refuses:
                    say("550 no such box")
                elif line == "quit":
                    say("221 bye")
                    return
                else:
                    say("250 fine")


def test_a_mail_says_it_in_one_line_and_in_full() -> None:
    server = MailServer()
    server.start()
    Mail(
        host="127.0.0.1", port=server.port, sender="c@example.com", to=["o@example.com"], tls=False
    ).take(NOTICE)
    server.join(5)
    text = "\n".join(server.lines)
    assert "rcpt TO:<o@example.com>" in text
    assert f"Message-ID: <{NOTICE.id}@evidence-courier.invalid>" in text
    message = Mail(host="mx", sender="c@example.com", to=["o@example.com"]).message(NOTICE)
    assert message["Subject"] == "Evidence Courier: tenant acmé does not work at all"
    assert message.get_content().startswith("tenant acmé does not work\nat all\n")


def test_a_server_without_starttls_is_given_nothing() -> None:
    server = MailServer()
    server.start()
    mail = Mail(host="127.0.0.1", port=server.port, sender="c@example.com", to=["o@example.com"])
    with pytest.raises(Exception, match="STARTTLS"):
        mail.take(NOTICE)
    server.join(5)
    assert not [line for line in server.lines if "example.com" in line]


def test_no_password_goes_without_tls() -> None:
    with pytest.raises(MisuseError, match="no password without TLS"):
        Mail(host="mx", sender="a@b", to=["c@d"], username="u", password=SECRET, tls=False)


def test_what_a_callable_returns_is_awaited() -> None:
    got: list[Notice] = []

    async def call(notice: Notice) -> None:
        got.append(notice)

    OnNotice(call).take(NOTICE)
    OnNotice(got.append).take(NOTICE)
    assert got == [NOTICE, NOTICE]


def tell(teller: SinkTeller, notices: Sequence[WaitingNotice], seconds: float) -> None:
    teller.tell(notices)
    teller.wait(seconds)


def about(number: int) -> WaitingNotice:
    return WaitingNotice(number, evolve(NOTICE, tenant_id=f"t{number}"))


def test_a_teller_tells_what_a_sink_takes_and_says_no_secret_of_the_rest() -> None:
    got: list[Notice] = []

    def call(notice: Notice) -> None:
        got.append(notice)
        if len(got) == 2:
            raise KeyError(SECRET)

    teller = SinkTeller(OnNotice(call))
    tell(teller, [about(1), about(2), evolve(about(2), number=3), about(4)], 5.0)
    assert teller.results() == {1: None, 2: "KeyError", 4: None}  # 3 is about the same as 2
    assert teller.results() == {}
    assert len(got) == 3


def test_a_teller_ends_once_a_sink_seems_to_be_down() -> None:
    def down(notice: Notice) -> None:
        raise OSError

    teller = SinkTeller(OnNotice(down))
    tell(teller, [about(number) for number in range(20)], 5.0)
    assert teller.results() == dict.fromkeys(range(SEEMS_DOWN), "OSError")
    tell(teller, [evolve(about(number), suspects=SEEMS_DOWN) for number in range(20)], 5.0)
    assert teller.results() == {0: "OSError"}


def test_a_sink_that_hangs_is_waited_for_no_longer_than_asked() -> None:
    going_on = threading.Event()
    teller = SinkTeller(OnNotice(lambda notice: going_on.wait(30)))
    tell(teller, [WaitingNotice(1, NOTICE)], 0.01)
    assert (teller.is_free, dict(teller.results())) == (False, {})
    going_on.set()
    tell(teller, [], 5.0) if teller.is_free else None


def test_a_slow_sink_gets_the_rest_another_time() -> None:
    got: list[Notice] = []
    teller = SinkTeller(OnNotice(got.append), longest=0.0)
    tell(teller, [WaitingNotice(number, NOTICE) for number in (1, 2, 3)], 5.0)
    assert teller.results() == {1: None}
    assert len(got) == 1


def test_a_sink_that_hangs_is_left_behind_a_few_times() -> None:
    going_on, told = threading.Event(), list[int]()

    def hangs(notice: Notice) -> None:
        told.append(1)
        going_on.wait(30)

    teller = SinkTeller(OnNotice(hangs))
    for number in range(MOST_HANGING):
        assert teller.is_free
        tell(teller, [WaitingNotice(number, NOTICE), WaitingNotice(99, NOTICE)], 0.01)
        teller.give_up()
        ((refused, why),) = teller.results().items()
        assert refused == number
        assert why is not None
        assert "hangs" in why
    assert (teller.is_free, len(told)) == (False, MOST_HANGING)
    going_on.set()
    for thread in threading.enumerate():
        if thread.name == "evidence-courier-notices":
            thread.join(5)
    assert (teller.is_free, dict(teller.results())) == (True, {})
    assert len(told) == MOST_HANGING
