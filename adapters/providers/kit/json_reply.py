"""Reading a reply's JSON, whatever it turns out to be."""

from __future__ import annotations

import json
from typing import NoReturn


class NotJson(ValueError):
    """The bytes are not JSON."""


def parse_json(body: bytes) -> object:
    """The JSON value in `body`; raises NotJson for everything else.

    Else is: nothing at all, HTML, text that is not UTF-8, NaN and Infinity (which JSON does not
    have), numbers of thousands of digits, nesting too deep to follow. Where an object says a key
    twice, the last one counts.
    """
    try:
        return json.loads(body.decode("utf-8-sig"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise NotJson(f"not JSON: {type(error).__name__}") from None


def mapping(value: object) -> dict[str, object]:
    """The value where it is a JSON object, else an empty one: for reading one's way down a
    reply."""
    return value if isinstance(value, dict) else {}


def text(value: object) -> str | None:
    """The value where it is text."""
    return value if isinstance(value, str) else None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
