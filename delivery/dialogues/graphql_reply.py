"""Reading a GraphQL reply: all of its errors, whatever their shape."""

from __future__ import annotations

import re
from typing import Final

from attrs import field, frozen

from ...ports.dialogue import HttpResponse, Reply
from .json_reply import NotJson, mapping, parse_json, text

_LISTED: Final = 3
_QUOTE_LIMIT: Final = 200
_CODE_KEYS: Final = ("code", "type", "classification")

THROTTLING_CODES: Final = frozenset(
    (
        "RATE_LIMIT RATE_LIMITED RATE_LIMIT_EXCEEDED TOO_MANY_REQUESTS THROTTLED "
        "THROTTLED_EXCEPTION THROTTLING THROTTLING_EXCEPTION QUOTA_EXCEEDED"
    ).split()
)
"""The codes that mean: too many requests. docs/providers.md says whose they are."""
FINAL_CODES: Final = frozenset(
    "BAD_REQUEST BAD_USER_INPUT FORBIDDEN GRAPHQL_PARSE_FAILED GRAPHQL_VALIDATION_FAILED".split()
)
"""Codes beside which no words mean throttling."""
_THROTTLING_WORDS: Final = re.compile(
    r"\brate[- ]?limit|\btoo many requests\b|\bthrottl(?:ed|ing)\b|\bquota exceeded\b"
)


@frozen
class GraphQLError:
    """One entry of ``errors``.

    Args:
        message: what it says; an entry that is text is its own message.
        codes: the texts under ``code``, ``type`` and ``classification``, first those in
            ``extensions``, then those beside the message.
    """

    message: str | None
    codes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Message and codes as one text to search: in small letters, with single spaces."""
        codes = " ".join(self.codes).replace("_", " ").replace("-", " ")
        return " ".join(f"{self.message or ''} {codes}".casefold().split())

    def has_code(self, *codes: str) -> bool:
        """Whether one of its codes is among `codes`, which are written as ``RATE_LIMITED`` is."""
        wanted = {code.replace("_", "") for code in codes}
        return any(re.sub(r"[\W_]", "", code).upper() in wanted for code in self.codes)

    @property
    def throttling(self) -> bool:
        """Whether it says: too many requests. Its codes decide, and its words where they do not."""
        if self.has_code(*THROTTLING_CODES):
            return True
        return not self.has_code(*FINAL_CODES) and bool(_THROTTLING_WORDS.search(self.words))


@frozen
class GraphQLReply:
    """A GraphQL reply.

    Args:
        data: the value of ``data``, or None.
        errors: all entries of ``errors``.
        malformed: whether ``errors`` is something else than a list or null.
    """

    data: object = field(repr=False)
    errors: tuple[GraphQLError, ...]
    malformed: bool

    @property
    def quote(self) -> str:
        """What the first three errors say, for a person."""
        listed = self.errors[:_LISTED]
        each = _QUOTE_LIMIT // max(len(listed), 1)
        messages = [
            (error.message or next(iter(error.codes), "an error without words"))[:each]
            for error in listed
        ]
        more = len(self.errors) - len(messages)
        return "; ".join(messages + ([f"and {more} more"] if more else []))


def read_graphql(body: bytes) -> GraphQLReply:
    """Read a GraphQL reply. JSON that is none has neither data nor errors.

    An empty list of errors and null are no errors: servers differ in this.

    Raises:
        NotJson: the body is not JSON.
    """
    reply = mapping(parse_json(body))
    errors = reply.get("errors")
    entries = errors if isinstance(errors, list) else []
    return GraphQLReply(
        data=reply.get("data"),
        errors=tuple(map(_error, entries)),
        malformed=errors is not None and not isinstance(errors, list),
    )


def read_graphql_if_any(reply: Reply) -> GraphQLReply | None:
    """What `read_graphql` makes of a reply's body; None if no reply came, or its body is not
    JSON."""
    try:
        return read_graphql(reply.body) if isinstance(reply, HttpResponse) else None
    except NotJson:
        return None


def _error(entry: object) -> GraphQLError:
    if isinstance(entry, str):
        return GraphQLError(entry)
    error = mapping(entry)
    places = (mapping(error.get("extensions")), error)
    values = [place.get(key) for place in places for key in _CODE_KEYS]
    codes = tuple(value for value in values if isinstance(value, str) and value)
    return GraphQLError(text(error.get("message")), codes)
