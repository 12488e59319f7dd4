"""Whether what a host gives is of the kind that is asked for; if not, a MisuseError names it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from difflib import get_close_matches
from enum import Enum
from typing import Any, TypeVar

from .errors import MisuseError

T = TypeVar("T")
E = TypeVar("E", bound=Enum)
MISSING = type(None)

NO_TEXT = "(not UTF-8) "
"""Stands before what a database has in the place of a text and that is none."""


def of_kind(name: str, value: object, kind: Any, words: str) -> None:
    """MisuseError unless the value is of this kind, or of one of these kinds."""
    if not isinstance(value, kind):
        raise MisuseError(f"{name} must be {words}, not {type(value).__name__}")


def whole_number(name: str, value: object) -> None:
    """MisuseError unless this is an int. True and False are none."""
    of_kind(name, value, int, words := "a whole number")
    if isinstance(value, bool):
        raise MisuseError(f"{name} must be {words}, not {value}")


def number_of_seconds(name: str, value: object, *, at_least_0: bool = False) -> None:
    """MisuseError unless this is a number of seconds. A negative one may say that the time is
    over."""
    of_kind(name, value, (int, float), words := "a number of seconds")
    if isinstance(value, bool) or value != value or (at_least_0 and value < 0):  # type: ignore[operator]
        raise MisuseError(f"{name} must be {words}{', 0 or more' * at_least_0}, not {value}")


def several(name: str, values: Iterable[T], kind: Any, words: str) -> tuple[T, ...]:
    """The values; MisuseError unless each is of this kind. Text is not several letters."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise MisuseError(f"{name} must be a list, not {type(values).__name__}")
    given = tuple(values)
    for value in given:
        of_kind(f"each of {name}", value, kind, words)
    return given


def is_whole(text: str) -> bool:
    """Whether a text has no halves of characters, which no record can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def aware(name: str, value: object) -> None:
    """MisuseError unless this is a moment whose time zone is known."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise MisuseError(f"{name} must be a datetime with a time zone (aware), not {value!r}")


def word_of(kind: type[E], name: str, word: object) -> E:
    """The member of that value; MisuseError, with the nearest word, if no member has it."""
    try:
        return kind(word)
    except ValueError:
        words = [member.value for member in kind]
        near = get_close_matches(word, words) if isinstance(word, str) else ()
        help_ = f": did you mean {near[0]!r}?" if near else f"; known are {', '.join(words)}"
        raise MisuseError(f"{word!r} is no {name}{help_}") from None
