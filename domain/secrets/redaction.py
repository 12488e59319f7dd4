"""Keeps secrets out of what is recorded, logged and shown, and makes foreign text harmless.

A provider's reply may hold the API key that it was sent (plain or encoded), line breaks that forge
a log line, or marks that change the direction of writing. So every text from outside passes through
a `Redactor` before it is stored. The redactor makes the text one plain line, masks each piece of a
secret, and cuts the text to a length that a person reads.

How it finds a piece of a secret: it cuts the secret, its hexadecimal form, its base32 and base64
forms (in all alignments) and the base64 form of the latter into overlapping windows, once. It
searches a text as it is, and again with its escapes (``%2F``, ``=2F``, ``\\u002f``, ``\\057``,
``\\/``, ``&#47;``, the colons of ``3a:2f``) undone up to three times: all kinds together and each
kind alone. White space and case do not hide a window.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Iterator
from typing import TypeAlias, overload

from attrs import evolve

from ..upload.failure import Failure
from ..upload.retry_after import MAX_RETRY_AFTER
from ..upload.verdict import (
    Absent,
    AttemptVerdict,
    Delivered,
    Finding,
    Found,
    Partly,
    Processing,
    Receipt,
    Refused,
    Unreadable,
    Verdict,
)
from .secret import Secret

MASK = "***"
MESSAGE_LIMIT = 500
"""The longest message, in characters."""
DETAIL_LIMIT = 2_000
"""The longest detail, in characters."""
SHORTEST_RUN = 8
"""This many successive characters of a secret are masked; a shorter secret is masked whole."""

# Text is cut to this before it is searched, so that a reply of 1 MiB costs no more.
_SEARCHED = 4 * DETAIL_LIMIT
_DEPTH = 3
_REMEMBERED = 32
_BREAKS = re.compile(r"[\x00-\x20\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_INVISIBLE = re.compile(
    r"[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    r"\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e0fff]+"
)
_HOST = r"(?:[\w-]+(?:\.[\w-]+)+|localhost|\[[\da-fA-F:.]+\])(?::\d+)?[/?#]"
"""A host in a URL with a path or a query. A name without a dot may be a user's, and so is none."""
_PASSWORD = re.compile(
    rf"(?<=://)(?!{_HOST})(?:\S+?(?=@{_HOST})|\S+(?=@))|"
    r"(?<=Bearer )\S+|(?<=Basic )\S+|"
    r"(?i:(?<=password)|(?<=passwd)|(?<=pwd)|(?<=secret)|(?<=token)|(?<=key))"
    r"(?P<sign>\s*=\s*|[\"']\s*[:=]\s*)"
    r"(?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s&,;)}]+)"
)
_HALVES = re.compile(r"[\ud800-\udfff]")
_BY_PERCENT = rb"%[0-9A-Fa-f]{2}"
_BY_BACKSLASH = (
    # JSON's two halves of one character, then its other escapes
    rb"\\u[dD][89abAB][0-9A-Fa-f]{2}\\u[dD][c-fC-F][0-9A-Fa-f]{2}|"
    rb"\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}|\\[0-3][0-7]{2}|\\."
)
_BY_AMPERSAND = rb"&#(?:[0-9]{1,7}|[xX][0-9A-Fa-f]{1,6});|&[A-Za-z]{2,8};"
_BY_EQUALS = rb"=[0-9A-Fa-f]{2}"
_BY_COLON = rb"(?<=[0-9A-Fa-f]{2})[:-](?=[0-9A-Fa-f]{2})"
_ALL = (_BY_PERCENT, _BY_BACKSLASH, _BY_AMPERSAND, _BY_EQUALS, _BY_COLON)
_KINDS = tuple(re.compile(kind, re.DOTALL) for kind in _ALL)
_ESCAPE = re.compile(b"|".join(_ALL), re.DOTALL)
_WHITE_ESCAPES = (b"\\n", b"\\r", b"\\t", b"\\b", b"\\f")
_FROM_URLSAFE = bytes.maketrans(b"-_", b"+/")

_Span: TypeAlias = tuple[int, int]
_Windows: TypeAlias = dict[int, set[bytes]]


def tame(text: str) -> str:
    """The text as one line, without control characters, invisible characters and halves of
    characters."""
    return _BREAKS.sub(" ", _HALVES.sub("\ufffd", _INVISIBLE.sub("", text))).strip()


def without_passwords(text: str) -> str:
    """The text as one line, without what looks like a password, where no secret is known: the user
    and password in a URL, and the value of what is called a password, a secret, a token or a key.
    """
    return _PASSWORD.sub(lambda found: f"{found['sign'] or ''}{MASK}", tame(text))


def words_of(error: BaseException) -> str:
    """What code of others raised, its kind and its words, as one line `without_passwords` that a
    person reads."""
    line = without_passwords(f"{type(error).__name__}: {error}"[:_SEARCHED]).removesuffix(":")
    return line if len(line) <= MESSAGE_LIMIT else f"{line[: MESSAGE_LIMIT - 1]}…"


class Redactor:
    """Masks the secrets of one integration in any text."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._folded: _Windows = {}
        self._base64: _Windows = {}
        # A provider mostly says the same few sentences.
        self._harmless: set[str] = set()
        for secret in secrets:
            value = secret.reveal()
            # Outside of ASCII the case of a letter changes its bytes, and "ß" has two in capitals.
            cases = [value] if value.isascii() else [value, value.upper(), value.lower()]
            for form in {value.encode("utf-8", "surrogatepass"), *map(_bytes, map(tame, cases))}:
                self._learn(form)

    def text(self, text: str, limit: int = DETAIL_LIMIT) -> str:
        """The text as one plain line, without secrets, in at most `limit` characters."""
        if text in self._harmless and len(text) <= limit:
            return text
        line = tame(text[:_SEARCHED])
        hits = list(self._find(line))
        masked = _mask(line, hits) if hits else line
        if masked == text and len(self._harmless) < _REMEMBERED and len(text) <= MESSAGE_LIMIT:
            self._harmless.add(text)
        return masked if len(masked) <= limit else f"{masked[: limit - 1]}…"

    def failure(self, failure: Failure) -> Failure:
        """The failure with its texts redacted."""
        return evolve(
            failure,
            message=self.text(failure.message, MESSAGE_LIMIT),
            detail=self._optional(failure.detail, DETAIL_LIMIT),
            retry_after=self._wait(failure.retry_after),
        )

    def receipt(self, receipt: Receipt) -> Receipt:
        """The receipt with its texts redacted."""
        reference = self._optional(receipt.reference, MESSAGE_LIMIT)
        return Receipt(reference, self._optional(receipt.message, MESSAGE_LIMIT))

    def _optional(self, text: str | None, limit: int) -> str | None:
        return None if text is None else self.text(text, limit)

    @overload
    def verdict(self, verdict: Verdict) -> Verdict: ...
    @overload
    def verdict(self, verdict: AttemptVerdict) -> AttemptVerdict: ...
    def verdict(self, verdict: AttemptVerdict) -> AttemptVerdict:
        """The verdict with the texts in it redacted."""
        if isinstance(verdict, Delivered):
            return Delivered(self.receipt(verdict.receipt))
        if isinstance(verdict, Processing):
            return self._processing(verdict)
        return evolve(verdict, failure=self.failure(verdict.failure))

    def finding(self, finding: Finding) -> Finding:
        """The finding with the texts in it redacted; a bookmark is kept as it is."""
        match finding:
            case Found(receipt):
                return Found(self.receipt(receipt))
            case Unreadable(failure) | Refused(failure):
                return evolve(finding, failure=self.failure(failure))
            case Processing():
                return self._processing(finding)
            case Partly() | Absent():
                return finding

    def _processing(self, processing: Processing) -> Processing:
        return evolve(processing, message=self.text(processing.message, MESSAGE_LIMIT))

    def _wait(self, seconds: float | None) -> float | None:
        """The wait, rounded up if its digits show a piece of a secret that is made of digits."""
        if seconds is None or not self._shown_by(seconds):
            return seconds
        rounded = -(-seconds // 1_000) * 1_000.0
        return MAX_RETRY_AFTER if self._shown_by(rounded) else rounded

    def _shown_by(self, number: float) -> bool:
        shown = str(number)
        return len(shown) >= SHORTEST_RUN and any(self._find(shown))

    def _learn(self, value: bytes) -> None:
        run = min(SHORTEST_RUN, len(value))
        _add_windows(self._folded, b"".join(value.lower().split()), run)
        _add_windows(self._folded, value.hex().encode(), 2 * run)
        for once in _in_base64(value):
            _add_windows(self._base64, once, min(10, len(once)))
            for twice in _in_base64(once):
                _add_windows(self._base64, twice, min(12, len(twice)))
        for before in range(5):
            decided = _decided(base64.b32encode(bytes(before) + value), before, len(value), 5)
            if len(decided) > 3:
                _add_windows(self._folded, decided.lower(), min(12, len(decided)))

    def _find(self, line: str) -> Iterator[_Span]:
        """Where windows of a secret lie in the line."""
        seen = _bytes(line)
        hits = self._hits(seen)
        if not hits and not _ESCAPE.search(seen):
            return  # the usual case, and the cheap one
        places = [(at, at + 1) for at, char in enumerate(line) if char != " " for _ in _bytes(char)]
        yield from _spans(hits, places)
        present = [kind for kind in _KINDS if kind.search(seen)]
        # Each kind alone as well: a secret may contain what looks like another kind's escape.
        for escape in [_ESCAPE, *present] if len(present) > 1 else [_ESCAPE]:
            yield from self._beneath(escape, seen, places)

    def _beneath(
        self, escape: re.Pattern[bytes], seen: bytes, places: list[_Span]
    ) -> Iterator[_Span]:
        """Where windows of a secret lie once the escapes are undone, up to `_DEPTH` times."""
        for _ in range(_DEPTH):
            if not escape.search(seen):
                return
            seen, places = _unescaped(escape, seen, places)
            yield from _spans(self._hits(seen), places)

    def _hits(self, seen: bytes) -> list[range]:
        return [
            *_hits(seen.lower(), self._folded),
            *_hits(seen.translate(_FROM_URLSAFE), self._base64),
        ]


def _bytes(line: str) -> bytes:
    return line.replace(" ", "").encode()


def _in_base64(value: bytes) -> Iterator[bytes]:
    """The characters that the value alone decides, in each alignment: eight bytes decide at least
    ten. Three characters or fewer would be found in any text."""
    for before in range(3):
        decided = _decided(base64.b64encode(bytes(before) + value), before, len(value), 6)
        if len(decided) > 3:
            yield decided


def _decided(encoded: bytes, before: int, length: int, bits: int) -> bytes:
    return encoded[-(-8 * before // bits) : 8 * (before + length) // bits]


def _add_windows(windows: _Windows, value: bytes, size: int) -> None:
    size = min(size, len(value))
    if size:
        windows.setdefault(size, set()).update(
            value[at : at + size] for at in range(len(value) - size + 1)
        )


def _hits(seen: bytes, windows: _Windows) -> Iterator[range]:
    for size, known in windows.items():
        for at in range(len(seen) - size + 1):
            if seen[at : at + size] in known:
                yield range(at, at + size)


def _spans(hits: Iterable[range], places: list[_Span]) -> Iterator[_Span]:
    for hit in hits:
        yield places[hit.start][0], places[hit.stop - 1][1]


def _unescaped(
    kind: re.Pattern[bytes], seen: bytes, places: list[_Span]
) -> tuple[bytes, list[_Span]]:
    """The bytes with the escapes of one kind undone, and the place in the line of each byte."""
    plain, whence, at = bytearray(), list[_Span](), 0
    for escape in kind.finditer(seen):
        start, stop = escape.span()
        meant = _meaning(escape[0])
        plain += seen[at:start] + meant
        whence += places[at:start] + [(places[start][0], places[stop - 1][1])] * len(meant)
        at = stop
    return bytes(plain + seen[at:]), whence + places[at:]


def _meaning(escape: bytes) -> bytes:
    """What an escape stands for; nothing for white space, which is never searched."""
    if escape in (b":", b"-"):
        return b""
    if escape.startswith((b"%", b"=")) or (escape.startswith(b"\\x") and len(escape) == 4):
        meant = bytes.fromhex(escape[-2:].decode())
    elif escape.startswith(b"\\u") and len(escape) > 2:
        halves = bytes.fromhex(escape.replace(b"\\u", b"").decode())
        meant = halves.decode("utf-16-be", "surrogatepass").encode("utf-8", "surrogatepass")
    elif escape.startswith(b"\\") and len(escape) == 4:
        meant = bytes([int(escape[1:], 8)])
    elif escape.startswith(b"&"):
        meant = html.unescape(escape.decode()).encode("utf-8", "surrogatepass")
    else:
        meant = b"" if escape in _WHITE_ESCAPES else escape[1:]
    return b"".join(meant.split())


def _mask(line: str, spans: list[_Span]) -> str:
    parts, done = [], 0
    masked_to = -1
    for start, stop in sorted(spans):
        if start > masked_to:
            parts += [line[done:start], MASK]
        masked_to = done = max(stop, masked_to)
    return "".join([*parts, line[done:]])
