"""Values as a person writes them: ``5s``, ``25MB``, ``10/min``.

Each function takes what is written and returns the value that is meant, or raises ValueError with
what should have been written. None of them quotes what was written.
"""

from __future__ import annotations

import re
from datetime import timedelta

from .integration import PERIODS, Pace

MAX_DURATION = timedelta(days=30)
MAX_SIZE = 2**40
MAX_PACE = 1_000_000

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(ms|s|m|h|d)?")
_SIZE = re.compile(r"([0-9]{1,13}) ?([A-Za-z]{0,3})")
_PACE = re.compile(rf"([0-9]{{1,7}})/({'|'.join(PERIODS)})")

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
BYTES = {
    "": 1,
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}


class Size(int):
    """A number of bytes that was read from text or a number."""


def parse_duration(value: object) -> timedelta:
    """``500ms``, ``5s``, ``5m``, ``1h``, ``1d`` or a number of seconds, from 0 to 30 days."""
    seconds: float | None = None
    match value:
        case timedelta():
            seconds = value.total_seconds()
        case int() | float() if not isinstance(value, bool):
            seconds = float(value)
        case str() if found := _DURATION.fullmatch(value):
            seconds = float(found[1]) * SECONDS[found[2] or "s"]
    if seconds is None:
        raise ValueError("must be a duration such as 500ms, 5s, 5m or 1h, or a number of seconds")
    if not 0 <= seconds <= MAX_DURATION.total_seconds():
        raise ValueError(f"must be between 0 and {MAX_DURATION.days} days")
    return timedelta(seconds=seconds)


def parse_size(value: object) -> Size:
    """``25MB`` (25,000,000 bytes), ``10MiB`` (10 x 1,048,576), ``500kB`` or a number of bytes."""
    size: int | None = None
    match value:
        case int() if not isinstance(value, bool):
            size = int(value)
        case str() if (found := _SIZE.fullmatch(value)) and found[2].lower() in BYTES:
            size = int(found[1]) * BYTES[found[2].lower()]
    if size is None:
        raise ValueError("must be a size such as 25MB, 10MiB or 500kB, or a number of bytes")
    if not 1 <= size <= MAX_SIZE:
        raise ValueError("must be between 1 byte and 1024 GiB")
    return Size(size)


def parse_pace(value: object) -> Pace:
    """``10/min``: at most that many requests in any stretch of that length (s, min or h)."""
    if isinstance(value, Pace):
        return value
    found = _PACE.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("must be a pace such as 2/s, 10/min or 100/h")
    limit = int(found[1])
    if not 1 <= limit <= MAX_PACE:
        raise ValueError(f"must allow between 1 and {MAX_PACE:,} requests")
    return Pace(limit, PERIODS[found[2]])


def shown_duration(value: timedelta) -> str:
    """The duration as a person would write it in a tenant file."""
    seconds = value.total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    # As many digits as the longest duration has with its microseconds.
    return f"{seconds * 1000:.13g}ms" if 0 < seconds < 1 else f"{seconds:.13g}s"


def shown_size(value: int) -> str:
    """The size as a person would write it in a tenant file."""
    for unit, length in (("GB", 10**9), ("MiB", 2**20), ("MB", 10**6), ("kB", 10**3)):
        if value and value % length == 0:
            return f"{value // length}{unit}"
    return f"{value} bytes"
