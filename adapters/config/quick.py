"""Accepting a valid block without Cerberus, which takes a millisecond for five values.

The common rules are turned into functions, once for a schema. They accept only what Cerberus
accepts, with the same result, and say nothing about the rest: what they refuse, and every schema
with a rule that is not here, is left to Cerberus, whose errors are the messages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Accept: TypeAlias = Callable[[Any], Any]
"""Returns the value as it is read; raises any exception if it does not accept it."""

_RULES = {
    *("type", "coerce", "required", "excludes", "schema", "allowed", "regex", "empty"),
    *("min", "max", "minlength", "maxlength", "meta"),
}


class _Refused(Exception):
    """The value is not accepted here."""


class _Unknown(Exception):
    """The rules hold something that is not known here."""


def accepting(rules: Mapping[str, Any], types: Mapping[str, Any]) -> Accept | None:
    """What accepts mappings by the rules of their keys; None if these hold other rules than here.

    Args:
        rules: what Cerberus calls a schema.
        types: Cerberus' definitions of the types, by name.
    """
    try:
        return _mapping(rules, types)
    except Exception:  # odd rules of a plug-in: Cerberus says what it thinks of them
        return None


def _mapping(rules: Mapping[str, Any], types: Mapping[str, Any]) -> Accept:
    by_key = {key: _value(of_key, types) for key, of_key in rules.items()}
    required = {key for key, of_key in rules.items() if of_key.get("required")}
    pairs = [(key, rules[key]["excludes"]) for key in rules if "excludes" in rules[key]]
    apart = [(key, {others} if isinstance(others, str) else {*others}) for key, others in pairs]

    def accept(values: Mapping[str, Any]) -> dict[str, Any]:
        if not required <= values.keys():
            raise _Refused
        if any(key in values and not others.isdisjoint(values) for key, others in apart):
            raise _Refused
        return {key: by_key[key](value) for key, value in values.items()}

    return accept


def _value(rules: Mapping[str, Any], types: Mapping[str, Any]) -> Accept:
    kind, coerce = rules["type"], rules.get("coerce", ())
    processors = coerce if isinstance(coerce, (list, tuple)) else (coerce,)
    if not _RULES.issuperset(rules) or not all(map(callable, processors)):
        raise _Unknown
    included, excluded = types[kind].included_types, types[kind].excluded_types
    members = _members(kind, rules["schema"], types) if "schema" in rules else None
    fits = _limits(rules)

    def accept(value: Any) -> Any:
        for processor in processors:
            value = processor(value)
        if not isinstance(value, included) or isinstance(value, excluded):
            raise _Refused
        if members is not None:
            value = members(value)
        for fit in fits:
            if not fit(value):
                raise _Refused
        return value

    return accept


def _members(kind: str, rules: Mapping[str, Any], types: Mapping[str, Any]) -> Accept:
    if kind == "dict":
        return _mapping(rules, types)
    if kind != "list":
        raise _Unknown
    of_one = _value(rules, types)
    return lambda values: [of_one(one) for one in values]


def _limits(rules: Mapping[str, Any]) -> list[Callable[[Any], bool]]:
    """The checks of a value that has the right type, in any order: all of them must hold."""
    fits: list[Callable[[Any], bool]] = []
    if "min" in rules:
        least = rules["min"]
        fits.append(lambda value: value >= least)
    if "max" in rules:
        most = rules["max"]
        fits.append(lambda value: value <= most)
    if "minlength" in rules:
        shortest = rules["minlength"]
        fits.append(lambda value: len(value) >= shortest)
    if "maxlength" in rules:
        longest = rules["maxlength"]
        fits.append(lambda value: len(value) <= longest)
    if "empty" in rules and not rules["empty"]:
        fits.append(lambda value: not hasattr(value, "__len__") or len(value) > 0)
    if "allowed" in rules:
        allowed = rules["allowed"]
        fits.append(
            lambda value: (
                all(one in allowed for one in value)
                if isinstance(value, list)
                else isinstance(value, (str, int)) and value in allowed
            )
        )
    if "regex" in rules:
        form = re.compile(rules["regex"] if rules["regex"].endswith("$") else rules["regex"] + "$")
        fits.append(lambda value: form.match(value) is not None)
    return fits
