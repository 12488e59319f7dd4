"""Reading JSON into nodes: the standard library judges the syntax, a walk over the tokens
remembers the lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import NoReturn

from attrs import define

from .nodes import DEPTH_LIMIT, Item, Items, Node, Opaque, Pair, Pairs, Scalar, Unreadable

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+', re.DOTALL)
_ODD = Opaque("a number with more digits than can be read")


def read_json(text: str) -> Node | None:
    """The value that `text` is; None where there is nothing in it. Raises Unreadable."""
    if not text.strip():
        return None
    _check_depth(text)
    try:
        json.loads(text, parse_int=len, parse_float=len, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Unreadable(
            f"is not valid JSON: {error.msg[0].lower()}{error.msg[1:]}", error.lineno
        ) from None
    return _node(_Tokens(text, _TOKEN.finditer(text)))


def _no_constant(name: str) -> NoReturn:
    raise Unreadable(f"is not valid JSON: {name} is no number there")


def _check_depth(text: str) -> None:
    depth = 0
    for token in _TOKEN.finditer(text):
        if token.group() in "[{":
            depth += 1
            if depth > DEPTH_LIMIT:
                line = text.count("\n", 0, token.start()) + 1
                raise Unreadable(f"is nested deeper than {DEPTH_LIMIT} levels", line)
        elif token.group() in "]}":
            depth -= 1


@define
class _Tokens:
    """The tokens of a valid JSON text one after the other; `line` is that of the last one taken."""

    text: str
    matches: Iterator[re.Match[str]]
    line: int = 1
    seen: int = 0

    def next(self) -> str:
        found = next(self.matches)
        self.line += self.text.count("\n", self.seen, found.start())
        self.seen = found.start()
        return found.group()


def _node(tokens: _Tokens, first: str | None = None) -> Node:
    token = tokens.next() if first is None else first
    if token == "{":
        return _pairs(tokens)
    if token == "[":
        return _items(tokens)
    try:
        return Scalar(json.loads(token))
    except ValueError:  # Python reads no whole number of more than a few thousand digits
        return Scalar(_ODD)


def _pairs(tokens: _Tokens) -> Pairs:
    node = Pairs()
    while (token := tokens.next()) != "}":
        if token == ",":
            continue
        line = tokens.line
        tokens.next()  # the colon
        node.pairs.append(Pair(Scalar(json.loads(token)), line, _node(tokens)))
    return node


def _items(tokens: _Tokens) -> Items:
    node = Items()
    while (token := tokens.next()) != "]":
        if token != ",":
            line = tokens.line
            node.items.append(Item(line, _node(tokens, token)))
    return node
