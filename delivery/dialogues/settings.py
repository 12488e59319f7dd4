"""What settings and capabilities of several providers have in common."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from attrs import NOTHING, Attribute, fields

from ...domain.secrets.secret import Secret

UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
LOOK_UP_DELAYS: Final = tuple(timedelta(seconds=seconds) for seconds in (2, 10, 30))

_OPEN_XML: Final = "application/vnd.openxmlformats-officedocument."
_OPEN_DOCUMENT: Final = "application/vnd.oasis.opendocument."
_MEDIA_TYPES: Final = {
    "pdf": "application/pdf",
    "doc": "application/msword",
    "docx": f"{_OPEN_XML}wordprocessingml.document",
    "xls": "application/vnd.ms-excel",
    "xlsx": f"{_OPEN_XML}spreadsheetml.sheet",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": f"{_OPEN_XML}presentationml.presentation",
    "odt": f"{_OPEN_DOCUMENT}text",
    "ods": f"{_OPEN_DOCUMENT}spreadsheet",
    "odp": f"{_OPEN_DOCUMENT}presentation",
    "csv": "text/csv",
    "txt": "text/plain",
    "md": "text/markdown",
    "json": "application/json",
    "zip": "application/zip",
    "png": "image/png",
    "jpg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
}


def media_types(*extensions: str) -> Mapping[str, str]:
    """The media types of files with these extensions, each with its extension, for `Limits`."""
    return {_MEDIA_TYPES[extension]: extension for extension in extensions}


_NUMBER: Final = {"type": "integer", "min": 1}
_TEXT: Final = {"type": "string", "empty": False}
_RULES: Final[Mapping[object, Mapping[str, object]]] = {
    Secret: {"type": "secret"},
    bool: {"type": "boolean"},
    int: _NUMBER,
    str: _TEXT,
    tuple[int, ...]: {"type": "list", "minlength": 1, "schema": _NUMBER},
    tuple[str, ...]: {"type": "list", "minlength": 1, "schema": _TEXT},
}


def schema_of(settings_class: type, **more: Mapping[str, object]) -> Mapping[str, object]:
    """The schema of an attrs class of settings, by the types of its fields.

    A field without a default is required; numbers are positive, texts and lists are not empty; a
    Literal takes its words; `endpoint` is an address. `more` has the rules that no type says, by
    the field's name.
    """
    types = get_type_hints(settings_class)
    schema: dict[str, object] = {}
    for each in fields(settings_class):
        rules = {**_rules(each.name, types[each.name]), **more.get(each.name, {})}
        schema[each.name] = {"required": True, **rules} if each.default is NOTHING else rules
    return schema


def _rules(name: str, kind: Any) -> Mapping[str, object]:
    if name == "endpoint":
        return {"type": "endpoint"}
    if get_origin(kind) is Literal:
        return {"type": "string", "allowed": list(get_args(kind))}
    # The type itself, or what stands beside None.
    return next(_RULES[one] for one in (kind, *get_args(kind)) if one in _RULES)


def address(url: str) -> str:
    """The host of a URL, with its port and path if it has them, for people."""
    authority, slash, path = re.split("[?#]", url.partition("://")[2])[0].partition("/")
    return (authority.rpartition("@")[2] + slash + path).rstrip("/")


def one_line(settings: Any, attribute: Attribute[str], value: str) -> None:
    """An attrs validator: one line of text without spaces around it."""
    if not value.strip() or value != value.strip() or not value.isprintable():
        raise ValueError(f"{attribute.name} must be one line of text without spaces around it")
