"""One attempt: fetch what is to be sent, run the provider's dialogue, and say what it came to.

Whatever happens inside (a plug-in's bug, a transport's surprise, a document that is gone), the
answer is a verdict.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, TypeAlias

from attrs import define, field, frozen

from ...domain.errors import StoreError
from ...domain.evidence.evidence import sha256_of
from ...domain.evidence.file_name import file_name_for
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.upload import Upload
from ...domain.upload.verdict import (
    Absent,
    Deferred,
    Delivered,
    Finding,
    Found,
    Partly,
    Receipt,
    Rejected,
    Unbundled,
    Unclear,
    Unreadable,
    Verdict,
)
from ...ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from ...ports.provider import Bundling, CanLookUp, Parcel
from ...ports.records import Dossier
from ...ports.source import DocumentSource
from ...ports.transport import AsyncTransport
from ..dialogues import NotedTokens, TokenKeeper, run
from .prepare import Destination
from .redactors import Redactors
from .slots import Slots

Charge: TypeAlias = Callable[[], Awaitable[None]]
"""Waits until the pace allows one request more."""

VERDICTS = (Delivered, Rejected, Deferred, Unclear)
VERDICTS_OF_MANY = (*VERDICTS, Unbundled)
FINDINGS = (Found, Partly, Absent, Unreadable)
REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-amzn-requestid", "cf-ray")


@define
class Line:
    """The way out for one attempt's requests: takes a place, sends, and remembers whether
    anything may have arrived."""

    transport: AsyncTransport
    slots: Slots
    lane: Hashable
    destination: Destination
    charge: Charge
    paid: int
    sent: bool = False
    request_id: str | None = None

    async def send(self, request: HttpRequest) -> HttpResponse | TransportFailure:
        """Send one request once the pace allows it and there is a place for it. The first `paid`
        have been charged already."""
        if self.paid > 0:
            self.paid -= 1
        elif self.destination.quota.pace is not None:
            await self.charge()
        async with self.slots.taken(self.lane):
            sent_before, self.sent = self.sent, True
            try:
                reply = await self.transport.send(request, self.destination.integration.route)
            except ValueError:
                # refused before a byte left: it would not have been a request
                self.sent = sent_before
                raise
        if isinstance(reply, HttpResponse):
            self.request_id = request_id_of(reply)
        elif reply.kind in (FailureKind.NO_CONNECTION, FailureKind.NOT_SENT):
            self.sent = sent_before
        return reply


@frozen
class Packed:
    """One upload that is about to be sent; `content` as in `Begun`. `bookmark` commits one,
    where it goes alone."""

    upload: Upload
    dossier: Dossier
    content: bytes | None = field(repr=False)
    bookmark: Callable[[str], Awaitable[None]] = field(repr=False)


@define
class Attempter:
    """Runs attempts and look-ups for an engine."""

    transport: AsyncTransport
    slots: Slots
    keeper: TokenKeeper
    source: DocumentSource | None
    threads: Executor
    redactors: Redactors = field(factory=Redactors, init=False)

    async def upload(
        self, packed: Sequence[Packed], destination: Destination, charge: Charge
    ) -> tuple[Sequence[Verdict | Unbundled], str | None]:
        """What sending one, or several in one request, came to, for each, with the provider's
        request id where it gave one.

        One whose document cannot be had has its verdict at once, and the others go without it.
        """
        paid = destination.quota.at_most()
        line = Line(self.transport, self.slots, destination.lane, destination, charge, paid)
        tokens = NotedTokens(self.keeper)
        verdicts: dict[int, Verdict | Unbundled] = {}
        rest: Verdict = interrupted(sent=False)
        try:
            parcels: dict[int, tuple[Packed, Parcel]] = {}
            for position, document in enumerate(await self._documents(packed, destination)):
                one = packed[position]
                if isinstance(document, bytes):
                    parcels[position] = (
                        one,
                        parcel_of(one.upload, one.dossier, destination, document),
                    )
                else:
                    verdicts[position] = document
            came = await self._send_all(list(parcels.values()), destination, line, tokens)
            verdicts.update(zip(parcels, came, strict=True))
        # A bookmark that cannot be written, while the courier is closed, is no bug of the
        # provider's.
        except (asyncio.CancelledError, StoreError):
            rest = interrupted(line.sent)
        except Exception as error:
            rest = broken(destination, error, line.sent)
        redactor = self.redactors.of(destination, tokens.given)
        request_id = redactor.text(line.request_id)[:200] if line.request_id else None
        return [redactor.verdict(verdicts.get(n, rest)) for n in range(len(packed))], request_id

    async def _send_all(
        self,
        sent: Sequence[tuple[Packed, Parcel]],
        destination: Destination,
        line: Line,
        tokens: NotedTokens,
    ) -> Sequence[Verdict | Unbundled]:
        provider, settings = destination.provider, destination.integration.settings
        if len(sent) > 1:
            assert isinstance(provider, Bundling)
            parcels = [parcel for _, parcel in sent]
            together = provider.upload_together(parcels, settings)
            verdicts = await run(
                together, send=line.send, bookmark=_no_bookmark_of_many, keeper=tokens
            )
            if not isinstance(verdicts, Sequence) or len(verdicts) != len(parcels):
                raise TypeError(
                    f"its dialogue did not return a verdict for each of {len(parcels)} uploads"
                )
            return [sound(verdict, VERDICTS_OF_MANY) for verdict in verdicts]
        verdicts = []
        for one, parcel in sent:
            dialogue = provider.upload(parcel, settings, one.upload.tally.progress)
            verdict = await run(dialogue, send=line.send, bookmark=one.bookmark, keeper=tokens)
            verdicts.append(sound(verdict, VERDICTS))
        return verdicts

    async def look_up(
        self, upload: Upload, dossier: Dossier, destination: Destination, charge: Charge
    ) -> Finding:
        """Whether the provider has it. The first request has been charged already."""
        provider = destination.provider
        if not isinstance(provider, CanLookUp):
            message = f"{destination.integration.provider} cannot be asked for an upload any more"
            return Unreadable(Failure(FailureKind.PROVIDER_BROKEN, message))
        line = Line(self.transport, self.slots, destination.lane, destination, charge, 1)
        parcel = parcel_of(upload, dossier, destination, b"")
        tokens = NotedTokens(self.keeper)
        finding: Finding
        try:
            dialogue = provider.look_up(
                parcel, destination.integration.settings, upload.tally.progress
            )
            finding = sound(
                await run(dialogue, send=line.send, bookmark=no_bookmark, keeper=tokens), FINDINGS
            )
        except Exception as error:
            finding = Unreadable(broken(destination, error, line.sent).failure)
        redactor = self.redactors.of(destination, tokens.given)
        if isinstance(finding, Unreadable):
            return Unreadable(redactor.failure(finding.failure))
        if isinstance(finding, Found):
            return Found(redactor.receipt(finding.receipt))
        return finding

    async def _documents(
        self, packed: Sequence[Packed], destination: Destination
    ) -> Sequence[bytes | Verdict]:
        """What is to be sent of each, or why it cannot be; what the host keeps is read at the
        same time."""
        reading = [
            self._document(one.upload, one.dossier, destination, one.content) for one in packed
        ]
        return (
            await asyncio.gather(*reading) if len(reading) > 1 else [await one for one in reading]
        )

    async def _document(
        self, upload: Upload, dossier: Dossier, destination: Destination, content: bytes | None
    ) -> bytes | Verdict:
        key = at_hand(upload, dossier, content, self.source)
        if not isinstance(key, str):
            return key
        assert self.source is not None
        loop = asyncio.get_running_loop()
        patience = destination.integration.route.timeouts.total.total_seconds()
        try:
            async with asyncio.timeout(patience):
                read = await loop.run_in_executor(
                    self.threads, _read, self.source, upload.key.tenant_id, key
                )
        except Exception as error:
            return unread(key, error)
        return await loop.run_in_executor(self.threads, judged, key, read, dossier)


def parcel_of(upload: Upload, dossier: Dossier, destination: Destination, content: bytes) -> Parcel:
    """What the provider is told of an upload."""
    document = dossier.document
    extension = destination.provider.limits.media_types.get(document.media_type.lower(), "bin")
    return Parcel(
        tenant_id=upload.key.tenant_id,
        evidence_id=upload.key.evidence_id,
        session_id=dossier.session_id,
        subject=dossier.subject,
        subject_email=dossier.subject_email,
        outcome=dossier.outcome,
        recorded_at=dossier.recorded_at,
        evidence_date=upload.evidence_date,
        content=content,
        media_type=document.media_type,
        sha256=document.sha256,
        file_name=file_name_for(upload.key.evidence_id, document.sha256, extension),
        created_at=upload.created_at,
    )


def at_hand(
    upload: Upload, dossier: Dossier, content: bytes | None, source: DocumentSource | None
) -> bytes | str | Verdict:
    """The document where its bytes were kept, or the key to read it by; a verdict where it
    cannot be had."""
    if content is not None:
        return content
    key = dossier.document.source
    if key is None:
        return _gone(
            f"the document of {upload.key} was not kept: submit it again under a new evidence id"
        )
    if source is None:
        return _unavailable(
            f"the document of {upload.key} lies in the host's own storage, and no `source` was given to the courier"
        )
    return key


def unread(key: str, error: Exception) -> Verdict:
    """What it means that the host's document source has raised."""
    if isinstance(error, LookupError | FileNotFoundError):
        return _gone(
            f"the document source has no document {key!r} any more ({type(error).__name__})"
        )
    return _unavailable(f"the document source could not read {key!r} now ({type(error).__name__})")


def judged(key: str, read: object, dossier: Dossier) -> bytes | Verdict:
    """What the host's document source has given, if it is the document that was submitted."""
    if not isinstance(read, bytes):
        return _unavailable(f"the document source gave something else than bytes for {key!r}")
    digest = sha256_of(read)
    if digest == dossier.document.sha256:
        return read
    return _gone(
        f"the document {key!r} is not the one that was submitted: its sha256 is {digest}, not {dossier.document.sha256}"
    )


def _read(source: DocumentSource, tenant_id: str, key: str) -> object:
    """In a worker thread."""
    try:
        return source.read(tenant_id, key)
    except StopIteration as error:  # no future can carry one
        raise RuntimeError("the document source raised StopIteration") from error


def request_id_of(reply: HttpResponse) -> str | None:
    """By what the provider's people find the request again, where it said."""
    return next(filter(None, map(reply.header, REQUEST_ID_HEADERS)), None)


def sound(result: object, kinds: tuple[type, ...]) -> Any:
    """The result of a dialogue, if it is what a provider owes (one of `kinds`); TypeError says
    what it gave instead."""
    if not isinstance(result, kinds):
        raise TypeError(f"its dialogue returned {type(result).__name__}")
    for name, owed in (("receipt", Receipt), ("failure", Failure), ("progress", str)):
        if not hasattr(result, name):
            continue
        part = getattr(result, name)
        if not isinstance(part, owed):
            raise TypeError(f"the {name} of its {type(result).__name__} is {type(part).__name__}")
        for inner, of in _OWED.get(owed, ()):
            value = getattr(part, inner)
            if not isinstance(value, of):
                raise TypeError(f"the {inner} of its {owed.__name__} is {type(value).__name__}")
    return result


_TEXT, _NUMBER = (str, type(None)), (int, float, type(None))
_OWED: Mapping[type, tuple[tuple[str, tuple[type, ...]], ...]] = {
    Receipt: (("reference", _TEXT), ("message", _TEXT)),
    Failure: (
        ("kind", (FailureKind,)),
        ("message", (str,)),
        ("http_status", (int, type(None))),
        ("retry_after", _NUMBER),
        ("detail", _TEXT),
    ),
}


async def no_bookmark(progress: str) -> None:
    """What only reads changes nothing, so it has nothing to remember."""


async def _no_bookmark_of_many(progress: str) -> None:
    raise TypeError("it made a bookmark while several uploads went together")


def _gone(message: str) -> Rejected:
    return Rejected(Failure(FailureKind.DOCUMENT_GONE, message))


def _unavailable(message: str) -> Deferred:
    return Deferred(Failure(FailureKind.SOURCE_UNAVAILABLE, message))


def interrupted(sent: bool) -> Deferred | Unclear:
    """What an attempt came to that the courier's own end has cut off."""
    if sent:
        return Unclear(
            Failure(
                FailureKind.INTERRUPTED, "the courier was closed while the request was under way"
            )
        )
    return Deferred(
        Failure(FailureKind.NOT_SENT, "the courier was closed before the request was sent")
    )


def broken(destination: Destination, error: Exception, sent: bool) -> Rejected:
    """The provider's adapter raised. What it had sent may have been taken, so that case leaves a
    doubt."""
    kind = FailureKind.UNRECOGNISED_REPLY if sent else FailureKind.PROVIDER_BROKEN
    return Rejected(
        Failure(
            kind,
            f"the adapter for {destination.integration.provider} raised {type(error).__name__}: {error}; this is a bug in it: "
            "report it to its authors, then retry the upload",
        )
    )
