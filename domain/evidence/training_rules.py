"""What the fields of a training record may hold.

Each validator is named for the kind of value that it accepts; the published JSON Schema has an
entry for each. The converters run before them and give equal records one form. A converter leaves a
value that it does not understand alone, and the validator says what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any, Final

from attrs import Attribute

SCHEMA_VERSION: Final = 1
LANGUAGE: Final = r"^[A-Za-z]{2,3}(-[A-Za-z]{4})?(-([A-Za-z]{2}|[0-9]{3}))?$"
STATUSES: Final = ("passed", "exhausted")
MAX_ID_LENGTH: Final = 512
MAX_COUNT: Final = 1_000_000
MAX_DEPTH: Final = 64
_ROUNDING = 1e-9
_MAX_BITS = 14_000  # about 4,200 decimal digits: Python refuses to read or write a number of 4,300

_HALF_A_CHARACTER = re.compile(r"[\ud800-\udfff]")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")


Rule = Callable[[Any, "Attribute[Any]", Any], None]


class FieldError(ValueError):
    """A value that a record cannot hold: `path` says where, relative to the object being built, and
    `complaint` says why."""

    def __init__(self, path: str, complaint: str) -> None:
        self.path = path
        self.complaint = complaint
        super().__init__(f"{path} {complaint}")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled with its arguments, so that it may cross to another process."""
        return type(self), (self.path, self.complaint)


def kind_of(value: object) -> str:
    """The kind of a value in the words of JSON; never the value itself, which may be personal."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case Mapping():
            return "an object"
        case list() | tuple():
            return "a list"
        case _:
            return f"a Python {type(value).__name__}"


def path_to(path: str, key: object) -> str:
    """The path of an object's member: ``path.key``, or ``path['odd key']``; always printable."""
    if isinstance(key, str) and _PLAIN_KEY.fullmatch(key):
        return f"{path}.{key}" if path else key
    shown = ascii(key)
    return f"{path}[{shown if len(shown) <= 64 else shown[:60] + '...'}]"


def flaws_of(value: object, path: str, depth: int = 1) -> Iterator[FieldError]:
    """Everything that keeps `value` from being written as JSON; the record itself has depth 0."""
    match value:
        case None | bool():
            pass
        case str():
            if _HALF_A_CHARACTER.search(value):
                yield FieldError(
                    path, "holds half a character (a lone surrogate), which is not text"
                )
        case int():
            if value.bit_length() > _MAX_BITS:
                yield FieldError(path, "is a number of more than 4,200 digits")
        case float():
            if not isfinite(value):
                yield FieldError(path, "is not a finite number")
        case Mapping() | list() | tuple() if depth >= MAX_DEPTH:
            yield FieldError(path, f"is nested deeper than {MAX_DEPTH} levels")
        case Mapping():
            for key, member in value.items():
                here = path_to(path, key)
                if not isinstance(key, str):
                    yield FieldError(here, f"has {kind_of(key)} for a key; a key is text")
                elif _HALF_A_CHARACTER.search(key):
                    yield FieldError(here, "has half a character (a lone surrogate) in its key")
                yield from flaws_of(member, here, depth + 1)
        case list() | tuple():
            for index, member in enumerate(value):
                yield from flaws_of(member, f"{path}[{index}]", depth + 1)
        case _:
            yield FieldError(path, f"is {kind_of(value)}, which JSON does not know")


def text(instance: object, attribute: Attribute[Any], value: object) -> None:
    """Any text, also an empty one."""
    if not isinstance(value, str):
        raise FieldError(attribute.name, f"must be text, not {kind_of(value)}")
    for flaw in flaws_of(value, attribute.name):
        raise flaw


def title(instance: object, attribute: Attribute[Any], value: object) -> None:
    """Text that is not blank."""
    text(instance, attribute, value)
    if not str(value).strip():
        raise FieldError(attribute.name, "must not be empty")


def identifier(instance: object, attribute: Attribute[Any], value: object) -> None:
    """One line of text, not blank, at most `MAX_ID_LENGTH` characters: logs and file names show
    it."""
    title(instance, attribute, value)
    _one_line(attribute.name, str(value))


def digest(instance: object, attribute: Attribute[Any], value: object) -> None:
    """The host's own hash, with its method in front; it is only shown."""
    text(instance, attribute, value)
    if not str(value).startswith("sha256:"):
        raise FieldError(attribute.name, "must begin with sha256:")
    _one_line(attribute.name, str(value))


def language(instance: object, attribute: Attribute[Any], value: object) -> None:
    """A language, with a script and a region if need be: ``de``, ``pt-BR``, ``sr-Latn-RS``."""
    text(instance, attribute, value)
    if not re.fullmatch(LANGUAGE, str(value)):
        raise FieldError(attribute.name, "must be a language such as de, pt-BR or sr-Latn-RS")


def _one_line(name: str, value: str) -> None:
    if len(value) > MAX_ID_LENGTH:
        raise FieldError(name, f"must have at most {MAX_ID_LENGTH} characters, not {len(value)}")
    if _UNPRINTABLE.search(value):
        raise FieldError(name, "must not hold a control character or a line break")


def share(instance: object, attribute: Attribute[Any], value: object) -> None:
    """A number from 0 to 1: a score, or a threshold for one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FieldError(attribute.name, f"must be a number from 0 to 1, not {kind_of(value)}")
    if not 0 <= value <= 1:
        raise FieldError(attribute.name, f"must be a number from 0 to 1, not {_shown(value)}")


def count(instance: object, attribute: Attribute[Any], value: object) -> None:
    """A whole number, 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(attribute.name, f"must be a whole number, not {kind_of(value)}")
    if not 1 <= value <= MAX_COUNT:
        raise FieldError(
            attribute.name, f"must be a whole number from 1 to {MAX_COUNT:,}, not {_shown(value)}"
        )


def attempt_within(attempt: object, max_attempts: object) -> None:
    """An attempt is at most `max_attempts`; what is no count is left to its field's rule."""
    if isinstance(attempt, int) and isinstance(max_attempts, int) and attempt > max_attempts:
        raise FieldError(
            "attempt", f"is {_shown(attempt)}, but max_attempts is {_shown(max_attempts)}"
        )


def moment(instance: object, attribute: Attribute[Any], value: object) -> None:
    """A date and time with a time zone."""
    if not isinstance(value, datetime):
        raise FieldError(attribute.name, f"must be a date and time, not {kind_of(value)}")
    if value.utcoffset() is None:
        raise FieldError(attribute.name, "needs a time zone")
    if value.tzinfo is not UTC:
        raise FieldError(attribute.name, "lies outside the years 1 to 9999 of UTC")


def status(instance: object, attribute: Attribute[Any], value: object) -> None:
    """How a session that leaves evidence ended."""
    if value == "abandoned":
        raise FieldError(
            attribute.name,
            "is abandoned: such a session leaves no evidence, do not hand its record over",
        )
    if value not in STATUSES:
        shown = ascii(value)[:40] if isinstance(value, str) else kind_of(value)
        raise FieldError(attribute.name, f"must be passed or exhausted, not {shown}")


def version(instance: object, attribute: Attribute[Any], value: object) -> None:
    """The version of the record's form."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(attribute.name, f"must be {SCHEMA_VERSION}, not {kind_of(value)}")
    if value != SCHEMA_VERSION:
        raise FieldError(
            attribute.name, f"{_shown(value)} is not known; the known version is {SCHEMA_VERSION}"
        )


def json_object(instance: object, attribute: Attribute[Any], value: object) -> None:
    """Any JSON object."""
    if not isinstance(value, Mapping):
        raise FieldError(attribute.name, f"must be an object, not {kind_of(value)}")
    for flaw in flaws_of(value, attribute.name):
        raise flaw


def only(kind: type) -> Rule:
    """A value of one class."""

    def rule(instance: object, attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, kind):
            raise FieldError(attribute.name, f"must be {_words_for(kind)}, not {kind_of(value)}")

    return rule


def list_of(kind: type) -> Rule:
    """A list whose members are all of one class."""

    def rule(instance: object, attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, tuple):
            raise FieldError(attribute.name, f"must be a list, not {kind_of(value)}")
        for index, member in enumerate(value):
            here = f"{attribute.name}[{index}]"
            if not isinstance(member, kind):
                raise FieldError(here, f"must be {_words_for(kind)}, not {kind_of(member)}")
            for flaw in flaws_of(member, here) if kind is str else ():
                raise flaw

    return rule


def _words_for(kind: type) -> str:
    return "text" if kind is str else f"of class {kind.__name__}"


def _shown(number: float) -> str:
    if isinstance(number, int):
        return str(number) if number.bit_length() < 64 else "a number of many digits"
    return repr(number)  # with all of its digits: 1.01 and 1 are two numbers


# The converters, which run before the validators.


def as_number(value: float) -> float:
    """1 becomes 1.0 and -0.0 becomes 0.0, so that equal records are written alike.

    A number within a rounding error of a bound is the bound: a sum of weights comes to
    1.0000000000000002.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return min(1.0, max(0.0, value)) + 0.0 if -_ROUNDING <= value <= 1 + _ROUNDING else value


def in_utc(value: datetime) -> datetime:
    """The same moment in UTC; a moment without a time zone, or outside UTC's years, stays."""
    try:
        aware = isinstance(value, datetime) and value.utcoffset() is not None
        return value.astimezone(UTC) if aware else value
    except OverflowError:
        return value


def as_tuple(value: Iterable[Any]) -> tuple[Any, ...]:
    """A list as a tuple; a text stays, or it would become letters."""
    return tuple(value) if isinstance(value, (list, tuple)) else value  # type: ignore[return-value]


def as_optional_tuple(value: Iterable[Any] | None) -> tuple[Any, ...]:
    """The same, and an empty one for None."""
    return () if value is None else as_tuple(value)


def own_copy(value: Mapping[str, object]) -> Mapping[str, object]:
    """A copy that the host cannot change later, made of dicts and lists only."""
    try:
        return {} if value is None else _plain(value)  # type: ignore[no-any-return]
    except RecursionError:
        return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(member) for key, member in value.items()}
    return [_plain(member) for member in value] if isinstance(value, (list, tuple)) else value
