"""`evidence-courier submit`: deliver files now, and wait until each is settled."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import mimetypes
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict, Unpack

import click
from attrs import evolve

from ...adapters.engines.tickets import Ticket
from ...adapters.records import load_record
from ...delivery.destinations import Destination
from ...domain.errors import ConfigError, CourierError, MisuseError, StoreError
from ...domain.evidence.evidence import Document, Evidence
from ...domain.integration import tenant_key
from ...domain.upload.status import UploadStatus
from ...ports.logger import EvidenceConflict, LogEvent
from ..courier import AsyncCourier
from ..tenants import Tenants
from ..wiring import CourierOptions
from .exits import STORE, UNDELIVERED, USAGE
from .inputs import record_in
from .output import is_terminal, print_uploads
from .place import Place
from .saying import say
from .signals import SIGNALLED


class Described(TypedDict):
    """What the command line says of the documents; a training record describes itself."""

    tenant_id: str | None
    session: str | None
    subject: str | None
    subject_email: str | None
    outcome: str | None
    recorded_at: datetime | None
    evidence_id: str | None


class Conflicts:
    """A `Logger` for one run that keeps the conflicts: no status tells them."""

    def __init__(self) -> None:
        self.found: list[EvidenceConflict] = []

    def log(self, event: LogEvent) -> None:
        """Keep a conflict; the statuses and the errors tell everything else."""
        if isinstance(event, EvidenceConflict):
            self.found.append(event)


def run(
    *,
    place: Place,
    fonts: tuple[str, ...],
    as_json: bool,
    files: tuple[str, ...],
    **described: Unpack[Described],
) -> None:
    """Deliver the files and print their statuses."""
    if described["evidence_id"] is not None and len(files) > 1:
        raise MisuseError("--evidence-id names one evidence: give one FILE with it")
    evidences = [_evidence(Path(file), described) for file in files]
    _refuse_doubles(files, evidences)
    conflicts = Conflicts()
    options: CourierOptions = {
        "fonts": fonts,
        "logger": conflicts,
        "on_unknown_tenant": "raise",
        "on_invalid": "skip",
    }
    courier = place.courier(**options)
    for tenant_id in sorted({evidence.tenant_id for evidence in evidences}):
        if destination_of(courier._tenants, tenant_id) is None:
            say(f"tenant {tenant_id!r} has no integration: nothing was sent")
            evidences = [one for one in evidences if one.tenant_id != tenant_id]
    if not evidences:
        print_uploads([], as_json)
        return
    interruption = Interruption()
    statuses, errors = asyncio.run(_deliver(courier, evidences, interruption))
    print_uploads([_with_last_attempt(place, one) for one in statuses], as_json)
    if interruption.number is not None and len(statuses) + len(errors) < len(evidences):
        sys.exit(SIGNALLED + interruption.number)
    _exit(statuses, conflicts.found, errors)


def _with_last_attempt(place: Place, status: UploadStatus) -> UploadStatus:
    """If another process tried it last, only the database knows when."""
    if status.last_attempt_at is not None or not status.attempts:
        return status
    with place.records() as records:
        found = records.statuses(status.tenant_id, [status.evidence_id]).get(status.evidence_id)
    return status if found is None else evolve(status, last_attempt_at=found.last_attempt_at)


def destination_of(tenants: Tenants, tenant_id: str) -> Destination | None:
    """Where the tenant's evidence goes. Of the files that are invalid only its own counts, but that
    of an unknown tenant may be among them."""
    problems = tenants.broken.get(tenant_key(tenant_id))
    if problems:
        raise ConfigError(problems)
    try:
        return tenants.submitted(tenant_id)
    except MisuseError as error:
        invalid = [str(problem) for one in tenants.broken.values() for problem in one]
        raise MisuseError("\n".join([str(error), *invalid])) from error


def _exit(
    statuses: Sequence[UploadStatus],
    conflicts: Sequence[EvidenceConflict],
    errors: Sequence[CourierError],
) -> None:
    for conflict in conflicts:
        say(
            f"evidence-courier: evidence {conflict.key.evidence_id!r} of tenant "
            f"{conflict.key.tenant_id!r} is known with another document, and this one was not "
            "sent: give it an evidence id of its own"
        )
    for error in errors:
        say(f"evidence-courier: {error}")
    if any(isinstance(error, StoreError) for error in errors):
        sys.exit(STORE)
    if errors:
        sys.exit(USAGE)
    undelivered = (status for status in statuses if status.status in ("failed", "held"))
    if conflicts or any(undelivered) or any(status.parked for status in statuses):
        sys.exit(UNDELIVERED)


def _refuse_doubles(files: Sequence[str], evidences: Sequence[Evidence]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for file, evidence in zip(files, evidences, strict=True):
        other = seen.setdefault((evidence.tenant_id, evidence.evidence_id), file)
        if other is not file:
            is_record = any(one.lower().endswith(".json") for one in (file, other))
            raise MisuseError(
                f"{other} and {file} would both be evidence {evidence.evidence_id!r}: "
                + ("leave one out" if is_record else "submit them one by one with --evidence-id")
            )


async def _deliver(
    courier: AsyncCourier, evidences: Sequence[Evidence], interruption: Interruption
) -> tuple[list[UploadStatus], list[CourierError]]:
    """The statuses and errors of what is settled when all is, or when a signal ends it."""
    bar = click.progressbar(
        length=len(evidences), label="delivering", show_pos=True, show_eta=False, file=sys.stderr
    )

    async def settled(ticket: Ticket) -> UploadStatus | CourierError:
        try:
            status = await ticket.settled()
            assert status is not None
            return status
        except CourierError as error:
            return error
        finally:
            if shown is not None:
                shown.update(1)

    interruption.watch(courier)
    async with courier:
        with bar if is_terminal() else nullcontext() as shown:
            ends = [asyncio.create_task(settled(courier.submit(one))) for one in evidences]
            await interruption.until_all(ends, lambda: _settled_of(ends))
    results = [end.result() for end in ends if end.done() and not end.cancelled()]
    statuses = [result for result in results if isinstance(result, UploadStatus)]
    return statuses, [result for result in results if isinstance(result, CourierError)]


def _settled_of(ends: Sequence[asyncio.Task[Any]]) -> str:
    return f"{sum(one.done() for one in ends)} of {len(ends)} uploads are settled"


class Interruption:
    """Ctrl-C, SIGTERM and SIGHUP: the first lets what is under way finish, the second cuts it off.

    Either way each upload's state is on disk when the command ends, and nothing stays in flight.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._signalled = asyncio.Event()
        self._closing: asyncio.Task[None] | None = None

    def watch(self, courier: AsyncCourier) -> None:
        """Take the signals from now on. Windows has none: a Ctrl-C there ends the command."""
        loop = asyncio.get_running_loop()
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                with suppress(NotImplementedError):
                    loop.add_signal_handler(number, self._take, number, courier)

    def _take(self, number: int, courier: AsyncCourier) -> None:
        if self.number is None:
            self.number = number
            self._signalled.set()
        else:
            self._closing = asyncio.create_task(courier.close(0))

    async def until_all(self, ends: Sequence[asyncio.Task[Any]], so_far: Callable[[], str]) -> None:
        """Wait for all of `ends`, or for a signal, which is answered at once with what is done
        `so_far`."""
        stop = asyncio.create_task(self._signalled.wait())
        waiting: set[asyncio.Task[Any]] = {*ends}
        while waiting and not stop.done():
            _, waiting = await asyncio.wait({stop, *waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.discard(stop)
        if waiting:
            say(
                f"\nevidence-courier: stopping: {so_far()}; what is under way may take 10 seconds "
                "more (once more Ctrl-C or SIGTERM cuts it off). Give the same command again to go "
                "on: what was delivered is not sent again"
            )
        for task in (stop, *waiting):
            task.cancel()


def _evidence(file: Path, described: Described) -> Evidence:
    try:
        if file.suffix.lower() == ".json":
            return _evidence_of_record(file, described["tenant_id"])
        if not file.is_file():
            raise MisuseError(f"{file} is not a file")
    except OSError as error:
        raise MisuseError(f"{file} cannot be read: {error.strerror or error}") from error
    tenant_id, session = described["tenant_id"], described["session"]
    subject, outcome = described["subject"], described["outcome"]
    recorded_at = described["recorded_at"]
    if not (tenant_id and session and subject and outcome and recorded_at):
        raise MisuseError(
            f"{file} is a document: give --tenant, --session, --subject, --outcome and "
            "--recorded-at with it"
        )
    return Evidence(
        tenant_id=tenant_id,
        evidence_id=described["evidence_id"] or file.stem,
        session_id=session,
        subject=subject,
        subject_email=described["subject_email"],
        outcome=outcome,
        recorded_at=recorded_at,
        document=Document(
            path=str(file),
            media_type=mimetypes.guess_type(file.name)[0] or "application/octet-stream",
            filename=file.name,
        ),
    )


def _evidence_of_record(file: Path, tenant_id: str | None) -> Evidence:
    record = load_record(record_in(file), where=str(file))
    if tenant_id is not None and record.tenant_id != tenant_id:
        raise MisuseError(
            f"{file} is a record of tenant {record.tenant_id!r}, not of {tenant_id!r}: "
            f"give --tenant {record.tenant_id}, or none"
        )
    return Evidence.from_record(record)
