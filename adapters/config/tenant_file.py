"""What one tenant's data says: the tenant's id, its display name, and the settings in the block.

Everything beside those is the host's own and is not looked at. Inside the block nothing is ignored:
a key that stands there twice, a value that is not plain, an anchor that holds itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date

from attrs import define, frozen

from .report import Path, Report
from .sources import Items, Node, Opaque, Pair, Pairs, Scalar

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


@frozen
class TenantData:
    """`tenant` is None without a usable id, `settings` is None without an integration."""

    tenant: str | None
    name: str | None
    settings: dict[str, object] | None


class _TooMuch(Exception):
    """More than anyone means to write, or a few anchors that hold each other many times over."""


def read_tenant(root: Node | None, default: str, block: Path, report: Report) -> TenantData:
    """The tenant whose id is `default` unless the data says so itself; problems go to `report`."""
    if isinstance(root, Items) or (isinstance(root, Scalar) and root.value is not None):
        line = 1 if report.file else None
        report.note((), "does not hold a mapping of keys to values", line=line)
        return TenantData(None, None, None)
    top = root if isinstance(root, Pairs) else Pairs()
    reader = _TenantReader(report)
    tenant = None
    try:
        tenant = reader.tenant_id(top, default)
        settings = reader.settings(top, block)
        return TenantData(tenant, reader.name(top, required=settings is not None), settings)
    except _TooMuch as error:
        report.note(block, str(error))
        return TenantData(tenant, None, None)


def kind_of(value: object) -> str:
    """What sort of value it is, in words for a person; never the value."""
    if isinstance(value, Opaque) and value.is_number:
        return "a number"
    return next(
        (name for kind, name in _KINDS if isinstance(value, kind)), "a value of another kind"
    )


@define
class _TenantReader:
    report: Report
    values: int = 0
    merged: int = 0

    def tenant_id(self, top: Pairs, default: str) -> str | None:
        """The id under the key `tenant`; a mapping there is the host's own, and null is absent."""
        pair = self.find(top, "tenant", ())
        if pair and (isinstance(pair.value, Pairs) or _plain(pair.value) is None):
            pair = None
        value = _plain(pair.value) if pair else default
        fault = _fault_of_id(value)
        if fault is None and isinstance(value, str):
            return value
        where = "the file's name, which stands for the tenant where no key `tenant` does, "
        message = fault if pair else f"{where}{fault}"
        self.report.note(("tenant",), str(message), line=pair.line if pair else None)
        return None

    def name(self, top: Pairs, required: bool) -> str | None:
        """The display name. Without an integration a `name` of another kind is the host's own."""
        pair = self.find(top, "name", ())
        value = _plain(pair.value) if pair else None
        if isinstance(value, str) and not _NOT_ONE_LINE.search(value):
            return value or None
        if value is not None and required:
            is_text = isinstance(value, str)
            self.report.note(("name",), "must be one line of text" if is_text else _not_text(value))
        return None

    def settings(self, top: Pairs, block: Path) -> dict[str, object] | None:
        """The plain values in the block; None if it is absent, null or switched off."""
        node: Node = top
        for depth, key in enumerate((*block, None)):
            if isinstance(node, Scalar) and node.value is None:
                return None
            if not isinstance(node, Pairs):
                message = f"must be a mapping, as `{key}` is looked for in it; or leave it out"
                if key is None:
                    message = (
                        "must be a mapping with a `provider` and its settings, "
                        "or null for no integration"
                    )
                self.report.note(block[:depth], message)
                return None
            if key is not None:
                pair = self.find(node, str(key), block[:depth])
                if pair is None:
                    return None
                node = pair.value
        assert isinstance(node, Pairs)
        return None if self.switched_off(node) else self.mapping(node, block, ())

    def switched_off(self, node: Pairs) -> bool:
        found = self.pairs_of(node, "enabled")
        return bool(found) and all(_plain(pair.value) is False for pair in found)

    def pairs_of(self, node: Pairs, key: str) -> list[Pair]:
        """The mapping's own pairs of `key`, else the first that is merged into it."""
        own = [pair for pair in node.pairs if _is(pair.key, key)]
        return own or [pair for pair in self.all_pairs(node, None) if _is(pair.key, key)][:1]

    def find(self, node: Pairs, key: str, path: Path) -> Pair | None:
        """The pair of `key`; takes down its line, and notes a key that stands there twice."""
        found = self.pairs_of(node, key)
        for again in found[1:]:
            self.twice((*path, key), found[0], again)
        if not found:
            return None
        self.report.remember((*path, key), found[0].line)
        return found[0]

    def value(self, line: int | None, node: Node, path: Path, around: tuple[Node, ...]) -> object:
        self.report.remember(path, line)
        self.values += 1
        if self.values > _MAX_VALUES:
            raise _TooMuch(
                f"holds more than {_MAX_VALUES:,} values "
                "(what an anchor holds counts wherever it is referred to)"
            )
        fault = _fault_of(node, around)
        if fault is not None:
            self.report.note(path, fault)
            return Opaque(fault)
        match node:
            case Pairs():
                return self.mapping(node, path, around)
            case Items(items=items):
                inside = (*around, node)
                return [
                    self.value(item.line, item.value, (*path, index), inside)
                    for index, item in enumerate(items)
                ]
            case Scalar():
                return node.value

    def mapping(self, node: Pairs, path: Path, around: tuple[Node, ...]) -> dict[str, object]:
        self.report_twice(node, path)
        values: dict[str, object] = {}
        for pair in self.all_pairs(node, path):
            key = _plain(pair.key)
            if not isinstance(key, str):
                message = f"a key here must be text, and is {kind_of(key)}{_quote_it(key)}"
                self.report.note((*path, ""), message, line=pair.line)
            elif key not in values:
                values[key] = self.value(pair.line, pair.value, (*path, key), (*around, node))
        return values

    def report_twice(self, node: Pairs, path: Path) -> None:
        first: dict[str, Pair] = {}
        for pair in node.pairs:
            key = _plain(pair.key)
            if not isinstance(key, str) or _merges(pair):
                continue
            if first.setdefault(key, pair) is not pair:
                self.twice((*path, key), first[key], pair)

    def twice(self, path: Path, first: Pair, again: Pair) -> None:
        before = f", first on line {first.line}" if first.line is not None else ""
        message = f"the key is written twice{before}: keep one of them"
        self.report.note(path, message, line=again.line)

    def all_pairs(
        self, node: Pairs, path: Path | None, merging: tuple[Node, ...] = ()
    ) -> Iterator[Pair]:
        """A mapping's own pairs, then those that YAML's ``<<`` merges into it: the first of a key
        counts.

        What cannot be merged is noted in the block, and ignored elsewhere (`path` is None).
        """
        if merging:
            self.merged += 1 + len(node.pairs)
            if self.merged > _MAX_MERGED:
                raise _TooMuch(
                    f"merges more than {_MAX_MERGED:,} keys: anchors refer to anchors over and over"
                )
        yield from (pair for pair in node.pairs if not _merges(pair))
        around = (*merging, node)
        for pair in filter(_merges, node.pairs):
            merged = pair.value
            sources = [m.value for m in merged.items] if isinstance(merged, Items) else [merged]
            for source in sources:
                deep = len(merging) >= _MAX_BLOCK_DEPTH
                if isinstance(source, Pairs) and not deep and source not in around:
                    yield from self.all_pairs(source, path, around)
                elif path is not None:
                    message = (
                        "can merge only mappings, none into itself, "
                        f"and at most {_MAX_BLOCK_DEPTH} one into another"
                    )
                    self.report.note((*path, "<<"), message, line=pair.line)


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
        case Scalar(value=Opaque(what=what)):
            return f"is {what}"
        case Scalar(value=float() as value) if not math.isfinite(value):
            return "is not a finite number"
        case Scalar(value=int() as value) if abs(value) > _MAX_NUMBER:
            return "is too large a number"
        case Scalar(value=str() as value) if _NOT_TEXT.search(value):
            return "holds a control character or half a character"
        case Pairs(tag=Opaque(what=what)) | Items(tag=Opaque(what=what)):
            return f"is {what}"
        case Pairs() | Items() if node in around:
            return "holds itself: an anchor is referred to from within"
        case Pairs() | Items() if len(around) >= _MAX_BLOCK_DEPTH:
            return f"is nested deeper than {_MAX_BLOCK_DEPTH} levels"
    return None


def _not_text(value: object) -> str:
    return f"must be text, and this is {kind_of(value)}{_quote_it(value)}"


def _quote_it(value: object) -> str:
    is_opaque = isinstance(value, Opaque) and not value.is_number
    no_advice = value is None or is_opaque or isinstance(value, (Pairs, Items))
    return "" if no_advice else ": put it in quotes"


def _plain(node: Node) -> object:
    return node.value if isinstance(node, Scalar) else node


def _is(node: Node, key: str) -> bool:
    return isinstance(node, Scalar) and not node.merges and node.value == key


def _merges(pair: Pair) -> bool:
    return isinstance(pair.key, Scalar) and pair.key.merges
