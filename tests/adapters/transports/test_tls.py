"""TLS: certificates are verified, with a private authority where the route names one."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from requests_out import BIG, Opening, post, run

from evidence_courier.adapters.transports import failures
from evidence_courier.adapters.transports.tls import TlsContexts, tls_context
from evidence_courier.domain.integration import Route
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.ports.dialogue import HttpRequest, HttpResponse, TransportFailure


async def sent(transport: Opening, serving: Any, certificate: str, route: Route) -> Any:
    """What a POST over TLS came to, to a server with that certificate."""

    async def talk(line: Any) -> None:
        await line.request()
        await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    async with serving(talk, tls) as server, transport() as courier:
        return await courier.send(HttpRequest("POST", server.url, body=(b"x" * 2_000_000,)), route)


def test_an_untrusted_certificate_is_no_connection(
    transport: Opening, serving: Any, certificate: str
) -> None:
    failure = asyncio.run(sent(transport, serving, certificate, Route()))
    assert failure == TransportFailure(FailureKind.NO_CONNECTION, failure.message)
    assert "is not trusted" in failure.message
    assert "ca_bundle" in failure.message


def test_the_bundle_of_the_route_vouches_for_it(
    transport: Opening, serving: Any, certificate: str
) -> None:
    reply = asyncio.run(sent(transport, serving, certificate, Route(ca_bundle=certificate)))
    assert isinstance(reply, HttpResponse)
    assert reply.body == b"{}"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("expired", "has expired: ask the operator of that host for a new one"),
        ("not_yet_valid", "is not yet valid: set this machine's clock"),
        ("other_host", "was issued for another host: correct the endpoint or the proxy"),
    ],
)
def test_each_fault_of_a_certificate_has_its_own_words(
    transport: Opening, serving: Any, name: str, words: str
) -> None:
    certificate = str(Path(__file__).with_name(f"{name}.pem"))
    failure = asyncio.run(sent(transport, serving, certificate, Route(ca_bundle=certificate)))
    assert failure == TransportFailure(FailureKind.NO_CONNECTION, failure.message)
    assert words in failure.message
    assert "ca_bundle" not in failure.message


def test_a_certificate_that_is_too_lax_is_named_by_the_rule_that_it_breaks() -> None:
    """Python 3.13 and newer check more rules; the reason is OpenSSL's."""
    cause = ssl.SSLCertVerificationError(1, "x")
    cause.verify_code, cause.verify_message = 85, "Missing Authority Key Identifier"
    failure = failures.not_connected("app.sprinto.com", cause, by_proxy=False)
    assert failure.kind is FailureKind.NO_CONNECTION
    assert failure.message == (
        "the TLS certificate of app.sprinto.com is not accepted (missing authority key "
        "identifier): ask the operator of that host, or of the authority that signed it, for one "
        "that keeps to RFC 5280, as Python 3.13 and newer demand"
    )


def test_a_bundle_that_cannot_be_used_is_named_and_looked_at_again(
    transport: Opening, certificate: str, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    good = Path(certificate).read_text()
    https = HttpRequest("POST", "https://127.0.0.1:9/")

    async def story() -> None:
        async with transport() as courier:
            for content in (None, "", "not a certificate"):
                if content is not None:
                    bundle.write_text(content)
                failure = await courier.send(https, Route(ca_bundle=str(bundle)))
                assert isinstance(failure, TransportFailure)
                assert failure.kind is FailureKind.NO_CONNECTION
                assert str(bundle) in failure.message
            bundle.write_text(good)
            failure = await courier.send(https, Route(ca_bundle=str(bundle)))
            assert isinstance(failure, TransportFailure)
            assert "could not connect to 127.0.0.1:9" in failure.message

    asyncio.run(story())


def test_a_bundle_that_was_replaced_is_read_again(
    transport: Opening, serving: Any, certificate: str, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    another = Path(__file__).with_name("other_host.pem")

    async def story() -> None:
        async def talk(line: Any) -> None:
            await line.request()
            await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        async with serving(talk, tls) as server, transport() as courier:
            answers = []
            for authority in (another, Path(certificate), another):
                (tmp_path / "next.pem").write_bytes(authority.read_bytes())
                (tmp_path / "next.pem").replace(bundle)
                answers.append(await courier.send(post(server.url), Route(ca_bundle=str(bundle))))
        assert [isinstance(answer, HttpResponse) for answer in answers] == [False, True, False]

    run(story())


def test_a_connection_under_tls_is_used_again_and_an_early_reply_is_taken(
    transport: Opening, serving: Any, certificate: str
) -> None:
    async def story() -> None:
        answered = asyncio.Event()

        async def talk(line: Any) -> None:
            for _ in range(3):
                await line.request()
                await line.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await line.head()
            line.writer.transport.pause_reading()
            await line.say(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
            await answered.wait()
            line.writer.transport.resume_reading()
            await line.gone()

        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        async with serving(talk, tls) as server, transport() as courier:
            for _ in range(3):
                reply = await courier.send(post(server.url), Route(ca_bundle=certificate))
                assert isinstance(reply, HttpResponse)
            reply = await courier.send(post(server.url, BIG), Route(ca_bundle=certificate))
            assert isinstance(reply, HttpResponse)
            assert (reply.status, reply.body) == (413, b"no")
            assert len(server.lines) == 1
            answered.set()

    run(story())


def test_a_context_verifies_and_is_not_older_than_tls_1_2() -> None:
    context = tls_context(None)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_context_is_made_once_for_all_who_ask(certificate: str) -> None:
    async def story() -> None:
        contexts = TlsContexts()
        first, *others = await asyncio.gather(
            *(contexts.get_on_loop(certificate) for _ in range(10))
        )
        assert all(other is first for other in others)
        assert await contexts.get_on_loop(None) is not first

    asyncio.run(story())
