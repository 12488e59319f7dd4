"""Reads Retry-After, a number of seconds or a date (RFC 9110, sections 10.2.3 and 5.6.7).

Any text gives seconds or None, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_RETRY_AFTER = 10 * 366 * 86_400.0
"""The greatest answer, in seconds (ten years): a number that one can calculate with."""

_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_SEVERAL = re.compile(rf"{_SECONDS.pattern}(?: *, *{_SECONDS.pattern})*")
_TWO_DIGIT_YEAR = re.compile(r"(?<=-)[0-9]{2}(?= )")
_YEAR_BEFORE_100 = re.compile(r" 00[0-9]{2}\b")
_LEAP_SECOND = re.compile(r"(?<=:[0-9]{2}:)60")


def retry_after(values: Iterable[str], date: str | None, received_at: datetime) -> float | None:
    """The longest wait that a reply asks for.

    Args:
        values: Every Retry-After header of the reply.
        date: Its Date header. A date in Retry-After is a moment of the server's clock.
        received_at: When the reply came by our clock (aware), which counts if `date` is no date.

    Returns:
        Seconds, or None if no value is a number of seconds or a date.
    """
    now = (_moment(date, received_at) if date else None) or received_at
    waits = (retry_after_seconds(value, now) for value in values)
    return max((wait for wait in waits if wait is not None), default=None)


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """The wait that one Retry-After header asks for, counted from `now` (aware): 0.0 for a date
    that is past, None for neither a number of seconds nor a date."""
    text = value.strip() if value is not None else ""
    if _SEVERAL.fullmatch(text):
        return min(max(map(float, _SECONDS.findall(text))), MAX_RETRY_AFTER)
    when = _moment(text, now)
    if when is None:
        return None
    return min(max((when - now).total_seconds(), 0.0), MAX_RETRY_AFTER)


def _moment(text: str, now: datetime) -> datetime | None:
    if _YEAR_BEFORE_100.search(text):  # the standard library takes it for one of this century
        return None
    text = _LEAP_SECOND.sub("59", text)  # a datetime has no leap second
    text = _TWO_DIGIT_YEAR.sub(lambda digits: str(_year(int(digits[0]), now)), text)
    try:
        when = parsedate_to_datetime(text)
        return when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _year(two_digits: int, now: datetime) -> int:
    """The year with these last digits that is at most 50 years ahead."""
    this_year = now.astimezone(UTC).year
    year = this_year // 100 * 100 + two_digits
    return year - 100 if year > this_year + 50 else year
