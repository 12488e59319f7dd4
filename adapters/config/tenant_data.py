"""What one tenant's data says: which tenant it is for, its name, and the settings in the block.

Everything beside those is the host's own and is not looked at, whatever it is. Inside the block
nothing is passed over: a key that is there twice, a value that is no plain value, an anchor that
holds itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date

from attrs import define, frozen

from .nodes import Items, Node, Opaque, Pair, Pairs, Scalar
from .report import Path, Report

_MERGED_LIMIT = 10_000
# Far more than any integration has; with ten times as many wrong ones, Cerberus takes minutes to
# refuse them.
_VALUE_LIMIT = 1_000
_BLOCK_DEPTH_LIMIT = 20
_ID_LENGTH = 512
_LARGEST = 2**63 - 1
_NOT_ONE_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_NOT_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_SWITCH = "enabled"


@frozen
class TenantData:
    """`tenant` is None where the data does not say it as it should; `settings` is None where
    there is no integration."""

    tenant: str | None
    name: str | None
    settings: dict[str, object] | None


def read_tenant(root: Node | None, default: str, block: Path, report: Report) -> TenantData:
    """What the data says; whatever is wrong with it is noted in `report`."""
    if isinstance(root, Items) or (isinstance(root, Scalar) and root.value is not None):
        report.note(
            (), "does not hold a mapping of keys to values", line=1 if report.file else None
        )
        return TenantData(None, None, None)
    top = root if isinstance(root, Pairs) else Pairs()
    reader = _Reader(report)
    tenant = None
    try:
        tenant = reader.tenant_id(top, default)
        settings = reader.settings(top, block)
        return TenantData(tenant, reader.name(top, required=settings is not None), settings)
    except _TooMuch as error:
        report.note(block, str(error))
        return TenantData(tenant, None, None)


class _TooMuch(Exception):
    """More than anybody means, or a few anchors that hold each other many times over."""


@define
class _Reader:
    report: Report
    values: int = 0
    merged: int = 0

    def tenant_id(self, top: Pairs, default: str) -> str | None:
        pair = self.find(top, "tenant", ())
        value = _plain(pair.value) if pair else default
        message = self.fault_of_id(value)
        if message is None and isinstance(value, str):
            return value
        told = (
            ""
            if pair
            else "the file's name, which stands for the tenant where no key `tenant` does, "
        )
        self.report.note(("tenant",), f"{told}{message}", line=pair.line if pair else None)
        return None

    def fault_of_id(self, value: object) -> str | None:
        if not isinstance(value, str):
            return f"must be text, and this is {kind_of(value)}{_quote_it(value)}"
        if not value.strip() or value != value.strip():
            return "must not be empty, nor begin or end with a space"
        if len(value) > _ID_LENGTH:
            return f"must have at most {_ID_LENGTH} characters"
        if _NOT_ONE_LINE.search(value):
            return "must be one line, without control characters"
        if "${" in value:
            return "must be the tenant's id itself: references such as ${VAR} are resolved only inside the block"
        return None

    def name(self, top: Pairs, required: bool) -> str | None:
        """The display name. Where there is no integration a `name` of another kind is the host's
        own affair."""
        pair = self.find(top, "name", ())
        value = _plain(pair.value) if pair else None
        if isinstance(value, str) and not _NOT_ONE_LINE.search(value):
            return value or None
        if value is not None and required:
            why = (
                "must be one line of text"
                if isinstance(value, str)
                else f"must be text, and this is {kind_of(value)}{_quote_it(value)}"
            )
            self.report.note(("name",), why)
        return None

    def settings(self, top: Pairs, block: Path) -> dict[str, object] | None:
        """The plain values in the block; None where it is absent, null, or switched off."""
        node: Node = top
        for depth, key in enumerate(block):
            here = block[:depth]
            if isinstance(node, Scalar) and node.value is None:
                return None
            if not isinstance(node, Pairs):
                self.report.note(
                    here, f"must be a mapping, as `{key}` is looked for in it; or leave it out"
                )
                return None
            pair = self.find(node, str(key), here)
            if pair is None:
                return None
            node = pair.value
        if isinstance(node, Scalar) and node.value is None:
            return None
        if not isinstance(node, Pairs):
            self.report.note(
                block,
                "must be a mapping with a `provider` and its settings, or null for no integration",
            )
            return None
        return None if self.switched_off(node, block) else self.mapping(node, block, ())

    def switched_off(self, node: Pairs, block: Path) -> bool:
        own = [pair for pair in node.pairs if _is(pair.key, _SWITCH)]
        found = own or [pair for pair in self.all_pairs(node, None) if _is(pair.key, _SWITCH)][:1]
        return bool(found) and all(_plain(pair.value) is False for pair in found)

    def find(self, node: Pairs, key: str, path: Path) -> Pair | None:
        """The pair of `key`, noting where it stands and whether it stands there twice."""
        own = [pair for pair in node.pairs if _is(pair.key, key)]
        found = own or [pair for pair in self.all_pairs(node, None) if _is(pair.key, key)]
        for again in own[1:]:
            self.twice((*path, key), own[0], again)
        if not found:
            return None
        self.remember((*path, key), found[0].line)
        return found[0]

    def value(self, node: Node, path: Path, around: tuple[Node, ...]) -> object:
        self.values += 1
        if self.values > _VALUE_LIMIT:
            raise _TooMuch(
                f"holds more than {_VALUE_LIMIT:,} values (what an anchor holds counts wherever it is referred to)"
            )
        fault = self.fault_of(node, around)
        if fault is not None:
            self.report.note(path, fault)
            return Opaque(fault)
        match node:
            case Pairs():
                return self.mapping(node, path, around)
            case Items():
                return [
                    self.item(item.line, item.value, (*path, index), (*around, node))
                    for index, item in enumerate(node.items)
                ]
            case Scalar():
                return node.value

    def fault_of(self, node: Node, around: tuple[Node, ...]) -> str | None:
        match node:
            case Scalar(value=Opaque() as value):
                return f"is {value.what}"
            case Scalar(value=float() as value) if not math.isfinite(value):
                return "is not a finite number"
            case Scalar(value=int() as value) if abs(value) > _LARGEST:
                return "is too large a number"
            case Scalar(value=str() as value) if _NOT_TEXT.search(value):
                return "holds a control character or half a character"
            case Pairs(tag=Opaque() as tag) | Items(tag=Opaque() as tag):
                return f"is {tag.what}"
            case Pairs() | Items() if node in around:
                return "holds itself: an anchor is referred to from within"
            case Pairs() | Items() if len(around) >= _BLOCK_DEPTH_LIMIT:
                return f"is nested deeper than {_BLOCK_DEPTH_LIMIT} levels"
        return None

    def item(self, line: int | None, node: Node, path: Path, around: tuple[Node, ...]) -> object:
        self.remember(path, line)
        return self.value(node, path, around)

    def mapping(self, node: Pairs, path: Path, around: tuple[Node, ...]) -> dict[str, object]:
        self.report_twice(node, path)
        values: dict[str, object] = {}
        for pair in self.all_pairs(node, path):
            key = _plain(pair.key)
            if not isinstance(key, str):
                self.report.note(
                    (*path, ""),
                    f"a key here must be text, and is {kind_of(key)}{_quote_it(key)}",
                    line=pair.line,
                )
            elif key not in values:
                values[key] = self.item(pair.line, pair.value, (*path, key), (*around, node))
        return values

    def report_twice(self, node: Pairs, path: Path) -> None:
        first: dict[str, Pair] = {}
        for pair in node.pairs:
            key = _plain(pair.key)
            if (
                isinstance(key, str)
                and not _merges(pair)
                and first.setdefault(key, pair) is not pair
            ):
                self.twice((*path, key), first[key], pair)

    def all_pairs(
        self, node: Pairs, path: Path | None, merging: tuple[Node, ...] = ()
    ) -> Iterator[Pair]:
        """A mapping's own pairs, then those merged into it by YAML's ``<<``: whoever takes the
        first of a key is right.

        What cannot be merged is noted in the block, and passed over (`path` is None) in what is the
        host's own.
        """
        if merging:
            self.merged += 1 + len(node.pairs)
            if self.merged > _MERGED_LIMIT:
                raise _TooMuch(
                    f"merges more than {_MERGED_LIMIT:,} keys: anchors refer to anchors over and over"
                )
        yield from (pair for pair in node.pairs if not _merges(pair))
        for pair in filter(_merges, node.pairs):
            sources = (
                [item.value for item in pair.value.items]
                if isinstance(pair.value, Items)
                else [pair.value]
            )
            for source in sources:
                if (
                    isinstance(source, Pairs)
                    and len(merging) < _BLOCK_DEPTH_LIMIT
                    and source not in (*merging, node)
                ):
                    yield from self.all_pairs(source, path, (*merging, node))
                elif path is not None:
                    self.report.note(
                        (*path, "<<"),
                        f"can merge only mappings, none into itself, and at most {_BLOCK_DEPTH_LIMIT} one into another",
                        line=pair.line,
                    )

    def twice(self, path: Path, first: Pair, again: Pair) -> None:
        before = f", first on line {first.line}" if first.line is not None else ""
        self.report.note(
            path, f"the key is written twice{before}: keep one of them", line=again.line
        )

    def remember(self, path: Path, line: int | None) -> None:
        if line is not None:
            self.report.lines.setdefault(path, line)


def _plain(node: Node) -> object:
    return node.value if isinstance(node, Scalar) else node


def _is(node: Node, key: str) -> bool:
    return isinstance(node, Scalar) and not node.merges and node.value == key


def _merges(pair: Pair) -> bool:
    return isinstance(pair.key, Scalar) and pair.key.merges


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    ((int, float), "a number"),
    (str, "text"),
    ((Pairs, dict), "a mapping"),
    ((Items, list), "a list"),
    (date, "a date"),
    (type(None), "empty"),
)


def kind_of(value: object) -> str:
    """What sort of value it is, in words for a person; never the value."""
    return next(
        (words for kind, words in _KINDS if isinstance(value, kind)), "a value of another kind"
    )


def _quote_it(value: object) -> str:
    return (
        "" if isinstance(value, (Pairs, Items, Opaque)) or value is None else ": put it in quotes"
    )
