"""What one tenant's data says: the tenant's id, its display name, and the settings in the block.

Everything beside those is the host's own and is not looked at. Inside the block nothing is ignored:
a key that stands there twice, a value that is not plain, an anchor that holds itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date

from attrs import define

from .report import Path, Report
from .sources import Collection, Items, Member, Merge, Node, Opaque, Pairs

_MAX_MERGED = 10_000
_MAX_VALUES = 1_000  # with 10,000 wrong values Cerberus takes minutes to refuse them
_MAX_BLOCK_DEPTH = 20
_MAX_ID_LENGTH = 512
_MAX_NUMBER = 2**63 - 1
_NOT_ONE_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")

_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "text"),
    ((Pairs, dict), "a mapping"),
    ((Items, list), "a list"),
    (date, "a date"),
    (type(None), "empty"),
)


class _TooMuch(Exception):
    """More than anyone means to write, or a few anchors that hold each other many times over."""


def read_tenant(root: Node, report: Report) -> dict[str, object] | None:
    """The plain values in the block; None without an integration.

    The report learns the tenant's id, its name, and the problems with them and in the block.
    """
    if not isinstance(root, Pairs | None):
        line = 1 if report.file else None
        report.note((), "does not hold a mapping of keys to values", line=line)
        return None
    top = root or Pairs()
    reader = _TenantReader(report)
    try:
        report.tenant_id = reader.tenant_id(top)
        settings = reader.settings(top, report.block)
        report.name = reader.name(top, required=settings is not None)
    except _TooMuch as error:
        report.note(report.block, str(error))
        return None
    return settings


def kind_of(value: object) -> str:
    """What sort of value it is, in words for a person; never the value."""
    if isinstance(value, Opaque) and value.is_number:
        return "a number"
    names = (name for kind, name in _KINDS if isinstance(value, kind))
    return next(names, "a value of another kind")


@define
class _TenantReader:
    report: Report
    values: int = 0
    merged: int = 0

    def tenant_id(self, top: Pairs) -> str | None:
        """The id under the key `tenant`; a mapping there is the host's own, and null is absent."""
        pair = self.find(top, "tenant", ())
        if pair and isinstance(pair.value, Pairs | None):
            pair = None
        value = pair.value if pair else self.report.fallback
        fault = _fault_of_id(value)
        if fault is None:
            return str(value)
        where = "the file's name, which stands for the tenant where no key `tenant` does, "
        message = fault if pair else f"{where}{fault}"
        self.report.note(("tenant",), message, line=pair.line if pair else None)
        return None

    def name(self, top: Pairs, required: bool) -> str | None:
        """The display name. A mapping there is the host's own, and so is any other kind of value
        without an integration."""
        pair = self.find(top, "name", ())
        value = pair.value if pair else None
        if isinstance(value, str) and not _NOT_ONE_LINE.search(value):
            return value or None
        if required and not isinstance(value, Pairs | None):
            is_text = isinstance(value, str)
            self.report.note(("name",), "must be one line of text" if is_text else _not_text(value))
        return None

    def settings(self, top: Pairs, block: tuple[str, ...]) -> dict[str, object] | None:
        """The plain values in the block; None if it is absent, null or switched off."""
        node: Node = top
        for depth, key in enumerate(block):
            if node is not None and not isinstance(node, Pairs):
                message = f"must be a mapping, as `{key}` is looked for in it; or leave it out"
                self.report.note(block[:depth], message)
            pair = self.find(node, key, block[:depth]) if isinstance(node, Pairs) else None
            if pair is None:
                return None
            node = pair.value
        self.report.block_exists = True
        if isinstance(node, Pairs):
            switches = self.pairs_of(node, "enabled")
            is_off = switches and all(switch.value is False for switch in switches)
            self.report.has_block = not is_off
            return None if is_off else self.mapping(node, block, ())
        if node is not None:
            self.report.has_block = True
            wanted = "a mapping with a `provider` and its settings, or null for no integration"
            self.report.note(block, f"must be {wanted}")
        return None

    def pairs_of(self, node: Pairs, key: str) -> list[Member]:
        """The mapping's own pairs of `key`, else the first that is merged into it."""
        own = [pair for pair in _own_pairs(node) if pair.key == key]
        return own or [pair for pair in self.all_pairs(node, None) if pair.key == key][:1]

    def find(self, node: Pairs, key: str, path: Path) -> Member | None:
        """The pair of `key`; takes down its line, and notes a key that stands there twice."""
        found = self.pairs_of(node, key)
        self.note_twice(found, path)
        if not found:
            return None
        self.report.remember((*path, key), found[0].line)
        return found[0]

    def note_twice(self, pairs: list[Member], path: Path) -> None:
        """Note each key that stands more than once among the pairs of the mapping at `path`."""
        first: dict[str, Member] = {}
        for pair in pairs if len(pairs) > 1 else ():
            if isinstance(pair.key, str) and first.setdefault(pair.key, pair) is not pair:
                line = first[pair.key].line
                before = f", first on line {line}" if line is not None else ""
                message = f"the key is written twice{before}: keep one of them"
                self.report.note((*path, pair.key), message, line=pair.line)

    def value(self, member: Member, path: Path, around: tuple[Node, ...]) -> object:
        """The plain value of a member at `path`; `around` are the collections that hold it."""
        node = member.value
        self.report.remember(path, member.line)
        self.values += 1
        if self.values > _MAX_VALUES:
            what = "what an anchor holds counts wherever it is referred to"
            raise _TooMuch(f"holds more than {_MAX_VALUES:,} values ({what})")
        fault = _fault_of(node, around)
        if fault is not None:
            self.report.note(path, fault)
            return Opaque(fault)
        if isinstance(node, Pairs):
            return self.mapping(node, path, around)
        if isinstance(node, Items):
            inside = (*around, node)
            return [self.value(item, (*path, n), inside) for n, item in enumerate(node.members)]
        return node

    def mapping(self, node: Pairs, path: Path, around: tuple[Node, ...]) -> dict[str, object]:
        """The plain values of a mapping by their keys."""
        self.note_twice(_own_pairs(node), path)
        values: dict[str, object] = {}
        for pair in self.all_pairs(node, path):
            if not isinstance(pair.key, str):
                message = f"a key here must be text, and is {_kind_with_advice(pair.key)}"
                self.report.note((*path, ""), message, line=pair.line)
            elif pair.key not in values:
                values[pair.key] = self.value(pair, (*path, pair.key), (*around, node))
        return values

    def all_pairs(
        self, node: Pairs, path: Path | None, merging: tuple[Node, ...] = ()
    ) -> Iterator[Member]:
        """A mapping's own pairs, then those that YAML's ``<<`` merges into it: the first of a key
        counts.

        What cannot be merged is noted in the block, and ignored elsewhere (`path` is None).
        """
        if merging:
            self.merged += 1 + len(node.members)
            if self.merged > _MAX_MERGED:
                why = "anchors refer to anchors over and over"
                raise _TooMuch(f"merges more than {_MAX_MERGED:,} keys: {why}")
        yield from _own_pairs(node)
        around = (*merging, node)
        for pair in node.members:
            if not isinstance(pair.key, Merge):
                continue
            merged = pair.value
            sources = [m.value for m in merged.members] if isinstance(merged, Items) else [merged]
            for source in sources:
                deep = len(merging) >= _MAX_BLOCK_DEPTH
                if isinstance(source, Pairs) and not deep and source not in around:
                    yield from self.all_pairs(source, path, around)
                elif path is not None:
                    message = f"none into itself, and at most {_MAX_BLOCK_DEPTH} one into another"
                    message = f"can merge only mappings, {message}"
                    self.report.note((*path, "<<"), message, line=pair.line)


def _own_pairs(node: Pairs) -> list[Member]:
    return [pair for pair in node.members if not isinstance(pair.key, Merge)]


def _fault_of_id(value: object) -> str | None:
    if not isinstance(value, str):
        return _not_text(value)
    if not value.strip() or value != value.strip():
        return "must not be empty, nor begin or end with a space"
    if len(value) > _MAX_ID_LENGTH:
        return f"must have at most {_MAX_ID_LENGTH} characters"
    if _NOT_ONE_LINE.search(value):
        return "must be one line, without control characters"
    if "${" in value:
        message = "references such as ${VAR} are resolved only inside the block"
        return f"must be the tenant's id itself: {message}"
    return None


def _fault_of(node: Node, around: tuple[Node, ...]) -> str | None:
    """Why a node in the block is no plain value; `around` are the collections that hold it."""
    match node:
        case Opaque(what=what) | Collection(tag=Opaque(what=what)):
            return f"is {what}"
        case float() if not math.isfinite(node):
            return "is not a finite number"
        case int() if abs(node) > _MAX_NUMBER:
            return "is too large a number"
        case str() if _NOT_TEXT.search(node):
            return "holds a control character or half a character"
        case Collection() if node in around:
            return "holds itself: an anchor is referred to from within"
        case Collection() if len(around) >= _MAX_BLOCK_DEPTH:
            return f"is nested deeper than {_MAX_BLOCK_DEPTH} levels"
    return None


def _not_text(value: object) -> str:
    return f"must be text, and this is {_kind_with_advice(value)}"


def _kind_with_advice(value: object) -> str:
    """The kind of a value that should have been text."""
    kind = kind_of(value)
    quotable = kind in ("a number", "true or false", "a date")
    return f"{kind}: put it in quotes" if quotable else kind
