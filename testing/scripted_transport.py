"""A transport without a network: it answers from a script and keeps the requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import TypeAlias

from ..domain.integration import Route
from ..ports.dialogue import Ending, HttpRequest, HttpResponse, TransportFailure

RECEIVED_AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
Answer: TypeAlias = HttpResponse | TransportFailure


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
            AssertionError, which shows the request. Or a function that gives the answer to a
            request, whatever the order: for several uploads at once.
    """

    def __init__(self, script: Iterable[Answer] | Callable[[HttpRequest], Answer]) -> None:
        self._answer = script if callable(script) else partial(self._next, iter(script))
        self.requests: list[HttpRequest] = []
        self.routes: list[Route] = []
        self.closed = False

    async def send(self, request: HttpRequest, route: Route) -> Answer:
        """The next answer of the script, or the function's."""
        self.requests.append(request)
        self.routes.append(route)
        return self._answer(request)

    async def close(self) -> None:
        """Remembers that it was closed."""
        self.closed = True

    def _next(self, script: Iterator[Answer], request: HttpRequest) -> Answer:
        for answer in script:
            return answer
        raise AssertionError(
            f"the script has no answer number {len(self.requests)}, for {request!r}"
        )
