"""The turn of an upload that is in doubt or undecided: one look-up, from the gate to its record."""

from __future__ import annotations

from contextlib import suppress

from attrs import evolve

from ..domain.errors import StoreError
from ..domain.pacing.gate import Blocked as GateBlocked
from ..domain.pacing.gate import NotBefore, Refusal, look_up_time
from ..domain.upload.backoff import later
from ..domain.upload.events import Blocked
from ..domain.upload.failure import Failure, FailureKind
from ..domain.upload.upload import LookingUp, Undecided, Upload, due_of, with_look_up_due
from ..domain.upload.verdict import Finding, Unreadable
from ..ports.logger import LookUpEnded
from ..ports.provider import CanLookUp
from ..ports.records import Change, Conflict, Saved
from .accounting import look_up_result_of
from .active import ActiveUpload
from .applying import Step, apply, save
from .effects import Interrupted, Notify, Turn, perform
from .outcome import FINDINGS, broken, parcel_of, sound
from .sender import Sender, run_dialogue
from .turn_context import TurnContext, settled, slots_of


def look_up(context: TurnContext, active: ActiveUpload) -> Turn[Refusal | None]:
    """One look-up, to its end. NotBefore: it may not begin yet. Blocked: the integration is.

    No other courier makes it meanwhile; if this one is killed, after the time that a look-up takes.
    An interruption goes on its way: a look-up changes nothing, and is made again.
    """
    state, destination, key = active.upload.state, active.destination, active.upload.key
    assert isinstance(state, LookingUp | Undecided)
    slots, began = slots_of(context, destination, key), context.clock.now()
    until = later(began, look_up_time(destination.quota))
    begun = with_look_up_due(active.upload, until, began)
    sender = context.wait_log.sender(destination, slots)
    finding = None
    try:
        refused = yield from slots.ask(begun)
        if isinstance(refused, NotBefore):
            return refused
        if isinstance(refused, Conflict):
            if refused.current != begun:
                active.adopt(refused.current)
                return None
            refused = None  # our own late write
        if refused is None:
            active.upload = begun
            finding = yield from _finding(context, active, sender)
            active.answered = sender.answered
    except Interrupted:
        yield from _leave_look_up(context, active, begun)
        raise
    if (blocked := refused or sender.blocked) is not None:
        held = Blocked(context.clock.now(), blocked.failure)
        yield from apply(Step(active, held, gate=slots.end()))
        return blocked
    assert finding is not None
    end = evolve(slots.end(), opens=active.upload.tally.parked_at is not None)
    result = look_up_result_of(finding, state.look_up, destination, end)
    step = Step(active, result.event, look_up=result.look_up, gate=result.gate)
    yield from settled(context, [step])
    due = due_of(active.upload.state)
    ended = LookUpEnded(key, state.look_up, result.look_up.finding, result.failure, due)
    yield from perform(Notify(ended))
    yield from context.wait_log.tell_of_gate(key, result.gate, due, began)
    block = result.gate.block
    return None if block is None else GateBlocked(block)


def _leave_look_up(context: TurnContext, active: ActiveUpload, begun: Upload) -> Turn[None]:
    """A look-up that was cut off changes nothing, and may be made again at once, if it was begun on
    disk at all."""
    now = context.clock.now()
    left = with_look_up_due(begun, now, now)
    with suppress(Interrupted, StoreError):
        (answer,) = yield from save([Change(left)])
        if isinstance(answer, Saved):
            active.upload = left


def _finding(context: TurnContext, active: ActiveUpload, sender: Sender) -> Turn[Finding]:
    """What the provider says of the upload, redacted."""
    destination, provider = active.destination, active.destination.provider
    if not isinstance(provider, CanLookUp):
        message = f"{destination.integration.provider} cannot be asked for an upload any more"
        return Unreadable(Failure(FailureKind.PROVIDER_BROKEN, message))
    parcel = parcel_of(active.upload, active.dossier, destination, b"")
    try:
        progress = active.upload.tally.progress
        dialogue = provider.look_up(parcel, destination.integration.settings, progress)
        finding: Finding = sound((yield from run_dialogue(dialogue, sender)), FINDINGS)
    except GeneratorExit:
        raise
    except BaseException as error:
        cut = context.interruption_of(error)
        if cut is not None:
            raise cut from None
        finding = Unreadable(broken(destination, error, sender.sent).failure)
    return context.redactors.of(destination, sender.secrets).finding(finding)
