"""Writes what events make of uploads, also if another courier was faster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen

from ..domain.pacing.gate import GateChange
from ..domain.upload.attempt import Attempt
from ..domain.upload.events import Event
from ..domain.upload.status import LookUpRow
from ..domain.upload.transitions import advance
from ..domain.upload.upload import UploadKey
from ..ports.records import Change, Entry, SaveAnswer, Saved
from .active import ActiveUpload
from .effects import Read, Save, Turn, Write, perform


@frozen
class Step:
    """An event of an upload, with what is written beside it."""

    active: ActiveUpload
    event: Event
    attempt: Attempt | None = None
    look_up: LookUpRow | None = None
    gate: GateChange | None = None


def apply(*steps: Step) -> Turn[Sequence[Step]]:
    """Write what events make of different uploads, in one transaction; which were written.

    If another courier was faster, what it wrote is what is true, and the event is applied to that.
    """
    written: list[Step] = []
    left: Sequence[Step] = steps
    while left:
        moving: list[tuple[Step, Change]] = []
        for step in left:
            before = step.active.upload
            after = advance(before, step.event, step.active.destination.rules)
            if after is before or step.active.gone:
                yield from _end_slots(step)
            else:
                change = Change(after, step.attempt, step.look_up, gate=step.gate)
                moving.append((step, change))
        answers: Sequence[SaveAnswer] = ()
        if moving:
            answers = yield Save([change for _, change in moving])
        late: list[Step] = []
        for (step, change), answer in zip(moving, answers, strict=True):
            if isinstance(answer, Saved) or answer.current == change.upload:
                step.active.upload = change.upload
                written.append(step)
            else:
                step.active.adopt(answer.current)
                late.append(step)
        left = late
    return written


def _end_slots(step: Step) -> Turn[None]:
    """Nothing is written of the upload, and its requests were made all the same."""
    gate = step.gate
    if gate is not None:
        yield from perform(Write(lambda store: store.save([gate]), step.active.upload.key))


def stored(keys: Sequence[UploadKey]) -> Turn[Mapping[UploadKey, Entry]]:
    """Read uploads."""
    if not keys:
        return {}
    return (yield from perform(Read(lambda store: store.get(keys))))


def save(changes: Sequence[Change]) -> Turn[Sequence[SaveAnswer]]:
    """Write changes of uploads, unless another courier was faster."""
    if not changes:
        return []
    return (yield from perform(Write(lambda store: store.save(changes))))
