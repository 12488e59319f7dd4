"""Tenant data as it was written: YAML, JSON and a host's own mappings, read into nodes with lines.

All three become the same kinds of node, so everything after them is written once. A node can stand
in several places (a YAML anchor) and can even hold itself; nothing here follows it. A tag that YAML
does not define becomes an opaque value, since it can be the host's own. No message quotes the text,
which may hold a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
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


class Merge(str):
    """YAML's key ``<<``."""


Node: TypeAlias = object
"""Text, a number, a truth value, a date, nothing, something opaque, or a `Collection`."""


@define(eq=False)
class Member:
    """One member of a mapping or a list; `line` is where it begins, from 1, or None without lines.

    `key` is its key, or its place in the list.
    """

    key: Node = field(repr=False)
    line: int | None
    value: Node = field(repr=False)


@define(eq=False)
class Collection:
    """A mapping or a list in the order it was written.

    `tag` is set if it carries a tag that YAML does not define.
    """

    members: list[Member] = field(factory=list, repr=False)
    tag: Opaque | None = None


class Pairs(Collection):
    """A mapping; a key can be of any kind and can stand there twice."""


class Items(Collection):
    """A list."""


_NO_VALUE_YET = object()


@define
class _Builder:
    """Puts the parts of a text together without recursion, which depth could exhaust."""

    open: list[Collection] = field(factory=list)
    root: Node = field(default=None, repr=False)

    def place(self, node: Node, line: int) -> None:
        """Put a key, a value or a member where the text has come to."""
        around = self.open[-1] if self.open else None
        if around is None:
            self.root = node
        elif isinstance(around, Items):
            around.members.append(Member(len(around.members), line, node))
        elif around.members and around.members[-1].value is _NO_VALUE_YET:
            around.members[-1].value = node
        else:
            around.members.append(Member(node, line, _NO_VALUE_YET))

    def begin(self, node: Collection, line: int) -> None:
        """Place a collection, and what comes next within it."""
        if len(self.open) >= DEPTH_LIMIT:
            raise Unreadable(f"is nested deeper than {DEPTH_LIMIT} levels", line)
        self.place(node, line)
        self.open.append(node)

    def end(self) -> None:
        """End the collection that was begun last."""
        if self.open:
            self.open.pop()


# YAML

# libyaml's parser is about fifteen times faster than the one in Python. PyYAML can come without it.
LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"
_TAGGED = Opaque("a value with a tag of its own (such as !name), which means nothing here")
_ODD = Opaque("written like a number or a date, but is none")
_TEXT = ", or put it in quotes if it is text"
_OCTAL = Opaque(
    "a number with a leading zero, which YAML 1.1 reads as octal: write it without the zero"
    f"{_TEXT}",
    True,
)
_BASE_60 = Opaque(
    f"a number with a colon, which YAML 1.1 reads in base 60: write a duration such as 90s{_TEXT}",
    True,
)
_OLD_DIGITS = Opaque(
    f"a number that only YAML 1.1 knows (0b or _ in it): write it in decimal digits alone{_TEXT}",
    True,
)
_UNPRINTABLE = re.compile(
    r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)

# A part of the parser's message, and the message instead: the parser's can quote the file.
_EXPLANATIONS = (
    ("tab", "a tab stands where YAML wants spaces: indent with spaces"),
    ("cannot start any token", "put the value in quotes: it begins with @, ` or %"),
    (
        "mapping values are not allowed",
        "a colon stands where none may be: check the indentation, and put a text that holds a "
        "colon and a space in quotes",
    ),
    ("unexpected end of stream", "a quotation mark is opened here and never closed"),
    ("']'", "a [ is opened here, and its list does not end as it should with ]"),
    ("'}'", "a { is opened here, and its mapping does not end as it should with }"),
    ("escape", "after a backslash in double quotes comes no escape: write \\\\ or single quotes"),
    ("could not find expected ':'", "a key is not followed by a colon"),
    ("node content", "a value is missing here"),
    ("block", "the indentation does not fit the lines before"),
    ("expected", "the indentation does not fit the lines before"),
    ("tag handle", "a tag with a handle that is not declared"),
    ("incompatible", "a %YAML directive of another version than 1.1 or 1.2"),
    ("", "the text does not make sense here"),
)


def read_yaml(text: str, loader: type = LOADER) -> Node:
    """The one document of `text`; None if it is empty. Raises Unreadable."""
    try:
        return _yaml_node(loader(text))
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
    problem, at = error.problem or "", error.problem_mark
    if "cannot start" in problem and at and text[at.index : at.index + 1] == "\t":
        problem = "tab"
    why = next(words for sign, words in _EXPLANATIONS if sign in problem)
    mark = (error.context_mark if "is opened here" in why else None) or at
    last = text.count("\n") + 1
    return Unreadable(f"is not valid YAML: {why}", min(mark.line + 1, last) if mark else None)


def _yaml_node(loader: Any) -> Node:
    """The document that the parser's events describe."""
    built, anchors, documents = _Builder(), dict[str | None, Node](), 0
    next_event = loader.get_event
    while (event := next_event()) is not None:
        line = event.start_mark.line + 1
        match event:  # the most frequent ones first
            case events.ScalarEvent():  # an anchor of None is one that no alias has
                anchors[event.anchor] = node = _scalar(loader, event)
                built.place(node, line)
            case events.DocumentStartEvent():
                documents += 1
                if documents > 1:
                    message = "holds more than one YAML document: a file is for one tenant"
                    raise Unreadable(message, line)
            case events.AliasEvent():
                if event.anchor not in anchors:
                    raise Unreadable("refers with * to an anchor that is not defined before", line)
                built.place(anchors[event.anchor], line)
            case events.CollectionStartEvent():
                anchors[event.anchor] = node = _collection(event)
                built.begin(node, line)
            case events.CollectionEndEvent():
                built.end()
    return built.root


def _collection(event: Any) -> Collection:
    is_map = isinstance(event, events.MappingStartEvent)
    kind, own = (Pairs, "map") if is_map else (Items, "seq")
    return kind(tag=None if event.tag in (None, "!", _TAG + own) else _TAGGED)


def _scalar(loader: Any, event: Any) -> Node:
    tag, text = event.tag, event.value
    if tag is None and not (event.implicit[0] and _may_be_other(text, loader)):
        return text
    if tag is None or tag == "!":
        tag = loader.resolve(yaml.ScalarNode, text, event.implicit)
    kind = tag.removeprefix(_TAG) if tag.startswith(_TAG) else ""
    if kind in ("str", "value"):
        return text
    if kind == "merge":
        return Merge(event.value)
    if kind not in ("null", "bool", "int", "float", "timestamp"):
        return _TAGGED
    if kind in ("int", "float") and (odd := _only_in_yaml_1_1(event.value)):
        return odd
    try:
        return getattr(loader, f"construct_yaml_{kind}")(yaml.ScalarNode(tag, event.value))
    except Exception:  # PyYAML raises all kinds of errors at a value that its tag does not fit
        return _ODD


def _may_be_other(text: str, loader: Any) -> bool:
    """Whether a text without quotes may be something else. Words that are have five letters at
    most: false."""
    first = text[:1]
    return first in loader.yaml_implicit_resolvers and not (len(text) > 5 and first.isalpha())


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


def read_json(text: str) -> Node:
    """The value that `text` is; None if it is empty. Raises Unreadable."""
    if not text.strip():
        return None
    root = _json_node(text)  # first, since a text that is nested too deep would exhaust json.loads
    try:
        json.loads(text, parse_int=len, parse_float=len, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at").removesuffix(" starting")  # no column follows
        message = f"is not valid JSON: {what[0].lower()}{what[1:]}"
        raise Unreadable(message, error.lineno) from None
    return root


def _no_constant(name: str) -> NoReturn:
    raise Unreadable(f"is not valid JSON: {name} is no number there")


def _json_node(text: str) -> Node:
    """The value that `text` is, if it is valid; else anything."""
    built, line, seen = _Builder(), 1, 0
    for found in _TOKEN.finditer(text):
        token = found.group()
        line += text.count("\n", seen, found.start())
        seen = found.start()
        if token in "{[":
            built.begin(Pairs() if token == "{" else Items(), line)
        elif token in "}]":
            built.end()
        elif token not in ":,":
            built.place(_json_value(token), line)
    return built.root


def _json_value(token: str) -> Node:
    try:
        return json.loads(token)
    except ValueError:  # Python reads no whole number of more than a few thousand digits
        return _TOO_LONG


# Mappings, for hosts that keep their tenants in a database

_Known: TypeAlias = dict[int, tuple[object, Node]]
"""By id, what has been read already; the object is kept so that its id is not used again."""

_TOO_DEEP = Opaque(f"nested deeper than {DEPTH_LIMIT} levels")
_NOT_PLAIN = Opaque("neither text, a number, true or false, a date, a list nor a mapping")


def read_mapping(tenant: object, block: tuple[str, ...]) -> Node:
    """The nodes of one tenant's mapping: ``tenant``, ``name`` and the way down to the block.

    The host's other keys are not looked at.
    """
    if isinstance(tenant, Mapping):
        own = {key: tenant[key] for key in ("tenant", "name") if key in tenant}
        tenant = own | _way_to_block(tenant, block)
    return _mapped(tenant, {}, 0)


def _way_to_block(value: Any, keys: tuple[str, ...]) -> Any:
    if not keys or not isinstance(value, Mapping):
        return value
    return {key: _way_to_block(value[key], keys[1:]) for key in keys[:1] if key in value}


def _mapped(value: object, known: _Known, depth: int) -> Node:
    if isinstance(value, str | int | float | date | None):
        return value
    if id(value) in known:
        return known[id(value)][1]
    if depth > DEPTH_LIMIT:
        return _TOO_DEEP
    if not isinstance(value, Mapping | list | tuple):
        return _NOT_PLAIN
    node = Pairs() if isinstance(value, Mapping) else Items()
    known[id(value)] = (value, node)
    for key, member in value.items() if isinstance(value, Mapping) else enumerate(value):
        name = _mapped(key, known, depth + 1)
        node.members.append(Member(name, None, _mapped(member, known, depth + 1)))
    return node
