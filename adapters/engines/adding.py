"""The last step from submission to record: has the database add what is prepared, keeps what that
cannot take just now, goes on with what it knew before, and tells the ticket of each."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from enum import Enum, auto
from typing import Any, TypeAlias

from attrs import define

from ...delivery.active import ActiveUploads, unsettled_error
from ...delivery.destinations import Destination
from ...delivery.recording import given_up_error, uncertain_error, unwritten_error
from ...delivery.resubmission import adopt
from ...domain.errors import CourierError, MisuseError, StoreError
from ...domain.evidence.evidence import Evidence
from ...domain.secrets.redaction import words_of
from ...domain.upload.upload import UploadKey
from ...ports.logger import RecordingFailed, UploadRecorded, WriteDelayed
from ...ports.records import AddAnswer, Added, Entry
from .asyncio_driver import AsyncioDriver, interruption_of
from .notify import report
from .tickets import Ticket
from .unwritten import Unwritten


@define(eq=False)
class Submission:
    """An evidence on its way to being recorded. It keeps the destination it was submitted to,
    credentials included."""

    evidence: Evidence
    destination: Destination
    ticket: Ticket

    @property
    def key(self) -> UploadKey:
        """The key of the upload that it asks for."""
        evidence = self.evidence
        return UploadKey(
            evidence.tenant_id, evidence.evidence_id, self.destination.integration.provider
        )


@define(eq=False)
class Prepared:
    """A submission that can be recorded."""

    submission: Submission
    entry: Entry


_Known: TypeAlias = tuple[Submission, UploadKey]
"""A submission, and the key under which it was known before."""


class _Stage(Enum):
    """How far a submission in hand is."""

    PREPARED = auto()  # it is being prepared, or is
    ASKED = auto()  # the database was asked for it, and its answer is not handled yet
    ADOPTED = auto()  # it was known before, and what was known is being adopted


class Adding:
    """Adds to the database. Lives on the engine's loop.

    What is recorded becomes active, and `wake` is called; or it `leaves` that to the courier that
    adopts it. `start` begins work that a close waits for.
    """

    leaves: bool = False

    def __init__(
        self,
        driver: AsyncioDriver,
        active: ActiveUploads,
        wake: Callable[[], None],
        start: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._driver = driver
        self._active = active
        self._wake = wake
        self._start = start
        self._stages: dict[Submission, _Stage] = {}
        self.unwritten = Unwritten(driver.clock, self._add_unwritten, wake)

    @property
    def unrecorded(self) -> int:
        """How many submissions it has that are not recorded, those that are kept included."""
        delayed = {one.submission for one in self.unwritten}
        in_hand = {one for one, stage in self._stages.items() if stage is not _Stage.ADOPTED}
        return len(delayed | in_hand)

    def take(self, some: Iterable[Submission]) -> None:
        """Some are being prepared."""
        self._stages.update(dict.fromkeys(some, _Stage.PREPARED))

    def put_back(self, some: Iterable[Submission]) -> None:
        """Some are not in hand any more."""
        for one in some:
            self._stages.pop(one, None)

    async def add(
        self, prepared: Sequence[Prepared], refused: StoreError | None = None
    ) -> StoreError | None:
        """Record a batch, or keep it if the database has just refused another. Returns why it
        was refused, if it was."""
        known: Sequence[_Known] = ()
        if refused is None:
            try:
                early, known = await self._write(prepared)
            except BaseException as error:
                self.failed([one.submission for one in prepared], error)
                return None
        else:
            early = [(one, refused) for one in prepared]
        for one, why in early:
            self._keep(one, why)
        self._wake()
        await self._adopt(known)
        return early[0][1] if early else None

    def _keep(self, one: Prepared, error: StoreError) -> None:
        """The database cannot take a submission just now: try it again later."""
        self.put_back([one.submission])
        if self.unwritten.keep(one, len(one.entry.content or b"")):
            error = unwritten_error(error)
            self._driver.notifier.log(WriteDelayed(one.submission.key, str(error)))
            one.submission.ticket.mark_delayed(error)
        else:
            self.not_recorded(one.submission, error)

    async def _add_unwritten(self, some: Sequence[Prepared]) -> Sequence[Prepared]:
        def file() -> None:
            for one in some:
                one.entry = self._driver.outside.preparer.filed(one.entry)

        try:
            await self._driver.read(file)
            early, known = await self._write(some)
        except BaseException as error:
            _report(error)
            return some
        if known:
            self._start(self._adopt(known))
        return [one for one, _ in early]

    async def _write(
        self, prepared: Sequence[Prepared]
    ) -> tuple[Sequence[tuple[Prepared, StoreError]], Sequence[_Known]]:
        """Record some; those that the database may take later, with its words, and those that were
        known before."""
        self._stages.update(dict.fromkeys((one.submission for one in prepared), _Stage.ASKED))
        answers: Sequence[AddAnswer | CourierError]
        try:
            answers = await self._driver.writer.add([one.entry for one in prepared])
        except CourierError as error:
            answers = [error] * len(prepared)
        early, known = [], []
        for one, answer in zip(prepared, answers, strict=True):
            submission = one.submission
            if isinstance(answer, StoreError) and answer.passing:
                early.append((one, answer))
                self.put_back([submission])
                continue
            found = None
            if isinstance(answer, CourierError):
                self.not_recorded(submission, answer)
            else:
                found = self._recorded(submission, one.entry, answer)
            if found is None:
                self.put_back([submission])
            else:
                known.append((submission, found))
                self._stages[submission] = _Stage.ADOPTED
        return early, known

    async def _adopt(self, known: Sequence[_Known]) -> None:
        """Go on with what was known before."""
        if not known:
            return
        adopting = [one for one, _ in known]
        wanted = [(key, one.destination, one.ticket) for one, key in known]
        now, leaves = self._driver.clock.now(), self.leaves
        try:
            asked = await self._driver.run(adopt(self._active, now, wanted, leaves=leaves))
        except BaseException as error:
            return self.failed(adopting, error)
        self.put_back(adopting)
        for submission in adopting if leaves and asked else ():
            submission.ticket.mark_recorded()

    def _recorded(
        self, submission: Submission, entry: Entry, answer: AddAnswer
    ) -> UploadKey | None:
        """A submission is on disk; the key under which it was known before, if it was."""
        known = not isinstance(answer, Added)
        if not (known and self.leaves):  # else once it goes on, so that its status is the new one
            submission.ticket.mark_recorded()
        if isinstance(answer, Added):
            if self.leaves:
                self._driver.notifier.log(UploadRecorded(entry.upload.key))
            else:
                self._active.recorded(entry, answer, submission.destination, submission.ticket)
            return None
        submitted = entry.dossier.submitted_digest
        self._active.compare(entry.upload.key, answer.submitted_digest, submitted)
        return answer.upload.key

    def failed(self, batch: Sequence[Submission], error: BaseException) -> None:
        """The work on a batch has raised what no one foresaw: each ticket says so. Raises it if it
        is the host's own."""
        _report(error)
        what = words_of(error)
        for one in batch:
            stage = self._stages.pop(one, None)
            if stage in (_Stage.ASKED, _Stage.ADOPTED):
                self.not_recorded(one, uncertain_error(one.key, what))
            elif stage is _Stage.PREPARED:
                text = f"{one.key} could not be recorded ({what}): submit it again"
                self.not_recorded(one, StoreError(text))

    def give_up(self, waiting: Iterable[Submission]) -> None:
        """The courier is closed: say so of what is in hand, and of what waited for it."""
        for one in self.unwritten.give_up():
            if one.submission not in self._stages:
                self.not_recorded(one.submission, given_up_error(one.submission.key))
        stages = {**dict.fromkeys(waiting, _Stage.PREPARED), **self._stages}
        for submission, stage in stages.items():
            key = submission.key
            if stage is _Stage.PREPARED:
                error: CourierError = MisuseError(
                    f"the courier was closed before {key} could be recorded: "
                    "submit it to an open courier"
                )
                self.not_recorded(submission, error)
            elif stage is _Stage.ASKED:
                closed = "the courier was closed before the database had answered"
                self.not_recorded(submission, uncertain_error(key, closed))
            else:
                submission.ticket.mark_lost(unsettled_error(key.tenant_id, key.evidence_id))

    def not_recorded(self, submission: Submission, error: CourierError) -> None:
        """A submission is not written down, or perhaps not."""
        self._driver.notifier.log(RecordingFailed(submission.key, str(error)))
        submission.ticket.mark_lost(error)


def _report(error: BaseException) -> None:
    if interruption_of(error) is not None:
        raise error
    report("evidence-courier: recording failed, which is a bug", error)
