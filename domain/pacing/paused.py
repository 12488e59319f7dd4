"""What a person has paused: nothing begins for it until a person resumes it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from attrs import field, frozen

from ..arguments import MISSING, of_kind
from ..errors import MisuseError
from ..integration import tenant_key
from ..upload.backoff import later
from ..upload.failure import Failure, FailureKind
from ..upload.status import ActionRow


def _key(tenant_id: str | None) -> str | None:
    return None if tenant_id is None else tenant_key(tenant_id)


@frozen
class Scope:
    """What is paused: a tenant (see `tenant_key`), a provider, or a tenant's integration with a
    provider. None is every one; MisuseError if both are, or if one is empty."""

    tenant_id: str | None = field(default=None, converter=_key)
    provider: str | None = None

    def __attrs_post_init__(self) -> None:
        of_kind("provider", self.provider, (str, MISSING), "text")
        named = [one for one in (self.tenant_id, self.provider) if one is not None]
        if not named or "" in named:  # an empty one would stand for every one
            raise MisuseError("name a tenant, a provider or both: what is to be paused or resumed")

    def covers(self, tenant_id: str, provider: str) -> bool:
        """Whether the uploads of this tenant to this provider belong to it."""
        return self.tenant_id in (None, tenant_key(tenant_id)) and (
            self.provider in (None, provider)
        )

    def __str__(self) -> str:
        tenant = None if self.tenant_id is None else f"tenant {self.tenant_id}"
        return " with ".join(filter(None, (tenant, self.provider)))


@frozen
class Paused:
    """What a person has paused: what is under way there ends, and nothing else begins."""

    scope: Scope
    at: datetime
    by: str
    reason: str

    @property
    def failure(self) -> Failure:
        """Why the uploads within it are held."""
        since = f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return Failure(FailureKind.PAUSED, f"paused by {self.by} since {since}: {self.reason}")


@frozen
class Resumed:
    """A person has resumed what was paused."""

    scope: Scope
    at: datetime
    by: str
    reason: str


def pause_of(paused: Iterable[Paused], tenant_id: str, provider: str) -> Paused | None:
    """The oldest pause that holds for the uploads of a tenant to a provider."""
    return next((one for one in paused if one.scope.covers(tenant_id, provider)), None)


def actions_of(
    changes: Iterable[Paused | Resumed],
    tenant_id: str,
    provider: str,
    since: datetime,
    to: datetime,
) -> Iterator[ActionRow]:
    """Those that concerned an upload between two moments, as its history shows them."""
    for one in changes:
        if one.scope.covers(tenant_id, provider) and since <= one.at <= to:
            word = "pause" if isinstance(one, Paused) else "resume"
            yield ActionRow(at=one.at, action=word, by=one.by, reason=one.reason)


def waits_since(
    recorded: datetime, tenant_id: str, provider: str, changes: Iterable[Paused | Resumed]
) -> datetime:
    """Since when an upload waits that nothing pauses now: since it was recorded, or later by as
    long as it was paused. `changes` are in their order."""
    began, spans = dict[Scope, datetime](), list[tuple[datetime, datetime]]()
    for one in changes:
        if isinstance(one, Paused):
            began[one.scope] = one.at
        elif one.scope in began and one.scope.covers(tenant_id, provider):
            spans.append((began.pop(one.scope), one.at))
    paused, last = timedelta(), recorded
    for start, end in sorted(spans):  # two pauses may cover the same time
        paused += max(end - max(start, last), timedelta())
        last = max(last, end)
    return later(recorded, paused)
