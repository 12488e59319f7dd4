"""The published JSON Schema of the training record, made from the classes.

``python -m evidence_courier.adapters.records.schema`` writes it to standard output.
"""

from __future__ import annotations

import json
import sys
from typing import Any, get_args, get_origin

import attrs

from ...domain.evidence import moments
from ...domain.evidence import training_rules as rules
from ...domain.evidence.training import TrainingRecord

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NOT_BLANK = r"\S"
_ONE_LINE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"


def _line(pattern: str) -> dict[str, object]:
    both = [{"pattern": pattern}, {"pattern": _ONE_LINE}]
    return {"type": "string", "maxLength": rules.MAX_ID_LENGTH, "allOf": both}


# What JSON Schema can say of each rule of the domain. It cannot say that attempt is at most
# max_attempts, or which months have 31 days.
_SHAPES: dict[object, dict[str, object]] = {
    rules.version: {"const": rules.SCHEMA_VERSION},
    rules.text: {"type": "string"},
    rules.title: {"type": "string", "pattern": _NOT_BLANK},
    rules.identifier: _line(_NOT_BLANK),
    rules.digest: _line("^sha256:"),
    rules.language: {"type": "string", "pattern": rules.LANGUAGE},
    rules.share: {"type": "number", "minimum": 0, "maximum": 1},
    rules.count: {"type": "integer", "minimum": 1, "maximum": rules.MAX_COUNT},
    rules.moment: {"type": "string", "format": "date-time", "pattern": moments.PATTERN},
    rules.status: {"enum": list(rules.STATUSES)},
    rules.json_object: {"type": "object"},
}


def record_schema() -> dict[str, object]:
    """JSON Schema 2020-12 for schema version 1 of the training record."""
    definitions: dict[str, object] = {}
    root = _object(TrainingRecord, definitions)
    return {"$schema": _DIALECT, "title": "Training record", **root, "$defs": definitions}


def _object(kind: type[attrs.AttrsInstance], definitions: dict[str, object]) -> dict[str, Any]:
    fields = attrs.fields(attrs.resolve_types(kind))
    return {
        "description": " ".join((kind.__doc__ or "").split("\n\n")[0].split()),
        "type": "object",
        "properties": {
            field.name: {"description": field.metadata["about"], **_shape(field, definitions)}
            for field in fields
        },
        "required": [field.name for field in fields if is_required(field)],
        "additionalProperties": False,
    }


def _shape(field: attrs.Attribute[Any], definitions: dict[str, object]) -> dict[str, object]:
    rule: Any = field.validator
    shape: dict[str, object]
    if get_origin(field.type) is tuple:
        shape = {"type": "array", "items": _items(get_args(field.type)[0], definitions)}
    elif attrs.has(field.type):  # type: ignore[arg-type]
        shape = _items(field.type, definitions)
    else:
        shape = dict(_SHAPES[rule.validator if field.default is None else rule])
    return shape if is_required(field) else {"anyOf": [shape, {"type": "null"}]}


def is_required(field: attrs.Attribute[Any]) -> bool:
    """Whether a text must say it."""
    # A record built in Python may leave the version out; a text is read by others, years later.
    return field.default is attrs.NOTHING or field.validator is rules.version


def _items(kind: Any, definitions: dict[str, object]) -> dict[str, object]:
    if not attrs.has(kind):
        return {"type": "string"}
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = None  # keeps its place
        definitions[kind.__name__] = _object(kind, definitions)
    return {"$ref": f"#/$defs/{kind.__name__}"}


def schema_text() -> str:
    """The schema as the file in docs/ holds it."""
    return json.dumps(record_schema(), indent=2, ensure_ascii=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
