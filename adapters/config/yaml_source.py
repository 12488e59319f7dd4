"""Reading YAML into nodes, with every line remembered and every anchor kept as one node.

Only the structure is read here. A tag that nobody knows is kept as an opaque value, for it may be
the host's own; an alias is not followed, so a file that would grow without end stays as small as it
was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml
from attrs import define, field
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)

from .nodes import DEPTH_LIMIT, Item, Items, Node, Opaque, Pair, Pairs, Scalar, Unreadable

# Some fifteen times faster than the parser written in Python; both are part of PyYAML and both are
# tested.
LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"
_TAGGED = Opaque("a value with a tag of its own (such as !name), which means nothing here")
_ODD = Opaque("written like a number or a date, but is none")
_UNPRINTABLE = re.compile(
    r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)

# What the parsers say, and what is said instead: their words may quote the file, and a file may
# hold a secret.
_EXPLANATIONS = (
    ("tab", "a tab stands where YAML wants spaces"),
    (
        "cannot start any token",
        "a value begins with a character that YAML keeps for itself (such as @, `, % or a tab): put the value in quotes",
    ),
    (
        "mapping values are not allowed",
        "a colon stands where none may be: check the indentation, and put a text that holds a colon and a space in quotes",
    ),
    ("unexpected end of stream", "a quotation mark is opened here and never closed"),
    ("']'", "a [ is opened here, and its list does not end as it should with ]"),
    ("'}'", "a { is opened here, and its mapping does not end as it should with }"),
    (
        "escape",
        "after a backslash in double quotes comes something that is no escape: write \\\\ for a backslash, or use single quotes",
    ),
    ("could not find expected ':'", "a key is not followed by a colon"),
    ("node content", "a value is missing here"),
    ("block", "the indentation does not fit the lines before"),
    ("expected", "the indentation does not fit the lines before"),
    ("tag handle", "a tag with a handle that is not declared"),
    ("incompatible", "a %YAML directive of another version than 1.1 or 1.2"),
)


def read_yaml(text: str, loader: type = LOADER) -> Node | None:
    """The one document of `text`; None where there is nothing in it. Raises Unreadable."""
    try:
        return _Reader(loader(text)).read()
    except yaml.MarkedYAMLError as error:
        raise _explained(error, text) from None
    except yaml.reader.ReaderError:
        raise Unreadable(
            "holds a character that YAML does not allow, such as a control character",
            _bad_line(text),
        ) from None
    except (
        ValueError,
        OverflowError,
    ):  # an escape or a version number far out of range; the pure parser trips over it
        raise Unreadable(
            "is not valid YAML: it holds a number or an escape that is out of range"
        ) from None


def _explained(error: yaml.MarkedYAMLError, text: str) -> Unreadable:
    problem = error.problem or ""
    why = next(
        (words for sign, words in _EXPLANATIONS if sign in problem),
        "the text does not make sense here",
    )
    opened = error.context_mark if "is opened here" in why else None
    mark = opened or error.problem_mark
    last = text.count("\n") + 1
    return Unreadable(f"is not valid YAML: {why}", min(mark.line + 1, last) if mark else None)


def _bad_line(text: str) -> int | None:
    found = _UNPRINTABLE.search(text)
    return text.count("\n", 0, found.start()) + 1 if found else None


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
class _Reader:
    """Builds the nodes from the parser's events without recursion, so depth costs nothing but
    the list of what is open."""

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
                case DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise Unreadable(
                            "holds more than one YAML document: a file is for one tenant", line
                        )
                case AliasEvent():
                    if event.anchor not in self.anchors:
                        raise Unreadable(
                            "refers with * to an anchor that is not defined before", line
                        )
                    self.place(self.anchors[event.anchor], line)
                case ScalarEvent():
                    self.begin(self.scalar(event), event, line)
                case MappingStartEvent() | SequenceStartEvent():
                    self.collection(event, line)
                case CollectionEndEvent():
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
        node, own = (Pairs(), "map") if isinstance(event, MappingStartEvent) else (Items(), "seq")
        node.tag = None if event.tag in (None, "!", _TAG + own) else _TAGGED
        self.begin(node, event, line)
        self.open.append(_Open(node))

    def scalar(self, event: ScalarEvent) -> Scalar:
        tag = event.tag
        if tag is None or tag == "!":
            tag = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit)
        if not tag.startswith(_TAG):
            return Scalar(_TAGGED)
        kind = tag.removeprefix(_TAG)
        if kind in ("str", "value"):
            return Scalar(event.value)
        if kind == "merge":
            return Scalar(event.value, merges=True)
        construct: Callable[[yaml.ScalarNode], object] | None = {
            "null": self.loader.construct_yaml_null,
            "bool": self.loader.construct_yaml_bool,
            "int": self.loader.construct_yaml_int,
            "float": self.loader.construct_yaml_float,
            "timestamp": self.loader.construct_yaml_timestamp,
        }.get(kind)
        if construct is None:
            return Scalar(_TAGGED)
        try:
            return Scalar(construct(yaml.ScalarNode(tag, event.value)))
        except Exception:  # PyYAML meets a wrong explicit tag with whatever its code runs into
            return Scalar(_ODD)
