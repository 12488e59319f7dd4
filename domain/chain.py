"""The hash chain of a tenant: what is settled is linked, so that a later change shows.

What is hashed is canonical JSON (RFC 8785) in UTF-8, by SHA-256, in three layers:

- A field: `[name, salt, value]`, with a random salt of its own. Once it is erased, with its salt,
  its hash stands in its place.
- A record, which is a settled attempt, a person's action (on an upload, a pause, or its end) or a
  checkpoint: the hashes of its fields by their names. A field without a value is left out.
- A link: the record's hash and the link before, as `Link.text` shows.

A checkpoint names links, and who erased their fields or deleted their records.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from json.encoder import encode_basestring
from typing import TypeAlias

from attrs import evolve, field, frozen

from .arguments import NO_TEXT
from .retention import DOCUMENT_ERASED, ERASED, is_erased_id

Value: TypeAlias = str | int | None
Content: TypeAlias = Mapping[str, Value]

KINDS = ("attempt", "action", "pause", "resume", "checkpoint")
ATTEMPT, ACTION, PAUSE, RESUME, CHECKPOINT = KINDS

ERASABLE = frozenset(
    (
        *("message", "detail", "receipt_reference", "receipt_message", "request_id"),
        *("evidence_id", "by", "reason", "ended_by", "ended_reason"),
    )
)
"""The fields that can be erased: what may name a person. All others stay as they were linked."""

SALT = 32
"""How long a salt is: 16 random bytes in hexadecimal."""

_MARK = 4
"""How many digits of a field's hash stand behind its salt: they tell which field of a record has
changed, the hash of the link that one has."""

_HASH = 64


def canonical(value: object) -> str:
    """The canonical JSON (RFC 8785) of texts, of whole numbers up to 2^53, of null, and of lists
    and objects of these; names are ASCII."""
    match value:
        case None:
            return "null"
        case str():
            return encode_basestring(value)
        case int():
            return str(value)
        case dict():
            pairs = (f'"{name}":{canonical(value[name])}' for name in sorted(value))
            return f"{{{','.join(pairs)}}}"
        case list():
            return f"[{','.join(map(canonical, value))}]"
        case _:
            raise TypeError(f"{value!r} is nothing that is hashed here")


def hash_of(text: str) -> str:
    """The hash of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _field_hash(name: str, salt: str, value: Value) -> str:
    return hash_of(f'["{name}","{salt}",{canonical(value)}]')


def canonical_of_hashes(hashes: Mapping[str, str]) -> str:
    """The same for an object of texts that need no escape, at a tenth of the cost."""
    return "{" + ",".join([f'"{name}":"{hashes[name]}"' for name in sorted(hashes)]) + "}"


def _record_hash(hashes: Mapping[str, str]) -> str:
    return hash_of(canonical_of_hashes(hashes))


@frozen
class Record:
    """A row of what is settled. `about` says in words what it is, `id` is its number in its
    table."""

    tenant_id: str
    kind: str
    id: int
    about: str
    content: Content = field(repr=False)


@frozen
class Head:
    """Where a tenant's chain ends: how many links it has, and the hash of the last, which was made
    at `time`."""

    tenant_id: str
    length: int = 0
    hash: str | None = None
    time: str | None = None


@frozen
class Link:
    """One link. `fields` are by name what is kept of each: its salt and a mark, or its hash once it
    is erased. None: the record was deleted, and `record` is its hash; `row_id` is None then."""

    tenant_id: str
    position: int
    time: str
    kind: str
    row_id: int | None
    fields: Mapping[str, str] | None
    record: str | None = None
    hash: str = ""

    def text(self, record: str, previous: str | None) -> str:
        """What its hash is made of, with the hashes of its record and of the link before."""
        return _link_text(self.tenant_id, self.position, self.time, self.kind, record, previous)

    def hashes(self, record: Record | None) -> dict[str, str]:
        """The hashes of its fields, with its record as it is now; None: that is missing."""
        given: Content = {} if record is None else record.content
        linked = self.fields or {}
        hashes = {
            name: _field_hash(name, what[:SALT], given.get(name))
            for name, what in linked.items()
            if len(what) != _HASH
        }
        added = {name: "added" for name, value in given.items() if value is not None}
        if self.kind == ACTION:  # it may become known later
            added.pop("provider", None)
        return {**added, **linked, **hashes}

    def record_hash(self, record: Record | None) -> str:
        """The hash of its record as that is now."""
        return self.record or _record_hash(self.hashes(record))

    def changed(self, record: Record) -> list[str]:
        """The names of the fields that are not as they were linked, or, of what is erased, not as
        erasing leaves them."""
        linked = self.fields or {}
        moved = [] if record.tenant_id == self.tenant_id else ["tenant_id"]
        return moved + [
            name
            for name, now in self.hashes(record).items()
            if ((was := linked.get(name, "")) != now and was[SALT:] != now[:_MARK])
            or (len(was) == _HASH and not _is_erased(name, record.content.get(name)))
        ]

    @property
    def gone(self) -> bool:
        """Whether its record was deleted, or some of its fields erased."""
        return self.fields is None or any(len(what) == _HASH for what in self.fields.values())

    def without(self, record: Record | None, names: Collection[str] | None) -> Link:
        """The link once the fields with these names are erased, or (None) its record is deleted.
        `record` is as before that."""
        if self.fields is None:
            return self
        if names is None:
            return evolve(self, row_id=None, fields=None, record=self.record_hash(record))
        hashes = self.hashes(record)
        fields = {name: hashes[name] if name in names else at for name, at in self.fields.items()}
        return evolve(self, fields=fields)


def _is_erased(name: str, value: Value) -> bool:
    """Whether a field can be erased, and holds what erasing leaves."""
    if name not in ERASABLE:
        return False
    renamed = name == "evidence_id" and is_erased_id(str(value))
    return value is None or value in (ERASED, DOCUMENT_ERASED) or renamed


def _not_texts(tenant_id: str, content: Content) -> Iterator[str]:
    for name, value in {"tenant_id": tenant_id, **content}.items():
        if isinstance(value, str) and value.startswith(NO_TEXT):
            yield name


def _link_text(
    tenant_id: str, position: int, time: str, kind: str, record: str, previous: str | None
) -> str:
    text = encode_basestring
    before = "null" if previous is None else text(previous)
    return (
        f'{{"kind":{text(kind)},"position":{position},"previous":{before},"record":{text(record)},'
        f'"tenant":{text(tenant_id)},"time":{text(time)}}}'
    )


def link(head: Head, record: Record, salts: str, time: str) -> Link:
    """The link that a record gets behind this head. `salts` is random: SALT digits for each
    field."""
    # As `_field_hash` does it: this is done for each field of each attempt.
    encode, sha256, fields, hashes, start = encode_basestring, hashlib.sha256, {}, {}, 0
    for name, value in record.content.items():
        if value is not None:
            salt = salts[start : start + SALT]
            text = encode(value) if isinstance(value, str) else value
            seen = sha256(f'["{name}","{salt}",{text}]'.encode()).hexdigest()
            hashes[name], fields[name] = seen, salt + seen[:_MARK]
        start += SALT
    tenant_id, kind, position = record.tenant_id, record.kind, head.length + 1
    text = _link_text(tenant_id, position, time, kind, _record_hash(hashes), head.hash)
    return Link(tenant_id, position, time, kind, record.id, fields, hash=hash_of(text))


def chained(
    heads: Mapping[str, Head],
    records: Sequence[Record],
    random: Callable[[int], str],
    time: str,
) -> tuple[Sequence[Link], Sequence[Head]]:
    """Link records behind their tenants' heads: the links, and the new heads.

    Args:
        random: Gives as many random bytes as asked for, in hexadecimal.
    """
    found, links = dict(heads), []
    for record in records:
        head = found.get(record.tenant_id, Head(record.tenant_id))
        made = link(head, record, random(len(record.content) * SALT // 2), time)
        links.append(made)
        found[record.tenant_id] = Head(record.tenant_id, made.position, made.hash, time)
    return links, [found[one] for one in dict.fromkeys(each.tenant_id for each in links)]


# --- checking ------------------------------------------------------------------------------------


@frozen
class Fault:
    """What does not hold of a tenant's chain, at which link; None: of the whole."""

    tenant_id: str
    position: int | None
    what: str

    def __str__(self) -> str:
        where = "" if self.position is None else f", link {self.position}"
        return f"tenant {self.tenant_id!r}{where}: {self.what}"


class Check:
    """Checks one tenant's chain from its beginning, link by link.

    Args:
        known: Heads of this tenant that were stored elsewhere.
    """

    def __init__(self, tenant_id: str, known: Iterable[Head] = ()) -> None:
        self._tenant_id = tenant_id
        self._known: defaultdict[int, set[str | None]] = defaultdict(set)
        for one in known:
            self._known[one.length].add(one.hash)
        self._previous: str | None = None
        self._gone: list[int] = []
        self._named: set[int] = set()
        self.length = 0

    def next(self, link: Link, record: Record | None) -> Iterator[Fault]:
        """What does not hold of the next link, with its record as it is stored now."""
        due, last = self.length + 1, link.position - 1
        if last >= due:
            them = "it is" if due == last else f"it and all up to link {last} are"
            yield self._fault(due, f"{them} missing")
        if link.gone:
            self._gone.append(link.position)
        if record is None and link.fields is not None:
            yield self._fault(link.position, f"its {link.kind} is missing from the records")
        elif record is not None and (changed := link.changed(record)):
            yield self._fault(link.position, f"{record.about} has changed: {', '.join(changed)}")
        else:
            text = link.text(link.record_hash(record), self._previous)
            if hash_of(text) != link.hash:
                yield self._fault(link.position, "its hash is not that of its record and place")
        if record is not None and (bad := [*_not_texts(link.tenant_id, record.content)]):
            what = f"{record.about} has texts that are not UTF-8: {', '.join(bad)}"
            yield self._fault(link.position, what)
        if link.kind == CHECKPOINT and record is not None:
            self._named |= positions_of(str(record.content["links"]), link.position)
        for other in sorted(map(str, self._known.pop(link.position, set()) - {link.hash})):
            yield self._fault(link.position, f"its hash is not that of an earlier head, {other}")
        self.length, self._previous = link.position, link.hash

    def end(self, head: Head) -> Iterator[Fault]:
        """What does not hold of the whole, which ends at this head as the store says."""
        if (head.length, head.hash) != (self.length, self._previous):
            yield self._fault(
                None, f"its head says that it has {head.length} links, and it has {self.length}"
            )
        for length, hashes in self._known.items():
            for one in sorted(map(str, hashes)):
                yield self._fault(length, f"it is missing, and an earlier head names it ({one})")
        unnamed = [position for position in self._gone if position not in self._named]
        if unnamed:
            yield self._fault(
                None, f"no checkpoint says who erased what links {ranges_of(unnamed)} held"
            )

    def _fault(self, position: int | None, what: str) -> Fault:
        return Fault(self._tenant_id, position, what)


def ranges_of(positions: Iterable[int]) -> str:
    """Positions in words: `1-3,7`."""
    found = set(positions)
    starts = sorted(one for one in found if one - 1 not in found)
    ends = sorted(one for one in found if one + 1 not in found)
    return ",".join(map(_stretch, starts, ends))


def _stretch(start: int, end: int) -> str:
    return str(start) if start == end else f"{start}-{end}"


def positions_of(ranges: str, before: int) -> set[int]:
    """The positions in such words that are before this one; what cannot be read is none."""
    found: set[int] = set()
    for stretch in ranges.split(","):
        start, _, end = stretch.partition("-")
        if start.isdecimal() and (end or start).isdecimal():
            found |= set(range(int(start), min(int(end or start) + 1, before)))
    return found
