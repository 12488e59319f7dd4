"""Secureframe: evidence is attached to the person that it speaks of, or to one test.

What is known of the API, and from where.

- *Documented* by Secureframe (the OpenAPI document, version 2023-10-18, at
  developer.secureframe.com): the two hosts; the header `Authorization: KEY SECRET`, without a
  scheme's name; `POST /users/{user_id}/evidences` with `document_type` and `POST
  /tests/{test_id}/evidences`, both with `activity_completion`, and with either the file as the part
  `file` or a staged `upload_id`; ids are UUIDs; `POST /file_uploads` and what follows it (see
  `secureframe_staging`), 32 MB at most; `GET /users` with the search field `email`, `GET
  /evidences`, `GET /tests/{id}`; 500 requests a minute for each address.
- *Documented* in its help pages: PDF, PNG, JPG, DOCX, XLSX and CSV are taken as evidence, DOC is
  not.
- *Inferred*: 32 MB is read as 32,000,000 bytes; a staged id is spent by an attach whose answer was
  lost too.
- *Unknown*: whether every account has `GET /evidences`, which is newer than the rest; how a spent
  id is refused (every 4xx that may say so is taken for it); whether the list of evidence names
  files (its documentation says nothing of it).

By default a document is staged, although that takes three requests instead of one: an id that can
be attached once is the only guard against a copy that Secureframe offers, since its list of
evidence does not say which file it shows. `send: direct` is for who cannot reach the storage.

How a lost answer is cleared up, with a staged document: within its hour the same id is attached
again. If it was not taken before, it is now. If the id is refused and something like it is listed,
the first one was taken: delivered, once. Where the list does not bear that out, and once the hour
is over, the list alone decides: nothing like it there means that it is sent again, and something
like it, or a list that cannot be read, leaves the matter to the tenant's `on_unclear`.

An upload has no clock. The age of an id is the time between two replies: that of the staging, which
is remembered, and the one that it is asked at.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import ClassVar, Final, Literal, TypeAlias
from urllib.parse import quote, urlencode, urlsplit

from attrs import Attribute, evolve, field, frozen

from ....domain.integration import Pace
from ....domain.secrets.secret import Secret
from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import (
    Absent,
    Deferred,
    Delivered,
    DryRun,
    Finding,
    Found,
    NotReady,
    Partly,
    Ready,
    Receipt,
    Rejected,
    Unclear,
    Unreadable,
    Verdict,
)
from ....ports.dialogue import (
    Dialogue,
    Headers,
    HttpRequest,
    HttpResponse,
    TransportFailure,
    bookmark,
    fetch,
)
from ....ports.provider import Limits, Parcel
from ..kit.http_errors import ErrorHints
from ..kit.json_reply import text
from ..kit.multipart import FormFile, form_data
from .reply import Page, Resource, Words, failure_in, judge, read_one, read_page, stored
from .seen import Likeness, in_order, made_at
from .staging import Kept, place, staging, storing

Person: TypeAlias = Literal["subject_email", "subject"]
Send: TypeAlias = Literal["staged", "direct"]
DOCUMENT_TYPES: Final = (
    "background_check_report",
    "ccpa_training_screenshot",
    "gdpr_training_screenshot",
    "handling_cui_training_screenshot",
    "hipaa_training_screenshot",
    "password_manager_screenshot",
    "password_policy_screenshot",
    "pci_secure_code_training_screenshot",
    "pci_training_screenshot",
    "security_training_screenshot",
    "security_training_new_hire_screenshot",
)
"""What a person's evidence may be, as documented."""

PAGE_SIZE: Final = 100
MOST_PAGES: Final = 40
"""A list that goes on behind so many pages is given up."""
CLOCKS: Final = timedelta(minutes=15)
"""So far may our clock and Secureframe's be apart where an evidence's age is judged."""

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_ADDRESS = re.compile(r"[^\s@\x00-\x20\x7f]+@[^\s@\x00-\x20\x7f]+")
_OPEN_XML: Final = "application/vnd.openxmlformats-officedocument."
# How a staged id may be refused that is spent, or past its hour, or of which the bytes are gone.
_SPENT: Final = (400, 404, 409, 410, 422)


class Region(Enum):
    """Where a Secureframe account lives. The addresses are documented."""

    US = "us"
    UK = "uk"

    @property
    def endpoint(self) -> str:
        """The address of the API in this region."""
        return f"https://api{'-uk' if self is Region.UK else ''}.secureframe.com"


def _uuid(
    settings: SecureframeSettings, attribute: Attribute[str | None], value: str | None
) -> None:
    if value is not None and not _UUID.fullmatch(value):
        raise ValueError(
            f"{attribute.name} must be the UUID at the end of the address of the test's page"
        )


@frozen(kw_only=True)
class SecureframeSettings:
    """A tenant's settings for Secureframe. `endpoint` overrides the region's address.

    With `test`, the UUID of a test, all evidence goes to that test. Without it, to the person;
    `person` says which of the evidence's fields names that person for Secureframe: the e-mail
    address, which is looked up, or the subject, which must then be the user's UUID. `send` is how
    the document goes there: *staged* or *direct*.
    """

    api_key: Secret
    api_secret: Secret
    region: Region = Region.US
    endpoint: str | None = None
    test: str | None = field(default=None, validator=_uuid)
    person: Person = "subject_email"
    document_type: str = "security_training_screenshot"
    send: Send = "staged"

    @property
    def base(self) -> str:
        """What every address of the API begins with."""
        return (self.endpoint or self.region.endpoint).rstrip("/")

    @property
    def headers(self) -> Headers:
        """What every request to the API carries."""
        keys = f"{self.api_key.reveal()} {self.api_secret.reveal()}"
        return (("Authorization", keys), ("Accept", "application/json"))


@frozen
class _Target:
    """What one evidence is attached to; `user` is None for a test."""

    path: str
    user: str | None


@frozen
class _Seen:
    """What the list shows: one that bears our name, or those that are like ours. `at`: our time
    of day then."""

    named: Resource | None
    like: tuple[Resource, ...]
    at: datetime

    @property
    def receipt(self) -> Receipt:
        """For one of those that are like ours: which of them it is, is known only where there is
        one."""
        reference = self.like[0].id if len(self.like) == 1 else None
        return Receipt(reference, "attached by an attempt before, whose answer was lost")


@frozen
class _Unseen:
    """The list could not be read. `at`: our time of day, where there was an answer."""

    failure: Failure
    at: datetime | None


class SecureframeProvider:
    """Attaches evidence to a person or a test of Secureframe's."""

    name: ClassVar[str] = "secureframe"
    settings_class: ClassVar[type] = SecureframeSettings
    schema: ClassVar[Mapping[str, object]] = {
        "api_key": {"type": "secret", "required": True},
        "api_secret": {"type": "secret", "required": True},
        "region": {"type": "string", "allowed": [region.value for region in Region]},
        "endpoint": {"type": "endpoint"},
        "test": {"type": "string", "empty": False, "excludes": ["person", "document_type"]},
        "person": {"type": "string", "allowed": ["subject_email", "subject"]},
        "document_type": {"type": "string", "allowed": list(DOCUMENT_TYPES)},
        "send": {"type": "string", "allowed": ["staged", "direct"]},
    }
    limits: ClassVar[Limits] = Limits(
        max_bytes=32_000_000,
        media_types={
            "application/pdf": "pdf",
            f"{_OPEN_XML}wordprocessingml.document": "docx",
            f"{_OPEN_XML}spreadsheetml.sheet": "xlsx",
            "text/csv": "csv",
            "image/png": "png",
            "image/jpeg": "jpg",
        },
    )
    pace: ClassVar[Pace | None] = Pace(500, timedelta(seconds=60))
    cost: ClassVar[int] = 3  # staged; a look-up of the person is charged beside it
    exclusive_credential: ClassVar[bool] = False
    look_up_delays: ClassVar[tuple[timedelta, ...]] = (
        timedelta(seconds=2),
        timedelta(seconds=10),
        timedelta(seconds=30),
    )

    def upload(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Verdict]:
        """Attach the document; with a bookmark, try first to attach what was staged before."""
        assert isinstance(settings, SecureframeSettings)
        target = yield from _target(parcel, settings)
        if not isinstance(target, _Target):
            return target
        if settings.send == "direct":
            return judge((yield from fetch(_direct(target, parcel, settings))), _words(settings))
        kept = Kept.from_progress(progress)
        if kept is not None and kept.upload_id is not None:
            verdict = yield from _attach_again(target, parcel, settings, kept)
            if verdict is not None:
                return verdict
        staged = yield from _stage(parcel, settings)
        if not isinstance(staged, Kept):
            return staged
        yield from bookmark(staged.progress)
        return judge(
            (yield from fetch(_attach(target, parcel, settings, staged))), _words(settings)
        )

    def look_up(self, parcel: Parcel, settings: object, progress: str | None) -> Dialogue[Finding]:
        """Look at the list of evidence. While a staged id guards against a copy, the answer is
        Partly: the next attempt attaches the same id again, which is surer than a list that may lag
        behind."""
        assert isinstance(settings, SecureframeSettings)
        target = yield from _target(parcel, settings)
        if not isinstance(target, _Target):
            return Unreadable(failure_in(target))
        kept = Kept.from_progress(progress)
        seen = yield from _look(
            target, parcel, settings, parcel.created_at if kept is None else kept.staged_at
        )
        if isinstance(seen, _Seen) and seen.named is not None:
            return Found(Receipt(seen.named.id, None))
        if kept is not None and seen.at is not None and kept.guards(seen.at):
            return Partly(kept.progress)
        if isinstance(seen, _Unseen):
            return Unreadable(seen.failure)
        if not seen.like:
            return Absent()
        if kept is not None and kept.spent:
            return Found(seen.receipt)
        return Unreadable(
            Failure(
                FailureKind.UNRECOGNISED_REPLY,
                f"Secureframe lists {len(seen.like)} evidence like this one, but does not say of which file: "
                f"{_words(settings).look}",
            )
        )

    def check(self, settings: object) -> Dialogue[DryRun]:
        """Read the test, or the list of users: whoever the evidence will speak of is not known
        yet."""
        assert isinstance(settings, SecureframeSettings)
        words = _words(settings)
        if settings.test is None:
            query = urlencode({"page": "1", "per_page": "1"})
            users = read_page(
                (yield from fetch(_get("/users", query, settings))), _reading(settings)
            )
            if not isinstance(users, Page):
                return NotReady(failure_in(users))
            count = "its" if users.total is None else f"{users.total}"
            return Ready(f"Secureframe knows the key, and shows it {count} users")
        test = read_one((yield from fetch(_get(f"/tests/{settings.test}", "", settings))), words)
        if not isinstance(test, Resource):
            return NotReady(failure_in(test))
        title = text(test.attributes.get("title")) or settings.test
        kind = text(test.attributes.get("test_type")) or "of unknown type"
        asleep = ", but it is disabled" if test.attributes.get("enabled") is False else ""
        return Ready(f"Secureframe knows the key and the test {title!r} ({kind}){asleep}")

    def target(self, settings: object) -> str:
        """The test, or the kind of evidence, and the host it is at."""
        assert isinstance(settings, SecureframeSettings)
        host = urlsplit(settings.base).hostname
        if settings.test is not None:
            return f"test {settings.test} at {host}"
        return f"the person's evidence ({settings.document_type}) at {host}"


def _attach_again(
    target: _Target, parcel: Parcel, settings: SecureframeSettings, kept: Kept
) -> Dialogue[Verdict | None]:
    """What attaching a document came to that was staged by an attempt before; None where that
    attempt was surely not taken and the document must be staged anew."""
    reply = yield from fetch(_attach(target, parcel, settings, kept))
    if not isinstance(reply, HttpResponse) or reply.status not in _SPENT:
        return judge(reply, _words(settings))
    seen = yield from _look(target, parcel, settings, kept.staged_at)
    refused = kept.refused(reply.received_at)
    if isinstance(seen, _Seen):
        if seen.named is not None:
            return Delivered(Receipt(seen.named.id, None))
        if seen.like and refused.spent:
            return Delivered(seen.receipt)
        if not seen.like and not refused.spent:
            return None
    yield from bookmark(refused.progress)
    return Unclear(
        Failure(
            FailureKind.BROKEN_REPLY,
            f"Secureframe does not take the staged document any more (HTTP {reply.status}); whether an attempt before "
            f"was taken is not known: {_words(settings).look}",
            http_status=reply.status,
        )
    )


def _stage(parcel: Parcel, settings: SecureframeSettings) -> Dialogue[Kept | Verdict]:
    """Stage the document and send its bytes. Nothing is evidence by that, so all of it may be
    repeated."""
    reply = yield from fetch(staging(settings.base, settings.headers, parcel))
    staged = read_one(reply, _reading(settings))
    if not isinstance(staged, Resource):
        return staged
    assert isinstance(reply, HttpResponse)
    where = place(staged, settings.base)
    if isinstance(where, str):
        return Rejected(
            Failure(
                FailureKind.REFUSED,
                f"Secureframe's answer to the staging of the document cannot be used: {where}; set send: direct in the "
                "tenant file, then retry this upload",
                http_status=reply.status,
            )
        )
    verdict = stored((yield from fetch(storing(where, parcel))))
    return Kept(where.upload_id, reply.received_at) if verdict is None else verdict


def _look(
    target: _Target, parcel: Parcel, settings: SecureframeSettings, since: datetime
) -> Dialogue[_Seen | _Unseen]:
    """Read the list of evidence, the newest first, until what is older than the upload."""
    likeness = Likeness(
        parcel, target.user, settings.document_type if target.user is not None else None
    )
    words = _reading(settings)
    like: list[Resource] = []
    count = 0
    at: datetime | None = None
    reply: HttpResponse | TransportFailure
    for number in range(1, MOST_PAGES + 1):
        query = urlencode({"sort": "-created_at", "page": str(number), "per_page": str(PAGE_SIZE)})
        reply = yield from fetch(_get("/evidences", query, settings))
        at = reply.received_at if isinstance(reply, HttpResponse) else None
        page = read_page(reply, words)
        if not isinstance(page, Page):
            return _Unseen(failure_in(page), at)
        assert at is not None
        if not in_order(page.items):
            return _Unseen(_unlisted("it is not sorted by age, as was asked for"), at)
        for item in page.items:
            if likeness.named_in(item):
                return _Seen(item, (), at)
            made = made_at(item)
            if made is not None and made < since - CLOCKS:
                return _Seen(None, tuple(like), at)
            if likeness.fits(item):
                like.append(item)
        count += len(page.items)
        if not page.items or (page.total is not None and count >= page.total):
            return _Seen(None, tuple(like), at)
    return _Unseen(_unlisted(f"it goes on behind {MOST_PAGES} pages"), at)


def _target(parcel: Parcel, settings: SecureframeSettings) -> Dialogue[_Target | Verdict]:
    """What the evidence is attached to; looks the user up where only the address is known."""
    if settings.test is not None:
        return _Target(f"/tests/{settings.test}/evidences", None)
    if settings.person == "subject":
        if _UUID.fullmatch(parcel.subject):
            return _Target(f"/users/{parcel.subject}/evidences", parcel.subject)
        return _whose(
            f"the subject {parcel.subject!r} of evidence {parcel.evidence_id!r} is not a Secureframe user's UUID, as "
            "person: subject wants it; nothing was sent: submit it under a new evidence id with that UUID as its "
            "subject, or set person: subject_email in the tenant file"
        )
    address = parcel.subject_email
    if address is None or not _ADDRESS.fullmatch(address):
        what = "no e-mail address" if address is None else "no valid e-mail address"
        return _whose(
            f"evidence {parcel.evidence_id!r} says {what} for {parcel.subject!r}, and person: subject_email needs one; "
            "nothing was sent: submit it under a new evidence id with the address that Secureframe knows the person by, "
            "or set person: subject in the tenant file"
        )
    user = yield from _user(address, parcel, settings)
    return (
        _Target(f"/users/{quote(user, safe='')}/evidences", user) if isinstance(user, str) else user
    )


def _user(address: str, parcel: Parcel, settings: SecureframeSettings) -> Dialogue[str | Verdict]:
    """The id of the one user with that address. A search may find others beside it, so each is
    looked at."""
    words = _reading(settings)
    phrase = address.replace("\\", "\\\\").replace('"', '\\"')
    found: list[str] = []
    count = 0
    for number in range(1, MOST_PAGES + 1):
        query = urlencode(
            {"q": f'email:"{phrase}"', "page": str(number), "per_page": str(PAGE_SIZE)}
        )
        page = read_page((yield from fetch(_get("/users", query, settings))), words)
        if not isinstance(page, Page):
            return page
        for user in page.items:
            if (text(user.attributes.get("email")) or "").casefold() == address.casefold():
                found.append(user.id)
        count += len(page.items)
        if not page.items or (page.total is not None and count >= page.total):
            break
    whose = f"with the e-mail address of {parcel.subject!r}, of whom evidence {parcel.evidence_id!r} speaks"
    if not found:
        return _whose(
            f"Secureframe shows this key no user {whose}; nothing was sent: ask the Secureframe admin to add them, then "
            "retry this upload",
            FailureKind.NOT_FOUND,
        )
    if len(set(found)) > 1:
        return _whose(
            f"Secureframe has {len(set(found))} users {whose}; nothing was sent: ask the Secureframe admin to keep one, "
            "then retry this upload"
        )
    return found[0]


def _whose(message: str, kind: FailureKind = FailureKind.BAD_REQUEST) -> Rejected | Deferred:
    return Rejected(Failure(kind, message))


def _unlisted(seen: str) -> Failure:
    return Failure(
        FailureKind.UNRECOGNISED_REPLY, f"Secureframe's list of evidence cannot be read: {seen}"
    )


def _attach(
    target: _Target, parcel: Parcel, settings: SecureframeSettings, kept: Kept
) -> HttpRequest:
    assert kept.upload_id is not None
    return HttpRequest(
        "POST", _attach_url(target, parcel, settings, kept.upload_id), settings.headers
    )


def _direct(target: _Target, parcel: Parcel, settings: SecureframeSettings) -> HttpRequest:
    file = FormFile("file", parcel.file_name, parcel.media_type, parcel.content)
    content_type, body = form_data([file], parcel.sha256)
    url = _attach_url(target, parcel, settings, None)
    return HttpRequest("POST", url, (*settings.headers, ("Content-Type", content_type)), body)


def _attach_url(
    target: _Target, parcel: Parcel, settings: SecureframeSettings, upload_id: str | None
) -> str:
    """Everything but a file stands in the query, as documented."""
    query = {"activity_completion": parcel.evidence_date.isoformat()}
    if target.user is not None:
        query["document_type"] = settings.document_type
    if upload_id is not None:
        query["upload_id"] = upload_id
    return f"{settings.base}{target.path}?{urlencode(query)}"


def _get(path: str, query: str, settings: SecureframeSettings) -> HttpRequest:
    return HttpRequest(
        "GET", f"{settings.base}{path}{'?' if query else ''}{query}", settings.headers
    )


def _words(settings: SecureframeSettings) -> Words:
    where = "the person's evidence" if settings.test is None else f"test {settings.test}"
    missing = (
        "Secureframe does not know the person, or does not show them to this key: correct region or endpoint in the "
        "tenant file, or ask the Secureframe admin, then retry this upload"
        if settings.test is None
        else f"correct test {settings.test}, region or endpoint in the tenant file"
    )
    advice = ErrorHints(
        provider="Secureframe",
        unauthorized=(
            "ask the Secureframe admin for a new key under Company settings > API keys and put both its halves where "
            "api_key and api_secret in the tenant file point"
        ),
        forbidden=(
            "ask the Secureframe admin to give the role of the key's owner the right to see and change this "
            "(Personnel settings > Roles)"
        ),
        not_found=missing,
        too_large="make the document smaller than 32 MB, then submit it under a new evidence id",
        unsupported_type="send a PDF",
        target_gone=settings.test is not None,
    )
    look = f"look at {where} in Secureframe, then attest that the evidence is there or retry this upload"
    return Words(advice, look)


def _reading(settings: SecureframeSettings) -> Words:
    """For requests that are neither to the person nor to the test: a 404 says nothing of them."""
    words = _words(settings)
    missing = "this account may not have that part of the API, or region or endpoint in the tenant file are wrong"
    return evolve(words, advice=evolve(words.advice, not_found=missing, target_gone=False))
