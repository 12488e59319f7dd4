"""JSON text read strictly: equal keys in an object are reported (Python keeps the last one).

Numbers that are not finite stay in the tree, for the field that holds one to refuse.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any, Final

from ...domain.evidence.training_rules import MAX_DEPTH, path_to

MAX_BYTES: Final = 8 * 1024 * 1024
MAX_VALUES: Final = 100_000


class JsonError(ValueError):
    """The text is not JSON, or too large; `line` counts from 1."""

    def __init__(self, message: str, line: int | None = None) -> None:
        self.line = line
        super().__init__(message)


class _Repeating(dict[str, object]):
    """An object in whose text a key stood more than once."""

    repeated: tuple[str, ...] = ()


def parse(data: bytes | str) -> object:
    """The tree of a JSON text of at most 8 MiB. Raises JsonError, whatever the bytes."""
    if len(data) > MAX_BYTES:
        raise JsonError(f"is larger than {MAX_BYTES // (1024 * 1024)} MiB")
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise JsonError(f"is not UTF-8: byte {error.start} cannot be read") from None
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")
        raise JsonError(f"is not JSON: {what} at column {error.colno}", error.lineno) from None
    except RecursionError:
        raise JsonError(f"is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError:  # an integer of more digits than Python reads
        raise JsonError("holds a number of more than 4,200 digits") from None


def repeated_keys(tree: Mapping[str, object]) -> Iterator[str]:
    """The path of every key that stands more than once in its object.

    What lies too deep is not looked at, since the record's own rules refuse it.

    Raises:
        JsonError: the tree holds more than 100,000 values.
    """
    waiting: list[tuple[tuple[object, ...], Any]] = [((), tree)]
    seen = 1
    while waiting:
        way, value = waiting.pop()
        if isinstance(value, _Repeating):
            yield from (reduce(path_to, (*way, key), "") for key in value.repeated)
        if len(way) > MAX_DEPTH:
            continue
        seen += len(value)
        if seen > MAX_VALUES:
            raise JsonError(f"holds more than {MAX_VALUES:,} values")
        members = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, member in members:
            if isinstance(member, (dict, list, tuple, Mapping)):
                waiting.append(((*way, key), member))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    repeating = _Repeating(members)
    times = Counter(key for key, _ in pairs)
    repeating.repeated = tuple(key for key in members if times[key] > 1)
    return repeating
