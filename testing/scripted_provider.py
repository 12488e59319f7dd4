"""A provider whose verdicts are data, for the tests of a host.

    later = Deferred(Failure(FailureKind.RATE_LIMITED, "later"))
    provider = ScriptedProvider([later, Delivered(Receipt("r-1"))])

Without a `url` it makes no request, so there is no HTTP in the test. With one it makes one request
an upload, which a `ScriptedTransport` or a server of the test answers. A reply that is no success
is judged as any provider judges it; a success takes the next verdict of the script.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import ClassVar, Final

from attrs import frozen

from ..delivery.dialogues.http_errors import ErrorHints, classify
from ..domain.integration import Pace
from ..domain.secrets.secret import Secret
from ..domain.upload.verdict import Absent, Delivered, Finding, Found, Receipt, Unreadable, Verdict
from ..ports.dialogue import Dialogue, HttpRequest, HttpResponse, TransportFailure, fetch
from ..ports.provider import Limits, Parcel

_HINTS: Final = ErrorHints(
    provider="the scripted provider",
    unauthorized="give it another key",
    forbidden="let it have this upload",
    not_found="give it another url",
    too_large="make the document smaller",
    unsupported_type="send a PDF",
)


@frozen(kw_only=True)
class ScriptedSettings:
    """Each setting is optional: ``{"provider": "scripted"}`` is a whole block."""

    key: Secret | None = None
    label: str = "a script"


class ScriptedProvider:
    """A `Provider` that gives the verdicts of a script in order, and then delivers everything.

    `uploads` are the parcels of all attempts, and `delivered` those with the verdict Delivered.
    Make a new provider for each test. It belongs to one courier at a time.

    Args:
        verdicts: The script.
        url: Where to send each upload with PUT; None for no request.
    """

    name: ClassVar[str] = "scripted"
    settings_class: ClassVar[type] = ScriptedSettings
    schema: ClassVar[Mapping[str, object]] = {
        "key": {"type": "secret"},
        "label": {"type": "string"},
    }
    limits: ClassVar[Limits] = Limits(
        max_bytes=None,
        media_types={
            "application/pdf": "pdf",
            "application/json": "json",
            "image/png": "png",
            "text/csv": "csv",
            "text/plain": "txt",
        },
    )
    pace: ClassVar[Pace | None] = None
    cost: ClassVar[int] = 1
    exclusive_credential: ClassVar[bool] = False

    def __init__(self, verdicts: Iterable[Verdict] = (), *, url: str | None = None) -> None:
        self._verdicts: Iterator[Verdict] = iter(verdicts)
        self._url = url
        self.uploads: list[Parcel] = []
        self.delivered: list[Parcel] = []

    @property
    def attempts(self) -> int:
        """How many uploads were attempted."""
        return len(self.uploads)

    def copies(self, sha256: str) -> int:
        """How many times a document with this content was delivered."""
        return sum(parcel.sha256 == sha256 for parcel in self.delivered)

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        """The next verdict of the script."""
        self.uploads.append(parcel)
        if self._url is not None:
            reply = yield from fetch(
                _request("PUT", self._url, parcel, settings, (parcel.content,))
            )
            refused = classify(reply, _HINTS)
            if refused is not None:
                return refused
        verdict = next(self._verdicts, Delivered(Receipt(f"scripted-{len(self.delivered) + 1}")))
        if isinstance(verdict, Delivered):
            self.delivered.append(parcel)
        return verdict

    def target(self, settings: object) -> str:
        """The label in the settings."""
        assert isinstance(settings, ScriptedSettings)
        return settings.label


class ReadableScriptedProvider(ScriptedProvider):
    """The same with `look_up`.

    Beyond the end of its script, a look-up finds what was delivered, and nothing else. `look_ups`
    are the parcels that were looked up.

    Args:
        verdicts: The script of uploads.
        findings: The script of look-ups.
        url: Where to send each upload with PUT and each look-up with GET; None for no request.
    """

    look_up_delays: ClassVar[tuple[timedelta, ...]] = (
        timedelta(seconds=2),
        timedelta(seconds=10),
        timedelta(seconds=30),
    )

    def __init__(
        self,
        verdicts: Iterable[Verdict] = (),
        findings: Iterable[Finding] = (),
        *,
        url: str | None = None,
    ) -> None:
        super().__init__(verdicts, url=url)
        self._findings: Iterator[Finding] = iter(findings)
        self.look_ups: list[Parcel] = []

    def look_up(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Finding]:
        """The next finding of the script."""
        self.look_ups.append(parcel)
        if self._url is not None:
            reply = yield from fetch(_request("GET", self._url, parcel, settings))
            unreadable = _unreadable(reply)
            if unreadable is not None:
                return unreadable
        exists = self.copies(parcel.sha256) > 0
        return next(self._findings, Found(Receipt()) if exists else Absent())


def _unreadable(reply: HttpResponse | TransportFailure) -> Unreadable | None:
    verdict = classify(reply, _HINTS)
    if verdict is None:
        return None
    assert not isinstance(verdict, Delivered)
    return Unreadable(verdict.failure)


def _request(
    method: str, url: str, parcel: Parcel, settings: object, body: tuple[bytes, ...] = ()
) -> HttpRequest:
    assert isinstance(settings, ScriptedSettings)
    headers = [("File-Name", parcel.file_name), ("Content-Type", parcel.media_type)]
    if settings.key is not None:
        headers.append(("Api-Key", settings.key.reveal()))
    return HttpRequest(method, url, tuple(headers), body)
