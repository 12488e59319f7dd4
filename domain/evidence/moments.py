"""Dates and times as RFC 3339 writes them: ``2026-02-21T10:00:00Z``, always with a time zone."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Final

PATTERN: Final = (
    r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"[Tt](([01]\d|2[0-3]):[0-5]\d:[0-5]\d|([01]\d|2[0-3]):59:60)(\.\d{1,9})?"
    r"([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)$"
)
"""What a moment looks like, for a JSON Schema, which does not know how long a month is."""
_SHAPE = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
_LEAP_SECOND = re.compile(r"(?<=[0-9]:59:)60")

_SUCH_AS = "such as 2026-02-21T10:00:00Z"
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = rf"{_DAY}[Tt][0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}"
_POINT = r"(\.[0-9]+)?"

# What is wrong with a text that is nearly a moment; the first that fits the whole text is said.
_FAULTS: Final = (
    (_DAY, f"needs a time of day and a time zone, {_SUCH_AS}"),
    (rf"{_DAY} [0-9].*", f"needs a T between the date and the time, {_SUCH_AS}"),
    (rf"{_DAY}[Tt][0-9]{{2}}:[0-9]{{2}}([Zz]|[+-].*)?", f"needs seconds, {_SUCH_AS}"),
    (rf"{_TIME},.*", "needs a point before its fractions of a second, not a comma"),
    (
        rf"{_TIME}{_POINT}",
        "needs a time zone at its end: Z for UTC, or an offset such as +05:30",
    ),
    (rf"{_TIME}{_POINT}[+-][0-9]{{4}}", "needs a colon in its time zone, such as +05:30"),
    (rf"{_TIME}{_POINT}[+-][0-9]{{1,2}}", "needs minutes in its time zone, such as +05:30"),
    (rf"{_TIME}\.[0-9]{{10,}}.*", "has more than nine digits after its point"),
    (r"(?s:.*)", f"must be a date and time, {_SUCH_AS}"),
)
_ZONE = re.compile(r"Z$|:[0-5][0-9]$")  # `fromisoformat` takes 60 minutes and more
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]")


def parse_moment(text: str) -> datetime:
    """The moment that a text names; digits beyond microseconds are dropped.

    A leap second, ``23:59:60``, is read as the second before it.

    Raises:
        ValueError: the text names no moment; the message says what is wrong with it.
    """
    if not _SHAPE.fullmatch(text):
        raise ValueError(next(lack for form, lack in _FAULTS if re.fullmatch(form, text)))
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        raise ValueError("names a day that does not exist") from None
    read = _LEAP_SECOND.sub("59", text.upper())
    if not _CLOCK.match(read, 11):
        raise ValueError("names a time of day that does not exist")
    try:
        if not _ZONE.search(read):
            raise ValueError
        return datetime.fromisoformat(read)
    except ValueError:
        raise ValueError("names a time zone that does not exist") from None


def write_moment(moment: datetime) -> str:
    """The moment in UTC with a Z; fractions of a second only if there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
