"""How long records are kept, and what names a person in them.

Without a rule everything is kept. What is open is kept, whatever the rules say.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from difflib import get_close_matches
from enum import Enum
from itertools import count

from attrs import evolve, fields_dict, frozen

from .errors import MisuseError

ERASED = "(erased)"
"""Stands where a text was that named a person, or may have."""

DOCUMENT_ERASED = (
    "the document was removed with the person whom it names, so it cannot be sent: leave the upload"
    " as it is, attest it if the provider has the document, or submit the evidence anew under an id"
    " of its own"
)
"""Stands where an upload from which a person was erased was to be sent again."""

_FORM = re.compile(r"([0-9]{1,5}) ?(h|d|w)( after success)?")
_LONG_ENOUGH = 4
"""A shorter name may be part of anything, such as a number."""
_ERASED_ID = re.compile("erased-[0-9a-f]{32}(-[0-9]+)?")
_SAFE_IN_URLS = ("-._~", "-._~+")
"""The signs that stand for themselves in a URL: by its standard, and as some programs write it."""
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


class Part(Enum):
    """What of a settled upload can be removed."""

    ATTEMPTS = "attempts"
    PERSONAL = "personal data"
    DOCUMENT = "documents"


@frozen
class KeepPeriod:
    """How long something is kept after its upload was settled; without a `period` for ever. With
    `after_success` that holds for uploads that have succeeded, and the others are kept."""

    text: str
    period: timedelta | None
    after_success: bool = False

    @classmethod
    def parse(cls, value: object) -> KeepPeriod:
        """``400d``, ``52w``, ``12h``, ``90d after success`` or ``never``; ValueError with what
        should have been written."""
        if isinstance(value, KeepPeriod):
            return value
        text = " ".join(str(value).split())
        if text == "never":
            return cls(text, None)
        found = _FORM.fullmatch(text)
        if found is None or int(found[1]) == 0:
            raise ValueError(
                "must say how long it is kept, as 12h, 90d, 52w or 90d after success, at least "
                "1h, or never (it is never removed)"
            )
        return cls(text, int(found[1]) * _UNITS[found[2]], found[3] is not None)

    def is_over(self, succeeded: bool, settled_at: datetime, now: datetime) -> bool:
        """Whether the time of an upload's part is over."""
        if self.period is None or (self.after_success and not succeeded):
            return False
        return now - settled_at >= self.period

    def __str__(self) -> str:
        return self.text


def parse_of_failed(value: object) -> KeepPeriod:
    """`KeepPeriod.parse`, for what is kept of failed uploads."""
    rule = KeepPeriod.parse(value)
    if rule.after_success:
        raise ValueError("is about what has failed: write it without `after success`, as 90d")
    return rule


_READ = {
    "attempts": KeepPeriod.parse,
    "personal": KeepPeriod.parse,
    "failed_documents": parse_of_failed,
}


@frozen(kw_only=True)
class Retention:
    """How long each part is kept; None: nothing is said of it, and it is kept.

    - `attempts`: the attempts and look-ups of settled uploads.
    - `personal`: what names a person, and the document.
    - `failed_documents`: the documents of what has failed or was skipped.
    """

    attempts: KeepPeriod | None = None
    personal: KeepPeriod | None = None
    failed_documents: KeepPeriod | None = None

    @classmethod
    def parse(cls, given: object) -> Retention:
        """``{"attempts": "400d", "personal": "90d after success"}``, or the same as the text
        ``attempts: 400d, personal: 90d after success``; MisuseError if it cannot be read."""
        if isinstance(given, Retention):
            return given
        if isinstance(given, str):
            given = _pairs_in(given)
        if not isinstance(given, Mapping):
            raise MisuseError(
                'retention must be a mapping, as {"attempts": "400d", "personal": "90d after '
                f'success", "failed_documents": "90d"}}, not {type(given).__name__}'
            )
        read = {}
        for key, value in given.items():
            if key not in _READ:
                near = get_close_matches(str(key), _READ)
                known = f"did you mean {near[0]}?" if near else f"it takes {', '.join(_READ)}"
                raise MisuseError(f"retention has no key {key!r}: {known}")
            try:
                read[key] = _READ[key](value)
            except ValueError as error:
                raise MisuseError(f"retention.{key} {error}") from None
        return cls(**read)

    def over(self, other: Retention) -> Retention:
        """What this says, and for the rest what the other says."""
        own = {name: getattr(self, name) for name in fields_dict(Retention)}
        return evolve(other, **{name: one for name, one in own.items() if one is not None})

    def __str__(self) -> str:
        rules = {name: getattr(self, name) for name in fields_dict(Retention)}
        words = [f"{name} {one}" for name, one in rules.items() if one is not None]
        return ", ".join(words) or "nothing is removed"

    @property
    def removes(self) -> bool:
        """Whether anything is ever removed."""
        rules = (self.attempts, self.personal, self.failed_documents)
        return any(one is not None and one.period is not None for one in rules)

    def over_by(self, settled_at: datetime, now: datetime, *, succeeded: bool) -> frozenset[Part]:
        """The parts of a settled upload whose time is over."""
        of_failed = None if succeeded else self.failed_documents
        rules = (
            (Part.ATTEMPTS, self.attempts),
            (Part.PERSONAL, self.personal),
            (Part.DOCUMENT, of_failed),
        )
        return frozenset(
            part
            for part, one in rules
            if one is not None and one.is_over(succeeded, settled_at, now)
        )


def _pairs_in(text: str) -> Mapping[str, str]:
    found = dict[str, str]()
    for rule in filter(None, map(str.strip, text.split(","))):
        name, colon, period = (part.strip() for part in rule.partition(":"))
        if not colon:
            raise MisuseError(f"retention has {rule!r} without a colon: write it as attempts: 400d")
        if name in found:
            raise MisuseError(f"retention has {name!r} twice, and only one of them can hold")
        found[name] = period
    return found


class Names:
    """What a person is called in records: their id and addresses."""

    def __init__(self, names: Iterable[str], of_another: Iterable[str] = ()) -> None:
        self.names = _forms(names)
        longer = {
            one
            for one in _forms(of_another)
            if one not in self.names and any(_stands_in(name, one) for name in self.names)
        }
        words = "|".join(map(re.escape, sorted(longer)))
        self._longer = re.compile(rf"(?<![^\W_])(?:{words})(?![^\W_])") if longer else None

    def of_another(self, names: Iterable[str]) -> Names:
        """The same for texts that are about another person, who is called so: jane.doe there is not
        taken for jane."""
        return Names(self.names, names)

    def stand_in(self, text: str) -> bool:
        """Whether a text names the person: as a word, so that u-1 is not found in u-12."""
        formed = _form(text)
        if self._longer is not None:
            formed = self._longer.sub(" ", formed)
        return any(_stands_in(name, formed) for name in self.names)

    def are_part_of(self, text: str) -> bool:
        """Whether the person's name is any part of a text: of one that is about the person."""
        return any(
            name in _form(text) if len(name) >= _LONG_ENOUGH else self.stand_in(text)
            for name in self.names
        )


def _forms(names: Iterable[str]) -> tuple[str, ...]:
    written = (one for name in names if name.strip() for one in as_written(name))
    return tuple(sorted({_form(one) for one in written}))


def same_name(one: str, other: str) -> bool:
    """Whether two names are the same, in any case and spelling."""
    return _form(one) == _form(other)


def as_written(name: str) -> frozenset[str]:
    """How a name stands in a text: as it is, and within JSON or a URL."""
    as_json = {json.dumps(name, ensure_ascii=ascii)[1:-1] for ascii in (True, False)}
    in_urls = {_percent_encoded(name, safe) for safe in _SAFE_IN_URLS}
    return frozenset({name} | as_json | in_urls)


def _percent_encoded(text: str, safe: str) -> str:
    return "".join(
        one
        if one.isascii() and (one.isalnum() or one in safe)
        else "".join(f"%{byte:02X}" for byte in one.encode(errors="replace"))
        for one in text
    )


def is_common(name: str) -> bool:
    """Whether a name may stand in texts that are about something else, such as 503: then only what
    is the person's own is searched for it."""
    formed = _form(name)
    return "@" not in formed and (
        len(formed) < _LONG_ENOUGH or not any(one.isalpha() for one in formed)
    )


def _stands_in(name: str, text: str) -> bool:
    at = text.find(name)
    while at >= 0:
        around = text[max(at - 1, 0) : at], text[at + len(name) : at + len(name) + 1]
        if not any(map(str.isalnum, around)):
            return True
        at = text.find(name, at + 1)
    return False


def _form(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def erased_id(key: bytes, tenant_id: str, evidence_id: str) -> str:
    """What an evidence is called whose id named a person: a keyed hash, by which the store knows
    it when it is submitted again."""
    return f"erased-{keyed_hash(key, tenant_id, evidence_id)}"


def is_erased_id(text: str) -> bool:
    """Whether an evidence is called as one whose id was replaced."""
    return _ERASED_ID.fullmatch(text) is not None


def key_of_erased(fingerprint_key: bytes) -> bytes:
    """The key of `erased_id`, unless the database has one: every courier can tell it beforehand."""
    return hmac.new(fingerprint_key, b"erased", hashlib.sha256).digest()


def numbered(hashed: str) -> Iterator[str]:
    """What evidences are called that were recorded under one id, and erased, one after another."""
    yield hashed
    yield from (f"{hashed}-{number}" for number in count(2))


def keyed_hash(key: bytes, *texts: str) -> str:
    """A hash that tells nothing without the key, 32 characters long."""
    given = "\0".join(texts).encode(errors="surrogatepass")
    return hmac.new(key, given, hashlib.sha256).hexdigest()[:32]
