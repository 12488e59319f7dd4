"""Texts and replies that break careless code."""

from __future__ import annotations

from typing import Final

CONTROL_CHARACTERS: Final = "a\r\nb\x00\x1b[2J\x85\u2028"
HALF_A_CHARACTER: Final = "a\ud800b"

NAMES: Final = (
    "ev 1",
    "quoted \"twice\" and 'once'",
    "semi;colon=and,comma",
    "back\\slash",
    "../../etc/passwd",
    "%0d%0aX-Evil: 1",
    "con.pdf",
    "-rf",
    "Ünïcödé",
    "\u05d9\u05d5\u05dd",
    "astral \U0001d49c \U0001f600",
    "turned \u202e around",
    "n" * 512,
)
"""Strange ids and names that an evidence may have. It refuses control characters and halves of
characters, so none is here."""

TEXTS: Final = (
    *NAMES,
    "",
    " ",
    CONTROL_CHARACTERS,
    "'; DROP TABLE uploads; --",
    "${HOME} {0} %s",
    "x" * 100_000,
)
"""Texts that may come from a provider or a host: control characters too."""

UNPARSABLE: Final = (
    b"",
    b" \r\n",
    b"<html><body>502 Bad Gateway</body></html>",
    b"{",
    b'{"id": "1"',
    b"\xff\xfe\x00\xd8",
    b"\x00" * 100,
    b"NaN",
    b"[" * 100_000,
    b"9" * 10_000,
)
"""Bodies that are not JSON, or not to be followed."""

UNKNOWN: Final = (
    b"null",
    b"true",
    b"0",
    b'"ok"',
    b"{}",
    b"[]",
    b"[[]]",
    b'{"data": null}',
    b'{"data": {}}',
    b'{"data": []}',
    b'{"data": "ok"}',
    b'{"id": null}',
    b'{"id": ""}',
    b'{"id": {}}',
    b'{"success": false, "error": "no"}',
    b'{"errors": {}}',
    b'{"errors": [{"message": "no"}], "data": null}',
    b'{"message": "\\ud800"}',
    b'{"data": {"id": null, "attributes": null}, "errors": null}',
)
"""Bodies that are JSON and no provider's success."""

BODIES: Final = (*UNPARSABLE, *UNKNOWN)

HEADERS: Final = (
    (),
    (("Retry-After", "soon"), ("Location", "https://[")),
    (("Retry-After", "-1"), ("Location", "")),
    (("Retry-After", "1e400"), ("Content-Type", "\x00")),
    (("Retry-After", "Fri, 99 Foo 9999 99:99:99 GMT"), ("Location", "\ud800")),
)
"""Headers that make no sense."""
