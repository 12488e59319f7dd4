"""What a provider's author gives to the kit, and the parcels that the kit sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeAlias

from attrs import field, frozen

from ....domain.evidence.evidence import Outcome, sha256_of
from ....domain.evidence.file_name import file_name_for
from ....ports.dialogue import Ending, HttpRequest, HttpResponse
from ....ports.provider import Parcel, Provider

AT: Final = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
PDF: Final = b"%PDF-1.7 " + bytes(range(256)) * 4 + b"%%EOF"
Verdicts: TypeAlias = tuple[type, ...]


def reads_only(request: HttpRequest) -> bool:
    """Whether a request's method says that it changes nothing."""
    return request.method in ("GET", "HEAD")


@frozen(kw_only=True)
class ProviderHarness:
    """A provider and the platform that it talks to.

    The kit makes a new harness for each conversation, so `answer` may remember what it was sent.

    Args:
        provider: The provider.
        settings: Its block in a tenant file, without ``provider``. Each credential is a
            ``${NAME}`` reference.
        answer: The platform's reply to a request if all goes well. The kit recognises no other
            success. An empty body says that the status alone is the success.
        secrets: What the references stand for, by name, if a credential must have a form of its
            own.
        repeatable: Which requests may be repeated without making a copy. Reading requests always
            may.
        origins: Where requests may go, such as ``https://api.example``, if no setting of the type
            ``endpoint`` says it. Beside such a setting, second hosts: they may be asked without a
            credential, as a storage with a presigned address is.
        copies: Out-of-band, how many uploads with this sha256 the platform holds. A provider with
            `look_up` needs it.
        otherwise: The verdict classes that are right for a request and a status whose meaning the
            platform documents differently from the kit's table; None for the table's.
    """

    provider: Provider
    settings: Mapping[str, object]
    answer: Callable[[HttpRequest], HttpResponse]
    secrets: Mapping[str, str] = field(factory=dict)
    repeatable: Callable[[HttpRequest], bool] = reads_only
    origins: tuple[str, ...] = ()
    copies: Callable[[str], int] | None = None
    otherwise: Callable[[HttpRequest, int], Verdicts | None] = lambda request, status: None

    def may_repeat(self, request: HttpRequest) -> bool:
        """Whether sending the request again makes no copy."""
        return reads_only(request) or self.repeatable(request)


def sample_parcel(
    provider: Provider, evidence_id: str = "ev-1", content: bytes = PDF, *, subject: str = "emp-7"
) -> Parcel:
    """A parcel of the first media type that the provider takes."""
    media_type, extension = next(iter(provider.limits.media_types.items()))
    digest = sha256_of(content)
    return Parcel(
        tenant_id="acme",
        evidence_id=evidence_id,
        session_id="s-1",
        subject=subject,
        subject_email="asha@acme.example",
        outcome=Outcome.PASSED,
        recorded_at=AT,
        evidence_date=date(2026, 2, 21),
        content=content,
        media_type=media_type,
        sha256=digest,
        file_name=file_name_for(evidence_id, digest, extension),
        created_at=AT + timedelta(hours=1),
    )


def answered(
    status: int, body: bytes = b"", *headers: tuple[str, str], ending: Ending = Ending.COMPLETE
) -> HttpResponse:
    """A reply of the platform."""
    return HttpResponse(status, headers, body, AT, ending)
