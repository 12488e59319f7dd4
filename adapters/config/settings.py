"""From checked values to a provider's own settings class, and to the form in which it is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import attrs
from cattrs import BaseValidationError, Converter

from ...domain.integration import Pace
from ...domain.secrets.secret import Secret
from .references import SecretText
from .report import Path

References = Mapping[Secret, str]
"""Each secret with the reference that it came from."""


def settings_converter() -> Converter:
    """Structures a provider's settings class from values that its schema has accepted."""
    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook(Secret, _secret)
    converter.register_structure_hook(str, _text)
    for kept in (timedelta, date, Pace):
        converter.register_structure_hook_func(_is(kept), _as_it_is)
    for shown_later in (Secret, Pace):
        converter.register_unstructure_hook(shown_later, lambda value: value)
    return converter


def _is(kind: type) -> Any:
    return lambda candidate: isinstance(candidate, type) and issubclass(candidate, kind)


def _secret(value: object, _: object) -> Secret:
    if not isinstance(value, SecretText):
        said = "yet its schema does not give it the type `secret`"
        raise ValueError(f"is a secret in the provider's settings, {said}")
    return Secret(str.__str__(value))


def _text(value: object, _: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")
    return str.__str__(value)


def _as_it_is(value: object, kind: type) -> object:
    if not isinstance(value, kind):
        raise ValueError(f"must be a {kind.__name__}")
    return value


def faults(
    error: Exception, settings_class: type, values: Mapping[str, object], converter: Converter
) -> list[tuple[Path, str]]:
    """Where a settings class refused its values, below the block, and what it said."""
    found = list(_leaves(error, ()))
    placed = [fault for fault in found if fault[0]]
    if len(placed) == len(found) or not attrs.has(settings_class):
        return found
    asked_again = list(_validated(settings_class, values, converter))
    return placed + (asked_again or [fault for fault in found if not fault[0]])


def _leaves(error: BaseException, path: Path) -> Iterator[tuple[Path, str]]:
    if not isinstance(error, BaseValidationError):
        yield path, _words(error)
        return
    for member in error.exceptions:
        notes = getattr(member, "__notes__", ())
        steps = [getattr(note, "name", getattr(note, "index", None)) for note in notes]
        below = [step for step in steps if step is not None][:1]
        yield from _leaves(member, (*path, *below))


def _validated(
    settings_class: type, values: Mapping[str, object], converter: Converter
) -> Iterator[tuple[Path, str]]:
    """The words of each field's own validator, asked alone: so they get a place and none hides
    another."""
    fields = attrs.fields(attrs.resolve_types(settings_class))
    given = [field for field in fields if field.name in values]
    try:
        built = SimpleNamespace(
            **{field.name: converter.structure(values[field.name], field.type) for field in given}
        )
    except Exception:  # what cannot be built by parts has its words from the whole already
        return
    for field in given:
        try:
            if field.validator is not None:
                field.validator(built, field, getattr(built, field.name))
        except (ValueError, TypeError) as error:
            yield (field.name,), _words(error).removeprefix(f"{field.name} ")
        except Exception:  # a validator that needs more of its instance than there is
            continue


def _words(error: BaseException) -> str:
    return error.args[0] if error.args and isinstance(error.args[0], str) else ""


def secrets_in(values: object) -> Iterator[SecretText]:
    """Every resolved credential below `values`, in the order of the keys."""
    match values:
        case SecretText():
            yield values
        case Mapping():
            for key in sorted(values, key=str):
                yield from secrets_in(values[key])
        case list() | tuple():
            for value in values:
                yield from secrets_in(value)


def stored_settings(
    settings: object, references: References, converter: Converter
) -> dict[str, object]:
    """The settings as JSON values, defaults included; a secret's reference stands for the secret."""
    plain = _json(converter.unstructure(settings), references)
    return plain if isinstance(plain, dict) else {}


def _json(value: object, references: References) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case SecretText():
            return value.reference
        case str():
            # A key that also stands in a field that is no secret is still one.
            text = str.__str__(value)
            return references.get(Secret(text), text)
        case Secret():
            return references.get(value, "***")
        case timedelta():
            return value.total_seconds()
        case date():
            return value.isoformat()
        case Pace():
            return str(value)
        case Mapping():
            return {str(key): _json(member, references) for key, member in value.items()}
        case Set():
            return sorted((_json(member, references) for member in value), key=repr)
        case Sequence():
            return [_json(member, references) for member in value]
    return f"<{type(value).__name__}>"
