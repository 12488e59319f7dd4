"""What a person must know of, once for each transition: `news_of` compares how all uploads stand
with what was noted the last time.

- An integration is blocked, a target parked, a tenant's configuration invalid; and open again.
- Uploads have failed or are held: one notice for each cause, with a count. A burst is told when it
  is over, or after `MAX_BURST`.
- The oldest open upload is older than a limit; and no longer.
- Evidence came of a tenant that the configuration does not name.

What comes and goes between two looks is not told. Where uploads fail while others of the same cause
are retried, a notice may be about fewer than have failed; it says how many there are in all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from attrs import asdict, evolve, frozen

from .evidence.moments import write_moment
from .health import Count, Stop
from .upload.backoff import earlier, later
from .upload.failure import Concern, FailureKind
from .upload.upload import Status

MAX_BURST = timedelta(minutes=1)
"""Uploads that fail one after the other are told of after so long, even if more do; and no sooner
after the notice before, however often couriers look, but by one that ends."""

LATE_BY = timedelta(minutes=1)
"""What is told so long after it was so says when that was."""

FORGOTTEN_AT_ONCE = 1_000
"""The most notes that a look removes because time has passed."""

_TELLING = (Status.FAILED, Status.HELD)
_STOPPED = {
    "blocked": "does not work, and its uploads are held",
    "parked": "takes nothing now, and its uploads wait until it does",
    "skipped": "has no valid configuration in force, and its evidence is held or waits",
}


@frozen(kw_only=True)
class Notice:
    """One transition. `kind` is blocked, parked, skipped, open_again, failed, held, late,
    arriving_again, tenant_unknown, summary or test.

    `id` is the same however often it is told. `number` is how many uploads it is about, or for how
    many notices a summary stands. No field has what a provider said, so that none has a secret.
    `subjects`, whose uploads these are, is empty but for a sink that asks for them. `present` is
    how many uploads of the tenant have failed, or are held, for this reason when it is told.
    """

    id: str
    kind: str
    at: datetime
    text: str
    tenant_id: str | None = None
    provider: str | None = None
    reason: str | None = None
    number: int = 0
    subjects: Sequence[str] = ()
    present: int | None = None

    def to_json(self) -> str:
        """The notice as it is stored and sent."""
        found = asdict(self) | {"at": write_moment(self.at)}
        if self.present is None:
            del found["present"]
        return json.dumps({k: v for k, v in found.items() if v != ()}, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Notice:
        """The notice in a text of `to_json`. ValueError or TypeError if it is none."""
        found: dict[str, Any] = dict(json.loads(text))
        at = datetime.fromisoformat(found.pop("at", None))
        if at.tzinfo is None:
            raise ValueError(f"{at} does not know its time zone")
        return Notice(at=at, **found)

    def as_of(self, now: datetime, present: int | None) -> Notice:
        """The same as it is told now, when `present` uploads have failed or are held so: some of
        those that it is about may have been delivered since."""
        text = self.text
        if present is not None:
            text += f"; {present:,} in all now" if present else f"; by now none is {self.kind}"
        if later(self.at, LATE_BY) < now and self.kind != "summary":
            text += f" (this notice is of {_text(self.at)})"
        return evolve(self, text=text, present=present)

    def naming(self, subjects: Sequence[str]) -> Notice:
        """The same, with the subjects of as many of its uploads as are given."""
        if not subjects:
            return self
        more = self.number - len(subjects)
        names = ", ".join(subjects) + (f" and {more:,} more" if more > 0 else "")
        return evolve(self, subjects=tuple(subjects), text=f"{self.text}; of {names}")


@frozen
class Standing:
    """How all uploads stand at one moment, and the tenants that are not known."""

    counts: Sequence[Count]
    stops: Sequence[Stop]
    oldest_open_at: datetime | None


@frozen
class News:
    """The notices that follow, and the notes that are new; None is no more."""

    notices: Sequence[Notice]
    notes: Mapping[str, str | None]


FIRST = "watched"
"""The note that something was noted before."""


def news_of(
    standing: Standing,
    notes: Mapping[str, str],
    now: datetime,
    late_after: timedelta | None,
    unknown: Sequence[str] = (),
    mine: Collection[About] = (),
) -> News:
    """What has changed since the notes were written.

    Without any note, what has failed so far is noted and not told.

    Args:
        standing: How all uploads stand.
        notes: What was noted.
        now: The present moment.
        late_after: The age from which on the oldest open upload is told of; None: it is not.
        unknown: The unknown tenants for which evidence was submitted.
        mine: What is told although there was a notice about the same within MAX_BURST (`about_of`).
    """
    changed: dict[str, str | None] = {} if FIRST in notes else {FIRST: _text(now)}
    notices = [
        *_of_stops(standing.stops, notes, changed, now),
        *_of_counts(standing.counts, notes, changed, now, mine),
        *_of_age(standing.oldest_open_at, notes, changed, now, late_after),
        *_of_unknown(unknown, notes, changed, now),
    ]
    if changed:  # else there would be a write for these alone
        changed = dict.fromkeys(_outlived(notes, now)) | changed
    return News(notices, changed)


def notice_of(
    kind: str,
    at: datetime,
    text: str,
    tenant_id: str | None = None,
    provider: str | None = None,
    reason: str | None = None,
    number: int = 0,
) -> Notice:
    """A notice with its id."""
    about = json.dumps([kind, at.isoformat(), tenant_id, provider, reason])
    return Notice(
        id=hashlib.sha256(about.encode()).hexdigest()[:32],
        kind=kind,
        at=at,
        text=text,
        tenant_id=tenant_id,
        provider=provider or None,
        reason=reason,
        number=number,
    )


def summary_of(notices: Sequence[Notice]) -> Notice:
    """One notice for many, the oldest first, that no sink has taken for long."""
    number = sum(one.number if one.kind == "summary" else 1 for one in notices)
    first, last = notices[0], notices[-1]
    text = (
        f"{number:,} notices since {_text(first.at)} were not taken and are not sent one by one: "
        "`evidence-courier health` and `evidence-courier blocks` say how all stands now"
    )
    return evolve(notice_of("summary", first.at, text, reason=last.id), reason=None, number=number)


About: TypeAlias = tuple[str | None, ...]


def about_of(notice: Notice) -> About:
    """What the notice is about: a later one about the same takes its place as the last word.
    Whether evidence arrives is about no tenant."""
    match notice.kind:
        case "summary":
            return (notice.id,)
        case "failed" | "held":
            return notice.kind, notice.tenant_id, notice.provider, notice.reason
    return notice.tenant_id, notice.provider


def _of_stops(
    stops: Sequence[Stop], notes: Mapping[str, str], changed: dict[str, str | None], now: datetime
) -> Iterator[Notice]:
    present: dict[str, Stop] = {}
    for stop in stops:
        if stop.state in _STOPPED:
            present[json.dumps(["stop", stop.state, stop.tenant_id, stop.provider])] = stop
    for key, stop in present.items():
        if key not in notes:
            changed[key] = stop.reason
            what = f"{_named(stop.tenant_id, stop.provider)} {_STOPPED[stop.state]}"
            text = f"{what}: {stop.reason}; `evidence-courier blocks` says more"
            about = stop.tenant_id, stop.provider, stop.reason
            yield notice_of(stop.state, now, text, *about, stop.uploads)
    for key in sorted(_keys("stop", notes) - present.keys()):
        changed[key] = None
        match _parts_of(key):
            case [_, str(state), str(tenant_id), str(provider)]:
                text = f"{_named(tenant_id, provider)} is no longer {state}: its uploads go on"
                yield notice_of("open_again", now, text, tenant_id, provider, notes[key])


def _parts_of(key: str) -> object:
    """What a note is of. Other hands may have written it."""
    try:
        return json.loads(key)
    except ValueError:
        return None


def _of_counts(
    counts: Sequence[Count],
    notes: Mapping[str, str],
    changed: dict[str, str | None],
    now: datetime,
    mine: Collection[About],
) -> Iterator[Notice]:
    causes = {_cause(one): one for one in counts if _is_noticed(one)}
    for cause, count in causes.items():
        key, notified, joined = (json.dumps([word, *cause]) for word in _OF_CAUSE)
        noted = _Noted.of(notes.get(key), notes.get(joined)) if FIRST in notes else None
        before = noted or _Noted(announced=count.number)
        after = before.followed_by(count, now)
        is_rare = cause in mine or not _is_of_last_minute(notes.get(notified), now)
        if after.is_overdue(now) or (after.news and is_rare and before.seen == count.number):
            yield _notice_of(count, after.news, now)
            after, changed[notified] = _Noted(count.number, count.number), _text(now)
        last = None if count.last_at is None else write_moment(count.last_at)
        changed |= {
            name: note
            for name, note in ((key, after.text), (joined, last))
            if notes.get(name) != note
        }
    for word in ("count", "last"):  # all of these go on, or are gone
        changed |= dict.fromkeys(_keys(word, notes) - {json.dumps([word, *one]) for one in causes})


_OF_CAUSE = ("count", "told", "last")
"""The notes of a cause: what was seen and told of it, when it was told, and when the last upload
had failed, or came to be held, that was seen. A courier of an older version keeps no `last`."""


@frozen
class _Noted:
    """What was noted of one cause: how many uploads had failed, or were held, at the last look
    (`seen`), how many of them notices were about (`announced`), since when there are others, and
    when the last of those that were seen had failed, or came to be held."""

    announced: int = 0
    seen: int = 0
    since: str | None = None
    last: datetime | None = None

    @classmethod
    def of(cls, note: str | None, last: str | None) -> _Noted | None:
        """What the notes say; None if they cannot be read, since other hands wrote them."""
        try:
            announced, seen, since = (0, 0, None) if note is None else json.loads(note)
            at = None if last is None else datetime.fromisoformat(last).astimezone()
            return cls(int(announced), int(seen), None if since is None else str(since), at)
        except (ValueError, TypeError, OverflowError):
            return None

    @property
    def text(self) -> str:
        """The note."""
        return json.dumps([self.announced, self.seen, self.since])

    @property
    def news(self) -> int:
        """How many no notice was about."""
        return self.seen - self.announced

    def followed_by(self, count: Count, now: datetime) -> _Noted:
        """What is noted when the store counts this many. If one of them is new, notices were about
        the others at most."""
        has_new = self.last is not None and count.last_at is not None and count.last_at > self.last
        announced = min(self.announced, count.number - has_new)
        since = None if announced == count.number else self.since or _text(now)
        return _Noted(announced, count.number, since)

    def is_overdue(self, now: datetime) -> bool:
        """Whether there have been others for so long that the end of the burst is not awaited."""
        return self.since is not None and self.since <= _text(earlier(now, MAX_BURST))


def _is_of_last_minute(note: str | None, now: datetime) -> bool:
    """Whether a notice was told within MAX_BURST."""
    return note is not None and _text(earlier(now, MAX_BURST)) < note <= _text(now)


def _outlived(notes: Mapping[str, str], now: datetime) -> list[str]:
    """The notes of when a notice was told that are older than MAX_BURST: they delay none any more.
    One that is later than now stays, as another courier's clock may say so."""
    until = _text(earlier(now, MAX_BURST))
    return sorted(key for key in _keys("told", notes) if notes[key] <= until)[:FORGOTTEN_AT_ONCE]


def _notice_of(count: Count, number: int, now: datetime) -> Notice:
    """That this number of them has failed, or is held."""
    one = {Status.FAILED: "upload has failed", Status.HELD: "upload is held"}
    more = {Status.FAILED: "uploads have failed", Status.HELD: "uploads are held"}
    what = f"{number:,} {(one if number == 1 else more)[count.status]}"
    text = f"{_named(count.tenant_id, count.provider)}: {what}: {count.reason}"
    about = count.tenant_id, count.provider, count.reason
    return notice_of(count.status.value, now, text, *about, number)


def _cause(count: Count) -> About:
    """What the notice of these is about (`about_of`)."""
    return count.status.value, count.tenant_id, count.provider, count.reason


def _is_noticed(count: Count) -> bool:
    """Whether these have failed or are held; not what is held for an integration: the stop is told,
    and a pause is known."""
    if count.status not in _TELLING or count.reason is None or not count.number:
        return False
    of_upload = FailureKind(count.reason).concern is Concern.UPLOAD
    return count.status is Status.FAILED or of_upload


def _keys(word: str, notes: Mapping[str, str]) -> set[str]:
    """The names of the notes that begin with this word."""
    return {key for key in notes if key.startswith(f'["{word}", ')}


def _of_age(
    oldest: datetime | None,
    notes: Mapping[str, str],
    changed: dict[str, str | None],
    now: datetime,
    late_after: timedelta | None,
) -> Iterator[Notice]:
    is_late = late_after is not None and oldest is not None and later(oldest, late_after) < now
    if is_late and "late" not in notes:
        assert oldest is not None
        changed["late"] = _text(oldest)
        text = f"evidence stopped arriving: the oldest open upload has waited since {_text(oldest)}"
        yield notice_of("late", now, text)
    if not is_late and "late" in notes:
        changed["late"] = None
        text = "no open upload is too old any more; what failed, is parked or paused does not count"
        yield notice_of("arriving_again", now, text)


def _of_unknown(
    unknown: Sequence[str], notes: Mapping[str, str], changed: dict[str, str | None], now: datetime
) -> Iterator[Notice]:
    for tenant_id in dict.fromkeys(unknown):
        key = json.dumps(["unknown", tenant_id])
        if key not in notes:
            changed[key] = _text(now)
            text = f"tenant {tenant_id} is not in the configuration: its evidence is not recorded"
            yield notice_of("tenant_unknown", now, text, tenant_id)


def _named(tenant_id: str, provider: str) -> str:
    return f"tenant {tenant_id} with {provider}" if provider else f"tenant {tenant_id}"


def _text(at: datetime) -> str:
    return write_moment(at.replace(microsecond=0))
