"""Reading a GraphQL reply: all of its errors, whatever their shape."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen

from .json_reply import NotJson, mapping, parse_json, text

# What the errors say stands in the middle of a message of at most 500 characters, before what to do
# about it.
_LISTED: Final = 3
_SAID: Final = 200


@frozen
class GraphQLError:
    """One entry of ``errors``: what it says, and the code under ``extensions``; both None in an
    entry of another shape."""

    message: str | None
    code: str | None

    @property
    def words(self) -> str:
        """Message and code as one text to search: without case, runs of white space and underscores
        being one space."""
        said = f"{self.message or ''} {(self.code or '').replace('_', ' ').replace('-', ' ')}"
        return " ".join(said.casefold().split())


@frozen
class GraphQLReply:
    """A GraphQL reply. `data` is None where there is none; `malformed` where ``errors`` is there
    and is no list."""

    data: object = field(repr=False)
    errors: tuple[GraphQLError, ...]
    malformed: bool

    @property
    def said(self) -> str:
        """What the errors say, for a person; the first few of them."""
        listed = self.errors[:_LISTED]
        each = _SAID // max(len(listed), 1)
        said = [
            (error.message or error.code or "an error without words")[:each] for error in listed
        ]
        more = len(self.errors) - len(said)
        return "; ".join(said + ([f"and {more} more"] if more else []))


def read_graphql(body: bytes) -> GraphQLReply:
    """The reply in `body`; raises NotJson. JSON that is no GraphQL reply at all has neither data
    nor errors.

    An empty list of errors and a null are no errors: servers differ in this.
    """
    reply = mapping(parse_json(body))
    errors = reply.get("errors")
    entries = errors if isinstance(errors, list) else []
    return GraphQLReply(
        data=reply.get("data"),
        errors=tuple(map(_error, entries)),
        malformed=errors is not None and not isinstance(errors, list),
    )


def read_graphql_if_any(body: bytes) -> GraphQLReply:
    """As `read_graphql`, for a reply that need not be JSON at all: then it has neither data nor
    errors."""
    try:
        return read_graphql(body)
    except NotJson:
        return GraphQLReply(None, (), False)


def _error(entry: object) -> GraphQLError:
    said = mapping(entry)
    return GraphQLError(
        text(said.get("message")), text(mapping(said.get("extensions")).get("code"))
    )
