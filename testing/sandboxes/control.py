"""The control URL of a sandbox: what it holds, and what shall go wrong next, for a program in any
language.

    GET  /control/health                     is it there, and what is it? GET
    /control/received[?sha256=HEX]      the uploads taken; with sha256 only the copies of that
    content POST /control/faults   {"faults": ["reset-after=0.1", "status:503=x2"], "seed": 7}
                        or {"script": ["reset-after", null, "status:503"]}     one step a request,
                        then none
    POST /control/pace     {"pace": "10/min:sliding"}, or {"pace": null} for no limit POST
    /control/reset                      forget everything received and counted, and switch the
    faults off

Answers are JSON. A body that makes no sense gets 400 and the reason, and changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import ClassVar, Protocol

from aiohttp import web

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

    async def health(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "provider": sandbox.provider, "url": sandbox.url})

    async def received(request: web.Request) -> web.Response:
        wanted = request.query.get("sha256")
        uploads = [
            one.as_json() for one in sandbox.received if wanted is None or one.sha256 == wanted
        ]
        return web.json_response(
            {"requests": sandbox.requests, "count": len(uploads), "received": uploads}
        )

    async def faults(request: web.Request) -> web.Response:
        body = await _body(request, {"faults", "script", "seed"})
        if "script" in body:
            if "faults" in body or "seed" in body:
                raise _refused("give either 'script' or 'faults' (with 'seed'), not both")
            plan = FaultPlan.script(_steps(body["script"]))
        else:
            plan = FaultPlan(_texts(body.get("faults")), seed=_seed(body.get("seed", 0)))
        sandbox.use_faults(plan)
        return web.json_response({"status": "ok"})

    async def pace(request: web.Request) -> web.Response:
        body = await _body(request, {"pace"})
        wanted = body.get("pace")
        if wanted is not None and not isinstance(wanted, str):
            raise _refused("'pace' is text such as '10/min', or null")
        sandbox.use_pace(wanted)
        return web.json_response({"status": "ok"})

    async def reset(request: web.Request) -> web.Response:
        sandbox.reset()
        return web.json_response({"status": "ok"})

    async def unknown(request: web.Request) -> web.Response:
        return web.json_response(
            {"error": f"no such control: {request.method} {request.path}"}, status=404
        )

    app.router.add_get(PREFIX + "/health", health)
    app.router.add_get(PREFIX + "/received", received)
    app.router.add_post(PREFIX + "/faults", _explained(faults))
    app.router.add_post(PREFIX + "/pace", _explained(pace))
    app.router.add_post(PREFIX + "/reset", reset)
    app.router.add_route("*", PREFIX + "/{unknown:.*}", unknown)


class _Handler(Protocol):
    async def __call__(self, request: web.Request) -> web.Response: ...


def _explained(handler: _Handler) -> _Handler:
    """The handler, answering 400 with the reason where it raises ValueError."""

    async def explaining(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)

    return explaining


def _refused(message: str) -> ValueError:
    return ValueError(message)


async def _body(request: web.Request, known: set[str]) -> dict[str, object]:
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError) as error:
        raise _refused("the body should be JSON") from error
    if not isinstance(body, dict):
        raise _refused("the body should be a JSON object")
    unknown = sorted(body.keys() - known)
    if unknown:
        raise _refused(f"{unknown[0]!r} is not known here; known are: {', '.join(sorted(known))}")
    return body


def _texts(value: object) -> list[Fault | str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _refused("'faults' is a list of texts such as 'reset-after=0.1'")
    return value


def _steps(value: object) -> list[str | None]:
    if not isinstance(value, list) or not all(
        item is None or isinstance(item, str) for item in value
    ):
        raise _refused("'script' is a list of texts such as 'reset-after', and nulls")
    return value


def _seed(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _refused("'seed' is a whole number")
    return value
