"""A provider that breaks a rule of the kit is found out, at that rule."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from archive import (
    ENDPOINT,
    ArchiveProvider,
    ArchiveSettings,
    Reply,
    UnreadableArchiveProvider,
    harness_of,
)
from attrs import evolve, field, frozen
from breaking import Break, every_rule_bites, found_at

from evidence_courier.delivery.dialogues.http_errors import refusal
from evidence_courier.delivery.dialogues.json_reply import NotJson, mapping, parse_json
from evidence_courier.delivery.dialogues.multipart import FormFile
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.verdict import (
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
    Unbundled,
    Unclear,
    Unreadable,
    Verdict,
)
from evidence_courier.ports.dialogue import (
    Dialogue,
    Ending,
    HttpRequest,
    HttpResponse,
    TransportFailure,
    fetch,
)
from evidence_courier.ports.provider import Limits, Parcel
from evidence_courier.testing.contracts import ProviderContract, ProviderHarness, broken_rules
from evidence_courier.testing.contracts.provider.harness import answered

K = FailureKind


def kit_of(provider: type[UnreadableArchiveProvider]) -> type[ProviderContract]:
    return kit_with(provider.__name__, lambda: harness_of(provider()))


def kit_with(name: str, make: Callable[[], ProviderHarness]) -> type[ProviderContract]:
    class Kit(ProviderContract):
        def harness(self) -> ProviderHarness:
            return make()

    Kit.__name__ = name
    return Kit


# --- what it says of itself, and its settings


class WithADot(ArchiveProvider):
    limits: ClassVar[Limits] = Limits(None, {"application/pdf": ".pdf"})


class HalfReadable(UnreadableArchiveProvider):
    """Says when it wants to be read, and cannot be."""

    look_up_delays: ClassVar[tuple[timedelta, ...]] = (timedelta(seconds=2),)


class Unsayable(ArchiveProvider):
    schema: ClassVar[Mapping[str, object]] = {
        key: rules for key, rules in ArchiveProvider.schema.items() if key != "shelf"
    }


@frozen(kw_only=True)
class CarelessSettings:
    """A credential that is a text like any other, though it is not shown."""

    secret: str = field(repr=False)
    shelf: str = "A"
    endpoint: str = ENDPOINT


class TakesLiterals(ArchiveProvider):
    settings_class: ClassVar[type] = CarelessSettings
    schema: ClassVar[Mapping[str, object]] = {
        **ArchiveProvider.schema,
        "secret": {"type": "string"},
    }

    def mint(self, settings: Any) -> Dialogue[Any]:
        hidden = ArchiveSettings(secret=Secret(settings.secret), endpoint=settings.endpoint)
        return (yield from super().mint(hidden))


class PutsTheSecretIntoTheUrl(ArchiveProvider):
    def mint(self, settings: Any) -> Dialogue[Any]:
        url = f"{settings.endpoint}/token?secret={settings.secret.reveal()}"
        reply = yield from fetch(HttpRequest("POST", url))
        return self.judge_mint(reply)


class QuotesTheSecret(ArchiveProvider):
    def upload(self, parcel: Parcel, settings: Any, progress: str | None) -> Dialogue[Verdict]:
        verdict = yield from super().upload(parcel, settings, progress)
        if isinstance(verdict, Rejected) and verdict.failure.http_status == 403:
            told = f"the archive does not like {settings.secret.reveal()}"
            return Rejected(evolve(verdict.failure, message=told))
        return verdict


class NamesTheSecretAsTarget(ArchiveProvider):
    def target(self, settings: Any) -> str:
        return f"a shelf opened by {settings.secret.reveal()}"


class QuotesTheToken(ArchiveProvider):
    def bearing(self, request: HttpRequest, token: Any) -> HttpRequest:
        bearing = super().bearing(request, token)
        mark = "&" if "?" in request.url else "?"
        return evolve(bearing, url=f"{request.url}{mark}access_token={token.value.reveal()}")


@frozen(kw_only=True)
class OpenSettings:
    secret: str
    shelf: str = "A"
    endpoint: str = ENDPOINT


# --- what it sends


class NeverContent(ArchiveProvider):
    def judge_submit(self, reply: Reply | Failure, progress: str) -> Verdict:
        verdict = super().judge_submit(reply, progress)
        if isinstance(verdict, Delivered):
            return Rejected(Failure(K.REFUSED, "it cannot be true"))
        return verdict


class WantsTheMoon(ArchiveProvider):
    def remember(self, progress: str) -> Dialogue[None]:
        yield "the moon"  # type: ignore[misc]
        yield from super().remember(progress)


class NamesFilesItself(ArchiveProvider):
    def file(self, parcel: Parcel) -> FormFile:
        return FormFile("file", f"{parcel.evidence_id}.pdf", parcel.media_type, parcel.content)


class SendsNoDocument(ArchiveProvider):
    def file(self, parcel: Parcel) -> FormFile:
        return FormFile("file", parcel.file_name, parcel.media_type, b"see the host")


class PutsThePersonIntoAHeader(ArchiveProvider):
    def document_request(self, parcel: Parcel, settings: Any) -> HttpRequest:
        request = super().document_request(parcel, settings)
        return evolve(request, headers=(*request.headers, ("X-Person", parcel.subject)))


class PutsThePersonIntoTheUrl(ArchiveProvider):
    def document_request(self, parcel: Parcel, settings: Any) -> HttpRequest:
        request = super().document_request(parcel, settings)
        return evolve(request, url=f"{request.url}&person={parcel.subject}")


class Counts(ArchiveProvider):
    """Numbers its documents."""

    def __init__(self) -> None:
        self._number = 0

    def document_request(self, parcel: Parcel, settings: Any) -> HttpRequest:
        self._number += 1
        return super().document_request(parcel, evolve(settings, shelf=f"shelf {self._number}"))


class Remembers(ArchiveProvider):
    """Keeps the settings of whoever came last."""

    _settings: Any = None

    def upload(self, parcel: Parcel, settings: Any, progress: str | None) -> Dialogue[Verdict]:
        self._settings = settings
        return super().upload(parcel, settings, progress)

    def mint(self, settings: Any) -> Dialogue[Any]:
        return (yield from super().mint(self._settings or settings))


class Strays(ArchiveProvider):
    def mint(self, settings: Any) -> Dialogue[Any]:
        return (yield from super().mint(evolve(settings, endpoint="https://tokens.invalid/api")))


class CheapOnPaper(ArchiveProvider):
    cost: ClassVar[int] = 1


class CallsItsUploadRepeatable(ArchiveProvider):
    def document_request(self, parcel: Parcel, settings: Any) -> HttpRequest:
        return evolve(super().document_request(parcel, settings), repeatable=True)


class CallsItsBundleRepeatable(ArchiveProvider):
    def bundle_request(self, parcels: Sequence[Parcel], settings: Any) -> HttpRequest:
        return evolve(super().bundle_request(parcels, settings), repeatable=True)


class IsSureOfItself(CallsItsUploadRepeatable):
    """Its harness agrees with it, and the platform makes a copy all the same."""

    def judge_document(self, reply: Reply | Failure) -> Verdict | str:
        verdict = super().judge_document(reply)
        return Deferred(verdict.failure) if isinstance(verdict, Unclear) else verdict


# --- half-done uploads


class Forgets(ArchiveProvider):
    def remember(self, progress: str) -> Dialogue[None]:
        yield from ()


class BeginsAgain(ArchiveProvider):
    def upload(self, parcel: Parcel, settings: Any, progress: str | None) -> Dialogue[Verdict]:
        return (yield from super().upload(parcel, settings, None))


# --- what a reply comes to


class TakesAnyId(ArchiveProvider):
    def id_in(self, value: object) -> str | None:
        return super().id_in(value) or ("d-1" if mapping(value).get("success") is False else None)


class TakesAnyStatus(ArchiveProvider):
    def judge_document(self, reply: Reply | Failure) -> Verdict | str:
        if isinstance(reply, HttpResponse) and reply.ending is Ending.COMPLETE:
            with suppress(NotJson):
                return self.id_in(parse_json(reply.body)) or super().judge_document(reply)
        return super().judge_document(reply)


class NeverAsksAnew(ArchiveProvider):
    def bearing(self, request: HttpRequest, token: Any) -> HttpRequest:
        object.__setattr__(token, "fresh", True)  # whatever the keeper says
        return super().bearing(request, token)


class BlamesTheUploadForTheSecret(ArchiveProvider):
    def judge_mint(self, reply: Reply) -> Any:
        came = super().judge_mint(reply)
        if isinstance(came, Failure) and came.kind is K.UNAUTHORIZED:
            return evolve(came, kind=K.FORBIDDEN)
        return came


class GivesUpOnARevokedToken(ArchiveProvider):
    def revoked(self, reply: HttpResponse) -> Failure:
        return evolve(super().revoked(reply), kind=K.UNAUTHORIZED)


class Impatient(ArchiveProvider):
    def classify(self, reply: Reply) -> Verdict | None:
        verdict = super().classify(reply)
        if isinstance(verdict, Deferred) and verdict.failure.kind.throttling:
            return Deferred(evolve(verdict.failure, retry_after=None))
        return verdict


class EarlyIsFinal(ArchiveProvider):
    def judge_document(self, reply: Reply | Failure) -> Verdict | str:
        if isinstance(reply, HttpResponse) and reply.status == 425:
            return refusal(reply, K.REFUSED, "too early")
        return super().judge_document(reply)


class Insists(ArchiveProvider):
    def judge_document(self, reply: Reply | Failure) -> Verdict | str:
        if isinstance(reply, HttpResponse) and reply.status == 409:
            return Deferred(Failure(K.TOLD_TO_WAIT, "later, perhaps", http_status=409))
        return super().judge_document(reply)


class ABadGatewayIsHarmless(ArchiveProvider):
    def judge_document(self, reply: Reply | Failure) -> Verdict | str:
        if isinstance(reply, HttpResponse) and reply.status == 502:
            return Deferred(Failure(K.TOLD_TO_WAIT, "again", http_status=502))
        return super().judge_document(reply)


class Follows(ArchiveProvider):
    def with_token(self, request: HttpRequest, settings: Any) -> Dialogue[Any]:
        reply = yield from super().with_token(request, settings)
        if isinstance(reply, HttpResponse) and reply.status == 307:
            yield from super().with_token(evolve(request, url=f"{ENDPOINT}/moved"), settings)
        return reply


class RedirectsComeBack(ArchiveProvider):
    def classify(self, reply: Reply) -> Verdict | None:
        verdict = super().classify(reply)
        if isinstance(reply, HttpResponse) and reply.status == 304:
            return Unclear(Failure(K.BROKEN_REPLY, "it moved?", http_status=304))
        return verdict


class ReadsHalf(ArchiveProvider):
    def judge_document(self, reply: Reply | Failure) -> Verdict | str:
        if isinstance(reply, HttpResponse) and 200 <= reply.status < 300:
            return super().judge_document(evolve(reply, ending=Ending.COMPLETE))
        return super().judge_document(reply)


class NeverLeftIsUnclear(ArchiveProvider):
    def judge_document(self, reply: Reply | Failure) -> Verdict | str:
        if isinstance(reply, TransportFailure) and reply.kind is K.NOT_SENT:
            return Unclear(Failure(reply.kind, reply.message))
        return super().judge_document(reply)


class SilenceIsHarmless(ArchiveProvider):
    def judge_document(self, reply: Reply | Failure) -> Verdict | str:
        if isinstance(reply, TransportFailure) and reply.kind is K.TIMEOUT:
            return Deferred(Failure(K.NO_CONNECTION, reply.message))
        return super().judge_document(reply)


class Chokes(ArchiveProvider):
    def classify(self, reply: Reply) -> Verdict | None:
        if isinstance(reply, HttpResponse) and reply.status == 422:
            parse_json(reply.body or b"{}")
        return super().classify(reply)


class SpeaksInNumbers(ArchiveProvider):
    def classify(self, reply: Reply) -> Verdict | None:
        verdict = super().classify(reply)
        if isinstance(reply, HttpResponse) and reply.status == 422 and reply.body.startswith(b"0"):
            return Rejected(Failure(K.REFUSED, 422))  # type: ignore[arg-type]
        return verdict


class SaysThatItIsPaused(ArchiveProvider):
    def judge_document(self, reply: Reply | Failure) -> Verdict | str:
        if isinstance(reply, HttpResponse) and reply.status == 423:
            return Rejected(Failure(K.PAUSED, "the account is on leave", http_status=423))
        return super().judge_document(reply)


# --- reading back, the dry run, several together


class NeverFinds(ArchiveProvider):
    def judge_listing(self, reply: Reply | Failure) -> Finding:
        finding = super().judge_listing(reply)
        return Absent() if isinstance(finding, Found) else finding


class FindsByTheTenant(ArchiveProvider):
    """Asks for everything that is there."""

    def look_up(self, parcel: Parcel, settings: Any, progress: str | None) -> Dialogue[Finding]:
        everything = evolve(parcel, file_name=sample_name(parcel))
        return (yield from super().look_up(everything, settings, progress))


def sample_name(parcel: Parcel) -> str:
    """The file name of the kit's first document."""
    from evidence_courier.testing.contracts import sample_parcel

    return sample_parcel(ArchiveProvider()).file_name


class AnErrorIsAbsence(ArchiveProvider):
    def judge_listing(self, reply: Reply | Failure) -> Finding:
        if isinstance(reply, HttpResponse) and reply.status == 503:
            return Absent()
        return super().judge_listing(reply)


class ChokesOnAList(ArchiveProvider):
    def judge_listing(self, reply: Reply | Failure) -> Finding:
        if isinstance(reply, HttpResponse) and reply.body == b"[[]]":
            raise IndexError(0)
        return super().judge_listing(reply)


class FindsWhatSaysYes(ArchiveProvider):
    def judge_listing(self, reply: Reply | Failure) -> Finding:
        if isinstance(reply, HttpResponse) and reply.body == b'"ok"':
            return Found(Receipt())
        return super().judge_listing(reply)


class TakesAHalfForAWhole(ArchiveProvider):
    def judge_listing(self, reply: Reply | Failure) -> Finding:
        finding = super().judge_listing(reply)
        return Found(Receipt(finding.progress)) if isinstance(finding, Partly) else finding


class SaysThatItIsStillProcessing(ArchiveProvider):
    def judge_listing(self, reply: Reply | Failure) -> Finding:
        finding = super().judge_listing(reply)
        if isinstance(finding, Unreadable) and finding.failure.http_status == 503:
            return Unreadable(evolve(finding.failure, kind=K.STILL_PROCESSING))
        return finding


class NeverReady(ArchiveProvider):
    def judge_shelf(self, reply: Reply | Failure) -> DryRun:
        run = super().judge_shelf(reply)
        return Partly("well") if isinstance(run, Ready) else run  # type: ignore[return-value]


class TriesItOut(ArchiveProvider):
    """A dry run that uploads."""

    def check(self, settings: Any) -> Dialogue[DryRun]:
        yield from self.with_token(
            self.request("POST", "/documents", settings, (b"a try",)), settings
        )
        return (yield from super().check(settings))


class AlwaysReady(ArchiveProvider):
    def judge_shelf(self, reply: Reply | Failure) -> DryRun:
        if isinstance(reply, HttpResponse) and reply.status == 404:
            return Ready("a shelf will be put up")
        return super().judge_shelf(reply)


class SaysThatItIsGone(ArchiveProvider):
    def judge_shelf(self, reply: Reply | Failure) -> DryRun:
        run = super().judge_shelf(reply)
        if isinstance(run, NotReady) and run.failure.http_status == 404:
            return NotReady(evolve(run.failure, kind=K.INTEGRATION_GONE))
        return run


class AbandonsABundle(ArchiveProvider):
    def judge_bundle(
        self, parcels: Sequence[Parcel], reply: Reply | Failure
    ) -> Sequence[Verdict | Unbundled]:
        if isinstance(reply, HttpResponse) and reply.status == 403:
            return self.for_each(parcels, Rejected(Failure(K.ABANDONED, "given up")))
        return super().judge_bundle(parcels, reply)


class OneByOne(ArchiveProvider):
    """Sends a bundle's uploads one after another."""

    def upload_together(
        self, parcels: Sequence[Parcel], settings: Any
    ) -> Dialogue[Sequence[Verdict | Unbundled]]:
        yield from super().upload_together(parcels[:1], settings)
        return (yield from super().upload_together(parcels, settings))


class CountsWrong(ArchiveProvider):
    def for_each(
        self, parcels: Sequence[Parcel], verdict: Verdict | Unbundled
    ) -> Sequence[Verdict | Unbundled]:
        verdicts = super().for_each(parcels, verdict)
        return verdicts[1:] if isinstance(verdict, Delivered) else verdicts


class UnbundlesADoubt(ArchiveProvider):
    def judge_bundle(
        self, parcels: Sequence[Parcel], reply: Reply | Failure
    ) -> Sequence[Verdict | Unbundled]:
        if isinstance(reply, HttpResponse) and reply.status == 500:
            return self.for_each(parcels, Unbundled(Failure(K.SERVER_ERROR, "let us try each")))
        return super().judge_bundle(parcels, reply)


def open_settings() -> ProviderHarness:
    """Its secret is a text, and shows itself."""

    class Opened(ArchiveProvider):
        settings_class: ClassVar[type] = OpenSettings

        def mint(self, settings: Any) -> Dialogue[Any]:
            hidden = ArchiveSettings(secret=Secret(settings.secret), endpoint=settings.endpoint)
            return (yield from super().mint(hidden))

    return harness_of(Opened())


def unreadable_model() -> ProviderHarness:
    return evolve(harness_of(ArchiveProvider()), copies=None)


def repeatable_by_its_word() -> ProviderHarness:
    return evolve(harness_of(IsSureOfItself()), repeatable=lambda request: True)


def case_of(rule: str, provider: type[UnreadableArchiveProvider], *also: str) -> Break:
    return Break(f"test_{rule}", kit_of(provider), frozenset(f"test_{other}" for other in also))


# Where a rule has more than one way to break it, each has its line.
TABLE = [
    case_of("it_says_what_a_provider_says_of_itself", WithADot),
    case_of("a_capability_is_whole_or_absent", HalfReadable),
    case_of("its_settings_come_out_of_a_tenant_file", Unsayable),
    case_of("a_credential_is_taken_as_a_reference_only", TakesLiterals),
    case_of("a_credential_shows_itself_nowhere", PutsTheSecretIntoTheUrl),
    case_of("a_credential_shows_itself_nowhere", QuotesTheSecret),
    case_of("a_credential_shows_itself_nowhere", NamesTheSecretAsTarget),
    case_of("a_credential_shows_itself_nowhere", QuotesTheToken),
    Break("test_a_credential_shows_itself_nowhere", kit_with("open_settings", open_settings)),
    case_of(
        "success_is_delivered",
        NeverContent,
        "a_half_done_upload_is_found_as_what_it_is",
        "a_new_dialogue_goes_on_from_a_bookmark",
    ),
    case_of("it_asks_for_nothing_but_requests_bookmarks_and_tokens", WantsTheMoon),
    case_of(
        "the_document_is_sent_whole_under_the_parcels_file_name",
        NamesFilesItself,
        "an_upload_is_found_where_it_is_and_absent_where_it_is_not",
        "a_bundle_is_one_request_with_a_verdict_for_each",
    ),
    case_of(
        "the_document_is_sent_whole_under_the_parcels_file_name",
        SendsNoDocument,
        "an_upload_is_found_where_it_is_and_absent_where_it_is_not",
        "a_bundle_is_one_request_with_a_verdict_for_each",
        "a_half_done_upload_is_found_as_what_it_is",
    ),
    case_of("strange_names_make_sound_requests", PutsThePersonIntoAHeader),
    case_of("strange_names_make_sound_requests", PutsThePersonIntoTheUrl),
    case_of(
        "every_attempt_sends_the_same_bytes_made_anew",
        Counts,
        "two_dialogues_know_nothing_of_one_another",
    ),
    case_of("two_dialogues_know_nothing_of_one_another", Remembers),
    case_of("every_request_goes_to_the_settings_own_origin", Strays),
    case_of("a_request_is_repeatable_only_if_repeating_it_makes_no_copy", CallsItsUploadRepeatable),
    Break(
        "test_a_request_is_repeatable_only_if_repeating_it_makes_no_copy",
        kit_with("repeatable_by_its_word", repeatable_by_its_word),
    ),
    case_of("an_upload_makes_no_more_requests_than_it_costs", CheapOnPaper),
    case_of("what_must_not_be_repeated_is_bookmarked_before_the_next_step", Forgets),
    case_of(
        "a_new_dialogue_goes_on_from_a_bookmark",
        BeginsAgain,
        "a_half_done_upload_is_found_as_what_it_is",
    ),
    case_of("what_does_not_say_success_is_not_taken_for_it", TakesAnyId),
    case_of("words_of_success_do_not_outweigh_the_status", TakesAnyStatus),
    case_of("a_refusal_of_the_credentials_speaks_of_the_integration", NeverAsksAnew),
    case_of("a_refusal_of_the_credentials_speaks_of_the_integration", BlamesTheUploadForTheSecret),
    case_of("a_refusal_of_the_credentials_speaks_of_the_integration", GivesUpOnARevokedToken),
    case_of("a_request_to_come_back_later_is_deferred_until_then", Impatient),
    case_of("a_request_to_come_back_later_is_deferred_until_then", EarlyIsFinal),
    case_of("any_other_4xx_is_rejected", Insists),
    case_of("an_error_of_the_platforms_own_is_unclear", ABadGatewayIsHarmless),
    case_of("a_redirect_is_rejected_and_not_followed", Follows),
    case_of("a_redirect_is_rejected_and_not_followed", RedirectsComeBack),
    case_of("a_reply_that_is_not_whole_is_unclear", ReadsHalf),
    case_of("a_request_that_never_left_is_deferred", NeverLeftIsUnclear),
    case_of("a_request_without_a_reply_is_unclear", SilenceIsHarmless),
    case_of("every_reply_has_a_verdict", Chokes),
    case_of("every_reply_has_a_verdict", SpeaksInNumbers),
    case_of("every_reply_has_a_verdict", SaysThatItIsPaused),
    case_of("an_upload_is_found_where_it_is_and_absent_where_it_is_not", NeverFinds),
    case_of("an_upload_is_found_where_it_is_and_absent_where_it_is_not", FindsByTheTenant),
    Break(
        "test_an_upload_is_found_where_it_is_and_absent_where_it_is_not",
        kit_with("unreadable_model", unreadable_model),
    ),
    case_of("a_look_up_that_fails_is_never_taken_for_an_answer", AnErrorIsAbsence),
    case_of("a_look_up_that_fails_is_never_taken_for_an_answer", SaysThatItIsStillProcessing),
    case_of("whatever_a_server_says_a_look_up_comes_to_a_finding", ChokesOnAList),
    case_of("whatever_a_server_says_a_look_up_comes_to_a_finding", FindsWhatSaysYes),
    case_of("a_half_done_upload_is_found_as_what_it_is", TakesAHalfForAWhole),
    case_of("a_dry_run_is_ready_where_all_is_well_and_uploads_nothing", NeverReady),
    case_of("a_dry_run_is_ready_where_all_is_well_and_uploads_nothing", TriesItOut),
    case_of("a_dry_run_that_fails_is_not_ready", AlwaysReady),
    case_of("a_dry_run_that_fails_is_not_ready", SaysThatItIsGone),
    case_of("a_bundle_is_one_request_with_a_verdict_for_each", OneByOne),
    case_of("a_bundle_is_one_request_with_a_verdict_for_each", CountsWrong),
    case_of("a_bundle_is_one_request_with_a_verdict_for_each", CallsItsBundleRepeatable),
    case_of("the_bundle_that_failed_failed_for_each", UnbundlesADoubt),
    case_of("the_bundle_that_failed_failed_for_each", AbandonsABundle),
]


class AsksASecondHost(ArchiveProvider):
    """A second host is asked first, as one with a presigned address is."""

    refused = K.REFUSED

    def upload(self, parcel: Parcel, settings: Any, progress: str | None) -> Dialogue[Verdict]:
        match self.classify((yield from fetch(self.first(settings)))):
            case None:
                return (yield from super().upload(parcel, settings, progress))
            case Rejected(failure) if failure.kind is K.UNAUTHORIZED:
                return Rejected(evolve(failure, kind=self.refused))
            case Unclear(failure):
                return Deferred(failure)
            case verdict:
                return verdict

    def first(self, settings: Any) -> HttpRequest:
        return HttpRequest("GET", f"{SECOND_HOST}/x?signature=0123456789")


class BlamesTheCredential(AsksASecondHost):
    refused = K.UNAUTHORIZED


class ShowsItTheSecret(AsksASecondHost):
    def first(self, settings: Any) -> HttpRequest:
        said = base64.b64encode(f"acme:{settings.secret.reveal()}".encode()).decode()
        return HttpRequest("GET", f"{SECOND_HOST}/x", (("Authorization", f"Basic {said}"),))


class SendsItTheSecret(AsksASecondHost):
    def first(self, settings: Any) -> HttpRequest:
        body = (settings.secret.reveal().encode(),)
        return HttpRequest("GET", f"{SECOND_HOST}/x", (), body)


class SealsWithTheSecret(AsksASecondHost):
    def first(self, settings: Any) -> HttpRequest:
        seal = (("X-Key", settings.secret.reveal()),)
        return HttpRequest("GET", f"{SECOND_HOST}/x", seal=lambda moment: seal)


SECOND_HOST = "https://storage.invalid"


@pytest.mark.parametrize(
    ("provider", "shows"),
    [
        (AsksASecondHost, False),
        (ShowsItTheSecret, True),
        (SendsItTheSecret, True),
        (SealsWithTheSecret, True),
    ],
)
def test_a_second_host_may_be_asked_if_it_does_not_see_the_credential(
    provider: type[ArchiveProvider], shows: bool
) -> None:
    rule = "test_every_request_goes_to_the_settings_own_origin"
    found = broken_rules(kit_with_a_second_host(provider))
    assert list(found) == ([rule] if shows else [])
    assert not shows or f"shows a credential to {SECOND_HOST}" in found[rule]


def test_a_second_host_says_nothing_of_a_credential_that_it_does_not_see() -> None:
    rule = "test_a_refusal_of_the_credentials_speaks_of_the_integration"
    found = broken_rules(kit_with_a_second_host(BlamesTheCredential))
    assert list(found) == [rule]
    assert f"401 of {SECOND_HOST}, which sees no credential" in found[rule]


def kit_with_a_second_host(provider: type[ArchiveProvider]) -> type[ProviderContract]:
    def harness() -> ProviderHarness:
        known = harness_of(provider())

        def answer(request: HttpRequest) -> HttpResponse:
            return answered(204) if request.url.startswith(SECOND_HOST) else known.answer(request)

        return evolve(known, answer=answer, origins=(SECOND_HOST,))

    return kit_with(provider.__name__, harness)


@pytest.mark.parametrize("broken", TABLE, ids=str)
def test_it_is_found_at_its_rule(broken: Break) -> None:
    found_at(broken)


def test_every_rule_bites() -> None:
    every_rule_bites(ProviderContract, TABLE)
