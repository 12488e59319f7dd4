"""Values that are written as a person would write them: ``5s``, ``25MB``, ``10/min``.

Each function takes what stands in the file and gives the value that is meant, or raises ValueError
with what should have been written. None of them quotes what was written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta

from ...domain.integration import Pace

LONGEST = timedelta(days=30)
LARGEST = 2**40
HIGHEST_PACE = 1_000_000

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(ms|s|m|h|d)?")
_SIZE = re.compile(r"([0-9]{1,13}) ?([A-Za-z]{1,3})?")
_PACE = re.compile(r"([0-9]{1,7})/(s|min|h)")

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}
_PERIODS = {"s": timedelta(seconds=1), "min": timedelta(minutes=1), "h": timedelta(hours=1)}


class Size(int):
    """A number of bytes that has been read from text or a number."""


def parse_duration(value: object) -> timedelta:
    """``500ms``, ``5s``, ``5m``, ``1h``, ``1d``, or a number of seconds; from nothing to 30
    days."""
    advice = "must be a duration such as 500ms, 5s, 5m or 1h, or a number of seconds"
    match value:
        case timedelta():
            return _bounded(value)
        case bool():
            raise ValueError(advice)
        case int() | float():
            seconds = float(value)
        case str() if found := _DURATION.fullmatch(value):
            seconds = float(found[1]) * _SECONDS[found[2] or "s"]
        case _:
            raise ValueError(advice)
    if not 0 <= seconds <= LONGEST.total_seconds():
        raise ValueError(f"must be between 0 and {LONGEST.days} days")
    return timedelta(seconds=seconds)


def _bounded(value: timedelta) -> timedelta:
    if not timedelta(0) <= value <= LONGEST:
        raise ValueError(f"must be between 0 and {LONGEST.days} days")
    return value


def parse_size(value: object) -> Size:
    """``25MB`` (millions of bytes), ``10MiB`` (of 1,048,576), ``500kB``, or a number of bytes;
    at least one."""
    advice = "must be a size such as 25MB, 10MiB or 500kB, or a number of bytes"
    match value:
        case bool():
            raise ValueError(advice)
        case int():
            size = int(value)
        case str() if (found := _SIZE.fullmatch(value)) and (found[2] or "B").lower() in _BYTES:
            size = int(found[1]) * _BYTES[(found[2] or "B").lower()]
        case _:
            raise ValueError(advice)
    if not 1 <= size <= LARGEST:
        raise ValueError("must be between 1 byte and 1024 GiB")
    return Size(size)


def parse_pace(value: object) -> Pace:
    """``10/min``: at most so many requests in any stretch of that length (s, min or h)."""
    if isinstance(value, Pace):
        return value
    found = _PACE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be a pace such as 2/s, 10/min or 100/h")
    limit = int(found[1])
    if not 1 <= limit <= HIGHEST_PACE:
        raise ValueError(f"must allow between 1 and {HIGHEST_PACE:,} requests")
    return Pace(limit, _PERIODS[found[2]])


def shown_duration(value: timedelta) -> str:
    """The duration as a person would write it in a tenant file."""
    seconds = value.total_seconds()
    units: Mapping[str, float] = dict(reversed(_SECONDS.items()))
    for unit, length in units.items():
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"


def shown_size(value: int) -> str:
    """The size as a person would write it in a tenant file."""
    for unit, length in (("GB", 10**9), ("MiB", 2**20), ("MB", 10**6), ("kB", 10**3)):
        if value and value % length == 0:
            return f"{value // length}{unit}"
    return f"{value} bytes"
