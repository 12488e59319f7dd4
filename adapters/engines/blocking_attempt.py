"""One attempt in the caller's thread: fetch what is to be sent, run the provider's dialogue, and
say what it came to.

As in `attempt`, the answer is a verdict whatever happens inside. And a thread may be interrupted in
the middle of anything: by the time limit of a task queue, which raises an exception out of nowhere,
or by a keyboard. That is no bug of a provider's: the verdict says how far the request got, and the
interruption is handed back beside it, to go on its way once the verdict is written down.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from datetime import datetime
from types import CodeType
from typing import TypeAlias, TypeVar

from attrs import define, field, frozen

from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.upload import Upload
from ...domain.upload.verdict import Deferred, Finding, Found, Unclear, Unreadable, Verdict
from ...ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from ...ports.provider import CanLookUp
from ...ports.records import Dossier
from ...ports.source import DocumentSource
from ...ports.transport import BlockingTransport, CutOff
from ..dialogues import BlockingTokenKeeper, NotedBlockingTokens, run_blocking
from .attempt import (
    FINDINGS,
    VERDICTS,
    at_hand,
    broken,
    judged,
    parcel_of,
    request_id_of,
    sound,
    unread,
)
from .prepare import Destination
from .redactors import Redactors

ChargeNow: TypeAlias = Callable[[], "datetime | None"]
"""Waits until the pace allows one request more; or says when it will, where that is too long to
wait."""

T = TypeVar("T")


@define
class BlockingLine:
    """The way out for one attempt's requests: pays for them, sends them, and remembers whether
    anything may have arrived."""

    transport: BlockingTransport
    destination: Destination
    charge: ChargeNow
    paid: int
    sent: bool = False
    request_id: str | None = None

    def send(self, request: HttpRequest) -> HttpResponse | TransportFailure:
        """Send one request once the pace allows it. The first `paid` have been charged already.

        Where the pace makes it wait too long, it was not sent: the dialogue knows what that means
        for it.
        """
        if self.paid > 0:
            self.paid -= 1
        elif self.destination.quota.pace is not None:
            until = ours(self.charge)
            if until is not None:
                return TransportFailure(
                    FailureKind.NOT_SENT,
                    f"the pace leaves no room for one request more before {until:%H:%M:%S} UTC",
                )
        sent_before, self.sent = self.sent, True
        try:
            reply = ours(lambda: self.transport.send(request, self.destination.integration.route))
        except ValueError:
            self.sent = sent_before  # refused before a byte left: it would not have been a request
            raise
        except CutOff as cut:
            if cut.failure.kind in (FailureKind.NO_CONNECTION, FailureKind.NOT_SENT):
                self.sent = sent_before
            raise
        if isinstance(reply, HttpResponse):
            self.request_id = request_id_of(reply)
        elif reply.kind in (FailureKind.NO_CONNECTION, FailureKind.NOT_SENT):
            self.sent = sent_before
        return reply


def ours(work: Callable[[], T]) -> T:
    """Do what a dialogue has asked for. What it raises is not the dialogue's doing, but for the
    ValueError of a request that is none."""
    try:
        return work()
    except (CutOff, ValueError):
        raise
    except BaseException as error:
        raise CutOff(TransportFailure(FailureKind.CONNECTION_LOST, "interrupted")) from error


def interruption_of(error: BaseException) -> BaseException | None:
    """What interrupted the thread, where it was interrupted; None for an exception that a
    dialogue has raised by itself."""
    if isinstance(error, CutOff):
        return error.__cause__ or error
    return error if not isinstance(error, Exception) or _raised_by_a_signal(error) else None


def _raised_by_a_signal(error: Exception) -> bool:
    """Whether a handler of the host's has raised it, whatever code it struck."""
    handlers = {_code_of(signal.getsignal(number)) for number in signal.valid_signals()}
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        trace = trace.tb_next
    return False


def _code_of(handler: object) -> CodeType | None:
    code = getattr(getattr(handler, "__func__", handler), "__code__", None)
    return code if isinstance(code, CodeType) else None


def cut_off(sent: bool, by: BaseException) -> Deferred | Unclear:
    """What an attempt came to that was interrupted."""
    what = f"the worker was interrupted ({type(by).__name__})"
    if sent:
        return Unclear(Failure(FailureKind.INTERRUPTED, f"{what} while the request was under way"))
    return Deferred(Failure(FailureKind.NOT_SENT, f"{what} before the request was sent"))


@frozen
class Ended:
    """What an attempt came to, the provider's request id where it gave one, and what interrupted
    it, where something did."""

    verdict: Verdict
    request_id: str | None = None
    interruption: BaseException | None = None


@define
class BlockingAttempter:
    """Runs attempts and look-ups. May be used by several threads at once."""

    transport: BlockingTransport
    keeper: BlockingTokenKeeper
    source: DocumentSource | None
    redactors: Redactors = field(factory=Redactors, init=False)

    def line(self, destination: Destination, charge: ChargeNow, paid: int) -> BlockingLine:
        """The way out for one attempt."""
        return BlockingLine(self.transport, destination, charge, paid)

    def upload(
        self,
        upload: Upload,
        dossier: Dossier,
        content: bytes | None,
        line: BlockingLine,
        bookmark: Callable[[str], None],
    ) -> Ended:
        """What sending it came to."""
        destination = line.destination
        tokens = NotedBlockingTokens(self.keeper)
        interruption: BaseException | None = None
        try:
            document = self._document(upload, dossier, content)
            if not isinstance(document, bytes):
                return Ended(document)
            parcel = parcel_of(upload, dossier, destination, document)
            dialogue = destination.provider.upload(
                parcel, destination.integration.settings, upload.tally.progress
            )
            result = run_blocking(dialogue, send=line.send, bookmark=bookmark, keeper=tokens)
            verdict: Verdict = sound(result, VERDICTS)
        except BaseException as error:
            interruption = interruption_of(error)
            if interruption is not None:
                verdict = cut_off(line.sent, interruption)
            else:
                assert isinstance(error, Exception)
                verdict = broken(destination, error, line.sent)
        redactor = self.redactors.of(destination, tokens.given)
        request_id = redactor.text(line.request_id)[:200] if line.request_id else None
        return Ended(redactor.verdict(verdict), request_id, interruption)

    def look_up(self, upload: Upload, dossier: Dossier, line: BlockingLine) -> Finding:
        """Whether the provider has it. An interruption goes on its way: a look-up changes
        nothing, and is made again."""
        destination = line.destination
        provider, tokens = destination.provider, NotedBlockingTokens(self.keeper)
        if not isinstance(provider, CanLookUp):
            message = f"{destination.integration.provider} cannot be asked for an upload any more"
            return Unreadable(Failure(FailureKind.PROVIDER_BROKEN, message))
        parcel = parcel_of(upload, dossier, destination, b"")
        finding: Finding
        try:
            dialogue = provider.look_up(
                parcel, destination.integration.settings, upload.tally.progress
            )
            finding = sound(
                run_blocking(dialogue, send=line.send, bookmark=_no_bookmark, keeper=tokens),
                FINDINGS,
            )
        except Exception as error:
            interruption = interruption_of(error)
            if interruption is not None:
                raise interruption from None
            finding = Unreadable(broken(destination, error, line.sent).failure)
        redactor = self.redactors.of(destination, tokens.given)
        match finding:
            case Unreadable(failure=failure):
                return Unreadable(redactor.failure(failure))
            case Found(receipt=receipt):
                return Found(redactor.receipt(receipt))
            case _:
                return finding

    def _document(self, upload: Upload, dossier: Dossier, content: bytes | None) -> bytes | Verdict:
        found = at_hand(upload, dossier, content, self.source)
        if not isinstance(found, str):
            return found
        assert self.source is not None
        try:
            read = self.source.read(upload.key.tenant_id, found)
        except Exception as error:
            if interruption_of(error) is not None:
                raise
            return unread(found, error)
        return judged(found, read, dossier)


def _no_bookmark(progress: str) -> None:
    """A look-up changes nothing, so it has nothing to remember."""
