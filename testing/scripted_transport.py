"""A transport without a network: it answers from a script and keeps the requests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from ..domain.integration import Route
from ..ports.dialogue import Ending, HttpRequest, HttpResponse, TransportFailure

RECEIVED_AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)


def reply(
    status: int = 200,
    body: bytes = b"",
    *headers: tuple[str, str],
    ending: Ending = Ending.COMPLETE,
    received_at: datetime = RECEIVED_AT,
) -> HttpResponse:
    """A reply, in one line of a script."""
    return HttpResponse(status, headers, body, received_at, ending)


class ScriptedTransport:
    """An `AsyncTransport` that gives the answers of a script, in the order of the requests.

    Args:
        script: The answers; `itertools.repeat(answer)` never ends. A request beyond the end raises
            AssertionError, which shows the request.
    """

    def __init__(self, script: Iterable[HttpResponse | TransportFailure]) -> None:
        self._script: Iterator[HttpResponse | TransportFailure] = iter(script)
        self.requests: list[HttpRequest] = []
        self.routes: list[Route] = []
        self.closed = False

    async def send(self, request: HttpRequest, route: Route) -> HttpResponse | TransportFailure:
        """The next answer of the script."""
        self.requests.append(request)
        self.routes.append(route)
        for answer in self._script:
            return answer
        raise AssertionError(
            f"the script has no answer number {len(self.requests)}, for {request!r}"
        )

    async def close(self) -> None:
        """Remembers that it was closed."""
        self.closed = True
