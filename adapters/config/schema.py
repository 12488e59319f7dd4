"""The rules of a block, ours and the provider's beside them, and the words for what breaks them.

Cerberus checks. It is taught a few types that a provider's fragment can name like its own:

``secret``    a ``${NAME}`` reference; the value that it stands for is one line of visible ASCII
``endpoint``  an https URL, or http on loopback
``proxy``     the URL of a proxy
``duration``  ``5s``, ``1h`` or a number of seconds; becomes a timedelta
``size``      ``25MB`` or a number of bytes; becomes a whole number
``pace``      ``10/min``; becomes a Pace
``keep``      ``90d``, ``90d after success`` or ``never``; becomes a KeepPeriod

They are read where a value has one such type by itself, not in lists of types and not below anyof
and the like. A sentence about a problem never quotes a value: it says what the value should be.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar

import cerberus
from attrs import field, frozen
from cerberus import errors
from cerberus.errors import BaseErrorHandler
from cerberus.schema import DefinitionSchema

from ...domain.evidence.evidence import Outcome
from ...domain.integration import OnUnclear, Pace
from ...domain.retention import KeepPeriod, parse_of_failed
from ...domain.secrets.redaction import words_of
from ...domain.written import Size, parse_duration, parse_pace, parse_size, shown_duration
from . import urls
from .quick import Accept, accepting
from .references import Resolved, SecretText, parse_secret
from .report import Path, Report, Rules, rules_below
from .tenant_file import kind_of


@frozen
class Format:
    """A type of ours: what it is read to, and how; `parse` raises ValueError with the advice."""

    made: type
    parse: Callable[[object], object]

    def coerce(self, value: object) -> object:
        """What is meant by `value`; one that cannot be read stays for the type check to refuse."""
        try:
            return self.parse(value)
        except ValueError:
            return value


FORMATS: Mapping[str, Format] = {
    "secret": Format(SecretText, parse_secret),
    "endpoint": Format(urls.Endpoint, urls.parse_endpoint),
    "proxy": Format(urls.Proxy, urls.parse_proxy),
    "duration": Format(timedelta, parse_duration),
    "size": Format(Size, parse_size),
    "pace": Format(Pace, parse_pace),
    "keep": Format(KeepPeriod, KeepPeriod.parse),
    "keep_failed": Format(KeepPeriod, parse_of_failed),
}

_DURATION = {"type": "duration"}
_SOME_TIME = {"type": "duration", "min": timedelta(milliseconds=1)}

CORE: Mapping[str, Mapping[str, object]] = {
    "provider": {"type": "string", "required": True},
    "enabled": {"type": "boolean"},
    "retry": {
        "type": "dict",
        "schema": {
            "max_attempts": {"type": "integer", "min": 1, "max": 100},
            **dict.fromkeys(("initial_delay", "max_delay", "retry_after_limit"), _DURATION),
            "give_up_after": _SOME_TIME,
        },
    },
    "on_unclear": {"type": "string", "allowed": [one.value for one in OnUnclear]},
    "outcomes": {
        "type": "list",
        "minlength": 1,
        "schema": {"type": "string", "allowed": [one.value for one in Outcome]},
    },
    "park_limit": {"type": "duration"},
    "pace": {"type": "pace"},
    "timeout": {"type": "dict", "schema": dict.fromkeys(("connect", "idle", "total"), _SOME_TIME)},
    "max_bytes": {"type": "size"},
    "proxy": {"type": "proxy"},
    "ca_bundle": {"type": "string", "empty": False},
    "retention": {
        "type": "dict",
        "schema": {
            **{key: {"type": "keep"} for key in ("attempts", "personal")},
            "failed_documents": {"type": "keep_failed"},
        },
    },
}

RENAMED: Mapping[str, str] = {"on_unknown": "on_unclear"}
"""Keys of earlier versions, and what they are called now."""


class FragmentError(Exception):
    """A provider's fragment is no fragment; the message says why."""


class _KeepErrors(BaseErrorHandler):  # type: ignore[misc]
    """Leaves Cerberus' errors as they are, for `complain` to put into words."""

    def __call__(self, errors: Any) -> list[Any]:
        return list(errors)


# Cerberus builds its class by calling its metaclass, which no type checker can follow.
_Validator: Any = cerberus.Validator


class _BlockValidator(_Validator):  # type: ignore[misc]
    types_mapping: ClassVar[dict[str, Any]] = {
        **_Validator.types_mapping,
        # In Python YAML's yes and no are numbers too.
        "integer": cerberus.TypeDefinition("integer", (int,), (bool,)),
        "float": cerberus.TypeDefinition("float", (float, int), (bool,)),
        **{name: cerberus.TypeDefinition(name, (fmt.made,), ()) for name, fmt in FORMATS.items()},
    }


class _ValidSchema(DefinitionSchema):  # type: ignore[misc]
    """A schema that is valid: to check it takes longer than to read a hundred blocks."""

    def validate(self, schema: object = None) -> None:
        """Nothing: see `schema_with`."""

    def copy(self) -> dict[str, Any]:
        return dict(self.schema)


@frozen
class BlockSchema:
    """All that can stand in a block; other keys are refused if `strict`: the provider is known. The
    rules are valid."""

    rules: dict[str, dict[str, object]]
    strict: bool
    written: Mapping[str, Mapping[str, Any]] = field(factory=dict, repr=False)
    """The rules as we and the provider have written them."""
    quick: Any = field(init=False, repr=False)
    """An `Accept`, or None if the rules have none."""
    as_rules: Any = field(init=False, repr=False)
    """The same as the rules of one value, the block itself."""

    @cached_property
    def _validator(self) -> Any:
        """Made for the first block that is not accepted without it."""
        validator = _BlockValidator({}, allow_unknown=not self.strict, error_handler=_KeepErrors())
        validator.schema = _ValidSchema(validator, self.rules)
        return validator

    @quick.default
    def _for_valid_ones(self) -> Accept | None:
        return accepting(self.rules, _BlockValidator.types_mapping) if self.strict else None

    @as_rules.default
    def _of_the_block(self) -> Rules:
        return {"type": "dict", "schema": self.rules}

    def check(self, settings: Mapping[str, object]) -> tuple[dict[str, Any], list[Any]]:
        """The settings with defaults filled in and values read, and Cerberus' errors."""
        if self.quick is not None:
            with suppress(Exception):  # what is not accepted, Cerberus judges
                return self.quick(settings), []
        return self.judged(settings)

    def judged(self, settings: Mapping[str, object]) -> tuple[dict[str, Any], list[Any]]:
        """`check` by Cerberus."""
        self._validator.validate(settings)
        return self._validator.document, self._validator.errors


def schema_with(fragment: object) -> BlockSchema:
    """The rules for a provider's blocks. Raises FragmentError."""
    if not isinstance(fragment, Mapping) or not all(
        isinstance(rules, Mapping) for rules in fragment.values()
    ):
        raise FragmentError("its schema is not a mapping of keys to rules")
    taken = sorted(set(fragment) & set(CORE))
    if taken:
        raise FragmentError(f"its schema claims keys that every block has: {', '.join(taken)}")
    written = {**CORE, **fragment}
    rules = {key: _taught(own) for key, own in written.items()}
    try:
        DefinitionSchema(_BlockValidator(), {key: rules[key] for key in fragment})
        return BlockSchema(rules, strict=True, written=written)
    except Exception as error:  # Cerberus has no one error for a schema that it cannot read
        why = words_of(error)
        raise FragmentError(f"its schema is not one that Cerberus takes ({why})") from None


def _taught(rules: Mapping[str, Any]) -> dict[str, Any]:
    """The rules, with the reading of our types before anything else that is done to a value."""
    kind = rules.get("type")
    taught = {rule: _taught_below(rule, below, kind) for rule, below in rules.items()}
    fmt = FORMATS.get(kind) if isinstance(kind, str) else None
    if fmt is not None:
        own = rules.get("coerce", [])
        taught["coerce"] = [fmt.coerce, *(own if isinstance(own, (list, tuple)) else [own])]
    return taught


def _taught_below(rule: str, below: Any, kind: object) -> Any:
    """What a rule says of the members of a value: the rules of one, or of each by its key."""
    if rule == "items" and isinstance(below, (list, tuple)):
        return [_taught(one) if isinstance(one, Mapping) else one for one in below]
    if rule not in ("schema", "keysrules", "valuesrules") or not isinstance(below, Mapping):
        return below
    by_key = all(isinstance(member, Mapping) for member in below.values())
    if rule == "schema" and kind != "list" and by_key:
        return {key: _taught(member) for key, member in below.items()}
    return _taught(below)


UNKNOWN_PROVIDER = BlockSchema({key: _taught(rules) for key, rules in CORE.items()}, strict=False)
"""The rules for a block whose provider is not known."""


# The words


def complain(
    found: Iterable[Any], report: Report, secrets: Collection[str], unknown: Collection[Path]
) -> None:
    """Note each of Cerberus' errors at its path, unless a problem is noted there already. A value
    at one of the `unknown` paths in the block may be any text."""
    before = report.around()
    for error in _leaves(found):
        path = (*report.block, *error.document_path)
        if path not in before and not (error.document_path in unknown and _may_hold(error)):
            suggestion = _suggestion(error, report.rules)
            report.note(path, _sentence(error, secrets), suggestion=suggestion)


def _may_hold(error: Any) -> bool:
    """Whether another text than the one that was judged may be right."""
    kinds = error.constraint if isinstance(error.constraint, (list, tuple)) else [error.constraint]
    return error.code != errors.BAD_TYPE.code or not {"string", *FORMATS}.isdisjoint(kinds)


def closest(word: object, known: Iterable[str]) -> str | None:
    """The one of the known words that was probably meant."""
    if not isinstance(word, str) or isinstance(word, Resolved):
        return None
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word[:80].lower(), by_lower, n=1)
    return by_lower[found[0]] if found else None


def plugin_words(text: object, instead: str, *, secrets: Iterable[str], value: object) -> str:
    """A plug-in's words on `value`; `instead` if they are empty or quote the value or a secret."""
    words = text if isinstance(text, str) else ""
    # A shorter text is hardly a secret that was put in the wrong place.
    hidden = [*secrets, value] if isinstance(value, str) and len(value) >= 8 else secrets
    for secret in filter(None, map(str, hidden)):
        if secret in words or repr(secret)[1:-1] in words:
            return instead
    return re.sub(r"\s+", " ", words).strip()[:300] or instead


def _leaves(found: Iterable[Any]) -> Iterator[Any]:
    for error in found:
        if error.is_group_error and not error.is_logic_error:
            yield from _leaves(error.child_errors or ())
        else:
            yield error


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


_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|true|false", re.IGNORECASE | re.ASCII)
_ZERO_FIRST = re.compile(r"[-+]?0(?:o[0-7]+|[0-9]+)", re.IGNORECASE)


def _of_type(wanted: object, value: object) -> str:
    if isinstance(wanted, str) and wanted in FORMATS:
        try:
            FORMATS[wanted].parse(value)
        except ValueError as why:
            return str(why)
    names = wanted if isinstance(wanted, (list, tuple)) else [str(wanted)]
    meant = _choice([_TYPES.get(name, name) for name in names])
    message = f"must be {meant}, and this is {kind_of(value)}"
    if isinstance(value, Resolved):
        return f"{message}, which is all that a reference can give"
    if "string" in names and not isinstance(value, (dict, list)):
        return f"{message}: put it in quotes"
    if isinstance(value, str) and {"integer", "number", "float", "boolean"} & set(names):
        if "boolean" not in names and _ZERO_FIRST.fullmatch(value):
            return f"{message}, as its leading zero makes it: write it in decimal, without the zero"
        plain = _PLAIN.fullmatch(value)
        if plain or "boolean" not in names:
            return f"{message}: write {'it without quotes' if plain else 'a number, such as 10'}"
        return f"{message}: write true or false, without quotes"
    return message


def _choice(words: object, joint: str = "or") -> str:
    """``us, eu or india``"""
    if isinstance(words, str) or not isinstance(words, Collection):
        return str(words)
    shown = [str(word) for word in words]
    return f"{', '.join(shown[:-1])} {joint} {shown[-1]}" if len(shown) > 1 else "".join(shown)


def _counted(count: object, value: object) -> str:
    one, many = ("character", "characters") if isinstance(value, str) else ("entry", "entries")
    return f"{count} {one if count == 1 else many}"


_SENTENCES: Mapping[int, str] = {
    errors.REQUIRED_FIELD.code: "is missing",
    errors.NOT_NULLABLE.code: "has no value: write one",
    errors.EMPTY_NOT_ALLOWED.code: "must not be empty",
    errors.UNALLOWED_VALUE.code: "must be {either}",
    errors.UNALLOWED_VALUES.code: "may hold only {all}",
    errors.MIN_VALUE.code: "must be at least {wanted}",
    errors.MAX_VALUE.code: "must be at most {wanted}",
    errors.MIN_LENGTH.code: "must have at least {counted}",
    errors.MAX_LENGTH.code: "must have at most {counted}",
    errors.REGEX_MISMATCH.code: "does not have the form that is expected ({wanted})",
    errors.EXCLUDES_FIELD.code: "cannot stand beside {either}",
    errors.DEPENDENCIES_FIELD.code: "needs something else beside it: {all}",
    errors.DEPENDENCIES_FIELD_VALUE.code: "needs something else beside it: {all}",
}


def _sentence(error: Any, secrets: Iterable[str]) -> str:
    value, code = error.value, error.code
    if code == errors.UNKNOWN_FIELD.code:
        renamed = _renamed(error)
        return f"is now called {renamed}" if renamed else "is not a known key"
    if code in (errors.COERCION_FAILED.code, errors.CUSTOM.code):
        instead = "is not a value that the provider takes"
        message = error.info[0] if error.info else None
        return plugin_words(message, instead, secrets=secrets, value=value)
    wanted = error.constraint
    if code == errors.BAD_TYPE.code:
        return _of_type(wanted, value)
    if code in _SENTENCES:
        return _SENTENCES[code].format(
            wanted=shown_duration(wanted) if isinstance(wanted, timedelta) else wanted,
            either=_choice(wanted),
            all=_choice(wanted, "and"),
            counted=_counted(wanted, value),
        )
    return f"does not satisfy the provider's rule `{error.rule}`"


def _suggestion(error: Any, rules: Rules) -> str | None:
    if error.code == errors.UNALLOWED_VALUE.code:
        return closest(error.value, (word for word in error.constraint if isinstance(word, str)))
    if error.code != errors.UNKNOWN_FIELD.code or _renamed(error):
        return None
    *path, key = error.document_path
    around: Rules | None = rules
    for step in path:
        around = rules_below(around or {}, step)
    known = (around or {}).get("schema")
    return closest(key, known) if isinstance(known, Mapping) else None


def _renamed(error: Any) -> str | None:
    return RENAMED.get(error.document_path[0]) if len(error.document_path) == 1 else None
