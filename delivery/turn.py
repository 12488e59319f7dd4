"""The turn of an upload: an attempt, from the gate to the record of its result, or a look-up.

An attempt has three phases, so that an engine can begin and settle many uploads at once:

1. *begin*: write `Sending` for the uploads of one request, in a transaction that asks the gate;
2. *talk*: read the documents and run the provider's dialogue, which ends in a verdict for each;
3. *settle*: write what the verdicts mean, in one transaction, and tell the host.

A turn yields effects and is sent their answers (see `effects`). Whatever happens inside, it ends in
a verdict that is written down. If its driver was cut off, `Interrupted` is raised after that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ..domain.errors import StoreError
from ..domain.pacing.gate import (
    Acquired,
    GateChange,
    NotBefore,
    Refusal,
    may_overtake,
    patience_of,
)
from ..domain.pacing.gate import Blocked as GateBlocked
from ..domain.upload.attempt import attempt_of
from ..domain.upload.backoff import seconds_between
from ..domain.upload.events import AttemptEnded as AttemptEndedEvent
from ..domain.upload.events import Blocked, LookedUp, Progressed, Unfit
from ..domain.upload.failure import Failure, FailureKind
from ..domain.upload.upload import (
    LookingUp,
    Queued,
    Sending,
    Undecided,
    Upload,
    UploadKey,
    Waiting,
    due_of,
)
from ..domain.upload.verdict import (
    AttemptVerdict,
    Deferred,
    Unreadable,
    Verdict,
    Withdrawn,
)
from ..ports.logger import AttemptEnded, AttemptStarted, LogEvent
from ..ports.provider import Bundling, Parcel
from ..ports.records import BeginAnswer, Begun, Conflict, Start
from .accounting import (
    beginning_of,
    end_of,
    one_speaks_for_all,
    shared_id,
)
from .active import ActiveUpload
from .applying import Step, apply
from .destinations import Destination
from .effects import (
    Begin,
    Interrupted,
    Notify,
    ReadDocument,
    ReadDocuments,
    Turn,
    Write,
    perform,
)
from .look_up import look_up
from .making import made
from .outcome import (
    VERDICTS,
    VERDICTS_OF_MANY,
    broken,
    document_of,
    ended_early,
    interrupted,
    parcel_of,
    sound,
)
from .sender import OvertimeError, Sender, refuse_unstorable, run_dialogue
from .turn_context import TurnContext, hold, settled, slots_of

Stop: TypeAlias = Callable[[Destination, GateBlocked], Turn[None]]
"""Holds or parks what waits of a blocked integration."""


# --- an attempt ----------------------------------------------------------------------------------


class AttemptTurn:
    """One attempt of an upload, or of each of several that go in one request to one destination."""

    def __init__(self, context: TurnContext, uploads: Sequence[ActiveUpload]) -> None:
        self._context = context
        self._uploads = uploads
        self._destination: Destination = uploads[0].destination
        key = uploads[0].upload.key
        self._slots = slots_of(context, self._destination, key)
        self._begun: list[ActiveUpload] = []
        self._alone = uploads[0]
        self._request_id: str | None = None
        self._waited = 0.0
        self._cut: Interrupted | None = None
        self._blocked: GateBlocked | None = None

    @property
    def has_begun(self) -> bool:
        """Whether something is to be sent, or to be settled."""
        return bool(self._begun)

    @property
    def blocked(self) -> GateBlocked | None:
        """The integration is blocked, as the gate says or an upload has shown. Interrupted if the
        turn was cut off."""
        if self._cut is not None:
            raise self._cut
        return self._blocked

    # --- begin ---

    def begin(self) -> Turn[NotBefore | None]:
        """Write the beginnings; what does not begin is brought up to date."""
        uploads, starts = list[ActiveUpload](), list[Start]()
        for active in self._uploads:
            is_made = active.dossier.document.is_made
            if not is_made and not (yield from made(active, self._context.clock)):
                continue
            begins = beginning_of(active, self._context.clock.now())
            if isinstance(begins, Upload):
                uploads.append(active)
                starts.append(self._start(active, begins))
            else:
                yield from apply(Step(active, begins))
        answers = (yield from self._write(starts)) if starts else ()
        for answer in answers:
            if isinstance(answer, NotBefore):
                return answer
        for active, start, answer in zip(uploads, starts, answers, strict=True):
            if isinstance(answer, Begun):
                if not self._begun or answer.acquired != Acquired():
                    self._slots.begun(answer.acquired)
                started = self._go_on(active, start, answer.content, None)
                if self._context.wait_log.wants(started):
                    yield from self._tell(started)
            else:
                yield from self._go_on_anyhow(active, start, answer)
        return None

    def _start(self, active: ActiveUpload, begins: Upload) -> Start:
        quota, context = active.destination.quota, self._context
        budget = active.destination.rules.retry.max_attempts
        # A document that is read first, or a token, would be waited for with a slot in hand: of a
        # pace so wide that it has no line, there are enough.
        is_read_first = active.dossier.document.source is not None
        leaves = not (quota.exclusive or (is_read_first and may_overtake(quota) is not None))
        patience = None if context.waits else patience_of(quota)
        return Start(begins, quota, context.courier_id, budget, leaves, patience)

    def _write(self, starts: Sequence[Start]) -> Turn[Sequence[BeginAnswer]]:
        try:
            answers: Sequence[Sequence[BeginAnswer]] = yield Begin([starts])
            return answers[0]
        except Interrupted as cut:
            self._cut = cut
        # They may have been written all the same: then say that nothing was sent.
        in_flight = yield from self._in_flight()
        return [Conflict(in_flight.get(start.upload.key)) for start in starts]

    def _go_on_anyhow(
        self, active: ActiveUpload, start: Start, answer: GateBlocked | Conflict | NotBefore
    ) -> Turn[None]:
        """Go on with what is true on disk after a beginning was not written."""
        match answer:
            case GateBlocked(failure=failure, until=until):
                self._blocked = answer
                event = Blocked(self._context.clock.now(), failure, until)
                yield from apply(Step(active, event))
            case Conflict(current=current):
                # The same may be our own late write, or another courier's of the same moment.
                if current != start.upload or active.upload.key not in (
                    yield from self._in_flight()
                ):
                    if self._cut is None:
                        active.adopt(current)
                    return
                late = _begun_late(self._cut)
                yield from self._tell(self._go_on(active, start, None, late))
            case NotBefore():
                pass

    def _go_on(
        self,
        active: ActiveUpload,
        start: Start,
        content: bytes | None,
        verdict: AttemptVerdict | None,
    ) -> AttemptStarted:
        due = due_of(active.upload.state)
        sending = active.begin(start.upload, content, verdict)
        self._begun.append(active)
        waited = None if due is None else seconds_between(due, sending.started_at)
        return AttemptStarted(active.upload.key, sending.attempt, start.budget, waited)

    def _in_flight(self) -> Turn[dict[UploadKey, Upload]]:
        """What is on disk as being sent by this courier; nothing if that cannot be read."""
        courier, keys = self._context.courier_id, [one.upload.key for one in self._uploads]
        try:
            found = yield from perform(Write(lambda store: store.get(keys), keys[0]))
        except Interrupted:
            return {}
        return {
            key: one.upload
            for key, one in found.items()
            if one.courier_id == courier and isinstance(one.upload.state, Sending)
        }

    # --- talk ---

    def talk(self) -> Turn[None]:
        """Send what has begun; each attempt has a verdict after that."""
        sender = self._context.wait_log.sender(self._destination, self._slots)
        rest: AttemptVerdict | None = None
        try:
            if self._cut is None:
                yield from self._send([one for one in self._begun if one.verdict is None], sender)
        except GeneratorExit:
            raise
        except BaseException as error:
            rest = self._verdict_on(error, sender)
        redactor = self._context.redactors.of(self._destination, sender.secrets)
        for one in self._begun:
            verdict = one.verdict or rest or _begun_late(self._cut)
            if isinstance(verdict, Deferred) and (sender.blocked or sender.no_room_before):
                verdict = Withdrawn(verdict.failure, sender.no_room_before)
            one.verdict = redactor.verdict(verdict)
            one.answered = sender.answered
        self._blocked, self._waited = sender.blocked, sender.waited
        if sender.request_id is not None:
            self._request_id = redactor.text(sender.request_id)[:200]

    def _send(self, begun: Sequence[ActiveUpload], sender: Sender) -> Turn[None]:
        parcels: list[tuple[ActiveUpload, Parcel]] = []
        for one, document in zip(begun, (yield from self._documents(begun)), strict=True):
            if isinstance(document, bytes):
                parcel = parcel_of(one.upload, one.dossier, self._destination, document)
                parcels.append((one, parcel))
            else:
                one.verdict = document
            one.content = None
        if len(parcels) == 1:
            yield from self._send_alone(*parcels[0], sender)
        elif parcels:
            yield from self._send_together(parcels, sender)

    def _documents(self, begun: Sequence[ActiveUpload]) -> Turn[Sequence[bytes | Verdict]]:
        """What is to be sent of each, or why it cannot be had."""
        timeout = self._destination.integration.route.timeouts.total
        documents = [document_of(one.upload, one.dossier, one.content, timeout) for one in begun]
        if len(documents) == 1 and isinstance(documents[0], ReadDocument):
            return [(yield documents[0])]
        to_read = [document for document in documents if isinstance(document, ReadDocument)]
        read = iter((yield from perform(ReadDocuments(to_read))) if to_read else ())
        return [
            next(read) if isinstance(document, ReadDocument) else document for document in documents
        ]

    def _send_alone(self, one: ActiveUpload, parcel: Parcel, sender: Sender) -> Turn[None]:
        self._alone, sender.commit = one, self._bookmark
        progress = one.upload.tally.progress
        settings = self._destination.integration.settings
        dialogue = self._destination.provider.upload(parcel, settings, progress)
        one.verdict = sound((yield from run_dialogue(dialogue, sender)), VERDICTS)

    def _send_together(
        self, parcels: Sequence[tuple[ActiveUpload, Parcel]], sender: Sender
    ) -> Turn[None]:
        provider, settings = self._destination.provider, self._destination.integration.settings
        assert isinstance(provider, Bundling)
        sender.commit = _no_bookmark_of_many
        dialogue = provider.upload_together([parcel for _, parcel in parcels], settings)
        verdicts: object = yield from run_dialogue(dialogue, sender)
        if not isinstance(verdicts, Sequence) or len(verdicts) != len(parcels):
            owed = f"a verdict for each of {len(parcels)} uploads"
            raise TypeError(f"its dialogue did not return {owed}")
        checked = [sound(verdict, VERDICTS_OF_MANY) for verdict in verdicts]
        for (one, _), verdict in zip(parcels, checked, strict=True):
            one.verdict = verdict

    def _bookmark(self, progress: str) -> Turn[None]:
        one = self._alone
        if not isinstance(progress, str):
            raise TypeError(f"its bookmark is {type(progress).__name__}, not text")
        refuse_unstorable("progress of its Bookmark", progress)
        now = self._context.clock.now()
        yield from apply(Step(one, Progressed(now, one.sending.attempt, progress)))

    def _verdict_on(self, error: BaseException, sender: Sender) -> AttemptVerdict:
        self._cut = self._context.interruption_of(error)
        if self._cut is not None:
            return interrupted(self._cut, sender.in_doubt)
        if isinstance(error, OvertimeError):
            return ended_early(error, sender.in_doubt)
        return broken(self._destination, error, sender.sent)

    # --- settle ---

    def settle(self) -> Turn[None]:
        """Write the verdicts in one transaction, then tell the host."""
        ends = self._ends()
        try:
            yield from settled(self._context, ends)
        except Interrupted:
            # The next courier finds it in flight without a courier that sends it, and recovers it.
            if self._cut is None:
                raise
            return
        for step in ends:
            one, attempt, gate = step.active, step.attempt, step.gate
            assert attempt is not None
            assert gate is not None
            if one.gone:
                continue
            key, due = one.upload.key, due_of(one.upload.state)
            ended = AttemptEnded.of(key, attempt, due, self._waited)
            if self._context.wait_log.wants(ended):
                yield from self._tell(ended)
            if gate.says_nothing:
                continue
            try:
                yield from self._context.wait_log.tell_of_gate(key, gate, due, attempt.started_at)
            except Interrupted as cut:
                self._cut = self._cut or cut
            if gate.block is not None:
                self._blocked = GateBlocked(gate.block, due)

    def _ends(self) -> list[Step]:
        request_id = self._request_id
        if request_id is None and len(self._uploads) > 1:
            request_id = shared_id([one.upload for one in self._begun])
        # What the target has taken opens it: a later answer counts more than an earlier refusal of
        # another upload.
        end = self._slots.end(opens=True)
        verdicts = one_speaks_for_all([one.verdict for one in self._begun if one.verdict])
        ends: list[Step] = []
        for one, verdict in zip(self._begun, verdicts, strict=True):
            ends.append(end_of(one, verdict, end, self._context.jitter(), request_id))
            if len(self._begun) > 1:
                # The requests are the first one's.
                end = GateChange(end.quota, end.at, opens=True)
        return ends

    def _tell(self, event: LogEvent) -> Turn[None]:
        try:
            yield Notify(event)
        except Interrupted as cut:
            self._cut = self._cut or cut


def _begun_late(cut: Interrupted | None) -> AttemptVerdict:
    """The verdict on an attempt whose beginning is on disk, and that was not sent."""
    if cut is not None:
        return interrupted(cut, in_doubt=False)
    return Deferred(Failure(FailureKind.NOT_SENT, "it was begun so late that nothing was sent"))


def _no_bookmark_of_many(progress: str) -> Turn[None]:
    yield from ()
    raise TypeError("it made a bookmark while several uploads went together")


def take_turn(
    context: TurnContext, uploads: Sequence[ActiveUpload], stop: Stop | None = None
) -> Turn[Refusal | None]:
    """The turn of the uploads of one request, in one look-up or in three phases. NotBefore: the
    gate refuses it. Blocked: the integration is blocked, and nothing was done by `stop`."""
    refused: Refusal | None = None
    try:
        match uploads[0].upload.state:
            case LookingUp() | Undecided():
                refused = yield from look_up(context, uploads[0])
            case Queued() | Waiting():
                turn = AttemptTurn(context, uploads)
                refused = yield from turn.begin()
                if turn.has_begun:
                    yield from turn.talk()
                    yield from turn.settle()
                if (blocked := turn.blocked) is not None:
                    yield from hold(context, uploads, blocked)
                refused = refused or blocked
    except (GeneratorExit, Interrupted, StoreError):
        raise
    except BaseException as error:
        if context.interruption_of(error) is not None:
            raise
        for active in uploads:
            yield from _fail(context, active, error)
    destination = uploads[0].destination
    if isinstance(refused, NotBefore):
        return (yield from context.wait_log.tell(destination, refused, context.clock.now()))
    if refused is None or stop is None:
        return refused
    yield from stop(destination, refused)
    return None


def _fail(context: TurnContext, active: ActiveUpload, error: BaseException) -> Turn[None]:
    """The turn itself has a bug: end it in words, so that the upload never stands still."""
    state, now = active.upload.state, context.clock.now()
    rejected = broken(active.destination, error, isinstance(state, Sending))
    match state:
        case Sending(attempt=number, started_at=started_at):
            event = AttemptEndedEvent(now, number, rejected, 0.0)
            attempt = attempt_of(started_at, event, active.destination.rules.retry)
            yield from apply(Step(active, event, attempt))
        case LookingUp(look_up=number) | Undecided(look_up=number):
            finding = Unreadable(rejected.failure)
            yield from apply(Step(active, LookedUp(now, number, finding)))
        case _:
            yield from apply(Step(active, Unfit(now, rejected.failure)))
