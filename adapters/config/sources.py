"""Tenant data as it was written: YAML, JSON and a host's own mappings, read into nodes with lines.

All three become the same kinds of node, so everything after them is written once. A node can stand
in several places (a YAML anchor) and can even hold itself; nothing here follows it. A tag that YAML
does not define becomes an opaque value, since it can be the host's own. No message quotes the text,
which may hold a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, NoReturn, TypeAlias

import yaml
from attrs import define, field, frozen
from yaml import events

DEPTH_LIMIT = 100
"""How deep anything in a tenant file may be nested, the host's own keys included."""


class Unreadable(Exception):
    """The text is not what it should be; `message` quotes nothing of it."""

    def __init__(self, message: str, line: int | None = None) -> None:
        self.message = message
        self.line = line
        super().__init__(message)


@frozen
class Opaque:
    """A value without a meaning here, such as one with a tag of the host's; `what` describes it."""

    what: str
    is_number: bool = False


@frozen(eq=False)
class Scalar:
    """Text, a number, a truth value, a date or nothing. `merges` marks YAML's ``<<`` key."""

    value: object = field(repr=False)
    merges: bool = False


@frozen(eq=False)
class Pair:
    """One key of a mapping with its value; `line` is the key's, from 1, or None without lines."""

    key: Node
    line: int | None
    value: Node


@define(eq=False)
class Pairs:
    """A mapping in the order it was written; a key can be of any kind and can stand there twice.

    `tag` is set if the mapping carries a tag that YAML does not define.
    """

    pairs: list[Pair] = field(factory=list, repr=False)
    tag: Opaque | None = None


@frozen(eq=False)
class Item:
    """One member of a sequence, and its line."""

    line: int | None
    value: Node


@define(eq=False)
class Items:
    """A sequence in order; `tag` as for `Pairs`."""

    items: list[Item] = field(factory=list, repr=False)
    tag: Opaque | None = None


Node: TypeAlias = Scalar | Pairs | Items


# YAML

# libyaml's parser is about fifteen times faster than the one in Python. PyYAML can come without it.
LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"
_TAGGED = Opaque("a value with a tag of its own (such as !name), which means nothing here")
_ODD = Opaque("written like a number or a date, but is none")
_OCTAL = Opaque(
    "a number with a leading zero, which YAML 1.1 reads as octal: write it without the zero", True
)
_BASE_60 = Opaque(
    "a number with a colon, which YAML 1.1 reads in base 60: write a number or a duration such as "
    "90s",
    True,
)
_OLD_DIGITS = Opaque(
    "a number that only YAML 1.1 knows (0b or _ in it): write it in decimal digits alone", True
)
_UNPRINTABLE = re.compile(
    r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)

# A part of the parser's message, and the message instead: the parser's can quote the file.
_EXPLANATIONS = (
    ("tab", "a tab stands where YAML wants spaces"),
    (
        "cannot start any token",
        "a value begins with a character that YAML keeps for itself (such as @, `, % or a tab): "
        "put the value in quotes",
    ),
    (
        "mapping values are not allowed",
        "a colon stands where none may be: check the indentation, and put a text that holds a "
        "colon and a space in quotes",
    ),
    ("unexpected end of stream", "a quotation mark is opened here and never closed"),
    ("']'", "a [ is opened here, and its list does not end as it should with ]"),
    ("'}'", "a { is opened here, and its mapping does not end as it should with }"),
    (
        "escape",
        "after a backslash in double quotes comes something that is no escape: write \\\\ for a "
        "backslash, or use single quotes",
    ),
    ("could not find expected ':'", "a key is not followed by a colon"),
    ("node content", "a value is missing here"),
    ("block", "the indentation does not fit the lines before"),
    ("expected", "the indentation does not fit the lines before"),
    ("tag handle", "a tag with a handle that is not declared"),
    ("incompatible", "a %YAML directive of another version than 1.1 or 1.2"),
    ("", "the text does not make sense here"),
)


def read_yaml(text: str, loader: type = LOADER) -> Node | None:
    """The one document of `text`; None if it is empty. Raises Unreadable."""
    try:
        return _YamlReader(loader(text)).read()
    except yaml.MarkedYAMLError as error:
        raise _explained(error, text) from None
    except yaml.reader.ReaderError:
        found = _UNPRINTABLE.search(text)
        line = text.count("\n", 0, found.start()) + 1 if found else None
        message = "holds a character that YAML does not allow, such as a control character"
        raise Unreadable(message, line) from None
    except (ValueError, OverflowError):  # the parser in Python fails so at \U99999999 and the like
        message = "is not valid YAML: it holds a number or an escape that is out of range"
        raise Unreadable(message) from None


def _explained(error: yaml.MarkedYAMLError, text: str) -> Unreadable:
    problem = error.problem or ""
    why = next(words for sign, words in _EXPLANATIONS if sign in problem)
    mark = (error.context_mark if "is opened here" in why else None) or error.problem_mark
    last = text.count("\n") + 1
    return Unreadable(f"is not valid YAML: {why}", min(mark.line + 1, last) if mark else None)


@define
class _Open:
    """A collection that is being read; `key` waits for its value."""

    node: Pairs | Items
    key: Node | None = None
    key_line: int | None = None

    def take(self, node: Node, line: int) -> None:
        if isinstance(self.node, Items):
            self.node.items.append(Item(line, node))
        elif self.key is None:
            self.key, self.key_line = node, line
        else:
            self.node.pairs.append(Pair(self.key, self.key_line, node))
            self.key = None


@define
class _YamlReader:
    """Builds nodes from the parser's events without recursion, which depth could exhaust."""

    loader: Any
    anchors: dict[str, Node] = field(factory=dict)
    open: list[_Open] = field(factory=list)
    root: Node | None = None

    def read(self) -> Node | None:
        documents = 0
        while self.loader.check_event():
            event = self.loader.get_event()
            line = event.start_mark.line + 1
            match event:
                case events.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        message = "holds more than one YAML document: a file is for one tenant"
                        raise Unreadable(message, line)
                case events.AliasEvent() if event.anchor in self.anchors:
                    self.place(self.anchors[event.anchor], line)
                case events.AliasEvent():
                    raise Unreadable("refers with * to an anchor that is not defined before", line)
                case events.ScalarEvent():
                    self.begin(self.scalar(event), event, line)
                case events.CollectionStartEvent():
                    self.collection(event, line)
                case events.CollectionEndEvent():
                    self.open.pop()
        return self.root

    def begin(self, node: Node, event: Any, line: int) -> None:
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        self.place(node, line)

    def place(self, node: Node, line: int) -> None:
        if self.open:
            self.open[-1].take(node, line)
        else:
            self.root = node

    def collection(self, event: Any, line: int) -> None:
        if len(self.open) >= DEPTH_LIMIT:
            raise Unreadable(f"is nested deeper than {DEPTH_LIMIT} levels", line)
        is_map = isinstance(event, events.MappingStartEvent)
        node, own = (Pairs(), "map") if is_map else (Items(), "seq")
        node.tag = None if event.tag in (None, "!", _TAG + own) else _TAGGED
        self.begin(node, event, line)
        self.open.append(_Open(node))

    def scalar(self, event: Any) -> Scalar:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        kind = tag.removeprefix(_TAG) if tag.startswith(_TAG) else ""
        if kind in ("str", "value"):
            return Scalar(event.value)
        if kind == "merge":
            return Scalar(event.value, merges=True)
        if kind not in ("null", "bool", "int", "float", "timestamp"):
            return Scalar(_TAGGED)
        if kind in ("int", "float") and (odd := _only_in_yaml_1_1(event.value)):
            return Scalar(odd)
        try:
            construct = getattr(self.loader, f"construct_yaml_{kind}")
            return Scalar(construct(yaml.ScalarNode(tag, event.value)))
        except Exception:  # PyYAML raises all kinds of errors at a value that its tag does not fit
            return Scalar(_ODD)


def _only_in_yaml_1_1(number: str) -> Opaque | None:
    """Why a number is another number, or text, to readers of YAML 1.2 and to most people."""
    digits = number.lstrip("+-").lower()
    if ":" in digits:
        return _BASE_60
    if re.fullmatch(r"0[0-7_]+", digits):
        return _OCTAL
    return _OLD_DIGITS if "_" in digits or digits.startswith("0b") else None


# JSON: the standard library checks the syntax, and a walk over the tokens finds the lines.

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+', re.DOTALL)
_TOO_LONG = Opaque("a number with more digits than can be read")


def read_json(text: str) -> Node | None:
    """The value that `text` is; None if it is empty. Raises Unreadable."""
    if not text.strip():
        return None
    _check_depth(text)
    try:
        json.loads(text, parse_int=len, parse_float=len, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        message = f"is not valid JSON: {error.msg[0].lower()}{error.msg[1:]}"
        raise Unreadable(message, error.lineno) from None
    return _json_node(_tokens(text))


def _no_constant(name: str) -> NoReturn:
    raise Unreadable(f"is not valid JSON: {name} is no number there")


def _check_depth(text: str) -> None:
    depth = 0
    for token, line in _tokens(text):
        depth += (token in "[{") - (token in "]}")
        if depth > DEPTH_LIMIT:
            raise Unreadable(f"is nested deeper than {DEPTH_LIMIT} levels", line)


_Tokens: TypeAlias = Iterator[tuple[str, int]]


def _tokens(text: str) -> _Tokens:
    """Each token with its line."""
    line, seen = 1, 0
    for found in _TOKEN.finditer(text):
        line += text.count("\n", seen, found.start())
        seen = found.start()
        yield found.group(), line


def _json_node(tokens: _Tokens, first: str | None = None) -> Node:
    """The node that begins with the token `first`, or with the next one; the text is valid."""
    token = first or next(tokens)[0]
    if token == "{":
        pairs = Pairs()
        while (one := next(tokens))[0] != "}":
            if one[0] != ",":
                next(tokens)  # the colon
                pairs.pairs.append(Pair(Scalar(json.loads(one[0])), one[1], _json_node(tokens)))
        return pairs
    if token == "[":
        items = Items()
        while (one := next(tokens))[0] != "]":
            if one[0] != ",":
                items.items.append(Item(one[1], _json_node(tokens, one[0])))
        return items
    try:
        return Scalar(json.loads(token))
    except ValueError:  # Python reads no whole number of more than a few thousand digits
        return Scalar(_TOO_LONG)


# Mappings, for hosts that keep their tenants in a database

_Known: TypeAlias = dict[int, tuple[object, Node]]
"""By id, what has been read already; the object is kept so that its id is not used again."""

_TOO_DEEP = Opaque(f"nested deeper than {DEPTH_LIMIT} levels")
_NOT_PLAIN = Opaque("neither text, a number, true or false, a date, a list nor a mapping")


def read_mapping(tenant: object, block: tuple[str, ...]) -> Node:
    """The nodes of one tenant's mapping: ``tenant``, ``name`` and the way down to the block.

    The host's other keys are not looked at.
    """
    if not isinstance(tenant, Mapping):
        return _mapped(tenant, {}, 0)
    own = [key for key in ("tenant", "name") if key in tenant]
    found = [Pair(Scalar(key), None, _mapped(tenant[key], {}, 0)) for key in own]
    return Pairs([*found, *_way_to_block(tenant, block)])


def _way_to_block(value: Mapping[object, object], keys: tuple[str, ...]) -> list[Pair]:
    if keys[0] not in value:
        return []
    below = value[keys[0]]
    if len(keys) > 1 and isinstance(below, Mapping):
        return [Pair(Scalar(keys[0]), None, Pairs(_way_to_block(below, keys[1:])))]
    return [Pair(Scalar(keys[0]), None, _mapped(below, {}, 0))]


def _mapped(value: object, known: _Known, depth: int) -> Node:
    if id(value) in known:
        return known[id(value)][1]
    if depth > DEPTH_LIMIT:
        return Scalar(_TOO_DEEP)
    match value:
        case None | str() | bool() | int() | float() | date():
            return Scalar(value)
        case Mapping():
            pairs = Pairs()
            known[id(value)] = (value, pairs)
            for key, member in value.items():
                name = _mapped(key, known, depth + 1)
                pairs.pairs.append(Pair(name, None, _mapped(member, known, depth + 1)))
            return pairs
        case list() | tuple():
            items = Items()
            known[id(value)] = (value, items)
            items.items.extend(Item(None, _mapped(member, known, depth + 1)) for member in value)
            return items
        case _:
            return Scalar(_NOT_PLAIN)
