"""The rules of the block: ours, which are the same for every provider, and the provider's own
fragment beside them.

Cerberus does the checking. It is taught a few types that a fragment may name like its own:

``secret``    a ``${NAME}`` reference; the value that it stands for is one line of visible ASCII
``endpoint``  an https URL, or http on loopback
``proxy``     the URL of a proxy
``duration``  ``5s``, ``1h`` or a number of seconds; becomes a timedelta
``size``      ``25MB`` or a number of bytes; becomes a whole number
``pace``      ``10/min``; becomes a Pace

They are read where a value has one such type by itself, not in lists of types and not below anyof
and its like.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ClassVar

import cerberus
from attrs import field, frozen
from cerberus.errors import BaseErrorHandler
from cerberus.schema import DefinitionSchema

from ...domain.integration import Pace
from .references import Resolved, secret_text
from .report import Rules
from .urls import Endpoint, Proxy, parse_endpoint, parse_proxy
from .values import Size, parse_duration, parse_pace, parse_size


class SecretText(Resolved):
    """A credential that has been looked up and found fit to be sent."""


def _parse_secret(value: object) -> SecretText:
    text = secret_text(value)
    return SecretText(str.__str__(text), text.reference)


@frozen
class Format:
    """A type of ours: what it is read to, and how; `parse` raises ValueError with the advice."""

    made: type
    parse: Callable[[object], object]

    def coerce(self, value: object) -> object:
        """What is meant by `value`; one that cannot be read stays as it is, for the check of the
        type to refuse."""
        try:
            return self.parse(value)
        except ValueError:
            return value


FORMATS: Mapping[str, Format] = {
    "secret": Format(SecretText, _parse_secret),
    "endpoint": Format(Endpoint, parse_endpoint),
    "proxy": Format(Proxy, parse_proxy),
    "duration": Format(timedelta, parse_duration),
    "size": Format(Size, parse_size),
    "pace": Format(Pace, parse_pace),
}

_MOMENT = timedelta(milliseconds=1)

CORE: Mapping[str, Mapping[str, object]] = {
    "provider": {"type": "string", "required": True},
    "enabled": {"type": "boolean"},
    "retry": {
        "type": "dict",
        "schema": {
            "max_attempts": {"type": "integer", "min": 1, "max": 100},
            "initial_delay": {"type": "duration"},
            "max_delay": {"type": "duration"},
            "retry_after_limit": {"type": "duration"},
        },
    },
    "on_unclear": {"type": "string", "allowed": ["retry", "hold"]},
    "pace": {"type": "pace"},
    "timeout": {
        "type": "dict",
        "schema": {
            "connect": {"type": "duration", "min": _MOMENT},
            "idle": {"type": "duration", "min": _MOMENT},
            "total": {"type": "duration", "min": _MOMENT},
        },
    },
    "max_bytes": {"type": "size"},
    "proxy": {"type": "proxy"},
    "ca_bundle": {"type": "string", "empty": False},
}


class FragmentError(Exception):
    """A provider's fragment is no fragment; the message says why."""


class _AsTheyAre(BaseErrorHandler):  # type: ignore[misc]
    """Leaves Cerberus' errors as they are; `complaints` puts them into words."""

    def __call__(self, errors: Any) -> list[Any]:
        return list(errors)


# Cerberus builds its class by calling its metaclass, which no type checker can follow.
_Validator: Any = cerberus.Validator


class _BlockValidator(_Validator):  # type: ignore[misc]
    types_mapping: ClassVar[dict[str, Any]] = {
        **_Validator.types_mapping,
        # YAML's yes and no are numbers to Python, and to nobody else.
        "integer": cerberus.TypeDefinition("integer", (int,), (bool,)),
        "float": cerberus.TypeDefinition("float", (float, int), (bool,)),
        **{name: cerberus.TypeDefinition(name, (fmt.made,), ()) for name, fmt in FORMATS.items()},
    }


class _Judged(DefinitionSchema):  # type: ignore[misc]
    """A schema that was found valid once. Cerberus would judge every field of it again for every
    tenant, at twice the time."""

    def copy(self) -> dict[str, Any]:
        return dict(self.schema)


@frozen
class BlockSchema:
    """All that may stand in a block. `strict`: whether other keys are refused, which needs a
    provider that is known."""

    rules: dict[str, dict[str, object]]
    strict: bool
    validator: Any = field(init=False, repr=False)

    @validator.default
    def _with_rules(self) -> Any:
        validator = _BlockValidator({}, allow_unknown=not self.strict, error_handler=_AsTheyAre())
        validator.schema = _Judged(validator, self.rules)
        return validator

    def check(self, settings: Mapping[str, object]) -> tuple[dict[str, Any], list[Any]]:
        """The settings with defaults filled in and values read, and Cerberus' errors."""
        self.validator.validate(settings)
        return self.validator.document, self.validator.errors

    def as_rules(self) -> Rules:
        """The same as the rules of one value, the block itself."""
        return {"type": "dict", "schema": self.rules}


def core_schema() -> BlockSchema:
    """The rules for a block whose provider is not known."""
    return BlockSchema({key: _taught(rules) for key, rules in CORE.items()}, strict=False)


def schema_with(fragment: object) -> BlockSchema:
    """The rules for a provider's blocks. Raises FragmentError."""
    if not isinstance(fragment, Mapping) or not all(
        isinstance(rules, Mapping) for rules in fragment.values()
    ):
        raise FragmentError("its schema is not a mapping of keys to rules")
    taken = sorted(set(fragment) & set(CORE))
    if taken:
        raise FragmentError(f"its schema claims keys that every block has: {', '.join(taken)}")
    rules = {key: _taught(own) for key, own in {**CORE, **fragment}.items()}
    try:
        return BlockSchema(rules, strict=True)
    except (
        Exception
    ) as error:  # Cerberus has no one error for a schema that it cannot make sense of
        raise FragmentError(
            f"its schema is not one that Cerberus takes ({type(error).__name__}: {error})"
        ) from None


def _taught(rules: Mapping[str, Any]) -> dict[str, object]:
    """The rules with the reading of our types put in front of whatever else is done to a value."""
    taught: dict[str, Any] = dict(rules)
    kind = rules.get("type")
    fmt = FORMATS.get(kind) if isinstance(kind, str) else None
    if fmt is not None:
        own = rules.get("coerce", [])
        taught["coerce"] = [fmt.coerce, *(own if isinstance(own, (list, tuple)) else [own])]
    below = rules.get("schema")
    if isinstance(below, Mapping):
        is_one = kind == "list" or not all(isinstance(member, Mapping) for member in below.values())
        taught["schema"] = (
            _taught(below) if is_one else {key: _taught(member) for key, member in below.items()}
        )
    for rule in ("valuesrules", "keysrules"):
        if isinstance(rules.get(rule), Mapping):
            taught[rule] = _taught(rules[rule])
    if isinstance(rules.get("items"), (list, tuple)):
        taught["items"] = [
            _taught(member) if isinstance(member, Mapping) else member for member in rules["items"]
        ]
    return taught
