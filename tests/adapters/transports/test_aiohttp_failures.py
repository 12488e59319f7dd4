"""What aiohttp's exceptions mean, for those that a loopback server cannot bring about."""

from __future__ import annotations

import socket

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey

from evidence_courier.adapters.transports.aiohttp_transport import failure_of
from evidence_courier.adapters.transports.outgoing import Destination, Sent
from evidence_courier.domain.integration import Timeouts
from evidence_courier.domain.upload.failure import FailureKind

HOST = Destination.of("https://app.sprinto.com/", None)
KEY = ConnectionKey("app.sprinto.com", 443, True, True, None, None, None)
UNRESOLVED = aiohttp.ClientConnectorDNSError(KEY, OSError(socket.EAI_NONAME, "sk-secret"))


def test_a_name_that_cannot_be_resolved_is_no_connection() -> None:
    failure = failure_of(UNRESOLVED, Sent.NOTHING, HOST, Timeouts())
    assert failure.kind is FailureKind.NO_CONNECTION
    assert failure.message == "the name of app.sprinto.com could not be resolved"


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (Sent.NOTHING, FailureKind.NOT_SENT),
        (Sent.PART, FailureKind.NOT_SENT),
        (Sent.ALL, FailureKind.CONNECTION_LOST),
    ],
)
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("sk-secret"),
        OSError(5, "sk-secret"),
        aiohttp.ClientError("sk-secret"),
        ValueError(),
    ],
)
def test_the_unexpected_is_judged_by_how_much_was_sent(
    error: Exception, sent: Sent, kind: FailureKind
) -> None:
    failure = failure_of(error, sent, HOST, Timeouts())
    assert failure.kind is kind
    assert "sk-secret" not in failure.message


@pytest.mark.parametrize("error", [TimeoutError(), aiohttp.ServerTimeoutError()])
def test_a_timeout_after_the_request_is_a_timeout(error: Exception) -> None:
    assert failure_of(error, Sent.ALL, HOST, Timeouts()).kind is FailureKind.TIMEOUT
    assert failure_of(error, Sent.PART, HOST, Timeouts()).kind is FailureKind.NOT_SENT
