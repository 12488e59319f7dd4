"""The ways a sandbox can misbehave, one small class for each.

Every class tells its story in `misbehave`: whether the upload is taken, and what the client then
sees of an answer. The difference matters more than the status code: an upload that was taken while
the client saw a failure becomes a second copy when it is sent again. `KINDS` gives each its name
for the command line and the control URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Protocol

from aiohttp import web
from attrs import field, frozen
from attrs.converters import optional
from attrs.validators import and_, ge, gt, le

from .exchange import Exchange
from .replies import JSON, Reply, graphql_error, graphql_throttle

MIB = 1024 * 1024
_NO_BODY = frozenset({204, 304})  # HTTP allows no body here


class Misbehaviour(Protocol):
    """One way of serving a request badly."""

    async def misbehave(self, exchange: Exchange) -> web.StreamResponse:
        """Serve this one request."""
        ...


def _error_status(code: int, retry_after: str | None) -> Reply:
    try:
        phrase = HTTPStatus(code).phrase
    except ValueError:
        phrase = "Unnamed Status"
    reply = Reply(code) if code in _NO_BODY else Reply.json(code, {"error": f"{code} {phrase}"})
    return reply if retry_after is None else reply.with_header("Retry-After", retry_after)


class _NotTaken:
    """Reads the request, keeps nothing, and answers with `reply`."""

    async def misbehave(self, exchange: Exchange) -> web.StreamResponse:
        await exchange.ignore()
        return await exchange.send(self.reply(exchange))

    def reply(self, exchange: Exchange) -> Reply:
        raise NotImplementedError


@frozen
class Status(_NotTaken):
    """Not taken: the HTTP status CODE, with Retry-After if `retry-after` is given."""

    code: int = field(converter=int, validator=and_(ge(200), le(599)))
    retry_after: str | None = field(default=None, converter=optional(str))

    def reply(self, exchange: Exchange) -> Reply:
        return _error_status(self.code, self.retry_after)


@frozen
class StatusAfter:
    """Taken, and then the HTTP status CODE all the same, like a gateway after its timeout."""

    code: int = field(default=504, converter=int, validator=and_(ge(200), le(599)))
    retry_after: str | None = field(default=None, converter=optional(str))

    async def misbehave(self, exchange: Exchange) -> web.StreamResponse:
        await exchange.take()
        return await exchange.send(_error_status(self.code, self.retry_after))


@frozen
class GraphQLError(_NotTaken):
    """Not taken: HTTP 200 with the GraphQL error MESSAGE, and `extensions.code` if `code` is
    given."""

    message: str
    code: str | None = None

    def reply(self, exchange: Exchange) -> Reply:
        return graphql_error(self.message, code=self.code)


@frozen
class RateLimitedGraphQL(_NotTaken):
    """Not taken: HTTP 200 with a GraphQL error that speaks of the rate limit and RETRY_AFTER
    seconds."""

    retry_after: int = field(default=60, converter=int, validator=ge(0))

    def reply(self, exchange: Exchange) -> Reply:
        return graphql_throttle(self.retry_after)


@frozen
class Silence:
    """Not taken: the request is read and never answered."""

    async def misbehave(self, exchange: Exchange) -> web.StreamResponse:
        await exchange.ignore()
        return await exchange.hang()


@frozen
class SilenceAfter:
    """Taken, and never answered."""

    async def misbehave(self, exchange: Exchange) -> web.StreamResponse:
        await exchange.take()
        return await exchange.hang()


@frozen
class ResetBefore:
    """Not taken: the connection is reset when the headers have come, with any part of the body."""

    async def misbehave(self, exchange: Exchange) -> web.StreamResponse:
        return exchange.reset()


@frozen
class ResetAfter:
    """Taken, and then the connection is reset without an answer."""

    async def misbehave(self, exchange: Exchange) -> web.StreamResponse:
        await exchange.take()
        return exchange.reset()


@frozen
class Cut:
    """Taken; half of the reply under its full Content-Length, then the line is closed."""

    async def misbehave(self, exchange: Exchange) -> web.StreamResponse:
        reply = await exchange.take()
        return await exchange.send_part(reply, len(reply.body) // 2)


@frozen
class Slow:
    """Taken; the reply comes byte by byte, DELAY seconds after each."""

    delay: float = field(default=1.0, converter=float, validator=and_(ge(0.0), le(3600.0)))

    async def misbehave(self, exchange: Exchange) -> web.StreamResponse:
        return await exchange.trickle(await exchange.take(), self.delay)


@frozen
class Huge:
    """Taken; the reply is good, but stands behind SIZE bytes of blanks (more than 1 MiB)."""

    size: int = field(default=MIB + 1, converter=int, validator=and_(gt(0), le(1024 * MIB)))

    async def misbehave(self, exchange: Exchange) -> web.StreamResponse:
        reply = await exchange.take()
        return await exchange.send(reply.with_body(b" " * self.size + reply.body))


@frozen
class UnknownStatus:
    """Taken; the reply says so, but its status is WORD."""

    word: str = "UPLOAD_FAILED"

    async def misbehave(self, exchange: Exchange) -> web.StreamResponse:
        return await exchange.send(exchange.restate(await exchange.take(), self.word))


@frozen
class Html(_NotTaken):
    """Not taken: HTTP 200 with a web page, as a captive portal or a login wall answers."""

    def reply(self, exchange: Exchange) -> Reply:
        page = b"<!doctype html><title>Sign in</title><body><h1>Please sign in</h1></body>"
        return Reply(200, page, {"Content-Type": "text/html; charset=utf-8"})


@frozen
class Empty(_NotTaken):
    """Not taken: HTTP 200 without a body."""

    def reply(self, exchange: Exchange) -> Reply:
        return Reply(200, b"", {"Content-Type": JSON})


@frozen
class Null(_NotTaken):
    """Not taken: HTTP 200 with `{"data": null}` and no error."""

    def reply(self, exchange: Exchange) -> Reply:
        return Reply.json(200, {"data": None})


@frozen
class NotJson(_NotTaken):
    """Not taken: HTTP 200 that calls itself JSON and is not."""

    def reply(self, exchange: Exchange) -> Reply:
        return Reply(200, b'{"data": {"upload', {"Content-Type": JSON})


@frozen
class Redirect(_NotTaken):
    """Not taken: sent on to another origin, TO, with the HTTP status `code`."""

    to: str = "https://elsewhere.invalid/dev-api/graphql"
    code: int = field(default=302, converter=int, validator=and_(ge(300), le(399)))

    def reply(self, exchange: Exchange) -> Reply:
        return Reply(self.code, b"", {"Location": self.to})


@frozen
class Echo(_NotTaken):
    """Not taken: the HTTP status CODE with an error that repeats all request headers, the key
    included."""

    code: int = field(default=400, converter=int, validator=and_(ge(200), le(599)))

    def reply(self, exchange: Exchange) -> Reply:
        seen = ", ".join(f"{name}: {value}" for name, value in exchange.headers.items())
        return graphql_error(f"Cannot serve a request with {seen}", status=self.code)


KINDS: Mapping[str, type[Misbehaviour]] = MappingProxyType(
    {
        "status": Status,
        "status-after": StatusAfter,
        "graphql": GraphQLError,
        "rate-limited-graphql": RateLimitedGraphQL,
        "silence": Silence,
        "silence-after": SilenceAfter,
        "reset-before": ResetBefore,
        "reset-after": ResetAfter,
        "cut": Cut,
        "slow": Slow,
        "huge": Huge,
        "unknown-status": UnknownStatus,
        "html": Html,
        "empty": Empty,
        "null": Null,
        "not-json": NotJson,
        "redirect": Redirect,
        "echo": Echo,
    }
)
