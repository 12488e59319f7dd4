"""Mail to a real server: TLS first or asked for, logins, and what is said if it does not work."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from attrs import define, field

from evidence_courier import Mail
from evidence_courier.adapters.notices import SinkTeller
from evidence_courier.domain.notices import notice_of
from evidence_courier.domain.telling import WaitingNotice

AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
NOTICE = notice_of("blocked", AT, "tenant acmé does not work", "acmé", "sprinto", "x", 3)
SECRET = "a-secret-of-the-mail"
PEMS = Path(__file__).parents[1] / "transports"


@define
class Box:
    """Takes mails, but for addresses that it does not know."""

    known: tuple[str, ...] = ("ops@example.com",)
    mails: list[tuple[bool, list[str], bytes]] = field(factory=list)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        if address not in self.known:
            return f"550 {address} is not known here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        content = envelope.original_content or b""
        assert server.transport is not None
        encrypted = session.ssl is not None or server.transport.get_extra_info("sslcontext")
        self.mails.append((bool(encrypted), envelope.rcpt_tos, content))
        return "250 OK"


Serving = Callable[..., int]
"""Serves with these options of aiosmtpd's; the port."""


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def serving(box: Box) -> Iterator[Serving]:
    started: Future[asyncio.AbstractEventLoop] = Future()
    ends = asyncio.Event()

    async def serve_all() -> None:
        async with AsyncExitStack() as servers:
            stack.set_result(servers)
            started.set_result(asyncio.get_running_loop())
            await ends.wait()

    async def begin(tls_first: ssl.SSLContext | None, options: Any) -> int:
        served = await loop.create_server(
            lambda: SMTP(box, loop=loop, **options), "127.0.0.1", 0, ssl=tls_first
        )
        await stack.result().enter_async_context(served)
        port: int = served.sockets[0].getsockname()[1]
        return port

    stack: Future[AsyncExitStack] = Future()
    thread = threading.Thread(target=asyncio.run, args=[serve_all()], daemon=True)
    thread.start()
    loop = started.result(10)

    def serve(tls_first: ssl.SSLContext | None = None, **options: Any) -> int:
        return asyncio.run_coroutine_threadsafe(begin(tls_first, options), loop).result(10)

    yield serve
    loop.call_soon_threadsafe(ends.set)
    thread.join(10)


def server_tls(name: str = "loopback") -> ssl.SSLContext:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(PEMS / f"{name}.pem")
    return tls


def authenticator(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
) -> AuthResult:
    right = isinstance(data, LoginPassword) and data.password == SECRET.encode()
    return AuthResult(success=right, handled=False)


def mail(port: int, **options: Any) -> Mail:
    trusted = ssl.create_default_context(cafile=str(PEMS / "loopback.pem"))
    given: dict[str, Any] = {"context": trusted, "to": ["ops@example.com"]} | options
    return Mail(host="127.0.0.1", port=port, sender="courier@example.com", **given)


def refusal(sink: Mail) -> str | None:
    """What the log is told: why it was not taken."""
    teller = SinkTeller(sink)
    teller.tell([WaitingNotice(1, NOTICE)])
    teller.wait(20.0)
    return teller.results()[1]


def login(**options: Any) -> Any:
    return {"authenticator": authenticator, "auth_required": True, **options}


def test_starttls_comes_before_the_login_and_the_mail(serving: Serving, box: Box) -> None:
    tls = serving(**login(tls_context=server_tls(), require_starttls=True))
    assert refusal(mail(tls, username="courier", password=SECRET)) is None
    ((encrypted, to, content),) = box.mails
    assert (encrypted, to) == (True, ["ops@example.com"])
    assert f"Message-ID: <{NOTICE.id}@evidence-courier.invalid>".encode() in content


def test_tls_comes_first_at_465_and_on_request(serving: Serving, box: Box) -> None:
    tls = serving(server_tls())
    assert refusal(mail(tls, implicit_tls=True)) is None
    assert [encrypted for encrypted, *_ in box.mails] == [True]
    at_465 = Mail(host="mx", port=465, sender="a@b", to=["c@d"])
    assert (at_465.implicit_tls, Mail(host="mx", sender="a@b", to=["c@d"]).implicit_tls) == (
        True,
        False,
    )


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # it was first
def test_a_login_by_tls_that_comes_first(serving: Serving, box: Box) -> None:
    tls = serving(server_tls(), **login(auth_require_tls=False))
    assert refusal(mail(tls, implicit_tls=True, username="courier", password=SECRET)) is None
    assert len(box.mails) == 1


def test_without_tls_if_the_host_says_so(serving: Serving, box: Box) -> None:
    assert refusal(mail(serving(), tls=False)) is None
    assert [encrypted for encrypted, *_ in box.mails] == [False]


def test_an_address_that_is_refused_keeps_no_other_from_its_mail(
    serving: Serving, box: Box
) -> None:
    both = mail(serving(), tls=False, to=["no@example.com", "ops@example.com"])
    assert [refusal(one) for one in both.for_each()] == [
        "the server refused 1 address (SMTP 550)",
        None,
    ]
    assert [to for _, to, _ in box.mails] == [["ops@example.com"]]


def test_a_mail_that_is_refused_for_one_of_its_addresses_is_not_taken(
    serving: Serving, box: Box
) -> None:
    both = mail(serving(), tls=False, to=["no@example.com", "ops@example.com"])
    assert refusal(both) == "the server refused 1 address (SMTP 550)"


def _open(serving: Serving) -> Mail:
    return mail(serving())


def _untrusted(serving: Serving) -> Mail:
    return mail(serving(tls_context=server_tls()), context=None)


def _expired(serving: Serving) -> Mail:
    trusted = ssl.create_default_context(cafile=str(PEMS / "expired.pem"))
    return mail(serving(tls_context=server_tls("expired")), context=trusted)


def _of_another_host(serving: Serving) -> Mail:
    trusted = ssl.create_default_context(cafile=str(PEMS / "other_host.pem"))
    return mail(serving(server_tls("other_host")), context=trusted, implicit_tls=True)


def _wrong_password(serving: Serving) -> Mail:
    tls = serving(**login(tls_context=server_tls()))
    return mail(tls, username="courier", password=f"{SECRET}-no")


def _no_login(serving: Serving) -> Mail:
    tls = serving(tls_context=server_tls(), auth_exclude_mechanism=["LOGIN", "PLAIN"])
    return mail(tls, username="courier", password=SECRET)


def _login_wanted(serving: Serving) -> Mail:
    return mail(serving(**login(tls_context=server_tls())))


def _no_address(serving: Serving) -> Mail:
    return mail(serving(), tls=False, to=["asha@example.com", "ben@example.com"])


def _plain_at_tls(serving: Serving) -> Mail:
    return mail(serving(), implicit_tls=True)


def _down(serving: Serving) -> Mail:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port: int = gone.getsockname()[1]
    return mail(port)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (_open, "the server offers no STARTTLS, so nothing was sent"),
        (_untrusted, "the server's certificate is not trusted: self"),
        (_expired, "the server's certificate is not trusted: certificate has expired"),
        (_of_another_host, "the server's certificate is not trusted: IP address mismatch"),
        (_wrong_password, "the server refused the login (SMTP 535)"),
        (_no_login, "the server offers no login that is known: leave the user and"),
        (_login_wanted, "the server refused it (SMTP 530)"),
        (_no_address, "the server refused 2 addresses (SMTP 550)"),
        (_plain_at_tls, "no connection, or it was lost: SSLError"),
        (_down, "no connection, or it was lost: ConnectionRefusedError"),
    ],
    ids=lambda one: getattr(one, "__name__", "").strip("_") or None,
)
def test_what_does_not_work_has_its_words_and_no_secret(
    serving: Serving, box: Box, case: Callable[[Serving], Mail], words: str
) -> None:
    said = refusal(case(serving))
    assert said is not None
    assert said.startswith(words)
    assert box.mails == []
    assert not [one for one in (SECRET, "@", "asha", "courier") if one in said]
