"""Reading a host's own mapping into nodes, for hosts that keep their tenants in a database.

Only what is ours is looked at: the tenant's names and the way down to the block.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TypeAlias

from .nodes import DEPTH_LIMIT, Item, Items, Node, Opaque, Pair, Pairs, Scalar

_Known: TypeAlias = dict[int, tuple[object, Node]]
"""What stands in several places, or within itself, by its id; the object is kept so that the id
stays its own."""

_TOO_DEEP = Opaque(f"nested deeper than {DEPTH_LIMIT} levels")


def read_mapping(tenant: object, block: tuple[str, ...]) -> Node:
    """The nodes of one tenant's mapping: ``tenant``, ``name`` and the keys on the way down to
    the block."""
    if not isinstance(tenant, Mapping):
        return _node(tenant, {}, 0)
    found = [
        Pair(Scalar(key), None, _node(tenant[key], {}, 0))
        for key in ("tenant", "name")
        if key in tenant
    ]
    if block[0] in tenant:
        found.append(Pair(Scalar(block[0]), None, _on_the_way(tenant[block[0]], block[1:])))
    return Pairs(found)


def _on_the_way(value: object, rest: tuple[str, ...]) -> Node:
    if not rest or not isinstance(value, Mapping):
        return _node(value, {}, 0)
    return Pairs(
        [Pair(Scalar(rest[0]), None, _on_the_way(value[rest[0]], rest[1:]))]
        if rest[0] in value
        else []
    )


def _node(value: object, known: _Known, depth: int) -> Node:
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
                pairs.pairs.append(
                    Pair(_node(key, known, depth + 1), None, _node(member, known, depth + 1))
                )
            return pairs
        case list() | tuple():
            items = Items()
            known[id(value)] = (value, items)
            items.items.extend(Item(None, _node(member, known, depth + 1)) for member in value)
            return items
        case _:
            return Scalar(
                Opaque("neither text, a number, true or false, a date, a list nor a mapping")
            )
