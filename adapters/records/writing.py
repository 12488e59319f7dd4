"""From a `TrainingRecord` back to JSON, in one canonical form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import attrs

from ...domain.evidence.training import TrainingRecord
from .moments import write_moment


def dump_record(record: TrainingRecord) -> dict[str, object]:
    """The record as JSON values, which `load_record` reads back into an equal record. What is
    absent is left out."""
    return {key: _plain(value) for key, value in _members(record)}


def record_json(record: TrainingRecord) -> bytes:
    """The record as canonical JSON in UTF-8: sorted keys, no spaces, no escapes but the needed.
    Equal records, equal bytes."""
    return json.dumps(
        dump_record(record),
        sort_keys=True,
        ensure_ascii=False,
        allow_nan=False,
        separators=(",", ":"),
    ).encode("utf-8")


def _members(value: attrs.AttrsInstance) -> list[tuple[str, object]]:
    named = [
        (attribute.name, getattr(value, attribute.name)) for attribute in attrs.fields(type(value))
    ]
    return [(name, member) for name, member in named if member is not None]


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return write_moment(value)
    if isinstance(value, (tuple, list)):
        return [_plain(member) for member in value]
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    if attrs.has(type(value)):
        return {name: _plain(member) for name, member in _members(value)}  # type: ignore[arg-type]
    return value
