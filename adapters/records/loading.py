"""From JSON to a `TrainingRecord`, or to everything that is wrong with it.

cattrs walks the classes, and at each field the rule of the domain's own class decides, so what is
refused here is what the class itself refuses. cattrs gathers the complaints in a tree of errors,
which becomes problems with paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from difflib import get_close_matches
from functools import cache
from itertools import islice
from typing import Any, get_origin

import attrs
from cattrs import ClassValidationError, Converter, ForbiddenExtraKeysError, IterableValidationError
from cattrs.gen import make_dict_structure_fn, override

from ...domain.errors import Problem, RecordError
from ...domain.evidence import training_rules as rules
from ...domain.evidence.training import FieldError, Training, TrainingRecord
from .json_text import JsonError, parse, repeated_keys
from .moments import parse_moment

_MAX_PROBLEMS = 100


def load_record(
    data: bytes | str | Mapping[str, object], *, where: str = "record"
) -> TrainingRecord:
    """Read a training record.

    Args:
        data: a JSON text (UTF-8, at most 8 MiB), or the mapping that it was read into.
        where: what stands in front of each problem, such as a file's name.

    Returns:
        The record.

    Raises:
        RecordError: the record is not valid; it lists the first hundred problems with their
            paths. A record of an unknown schema_version is refused for that alone.
    """
    try:
        tree = _of_this_version(parse(data) if isinstance(data, (bytes, bytearray, str)) else data)
        repeated = list(repeated_keys(tree))
    except JsonError as error:
        raise RecordError((Problem(str(error), file=where, line=error.line),)) from None
    except FieldError as error:
        raise RecordError((Problem(error.complaint, error.path, where),)) from None
    problems = [Problem("stands more than once in its object", path) for path in repeated]
    if "schema_version" not in tree:
        problems.append(Problem("is missing", "schema_version"))
    try:
        record = _converter().structure(tree, TrainingRecord)
    except (ClassValidationError, FieldError) as error:
        problems += islice(_flattened(error, ""), _MAX_PROBLEMS + 1)
    if problems:
        raise RecordError(_listed(problems, where))
    return record


def _of_this_version(tree: object) -> Mapping[str, object]:
    if not isinstance(tree, Mapping):
        raise FieldError("", f"must be an object, not {rules.kind_of(tree)}")
    if "schema_version" in tree:
        field = attrs.fields(TrainingRecord).schema_version
        rules.version(None, field, _whole(tree["schema_version"]))
    return tree


def _listed(problems: list[Problem], where: str) -> tuple[Problem, ...]:
    different = list(dict.fromkeys(problems))
    listed = [attrs.evolve(problem, file=where) for problem in different[:_MAX_PROBLEMS]]
    if len(different) > _MAX_PROBLEMS:
        listed.append(Problem("there are more problems than these", file=where))
    return tuple(listed)


# Structuring: cattrs for the tree, the domain's rules for the fields.

_Read = Callable[[object], object]


@cache
def _converter() -> Converter:
    converter = Converter(detailed_validation=True, forbid_extra_keys=True)
    converter.register_structure_hook(str, lambda value, _: _text(value))
    converter.register_structure_hook_factory(attrs.has, lambda kind: _object_hook(converter, kind))
    return converter


def _object_hook(
    converter: Converter, kind: type[attrs.AttrsInstance]
) -> Callable[[object, object], object]:
    fields = attrs.fields(attrs.resolve_types(kind))
    optional = {field.name for field in fields if field.default is not attrs.NOTHING}
    hooks = {field.name: override(struct_hook=_field_hook(converter, field)) for field in fields}
    structure = make_dict_structure_fn(kind, converter, **hooks)  # type: ignore[arg-type]

    def hook(value: object, _: object) -> object:
        if not isinstance(value, Mapping):
            raise FieldError("", f"must be an object, not {rules.kind_of(value)}")
        if not all(isinstance(key, str) for key in value):
            raise FieldError("", "has a key that is not text")
        present = {k: v for k, v in value.items() if v is not None or k not in optional}
        try:
            return structure(present, kind)
        except ClassValidationError as error:
            # cattrs builds no object if one field is wrong, so the rule between two has not spoken.
            raise error.derive([*error.exceptions, *_between_fields(kind, value)]) from None

    return hook


def _between_fields(kind: type, value: Mapping[str, object]) -> Iterator[FieldError]:
    if kind is Training:
        try:
            rules.attempt_within(_whole(value.get("attempt")), _whole(value.get("max_attempts")))
        except FieldError as error:
            yield error


def _field_hook(
    converter: Converter, field: attrs.Attribute[Any]
) -> Callable[[object, object], object]:
    read = _reader(converter, field)

    def hook(value: object, _: object) -> object:
        value = read(value)
        value = field.converter(value) if field.converter else value  # type: ignore[operator]
        checked = field.validator is rules.json_object and isinstance(value, Mapping)
        if field.validator and not checked:
            try:
                field.validator(None, field, value)
            except FieldError as error:
                raise FieldError(error.path.removeprefix(field.name), error.complaint) from None
        return value

    return hook


def _reader(converter: Converter, field: attrs.Attribute[Any]) -> _Read:
    """What makes of a JSON value the value that the field's rule expects."""
    kind: Any = field.type
    if kind is datetime:
        return _moment
    if get_origin(kind) is tuple:
        return lambda value: converter.structure(value, kind) if _is_list(value) else value
    if attrs.has(kind):
        return lambda value: converter.structure(value, kind)
    if field.validator is rules.json_object:
        return _json
    return _whole if field.validator in (rules.count, rules.version) else lambda value: value


def _text(value: object) -> object:
    if not isinstance(value, str):
        raise FieldError("", f"must be text, not {rules.kind_of(value)}")
    for flaw in rules.flaws_of(value, ""):
        raise flaw
    return value


def _moment(value: object) -> object:
    try:
        return parse_moment(value) if isinstance(value, str) else value
    except ValueError as error:
        raise FieldError("", str(error)) from None


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple))


def _whole(value: object) -> object:
    """2 from 2.0: JSON has one kind of number, and some languages write it with a point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _json(value: object) -> object:
    flaws = rules.flaws_of(value, "") if isinstance(value, Mapping) else ()
    if first := list(islice(flaws, _MAX_PROBLEMS + 1)):
        raise ExceptionGroup("not JSON", first)
    return value


def _flattened(error: Exception, path: str) -> Iterator[Problem]:
    """The problems in cattrs' tree of errors."""
    match error:
        case ClassValidationError():
            placed, others = error.group_exceptions()
            for inner, note in placed:
                yield from _flattened(inner, rules.path_to(path, note.name))
            for inner in others:
                yield from _flattened(inner, path)
        case IterableValidationError():
            for inner, place in error.group_exceptions()[0]:
                yield from _flattened(inner, f"{path}[{place.index}]")
        case ExceptionGroup():
            for inner in error.exceptions:
                yield from _flattened(inner, path)
        case ForbiddenExtraKeysError():
            known = [field.name for field in attrs.fields(error.cl)]
            for key in sorted(error.extra_fields):
                near = next(iter(get_close_matches(key, known, n=1)), None)
                listed = "" if near else f"; known are {', '.join(known)}"
                here = rules.path_to(path, key)
                yield Problem(f"is not a known key{listed}", here, suggestion=near)
        case FieldError():
            joint = "." if path and error.path and not error.path.startswith("[") else ""
            yield Problem(error.complaint, f"{path}{joint}{error.path}")
        case KeyError():
            yield Problem("is missing", path)
        case _:
            yield Problem(f"cannot be read ({type(error).__name__})", path)
