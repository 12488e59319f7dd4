"""From JSON to a `TrainingRecord`, or to everything that is wrong with it.

The fields of the domain's own classes say what is read, and at each field its own rule decides:
what is refused here is what the class itself refuses. This walk is shorter than cattrs with a hook
for each field and a second walk over its tree of errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from functools import cache
from typing import Any, get_args, get_origin

import attrs

from ...domain.errors import Problem, RecordError
from ...domain.evidence import training_rules as rules
from ...domain.evidence.moments import parse_moment
from ...domain.evidence.training import FieldError, Training, TrainingRecord
from .json_text import JsonError, parse, repeated_keys
from .schema import is_required

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
    reader = _Reader()
    try:
        tree = parse(data) if isinstance(data, (bytes, bytearray, str)) else data
        if isinstance(tree, Mapping) and "schema_version" in tree:
            version = attrs.fields(TrainingRecord).schema_version
            rules.version(None, version, _whole(tree["schema_version"]))
        for path in repeated_keys(tree) if isinstance(tree, Mapping) else ():
            reader.refuse(path, "stands more than once in its object")
    except JsonError as error:
        raise RecordError((Problem(str(error), file=where, line=error.line),)) from None
    except FieldError as error:
        raise RecordError((Problem(error.complaint, error.path, where),)) from None
    record = reader.build(TrainingRecord, tree, "")
    if reader.problems:
        raise RecordError(_listed(reader.problems, where))
    return record  # type: ignore[no-any-return]


def _listed(problems: list[Problem], where: str) -> tuple[Problem, ...]:
    different = list(dict.fromkeys(problems))
    listed = [attrs.evolve(problem, file=where) for problem in different[:_MAX_PROBLEMS]]
    if len(different) > _MAX_PROBLEMS:
        listed.append(Problem("there are more problems than these", file=where))
    return tuple(listed)


@attrs.define
class _Reader:
    """Reads one record; what it returns counts only if there are no problems."""

    problems: list[Problem] = attrs.field(factory=list)

    def refuse(self, path: str, complaint: str, meant: str | None = None) -> None:
        """Note one problem."""
        self.problems.append(Problem(complaint, path, suggestion=meant))

    def build(self, kind: type[attrs.AttrsInstance], value: object, path: str) -> Any:
        """An object of a class of the domain; None if there is a problem in it."""
        if not isinstance(value, Mapping):
            self.refuse(path, f"must be an object, not {rules.kind_of(value)}")
            return None
        if not all(isinstance(key, str) for key in value):
            self.refuse(path, "has a key that is not text")
            return None
        before, read = len(self.problems), {}
        fields = _fields_of(kind)
        for name, field in fields.items():
            here = f"{path}.{name}" if path else name
            if value.get(name) is not None or (name in value and is_required(field)):
                read[name] = self.value_of(field, value[name], here)
            elif is_required(field):
                self.refuse(here, "is missing")
        for key in sorted(value.keys() - fields.keys()):
            meant = next(iter(get_close_matches(key, fields, n=1)), None)
            known = "" if meant else f"; known are {', '.join(fields)}"
            self.refuse(rules.path_to(path, key), f"is not a known key{known}", meant)
        if kind is Training:
            attempt, most = value.get("attempt"), value.get("max_attempts")
            try:
                rules.attempt_within(_whole(attempt), _whole(most))
            except FieldError as error:
                self.refuse(rules.path_to(path, error.path), error.complaint)
        return kind(**read) if len(self.problems) == before else None

    def value_of(self, field: attrs.Attribute[Any], value: object, path: str) -> object:
        """The value that a class of the domain takes for one of its fields."""
        kind: Any = field.type
        rule: Any = field.validator
        if _is_class(kind):
            return self.build(kind, value, path)
        if isinstance(value, (list, tuple)) and get_origin(kind) is tuple:
            member = get_args(kind)[0]
            places = [(one, f"{path}[{n}]") for n, one in enumerate(value)]
            if _is_class(member):
                return [self.build(member, one, place) for one, place in places]
            return [self.obey(rules.text, field, one, place) for one, place in places]
        if kind is datetime and isinstance(value, str):
            try:
                value = parse_moment(value)
            except ValueError as error:
                self.refuse(path, str(error))
                return None
        if rule is rules.json_object and isinstance(value, Mapping):
            for flaw in rules.flaws_of(value, path):
                self.refuse(flaw.path, flaw.complaint)
            return value
        if rule in (rules.count, rules.version):
            value = _whole(value)
        convert: Any = field.converter
        return self.obey(rule, field, convert(value) if convert else value, path)

    def obey(
        self, rule: rules.Rule, field: attrs.Attribute[Any], value: object, path: str
    ) -> object:
        """Note what a field's rule has against the value at `path`."""
        try:
            rule(None, field, value)
        except FieldError as error:
            self.refuse(path + error.path.removeprefix(field.name), error.complaint)
        return value


@cache
def _fields_of(kind: type[attrs.AttrsInstance]) -> Mapping[str, attrs.Attribute[Any]]:
    return attrs.fields_dict(attrs.resolve_types(kind))


_is_class = cache(attrs.has)


def _whole(value: object) -> object:
    """2 from 2.0: JSON has one kind of number, and some languages write it with a point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
