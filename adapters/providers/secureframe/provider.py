"""Secureframe: evidence is attached to the person that it speaks of, or to one test.

- *Documented* (the OpenAPI document, version 2023-10-18, at developer.secureframe.com): the hosts;
  the header `Authorization: KEY SECRET`, without a scheme; `POST /users/{user_id}/evidences` with
  `document_type`, and `POST /tests/{test_id}/evidences`, both with `activity_completion` and either
  the part `file` or a staged `upload_id`; ids are UUIDs; `POST /file_uploads` (see `staging`),
  which the edition of June 2026 lacks; `GET /users` with the search field `email`; `GET
  /evidences`; `GET /tests/{id}`; 32 MB; 500 requests a minute for each address. PDF, PNG, JPG,
  DOCX, XLSX and CSV are taken, DOC is not (help pages).
- *Inferred*: 32 MB is 32,000,000 bytes; an id is spent by an attach whose reply was lost too; an
  account whose `/file_uploads` answers 404 or 405 has no such endpoint.
- *Unknown*: whether every account has `GET /evidences`; how a spent id is refused (every 4xx that
  may say so is taken for it); whether the list of evidence names files.

By default a document is staged, although that takes three requests: an id that can be attached once
is the only guard against a copy that Secureframe offers. Where it cannot be staged, it is sent as
with `send: direct`, and that is bookmarked.

After a lost reply to an attach, the same id is attached again within its hour. If it was not taken
before, it is now. If the id is refused, and the list shows something like it as the person's, the
first was taken: delivered, once. If the list does not bear that out, or the hour is over, the list
alone decides: nothing like it means that it is sent again; something like it, or a list that cannot
be read, leaves the decision to `on_unclear`. So it is with something like it at a test: the list
names no test, and it may be another employee's. The age of an id is the time between two replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final
from urllib.parse import quote, urlencode

from attrs import evolve, frozen

from ....delivery.dialogues.http_errors import ErrorHints, without_doubt
from ....delivery.dialogues.json_reply import text
from ....delivery.dialogues.multipart import file_request
from ....delivery.dialogues.person import person_of
from ....delivery.dialogues.settings import LOOK_UP_DELAYS, UUID, address, media_types, schema_of
from ....domain.evidence.evidence import Outcome
from ....domain.integration import Pace
from ....domain.upload import verdict as verdicts
from ....domain.upload.failure import Failure, FailureKind
from ....domain.upload.verdict import DryRun, Finding, Receipt, Verdict
from ....ports.dialogue import Dialogue, HttpRequest, HttpResponse, bookmark, fetch
from ....ports.provider import Limits, Parcel
from .listing import look_for, user_ids
from .reply import failure_to_store, judge, read_list, read_one
from .settings import SecureframeSettings
from .staging import Staged, staging, storing

_SPENT: Final = (400, 404, 409, 410, 422)
"""How an id may be refused that is spent, past its hour, or whose bytes are gone."""
_DIRECT: Final = "direct"
"""The bookmark of an account that does not stage documents."""


@frozen
class _Target:
    """What one evidence is attached to; `user` is None for a test."""

    path: str
    user: str | None


class SecureframeProvider:
    """Attaches evidence to a person or a test of Secureframe's."""

    name: ClassVar[str] = "secureframe"
    settings_class: ClassVar[type] = SecureframeSettings
    schema: ClassVar[Mapping[str, object]] = schema_of(
        SecureframeSettings, test={"excludes": ["person", "document_type"]}
    )
    limits: ClassVar[Limits] = Limits(
        max_bytes=32_000_000, media_types=media_types("pdf", "docx", "xlsx", "csv", "png", "jpg")
    )
    pace: ClassVar[Pace | None] = Pace(500, timedelta(seconds=60))
    cost: ClassVar[int] = 3  # staged; a look-up of the person is charged beside it
    exclusive_credential: ClassVar[bool] = False
    look_up_delays: ClassVar[tuple[timedelta, ...]] = LOOK_UP_DELAYS

    def upload(
        self, parcel: Parcel, settings: SecureframeSettings, progress: str | None
    ) -> Dialogue[Verdict]:
        target = yield from _target(parcel, settings)
        if isinstance(target, Failure):
            return without_doubt(target)
        staged: Staged | None = None
        if settings.send == "staged" and progress != _DIRECT:
            before = Staged.from_progress(progress)
            if before is not None and before.upload_id is not None:
                verdict = yield from _attach_again(target, parcel, settings, before)
                if verdict is not None:
                    return verdict
            made = yield from _stage(parcel, settings)
            if isinstance(made, Failure):
                return without_doubt(made)
            staged = made
            yield from bookmark(_DIRECT if staged is None else staged.progress)
        reply = yield from fetch(_attach(target, parcel, settings, staged))
        return judge(reply, _hints(settings))

    def look_up(
        self, parcel: Parcel, settings: SecureframeSettings, progress: str | None
    ) -> Dialogue[Finding]:
        """Look at the list of evidence. While a staged id guards against a copy, the answer is
        Partly: attaching the same id again is surer than a list that may lag behind."""
        target = yield from _target(parcel, settings)
        if isinstance(target, Failure):
            return verdicts.Unreadable(target)
        staged = Staged.from_progress(progress)
        since = parcel.created_at if staged is None else staged.staged_at
        seen = yield from look_for(parcel, target.user, settings, _reading(settings), since)
        if seen.named is not None:
            return verdicts.Found(Receipt(seen.named.id, None))
        if staged is not None and seen.at is not None and staged.guards(seen.at):
            return verdicts.Partly(staged.progress)
        if seen.failure is not None:
            return verdicts.Unreadable(seen.failure)
        if not seen.like:
            return verdicts.Absent()
        if staged is not None and staged.spent and seen.owned:
            return verdicts.Found(seen.receipt)
        message = (
            f"Secureframe lists {len(seen.like)} evidence like this one, but does not say from "
            f"which file: {_hints(settings).look}"
        )
        return verdicts.Unreadable(Failure(FailureKind.UNRECOGNISED_REPLY, message))

    def check(self, settings: SecureframeSettings) -> Dialogue[DryRun]:
        """Read the test, or the list of users. The person is not known yet."""
        path = "/users?page=1&per_page=1" if settings.test is None else f"/tests/{settings.test}"
        reply = yield from fetch(HttpRequest("GET", settings.base + path, settings.headers))
        if settings.test is None:
            users = read_list(reply, _reading(settings))
            if isinstance(users, Failure):
                return verdicts.NotReady(users)
            count = "its" if users[1] is None else f"{users[1]}"
            return verdicts.Ready(f"Secureframe knows the key, and shows it {count} users")
        test = read_one(reply, _hints(settings))
        if isinstance(test, Failure):
            return verdicts.NotReady(test)
        title = text(test.attributes.get("title")) or settings.test
        kind = text(test.attributes.get("test_type")) or "of unknown type"
        asleep = ", but it is disabled" if test.attributes.get("enabled") is False else ""
        return verdicts.Ready(f"Secureframe knows the key and the test {title!r} ({kind}){asleep}")

    def default_outcomes(self, settings: SecureframeSettings) -> tuple[Outcome, ...]:
        """A person's evidence says that the person has done the training."""
        return (Outcome.PASSED,) if settings.test is None else tuple(Outcome)

    def target(self, settings: SecureframeSettings) -> str:
        host = address(settings.base)
        if settings.test is not None:
            return f"test {settings.test} at {host}"
        return f"the person's evidence ({settings.document_type}) at {host}"


def _attach_again(
    target: _Target, parcel: Parcel, settings: SecureframeSettings, staged: Staged
) -> Dialogue[Verdict | None]:
    """The verdict on attaching what an attempt before has staged; None if that attempt was not
    taken and the document must be staged anew."""
    reply = yield from fetch(_attach(target, parcel, settings, staged))
    if not isinstance(reply, HttpResponse) or reply.status not in _SPENT:
        return judge(reply, _hints(settings))
    since = staged.staged_at
    seen = yield from look_for(parcel, target.user, settings, _reading(settings), since)
    refused = staged.refused(reply.received_at)
    if seen.named is not None:
        return verdicts.Delivered(Receipt(seen.named.id, None))
    if seen.owned and refused.spent:
        return verdicts.Delivered(seen.receipt)
    if not (seen.failure or seen.like or refused.spent):
        return None
    yield from bookmark(refused.progress)
    message = (
        f"Secureframe does not take the staged document any more (HTTP {reply.status}); "
        f"whether an attempt before was taken is not known: {_hints(settings).look}"
    )
    failure = Failure(FailureKind.BROKEN_REPLY, message, http_status=reply.status)
    return verdicts.Unclear(failure)


def _stage(parcel: Parcel, settings: SecureframeSettings) -> Dialogue[Staged | Failure | None]:
    """Stage the document and send its bytes, which makes no evidence yet; None if the account does
    not stage documents."""
    reply = yield from fetch(staging(settings.base, settings.headers, parcel))
    if isinstance(reply, HttpResponse) and reply.status in (404, 405):
        return None
    staged = read_one(reply, _reading(settings))
    if isinstance(staged, Failure):
        return staged
    assert isinstance(reply, HttpResponse)
    request = storing(staged, settings.base, parcel)
    if isinstance(request, str):
        return Failure(
            FailureKind.REFUSED,
            f"Secureframe's answer to the staging of the document cannot be used: {request}; set "
            "send: direct in the tenant file, then retry this upload",
            http_status=reply.status,
        )
    failure = failure_to_store((yield from fetch(request)))
    return failure or Staged(staged.id, reply.received_at)


def _target(parcel: Parcel, settings: SecureframeSettings) -> Dialogue[_Target | Failure]:
    """What the evidence is attached to. A person known by address is looked up."""
    if settings.test is not None:
        return _Target(f"/tests/{settings.test}/evidences", None)
    person = person_of(parcel, settings.person, "Secureframe", id_name="UUID", id_form=UUID)
    if isinstance(person, Failure):
        return person
    if settings.person == "subject_email":
        person = yield from _user(person, parcel, settings)
        if isinstance(person, Failure):
            return person
    return _Target(f"/users/{quote(person, safe='')}/evidences", person)


def _user(address: str, parcel: Parcel, settings: SecureframeSettings) -> Dialogue[str | Failure]:
    """The id of the one user with that address."""
    ids = yield from user_ids(address, settings, _reading(settings))
    if isinstance(ids, Failure):
        return ids
    whose = (
        f"with the e-mail address of {parcel.subject!r}, of whom evidence {parcel.evidence_id!r} "
        "speaks; nothing was sent: ask the Secureframe admin to"
    )
    if not ids:
        message = f"Secureframe shows this key no user {whose} add them, then retry this upload"
        return Failure(FailureKind.NOT_FOUND, message)
    if len(ids) > 1:
        message = f"Secureframe has {len(ids)} users {whose} keep one, then retry this upload"
        return Failure(FailureKind.BAD_REQUEST, message)
    [user] = ids
    return user


def _attach(
    target: _Target, parcel: Parcel, settings: SecureframeSettings, staged: Staged | None
) -> HttpRequest:
    """Attach what is staged, or the document itself; all but a file stands in the query, as
    documented."""
    query = {"activity_completion": parcel.evidence_date.isoformat()}
    if target.user is not None:
        query["document_type"] = settings.document_type
    if staged is not None and staged.upload_id is not None:
        query["upload_id"] = staged.upload_id
    url = f"{settings.base}{target.path}?{urlencode(query)}"
    if staged is None:
        return file_request(url, settings.headers, parcel)
    return HttpRequest("POST", url, settings.headers)


def _hints(settings: SecureframeSettings) -> ErrorHints:
    missing = (
        "Secureframe does not know the person, or does not show them to this key: correct region "
        "or endpoint in the tenant file, or ask the Secureframe admin, then retry this upload"
        if settings.test is None
        else f"correct test {settings.test}, region or endpoint in the tenant file"
    )
    where = "the person's evidence" if settings.test is None else f"test {settings.test}"
    return ErrorHints(
        provider="Secureframe",
        unauthorized=(
            "ask the Secureframe admin for a new key under Company settings > API keys and put "
            "both its halves where api_key and api_secret in the tenant file point"
        ),
        forbidden=(
            "ask the Secureframe admin to give the role of the key's owner the right to see and "
            "change this (Personnel settings > Roles)"
        ),
        not_found=missing,
        too_large="make the document smaller than 32 MB, then submit it under a new evidence id",
        look=f"look at {where} in Secureframe, then attest that it is there, retry or release it",
        target_gone=settings.test is not None,
    )


def _reading(settings: SecureframeSettings) -> ErrorHints:
    """For requests to neither the person nor the test: a 404 says nothing of them."""
    missing = (
        "this account may not have that part of the API, or region or endpoint in the tenant file "
        "are wrong"
    )
    return evolve(_hints(settings), not_found=missing, target_gone=False)
