"""What a sandbox answers: a status, headers and a body, before it is decided how well to send them.

A `Reply` is a plain value. An honest answer is sent as it is; a fault may send half of it, pad it,
or throw it away.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from attrs import evolve, field, frozen

JSON = "application/json; charset=utf-8"


@frozen
class Reply:
    """An HTTP answer that has not been sent yet."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(factory=dict)

    @classmethod
    def json(cls, status: int, value: object) -> Reply:
        """`value` as a JSON body."""
        return cls(status, json.dumps(value).encode(), {"Content-Type": JSON})

    def with_header(self, name: str, value: str) -> Reply:
        """The same reply with one header more."""
        return evolve(self, headers={**self.headers, name: value})

    def with_body(self, body: bytes) -> Reply:
        """The same reply with another body."""
        return evolve(self, body=body)


def graphql_error(message: str, *, code: str | None = None, status: int = 200) -> Reply:
    """A GraphQL answer that holds one error and no data; `code` becomes `extensions.code`."""
    error: dict[str, object] = {"message": message}
    if code is not None:
        error["extensions"] = {"code": code}
    return Reply.json(status, {"errors": [error], "data": None})


def http_throttle(retry_after: int) -> Reply:
    """HTTP 429, to be tried again in `retry_after` seconds."""
    error = {"error": f"Rate limit exceeded. Try again in {retry_after} seconds."}
    return Reply.json(429, error).with_header("Retry-After", str(retry_after))


def graphql_throttle(retry_after: int) -> Reply:
    """The same refusal as a GraphQL error with HTTP 200; it says when in words, not in a header."""
    message = f"Rate limit exceeded. Try again in {retry_after} seconds."
    return graphql_error(message, code="RATE_LIMITED")
