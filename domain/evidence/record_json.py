"""A `TrainingRecord` as JSON in one canonical form: what is kept of it, hashed, and compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from .moments import write_moment
from .training import TrainingRecord


def dump_record(record: TrainingRecord) -> dict[str, object]:
    """The record as JSON values without the absent ones; `load_record` reads them back."""
    return _members(record)


def record_json(record: TrainingRecord | Mapping[str, object]) -> bytes:
    """The record, or what `dump_record` made of it, as canonical JSON in UTF-8: equal records give
    equal bytes.

    The keys are sorted, and there are no spaces and no needless escapes.
    """
    form: dict[str, Any] = {"sort_keys": True, "ensure_ascii": False, "allow_nan": False}
    texts = dump_record(record) if isinstance(record, TrainingRecord) else record
    return json.dumps(texts, separators=(",", ":"), **form).encode("utf-8")


def _members(value: attrs.AttrsInstance) -> dict[str, object]:
    members = attrs.asdict(value, recurse=False)
    return {name: _plain(member) for name, member in members.items() if member is not None}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return write_moment(value)
    if isinstance(value, (tuple, list)):
        return [_plain(member) for member in value]
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    if attrs.has(type(value)):
        return _members(value)  # type: ignore[arg-type]
    return value
