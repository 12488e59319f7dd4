"""Reading JSON from a reply, whatever the body is."""

from __future__ import annotations

import json
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from ...domain.upload.failure import Failure
from ...ports.dialogue import HttpResponse, Reply
from .http_errors import (
    READING,
    UPLOAD,
    ErrorHints,
    NotDelivered,
    RequestPurpose,
    classify,
    not_json,
)

QUOTE_LIMIT: Final = 150
"""At most this many characters of an API's words go into a message, which then says what to do."""

_MAX_DEPTH: Final = 100
_MAX_DIGITS: Final = 1_000
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*\\?(?:"|\Z)|[\[{\]}]', re.DOTALL)


class NotJson(ValueError):
    """The bytes are not JSON."""


def parse_json(body: bytes) -> object:
    """The JSON value in `body`. Of a key that an object has twice, the last value counts.

    What cannot be read beside the result does not hide it: NaN and Infinity (JSON has neither),
    integers of more than 1,000 digits and what is nested too deep are read as null, bytes that are
    not UTF-8 as U+FFFD; control characters may stand in a text.

    Raises:
        NotJson: for an empty body, HTML, and an object in which nothing but such values stands.
    """
    try:
        # Without the codec "utf-8-sig", which is written in Python.
        document = body.removeprefix(BOM_UTF8).rstrip(b"\0").decode(errors="replace")
        try:
            return _loads(document)
        except RecursionError:
            return _loads(_without_depths(document))
    except (ValueError, RecursionError) as error:
        raise NotJson(f"not JSON: {type(error).__name__}") from None


def mapping(value: object) -> dict[str, object]:
    """The value if it is a JSON object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def text(value: object) -> str | None:
    """The value if it is text, otherwise None."""
    return value if isinstance(value, str) else None


def identity(value: object) -> str | None:
    """An id as text: a text that is not empty, or a whole number; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(value) or None


def moment(value: object) -> datetime | None:
    """The moment if the value is a text that names one with its time zone, otherwise None."""
    try:
        read = datetime.fromisoformat(text(value) or "")
    except ValueError:
        return None
    return read if read.utcoffset() is not None else None


def json_object(body: bytes) -> dict[str, object]:
    """The JSON object in `body`, or an empty one."""
    try:
        return mapping(parse_json(body))
    except NotJson:
        return {}


def quote_of(reply: Reply) -> str | None:
    """What a 4xx or 5xx reply says in words, in one of the places where APIs put them."""
    if not isinstance(reply, HttpResponse) or reply.status < 400:
        return None
    body = json_object(reply.body)
    message, error, errors = body.get("message"), body.get("error"), body.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if isinstance(message, list):  # of Drata's, if several fields are wrong (inferred)
        message = "; ".join(part for part in message if isinstance(part, str))
    places = (
        *(message, body.get("error_description"), mapping(error).get("message"), error),
        *(mapping(first).get("message"), first),
    )
    quote = next((words for place in places if (words := text(place))), "")
    return " ".join(quote.split())[:QUOTE_LIMIT] or None


def names_error(body: Mapping[str, object]) -> bool:
    """Whether a reply names an error, which may stand beside what says success."""
    return bool(body.get("error") or body.get("errors"))


def success_body(
    reply: Reply, hints: ErrorHints, purpose: RequestPurpose = UPLOAD
) -> Mapping[str, object] | NotDelivered:
    """The JSON object of a complete 2xx reply, or the verdict on any other reply. JSON that is not
    an object counts as an empty one."""
    verdict = classify(reply, hints, quote_of(reply), purpose)
    if verdict is not None:
        return verdict
    assert isinstance(reply, HttpResponse)
    try:
        return mapping(parse_json(reply.body))
    except NotJson:
        return not_json(reply, hints, purpose)


def read_body(
    reply: Reply, hints: ErrorHints, purpose: RequestPurpose = READING
) -> Mapping[str, object] | Failure:
    """As `success_body`, for a request that changes nothing."""
    body = success_body(reply, hints, purpose)
    return body if isinstance(body, Mapping) else body.failure


def _loads(document: str) -> object:
    try:
        return _STRICT.decode(document)
    except _PassedOverError:
        value = _LENIENT.decode(document)
    if not (any(value.values()) if isinstance(value, dict) else value):
        raise ValueError("nothing in it can be read")
    return value


class _PassedOverError(Exception):
    """There is a value that would be read as null."""


def _refuse(text: str) -> None:
    raise _PassedOverError


def _pass_over(text: str) -> None:
    """Read as null."""


def _decoder(odd: Callable[[str], None]) -> json.JSONDecoder:
    return json.JSONDecoder(
        strict=False,
        parse_constant=odd,
        parse_int=lambda digits: int(digits) if len(digits) <= _MAX_DIGITS else odd(digits),
    )


_STRICT, _LENIENT = _decoder(_refuse), _decoder(_pass_over)


def _without_depths(document: str) -> str:
    """The document with null in the place of what is nested more than 100 deep."""
    parts, depth, end = [], 0, 0
    for found in _STRING_OR_BRACKET.finditer(document):
        if found[0] in "[{":
            depth += 1
            if depth == _MAX_DEPTH + 1:
                parts += [document[end : found.start()], "null"]
        elif found[0] in "]}":
            depth -= 1
            if depth == _MAX_DEPTH:
                end = found.end()
    return "".join(parts) + document[end:] if depth <= _MAX_DEPTH else document
