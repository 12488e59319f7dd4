"""Putting what Cerberus found into sentences for the administrator who has to mend it.

A sentence never quotes a value: it says what the value should be, and the line says where it
stands.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from cerberus import errors

from .references import Resolved
from .report import Path, Report, Rules, rules_below
from .schema import FORMATS
from .tenant_data import kind_of
from .values import shown_duration

_TYPES: Mapping[str, str] = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "float": "a number",
    "boolean": "true or false",
    "dict": "a mapping of keys to values",
    "list": "a list",
    "date": "a date",
    "datetime": "a date and time",
}


_SHORT = 8
"""A text shorter than this is hardly a secret that was put in the wrong place."""


def complain(
    found: Iterable[Any], block: Path, rules: Rules, report: Report, secrets: Collection[str]
) -> None:
    """Note each of Cerberus' errors at its path, unless something is noted there already."""
    before = frozenset(report.around)
    for error in _leaves(found):
        path = (*block, *error.document_path)
        if path in before:
            continue
        report.note(path, _sentence(error, secrets), suggestion=_suggestion(error, rules))


def closest(word: object, known: Iterable[str]) -> str | None:
    """The one of the known words that was probably meant."""
    if not isinstance(word, str) or isinstance(word, Resolved):
        return None
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word[:80].lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def choice(words: Iterable[object], joint: str = "or") -> str:
    """``us, eu or india``"""
    shown = [str(word) for word in words]
    return f"{', '.join(shown[:-1])} {joint} {shown[-1]}" if len(shown) > 1 else "".join(shown)


def plugin_words(text: object, instead: str, *, secrets: Iterable[str], value: object) -> str:
    """What a plug-in says of `value`, or `instead` where that is nothing, or quotes the value or
    one of the secrets."""
    words = text if isinstance(text, str) else ""
    quotable = isinstance(value, str) and len(value) >= _SHORT
    for hidden in (*secrets, *([str(value)] if quotable else [])):
        if hidden and (hidden in words or repr(hidden)[1:-1] in words):
            return instead
    return re.sub(r"\s+", " ", words).strip()[:300] or instead


def _leaves(found: Iterable[Any]) -> Iterator[Any]:
    for error in found:
        if error.is_group_error and not error.is_logic_error:
            yield from _leaves(error.child_errors or ())
        else:
            yield error


def _sentence(error: Any, secrets: Iterable[str]) -> str:
    wanted, value = error.constraint, error.value
    match error.code:
        case errors.REQUIRED_FIELD.code:
            return "is missing"
        case errors.UNKNOWN_FIELD.code:
            return "is not a known key"
        case errors.NOT_NULLABLE.code:
            return "has no value: write one, or leave the key out"
        case errors.EMPTY_NOT_ALLOWED.code:
            return "must not be empty"
        case errors.BAD_TYPE.code:
            return _of_type(wanted, value)
        case errors.UNALLOWED_VALUE.code:
            return f"must be {choice(wanted)}"
        case errors.UNALLOWED_VALUES.code:
            return f"may hold only {choice(wanted, 'and')}"
        case errors.MIN_VALUE.code:
            return f"must be at least {_shown(wanted)}"
        case errors.MAX_VALUE.code:
            return f"must be at most {_shown(wanted)}"
        case errors.MIN_LENGTH.code:
            return f"must have at least {_counted(wanted, value)}"
        case errors.MAX_LENGTH.code:
            return f"must have at most {_counted(wanted, value)}"
        case errors.REGEX_MISMATCH.code:
            return f"does not have the form that is expected ({wanted})"
        case errors.EXCLUDES_FIELD.code:
            return f"cannot stand beside {choice([wanted] if isinstance(wanted, str) else wanted)}"
        case errors.DEPENDENCIES_FIELD.code | errors.DEPENDENCIES_FIELD_VALUE.code:
            return f"needs something else beside it: {choice([wanted] if isinstance(wanted, str) else wanted, 'and')}"
        case errors.COERCION_FAILED.code | errors.CUSTOM.code:
            told = error.info[0] if error.info else None
            return plugin_words(
                told, "is not a value that the provider takes", secrets=secrets, value=value
            )
    return f"does not satisfy the provider's rule `{error.rule}`"


def _of_type(wanted: object, value: object) -> str:
    if isinstance(wanted, str) and wanted in FORMATS:
        try:
            FORMATS[wanted].parse(value)
        except ValueError as why:
            return str(why)
    names = (
        [wanted]
        if isinstance(wanted, str)
        else list(wanted)
        if isinstance(wanted, (list, tuple))
        else []
    )
    told = (
        f"must be {choice(_TYPES.get(name, name) for name in names)}, and this is {kind_of(value)}"
    )
    if isinstance(value, Resolved):
        return f"{told}, which is all that a reference can give"
    if "string" in names and not isinstance(value, (dict, list)):
        return f"{told}: put it in quotes"
    if isinstance(value, str) and {"integer", "number", "float", "boolean"} & set(names):
        return f"{told}: write it without quotes"
    return told


def _counted(count: int, value: object) -> str:
    one, many = ("character", "characters") if isinstance(value, str) else ("entry", "entries")
    return f"{count} {one if count == 1 else many}"


def _shown(value: object) -> str:
    return shown_duration(value) if isinstance(value, timedelta) else str(value)


def _suggestion(error: Any, rules: Rules) -> str | None:
    if error.code == errors.UNKNOWN_FIELD.code:
        around: Rules | None = rules
        for key in error.document_path[:-1]:
            around = rules_below(around, key) if around is not None else None
        keys = around.get("schema") if around is not None else None
        return closest(error.document_path[-1], keys) if isinstance(keys, Mapping) else None
    if error.code == errors.UNALLOWED_VALUE.code:
        return closest(error.value, (word for word in error.constraint if isinstance(word, str)))
    return None
