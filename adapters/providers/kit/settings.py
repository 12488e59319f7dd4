"""What settings and capabilities of several providers have in common."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, get_args

from attrs import Attribute

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


def one_of(choices: object) -> Mapping[str, object]:
    """The schema of a setting that takes the words of a Literal."""
    return {"type": "string", "allowed": list(get_args(choices))}


def one_line(settings: Any, attribute: Attribute[str], value: str) -> None:
    """An attrs validator: one line of text without spaces around it."""
    if not value.strip() or value != value.strip() or not value.isprintable():
        raise ValueError(f"{attribute.name} must be one line of text without spaces around it")
