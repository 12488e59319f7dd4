"""The control URL of a sandbox: what it holds, and what goes wrong next, for a program in any
language.

    GET  /control/health                     is it there, and what is it?
    GET  /control/received[?sha256=HEX]      the uploads taken; with sha256 only the copies of that
    POST /control/faults   {"faults": ["reset-after=0.1", "status:503=x2"], "seed": 7}
                        or {"script": ["reset-after", null, "status:503"]}     one step a request,
                        then none
    POST /control/pace     {"pace": "10/min:sliding"}, or {"pace": null} for no limit
    POST /control/reset    forget what was received and counted, and switch the faults off

Answers are JSON. A body that makes no sense gets 400 and the reason, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import ClassVar, Protocol

from aiohttp import web
from attrs import frozen

from .bodies import BadRequestError, json_object
from .plans import Fault, FaultPlan
from .rates import RateLimit
from .received import ReceivedUpload

PREFIX = "/control"


class Controlled(Protocol):
    """The sandbox, as the control URL sees it."""

    provider: ClassVar[str]
    requests: int

    @property
    def url(self) -> str: ...
    @property
    def received(self) -> tuple[ReceivedUpload, ...]: ...
    def use_faults(self, faults: Iterable[Fault | str] | FaultPlan, *, seed: int = 0) -> None: ...
    def use_pace(self, pace: RateLimit | str | None) -> None: ...
    def reset(self) -> None: ...


def add_routes(app: web.Application, sandbox: Controlled) -> None:
    """Put the control URL of `sandbox` into `app`."""
    control = _Control(sandbox)
    app.router.add_get(PREFIX + "/health", control.health)
    app.router.add_get(PREFIX + "/received", control.received)
    for name, change in (
        ("faults", control.change_faults),
        ("pace", control.change_pace),
        ("reset", control.reset),
    ):
        app.router.add_post(f"{PREFIX}/{name}", _explained(change))
    app.router.add_route("*", PREFIX + "/{unknown:.*}", _unknown)


@frozen
class _Control:
    """What each address does."""

    _sandbox: Controlled

    async def health(self, request: web.Request) -> web.Response:
        """What it is."""
        body = {"status": "ok", "provider": self._sandbox.provider, "url": self._sandbox.url}
        return web.json_response(body)

    async def received(self, request: web.Request) -> web.Response:
        """The uploads taken."""
        wanted = request.query.get("sha256")
        received = self._sandbox.received
        uploads = [one.as_json() for one in received if wanted is None or one.sha256 == wanted]
        body = {"requests": self._sandbox.requests, "count": len(uploads), "received": uploads}
        return web.json_response(body)

    async def change_faults(self, request: web.Request) -> None:
        """Other faults from now on."""
        body = await _body(request, {"faults", "script", "seed"})
        if "script" not in body:
            plan = FaultPlan(_texts(body.get("faults")), seed=_seed(body.get("seed", 0)))
        elif len(body) == 1:
            plan = FaultPlan.script(_steps(body["script"]))
        else:
            raise ValueError("give either 'script' or 'faults' (with 'seed'), not both")
        self._sandbox.use_faults(plan)

    async def change_pace(self, request: web.Request) -> None:
        """Another pace from now on."""
        wanted = (await _body(request, {"pace"})).get("pace")
        if wanted is not None and not isinstance(wanted, str):
            raise ValueError("'pace' is text such as '10/min', or null")
        self._sandbox.use_pace(wanted)

    async def reset(self, request: web.Request) -> None:
        """Begin anew."""
        self._sandbox.reset()


async def _unknown(request: web.Request) -> web.Response:
    body = {"error": f"no such control: {request.method} {request.path}"}
    return web.json_response(body, status=404)


def _explained(
    change: Callable[[web.Request], Awaitable[None]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The change, answered with 400 and the reason if it raises ValueError."""

    async def explaining(request: web.Request) -> web.StreamResponse:
        try:
            await change(request)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"status": "ok"})

    return explaining


async def _body(request: web.Request, known: set[str]) -> dict[str, object]:
    try:
        body = json_object(
            await request.read(),
            "the body should be JSON",
            "the body should be a JSON object",
        )
    except BadRequestError as error:
        raise ValueError(error.message) from error
    unknown = sorted(body.keys() - known)
    if unknown:
        raise ValueError(f"{unknown[0]!r} is not known here; known are: {', '.join(sorted(known))}")
    return body


def _texts(value: object) -> list[Fault | str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("'faults' is a list of texts such as 'reset-after=0.1'")
    return value


def _steps(value: object) -> list[str | None]:
    if not isinstance(value, list) or not all(isinstance(item, str | None) for item in value):
        raise ValueError("'script' is a list of texts such as 'reset-after', and nulls")
    return value


def _seed(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError("'seed' is a whole number")
    return value
