"""What the three faces of the courier have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Generic, TypeVar

from attrs import frozen

from ..delivery.actions import Filter
from ..domain.errors import MisuseError
from ..domain.evidence.evidence import Evidence
from ..domain.upload.actions import Action
from ..domain.upload.upload import Status

R = TypeVar("R")
"""What an action returns: an `ActionResult`, or an awaitable one."""


@frozen(kw_only=True)
class Health:
    """The state of a courier. `counts` are the uploads in the database by status word; the other
    numbers are this courier's own. `listener_failures`: how often the logger or `on_settled`
    raised, or `on_settled` could not be called; the uploads are not affected. `lost_readers`: the
    threads that read from the host's document source and have not returned in time."""

    running: bool
    tenants: int
    submitted: int
    planned: int
    under_way: int
    counts: Mapping[str, int]
    listener_failures: int = 0
    lost_readers: int = 0


class PeoplesActions(ABC, Generic[R]):
    """What people do to uploads. Each action changes nothing when it is done twice.

    All four take the same arguments, return the same and raise the same.

    Args:
        tenant_id: The tenant whose uploads are meant.
        which: An evidence id, or a `Filter` for some of the tenant's uploads: ``Filter()`` is all
            of them that the action is for.
        by: Who does it; recorded with the upload.
        reason: Why; recorded with the upload.
        preview: Do nothing; `done` is then what it would be done to.

    Returns:
        The uploads it was done to, as they are now, and those that were skipped with the reason.

    Raises:
        MisuseError: The one upload does not exist; `by` or `reason` is empty; or what may be done
            depends on a provider that is not installed here.
        StoreError: The database could not be read or written.
    """

    def retry(
        self, tenant_id: str, which: str | Filter, *, by: str, reason: str, preview: bool = False
    ) -> R:
        """Try failed uploads again, with a fresh budget and their history kept.

        If the failure was one of the whole integration, the integration counts as mended. See
        `PeoplesActions` for the arguments.
        """
        return self._act(Action.RETRY, tenant_id, which, by, reason, preview)

    def release(
        self, tenant_id: str, which: str | Filter, *, by: str, reason: str, preview: bool = False
    ) -> R:
        """Try held uploads again.

        If they are held because of the integration, the integration counts as mended. See
        `PeoplesActions` for the arguments.
        """
        return self._act(Action.RELEASE, tenant_id, which, by, reason, preview)

    def abandon(
        self, tenant_id: str, which: str | Filter, *, by: str, reason: str, preview: bool = False
    ) -> R:
        """Give up uploads that are not settled: nothing more is sent.

        An attempt in flight is not interrupted. See `PeoplesActions` for the arguments.
        """
        return self._act(Action.ABANDON, tenant_id, which, by, reason, preview)

    def attest(
        self, tenant_id: str, which: str | Filter, *, by: str, reason: str, preview: bool = False
    ) -> R:
        """Record that held or failed uploads have arrived: a person has seen them at the provider.

        See `PeoplesActions` for the arguments.
        """
        return self._act(Action.ATTEST, tenant_id, which, by, reason, preview)

    @abstractmethod
    def _act(
        self,
        action: Action,
        tenant_id: str,
        which: str | Filter,
        by: str,
        reason: str,
        preview: bool,
    ) -> R: ...


def status_of_word(word: str | None) -> Status | None:
    """The status that a word names; MisuseError if it names none."""
    if word is None:
        return None
    try:
        return Status(word)
    except ValueError:
        words = ", ".join(status.value for status in Status)
        raise MisuseError(f"{word!r} is no status; the statuses are {words}") from None


def require_evidence(evidence: object, verb: str) -> None:
    """MisuseError if this is no `Evidence`."""
    if not isinstance(evidence, Evidence):
        raise MisuseError(f"{verb} takes an Evidence, not {type(evidence).__name__}")
