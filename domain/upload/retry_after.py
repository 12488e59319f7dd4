"""Reading a Retry-After header, in both forms that HTTP knows: a number of seconds, and a date.

Defined by RFC 9110, sections 10.2.3 and 5.6.7. Total: any text at all gives seconds or None, never
an error.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

LONGEST = 10 * 366 * 86_400.0
"""No answer is longer than ten years, in seconds: whatever a server writes stays a number one can
calculate with."""

_SECONDS = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_CLOCK = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_DATES = (
    # Sun, 06 Nov 1994 08:49:37 GMT, and the old form Sunday, 06-Nov-94 08:49:37 GMT
    re.compile(
        r"[A-Za-z]+, (?P<day>[0-9]{1,2})[ -](?P<month>[A-Za-z]{3})[ -](?P<year>[0-9]{4}|[0-9]{2}) "
        rf"{_CLOCK} (?:GMT|UTC)"
    ),
    # Sun Nov  6 08:49:37 1994, the form of C's asctime
    re.compile(
        rf"[A-Za-z]{{3}} (?P<month>[A-Za-z]{{3}}) +(?P<day>[0-9]{{1,2}}) {_CLOCK} (?P<year>[0-9]{{4}})"
    ),
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def retry_after_seconds(value: str | None, received_at: datetime) -> float | None:
    """How many seconds after `received_at` (aware) a server wants to be asked again; 0.0 for a date
    that is past.

    None where there is no header, or where it says neither a number of seconds nor a date.
    """
    text = value.strip() if value is not None else ""
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST)
    when = _date(text, received_at.astimezone(UTC).year)
    if when is None:
        return None
    return min(max((when - received_at).total_seconds(), 0.0), LONGEST)


def _date(text: str, this_year: int) -> datetime | None:
    match = next(filter(None, (form.fullmatch(text) for form in _DATES)), None)
    if match is None or match["month"].lower() not in _MONTHS:
        return None
    year = int(match["year"])
    if len(match["year"]) == 2:
        # A year of two digits that seems to lie more than 50 years ahead is the last one that ended
        # so.
        year += this_year // 100 * 100
        year -= 100 if year > this_year + 50 else 0
    try:
        return datetime(
            year,
            _MONTHS.index(match["month"].lower()) + 1,
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            min(int(match["second"]), 59),  # 60 is a leap second, which a datetime does not know
            tzinfo=UTC,
        )
    except ValueError:
        return None
