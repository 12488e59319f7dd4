"""What was written, before anybody asks what it means: values with the line on which each stands.

YAML, JSON and a host's own mappings are all read into these three kinds of node, so that everything
after them is written once. A node may stand in several places (a YAML anchor) and may even hold
itself; nothing here follows it.
"""

from __future__ import annotations

from typing import TypeAlias

from attrs import define, field, frozen


@frozen
class Opaque:
    """A value that nobody here understands: a tag of the host's own, say. `what` describes it
    and never quotes it."""

    what: str


@frozen(eq=False)
class Scalar:
    """Text, a number, a truth value, a date or nothing. `merges` marks YAML's ``<<`` key."""

    value: object = field(repr=False)
    merges: bool = False


@frozen(eq=False)
class Pair:
    """One key of a mapping with its value; `line` is where the key stands, from 1, or None where
    there are no lines."""

    key: Node
    line: int | None
    value: Node


@define(eq=False)
class Pairs:
    """A mapping: its pairs in the order they were written; keys may be of any kind and may be there
    twice.

    `tag` is there if the whole of it carries a tag that nobody here knows.
    """

    pairs: list[Pair] = field(factory=list, repr=False)
    tag: Opaque | None = None


@frozen(eq=False)
class Item:
    """One member of a sequence, and the line on which it stands."""

    line: int | None
    value: Node


@define(eq=False)
class Items:
    """A sequence: its items in order."""

    items: list[Item] = field(factory=list, repr=False)
    tag: Opaque | None = None


Node: TypeAlias = Scalar | Pairs | Items

DEPTH_LIMIT = 100
"""How deep anything in a tenant file may be nested, the host's own keys included."""


class Unreadable(Exception):
    """The text is not what it should be; `message` quotes nothing of it, for it may hold a
    secret."""

    def __init__(self, message: str, line: int | None = None) -> None:
        self.message = message
        self.line = line
        super().__init__(message)
