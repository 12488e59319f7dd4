"""What every provider owes: the kit for the `Provider` port and its capabilities.

    class TestMyProvider(ProviderContract):
        def harness(self) -> ProviderHarness:
            return ProviderHarness(
                provider=MyProvider(),
                settings={"api_key": "${MY_KEY}", "endpoint": "http://127.0.0.1:9/api"},
                answer=lambda request: reply(201, b'{"id": "e-1"}'),
            )

Nothing is sent anywhere: the kit talks each dialogue through by hand and plays the platform as the
harness says. Wherever the platform's part is not the harness's `answer`, it is one that the
classification of replies speaks of: every status from 100 to 599, replies that are cut short,
bodies that nobody understands, lines that break.
"""

from __future__ import annotations

import base64
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, urlsplit

import attrs
from attrs import define, field, frozen

from ...adapters.config import load_mapping
from ...adapters.engines.attempt import FINDINGS, VERDICTS, sound
from ...adapters.plugins import fault_of
from ...domain.evidence.evidence import Outcome, sha256_of
from ...domain.evidence.file_name import file_name_for
from ...domain.integration import Integration
from ...domain.secrets.secret import Secret
from ...domain.upload.failure import Concern, Failure, FailureKind
from ...domain.upload.verdict import (
    Absent,
    Deferred,
    Delivered,
    Found,
    NotReady,
    Partly,
    Ready,
    Rejected,
    Unbundled,
    Unclear,
    Unreadable,
)
from ...ports.dialogue import Ending, HttpRequest, HttpResponse, TransportFailure
from ...ports.provider import Bundling, CanLookUp, Checkable, Parcel, Provider
from .assertions import must
from .conversation import Conversation, Fault, Reply
from .hostile_inputs import BODIES, HEADERS, NAMES, UNPARSABLE

AT: Final = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
PDF: Final = b"%PDF-1.7 " + bytes(range(256)) * 4 + b"%%EOF"

_VERDICTS: TypeAlias = tuple[type, ...]
_COMPLETE_4XX: Final = [status for status in range(400, 500) if status not in (401, 408, 425, 429)]
_SURELY_NOT_TAKEN: Final = (FailureKind.NO_CONNECTION, FailureKind.NOT_SENT)
_PERHAPS_TAKEN: Final = (FailureKind.TIMEOUT, FailureKind.CONNECTION_LOST)
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNFIT_FOR_A_HEADER: Final = re.compile(r"[\x00-\x1f\x7f\u0100-\U0010ffff]")
_FIT_FOR_A_URL: Final = re.compile(r"https?://[!-~]+")
_FILE_NAME: Final = re.compile(rb'filename\*?="?([^"\r\n;&\x00]*)')


def reads_only(request: HttpRequest) -> bool:
    """Whether a request's method says that it changes nothing."""
    return request.method in ("GET", "HEAD")


@frozen(kw_only=True)
class ProviderHarness:
    """A provider, and the platform that it talks to; made anew for each conversation, so `answer`
    may remember what it was sent.

    - `settings`: its block in a tenant file, without ``provider``; every credential as a
      ``${NAME}`` reference. `secrets` are what they stand for, where that must have a form of its
      own.
    - `answer`: what the platform says to a request when all goes well. The kit recognises no other
      success.
    - `repeatable`: which steps may be repeated without making a copy; reading always may.
    - `origins`: where requests may go, where no setting of the type ``endpoint`` says it:
      ``https://api.example``.
    - `copies`: out-of-band, how many uploads with this sha256 the platform really holds. A provider
      that can be read needs it.
    - `otherwise`: where the platform documents another meaning of a status than the table, the
      verdict classes that are right there; else None.
    """

    provider: Provider
    settings: Mapping[str, object]
    answer: Callable[[HttpRequest], HttpResponse]
    secrets: Mapping[str, str] = field(factory=dict)
    repeatable: Callable[[HttpRequest], bool] = reads_only
    origins: tuple[str, ...] = ()
    copies: Callable[[str], int] | None = None
    otherwise: Callable[[HttpRequest, int], _VERDICTS | None] = lambda request, status: None


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
    """A reply of the platform's."""
    return HttpResponse(status, headers, body, AT, ending)


class _Canaries:
    """Secrets that are easily found again."""

    def __init__(self, known: Mapping[str, str], mark: str) -> None:
        self._known, self._mark = known, mark
        self.given: dict[str, str] = {}

    def resolve(self, name: str) -> Secret:
        value = self._known.get(name, f"canary-{self._mark}-{name}-4f1c9a7e2b")
        value = value if name not in self._known or self._mark == "one" else f"{value}{self._mark}"
        self.given[name] = value
        return Secret(value)


@define
class _Bench:
    """Settings that were loaded once, and a harness for each conversation."""

    make: Callable[[], ProviderHarness]
    settings: Any
    integration: Integration
    secrets: tuple[str, ...]

    def upload(
        self,
        fault: Fault | None = None,
        *,
        parcel: Parcel | None = None,
        progress: str | None = None,
        harness: ProviderHarness | None = None,
        kept: Secret | None = None,
        bookmarks: int | None = None,
    ) -> Conversation:
        """An upload talked through."""
        harness = harness or self.make()
        provider = harness.provider
        dialogue = provider.upload(parcel or sample_parcel(provider), self.settings, progress)
        return Conversation(dialogue, harness.answer, fault, kept).through(bookmarks)

    def look_up(
        self,
        fault: Fault | None = None,
        *,
        parcel: Parcel | None = None,
        harness: ProviderHarness | None = None,
        progress: str | None = None,
    ) -> Conversation:
        """A look-up talked through."""
        harness = harness or self.make()
        provider = harness.provider
        assert isinstance(provider, CanLookUp)
        dialogue = provider.look_up(parcel or sample_parcel(provider), self.settings, progress)
        return Conversation(dialogue, harness.answer, fault).through()

    def check(
        self, fault: Fault | None = None, harness: ProviderHarness | None = None
    ) -> Conversation:
        """A dry run talked through."""
        harness = harness or self.make()
        assert isinstance(harness.provider, Checkable)
        return Conversation(harness.provider.check(self.settings), harness.answer, fault).through()

    def together(
        self,
        parcels: list[Parcel],
        fault: Fault | None = None,
        harness: ProviderHarness | None = None,
    ) -> Conversation:
        """A bundle talked through."""
        harness = harness or self.make()
        assert isinstance(harness.provider, Bundling)
        dialogue = harness.provider.upload_together(parcels, self.settings)
        return Conversation(dialogue, harness.answer, fault).through()


class ProviderContract(ABC):
    """The rules for a provider. Give it a `harness`."""

    @abstractmethod
    def harness(self) -> ProviderHarness:
        """The provider and its platform, both new."""

    # --- what it says of itself ------------------------------------------------------------------

    def test_it_says_what_a_provider_says_of_itself(self) -> None:
        """`name`, `limits`, `pace`, `cost` are such as the courier can use."""
        provider = self.harness().provider
        fault = fault_of(provider, provider.name)
        must(fault is None, f"it {fault}")
        must(
            re.fullmatch(r"[a-z0-9][a-z0-9_.-]*", provider.name),
            f"its name {provider.name!r} is no plain word",
        )
        must(provider.limits.media_types, "it takes no media type")
        for media_type, extension in provider.limits.media_types.items():
            must(
                media_type == media_type.lower() and re.fullmatch(r"[^/\s]+/[^/\s]+", media_type),
                f"{media_type!r} is no media type in lower case",
            )
            must(
                re.fullmatch(r"[a-z0-9]{1,10}", extension),
                f"{extension!r} is no extension: letters and digits, without a dot",
            )

    def test_a_capability_is_there_whole_or_not_at_all(self) -> None:
        """Who has a part of `CanLookUp`, `Checkable` or `Bundling` has all of it, in the form
        that the courier uses."""
        provider = self.harness().provider
        for capability, members in (
            (CanLookUp, ("look_up", "look_up_delays")),
            (Checkable, ("check",)),
            (Bundling, ("bundle", "upload_together")),
        ):
            there = [name for name in members if hasattr(provider, name)]
            must(
                not there or isinstance(provider, capability),
                f"it has {' and '.join(there)}, and is not {capability.__name__} all the same: it lacks "
                f"{' and '.join(sorted({*members} - {*there}))}",
            )
            for name in there:
                must(
                    name == "look_up_delays" or callable(getattr(provider, name)),
                    f"its {name} cannot be called",
                )

    # --- its settings ----------------------------------------------------------------------------

    def test_its_settings_come_out_of_a_tenant_file(self) -> None:
        """Schema and settings class know the same keys, and the sample loads."""
        harness = self.harness()
        bench = self._bench()
        must(
            isinstance(bench.settings, harness.provider.settings_class),
            f"the sample gives {type(bench.settings).__name__}, not the settings class",
        )
        known = {one.name for one in attrs.fields(harness.provider.settings_class) if one.init}
        schema = set(harness.provider.schema)
        must(
            schema <= known,
            f"the schema has keys that the settings class has not: {sorted(schema - known)}",
        )
        must(known <= schema, f"no tenant file can say {sorted(known - schema)}: not in the schema")

    def test_a_credential_is_taken_as_a_reference_only(self) -> None:
        """A literal secret in a tenant file is refused."""
        harness = self.harness()
        references = [key for key, value in harness.settings.items() if str(value).startswith("${")]
        must(
            references or not self._bench().secrets,
            "write the sample's credentials as ${NAME} references",
        )
        for key in references:
            literal = {**harness.settings, key: "a-literal-secret-0123456789"}
            problems = _loaded(harness.provider, literal, _Canaries(harness.secrets, "a"))[1]
            must(
                problems,
                f"a tenant file may hold the credential {key} itself: its type must be `secret`",
            )

    def test_a_credential_shows_itself_nowhere(self) -> None:
        """Not in a URL, a repr, the target, a message or a detail."""
        bench, provider = self._bench(), self.harness().provider
        must(
            bench.secrets or "secret" not in repr(dict(provider.schema)),
            "name the credentials in the harness's sample: nothing can be looked for",
        )
        shown = [
            ("repr of the settings", repr(bench.settings)),
            ("target", str(provider.target(bench.settings))),
        ]
        for about in _told_about(provider, bench.settings):
            shown.append(("advice", about))
        faults = [None, *(fault for _, _, fault in self._faults(_TELLING))]
        for fault in faults:
            talk = bench.upload(fault)
            shown += [("what it came to", talk.said)]
            shown += [("bookmark", progress) for _, progress in talk.bookmarks]
            shown += [("URL", request.url) for request in (*talk.requests, *talk.mint_requests)]
            shown += [
                ("repr of a request", repr(request))
                for request in (*talk.requests, *talk.mint_requests)
            ]
            for token in talk.tokens:
                must(not _holds(f"{talk.said} {talk.requests!r}", token), "a token shows itself")
        for where, text in shown:
            for secret in bench.secrets:
                must(not _holds(text, secret), f"a credential stands in the {where}")

    # --- what it sends ---------------------------------------------------------------------------

    def test_success_is_delivered(self) -> None:
        """Where the platform says what success says, the verdict is Delivered."""
        talk = self._bench().upload()
        must(isinstance(talk.result, Delivered), f"an upload of which all went well {talk.said}")

    def test_it_asks_for_nothing_but_requests_bookmarks_and_tokens(self) -> None:
        """A dialogue yields `HttpRequest`, `Bookmark` and `Access`."""
        bench, provider = self._bench(), self.harness().provider
        talks = [bench.upload()]
        talks += [bench.look_up()] if isinstance(provider, CanLookUp) else []
        talks += [bench.check()] if isinstance(provider, Checkable) else []
        for talk in talks:
            must(not talk.strangers, f"it yields {talk.strangers[:1]!r}")

    def test_the_document_is_sent_whole_under_the_parcels_file_name(self) -> None:
        """`content` as it is and `file_name` stand in the requests, and no other file name does."""
        bench, provider = self._bench(), self.harness().provider
        for name in ("ev-1", *NAMES):
            parcel = sample_parcel(provider, name)
            talk = bench.upload(parcel=parcel)
            must(talk.requests, "it sends nothing")
            sent = b"\0".join(b"".join(request.body) for request in talk.requests)
            heads = "\0".join(
                f"{request.url}\0{request.headers!r}" for request in talk.requests
            ).encode()
            must(
                parcel.content in sent or base64.b64encode(parcel.content) in sent,
                "the document's bytes are in none of its requests as they are",
            )
            rest = sent.replace(parcel.content, b"") + b"\0" + heads
            must(
                parcel.file_name.encode() in rest,
                f"the file name {parcel.file_name!r} is in none of its requests",
            )
            for found in _FILE_NAME.findall(rest):
                must(
                    found == parcel.file_name.encode(),
                    f"it sends a file as {found.decode(errors='replace')!r}, not as {parcel.file_name!r}",
                )

    def test_strange_names_make_sound_requests(self) -> None:
        """Whatever an evidence is called, nothing breaks out of a URL or a header."""
        bench, provider = self._bench(), self.harness().provider
        for name in NAMES:
            talk = bench.upload(parcel=sample_parcel(provider, name, subject=name))
            must(
                talk.error is None, f"with an evidence and a person called {name!r} it {talk.said}"
            )
            for request in (*talk.requests, *talk.mint_requests):
                fault = _unsound(request)
                must(fault is None, f"with an evidence and a person called {name!r}, {fault}")

    def test_every_attempt_sends_the_same_bytes_made_anew(self) -> None:
        """The same parcel gives the same requests, after a failure too."""
        bench, harness = self._bench(), self.harness()
        first = bench.upload()
        bench.upload(Fault(answered(503), 0), harness=harness)
        again = bench.upload(harness=harness)
        must(
            _alike(first, again),
            "the same parcel gives other requests at its second attempt: a document may then be taken for another one",
        )

    def test_two_dialogues_know_nothing_of_one_another(self) -> None:
        """Uploads of two tenants in turns send what each sends alone."""
        one, other = self._bench(), self._bench("other")
        provider = self.harness().provider
        parcels = sample_parcel(provider, "ev-1"), sample_parcel(provider, "ev-2", b"%PDF another")
        alone = [
            bench.upload(parcel=parcel) for bench, parcel in zip((one, other), parcels, strict=True)
        ]
        talks = [
            Conversation(provider.upload(parcel, bench.settings, None), self.harness().answer)
            for bench, parcel in zip((one, other), parcels, strict=True)
        ]
        while not all(talk.ended for talk in talks):
            for talk in talks:
                if not talk.ended:
                    talk.go_on()
        for talk, by_itself in zip(talks, alone, strict=True):
            must(
                _alike(talk, by_itself) and talk.mint_requests[:1] == by_itself.mint_requests[:1],
                "two uploads at the same time mix: a provider keeps nothing between its dialogues",
            )

    def test_every_request_goes_to_the_settings_own_origin(self) -> None:
        """Credentials and documents go where the settings say and nowhere else."""
        bench, harness = self._bench(), self.harness()
        allowed = {*map(_origin, harness.origins), *self._endpoints()}
        must(
            allowed,
            "say in the harness where requests may go: an endpoint among the settings, or origins",
        )
        talks = [
            bench.upload(),
            *(bench.upload(fault) for _, _, fault in self._faults(_REDIRECTS[:10])),
        ]
        talks += [bench.look_up()] if isinstance(harness.provider, CanLookUp) else []
        talks += [bench.check()] if isinstance(harness.provider, Checkable) else []
        for talk in talks:
            for request in (*talk.requests, *talk.mint_requests):
                must(
                    _origin(request.url) in allowed,
                    f"a request goes to {_origin(request.url)}, which is none of {', '.join(sorted(allowed))}",
                )

    def test_an_upload_makes_no_more_requests_than_it_costs(self) -> None:
        """`cost` covers an upload of which all goes well; tokens and reading requests are
        charged by themselves."""
        talk, provider = self._bench().upload(), self.harness().provider
        made = sum(not reads_only(request) for request in talk.requests)
        must(
            made <= provider.cost,
            f"an upload makes {made} requests, and says that it costs {provider.cost}: the pace would be overrun",
        )

    # --- half-done uploads -----------------------------------------------------------------------

    def test_what_must_not_be_repeated_is_bookmarked_before_the_next_step(self) -> None:
        """Behind a request that may make a copy, another one follows only behind a bookmark."""
        harness, talk = self.harness(), self._bench().upload()
        marks = {before for before, _ in talk.bookmarks}
        for number, request in enumerate(talk.requests[:-1], start=1):
            if not (harness.repeatable(request) or reads_only(request)):
                must(
                    number in marks,
                    f"request {number} ({request.method}) must not be repeated, and the next one follows without a bookmark",
                )

    def test_a_new_dialogue_goes_on_from_a_bookmark(self) -> None:
        """After a crash behind any bookmark, the next attempt delivers, and repeats nothing that
        makes a copy."""
        bench = self._bench()
        for number in range(1, len(self._well.bookmarks) + 1):
            harness = self.harness()
            killed = bench.upload(harness=harness, bookmarks=number)
            before, progress = killed.bookmarks[-1]
            once = [
                r for r in killed.requests[:before] if not (harness.repeatable(r) or reads_only(r))
            ]
            talk = bench.upload(harness=harness, progress=progress)
            must(
                isinstance(talk.result, Delivered),
                f"an attempt that goes on from its bookmark {talk.said}",
            )
            must(
                not any(request in once for request in talk.requests),
                "an attempt that goes on from its bookmark sends again what makes a copy",
            )

    # --- what a reply comes to -------------------------------------------------------------------

    def test_what_does_not_say_success_is_not_taken_for_it(self) -> None:
        """A whole 2xx reply of any other body is Rejected, or Unclear where it cannot be read;
        never Delivered."""
        bench = self._bench()
        for place, success in self._successes():
            if not success.body:
                continue  # its status alone is the success
            near = (success.body[:-1], b"[" + success.body + b"]", success.body * 2)
            for body in (*BODIES, *near):
                talk = bench.upload(Fault(answered(success.status, body), place, once=True))
                must(
                    isinstance(talk.result, self._or_deferred(place, Rejected, Unclear)),
                    f"{_at(place)}a reply that says {body[:60]!r} {talk.said}",
                )

    def test_words_of_success_do_not_outweigh_the_status(self) -> None:
        """The body of a success under a status that is none is no success."""
        bench = self._bench()
        for place, success in self._successes():
            for status in (*range(100, 200), *range(300, 600)):
                # A 401 may be followed by another token, and then by a success that is one.
                talk = bench.upload(
                    Fault(answered(status, success.body), place, once=status != 401)
                )
                must(
                    not isinstance(talk.result, Delivered)
                    or self._otherwise(place, status) is not None,
                    f"{_at(place)}HTTP {status} with the words of success {talk.said}",
                )

    def test_a_refusal_of_the_credentials_speaks_of_the_integration(self) -> None:
        """401 is Rejected, for the whole integration. With a token: asked for anew once; with a
        fresh one Deferred."""
        bench = self._bench()
        for place, request, fault in self._faults([answered(401)]):
            talk = bench.upload(fault)
            if self._otherwise(place, 401) is not None:
                continue
            if place is not None and talk.tokens:
                must(
                    isinstance(talk.result, Deferred),
                    f"{_at(place)}401 with a token that was minted just now {talk.said}: another courier may have minted one since",
                )
                kept = bench.upload(fault, kept=Secret("a-token-that-was-kept"))
                must(
                    len(kept.tokens) == 1,
                    f"{_at(place)}after a 401 with an old token, {len(kept.tokens)} new ones were minted instead of one",
                )
                continue
            must(
                isinstance(talk.result, Rejected)
                and talk.result.failure.kind.concern is Concern.INTEGRATION,
                f"{_at(place)}HTTP 401 to {request.method} {talk.said}: it is to block the integration",
            )

    def test_a_request_to_come_back_later_is_deferred_until_then(self) -> None:
        """408, 425 and 429 are Deferred, with the Retry-After."""
        later = [answered(status, b"", ("Retry-After", "77")) for status in (408, 425, 429)]
        for place, request, talk in self._after(later, Deferred):
            failure = talk.result.failure
            must(
                failure.kind.throttling and failure.retry_after == 77.0,
                f"{_at(place)}{request.method} was asked to come back in 77 seconds and {talk.said}",
            )

    def test_any_other_4xx_is_rejected(self) -> None:
        """A resend cannot mend it."""
        bodies = (b"", b"{}")
        for place, request, talk in self._after(
            [answered(status, body) for status in _COMPLETE_4XX for body in bodies], Rejected
        ):
            failure = talk.result.failure
            must(
                not failure.kind.retryable,
                f"{_at(place)}a refusal of {request.method} was rejected as {failure.kind.value}, a kind that is tried again",
            )

    def test_an_error_of_the_platforms_own_is_unclear(self) -> None:
        """Any 5xx, and a status that is no final one: it may have been taken."""
        errors = [answered(status) for status in (*range(100, 200), *range(500, 600))]
        for _ in self._after(errors, Unclear):
            pass

    def test_a_redirect_is_rejected_and_not_followed(self) -> None:
        """The credentials stay here."""
        for place, _, talk in self._after(_REDIRECTS, Rejected):
            must(
                place is None or len(talk.requests) == place + 1,
                f"{_at(place)}a redirect was followed by another request",
            )

    def test_a_reply_that_is_not_whole_is_unclear(self) -> None:
        """The words of success that are cut short, or go on for ever, are no success and no
        refusal."""
        for place, success in self._successes():
            for ending in (Ending.CUT_SHORT, Ending.TOO_LONG):
                cut = answered(success.status, success.body, ending=ending)
                talk = self._bench().upload(Fault(cut, place))
                must(
                    isinstance(talk.result, self._or_deferred(place, Unclear)),
                    f"{_at(place)}a reply that is {ending.value} {talk.said}",
                )

    def test_a_request_that_never_left_is_deferred(self) -> None:
        """No connection, or not sent whole: surely not taken."""
        for _ in self._after(
            [TransportFailure(kind, "broken") for kind in _SURELY_NOT_TAKEN], Deferred
        ):
            pass

    def test_a_request_without_a_reply_is_unclear(self) -> None:
        """A timeout, or a line that was lost after the request was sent: it may have been taken."""
        for _ in self._after(
            [TransportFailure(kind, "broken") for kind in _PERHAPS_TAKEN], Unclear
        ):
            pass

    def test_whatever_a_server_says_there_is_a_verdict(self) -> None:
        """No reply makes a dialogue raise, or give something else than a verdict whose parts are
        of the right types."""
        bench = self._bench()
        statuses = (200, 201, 204, 302, 400, 401, 404, 422, 429, 500)
        replies = [answered(status, body) for status in statuses for body in BODIES]
        replies += [answered(status, b"{}", *headers) for status in statuses for headers in HEADERS]
        for place, _, fault in self._faults(replies):
            _sound(bench.upload(fault), VERDICTS, place, fault)

    # --- reading back ----------------------------------------------------------------------------

    def test_an_upload_is_found_where_it_is_and_absent_where_it_is_not(self) -> None:
        """Who can be read is read: Absent before, Found after, Absent for another document; and
        reading uploads nothing.

        Where the platform does not say whether the last step is done, Partly will do, if an attempt
        that goes on from it makes no copy.
        """
        harness, bench = self.harness(), self._bench()
        provider = harness.provider
        if not isinstance(provider, CanLookUp):
            return
        must(
            harness.copies is not None,
            "the harness must say what the platform really holds: give it `copies`",
        )
        assert harness.copies is not None
        parcel, other = sample_parcel(provider), sample_parcel(provider, "ev-2", b"%PDF another")
        before = bench.look_up(parcel=parcel, harness=harness)
        must(
            isinstance(before.result, Absent), f"a look-up of what was never uploaded {before.said}"
        )
        must(harness.copies(parcel.sha256) == 0, "a look-up has uploaded the document")
        bench.upload(parcel=parcel, harness=harness)
        must(
            harness.copies(parcel.sha256) == 1,
            f"after an upload the platform holds {harness.copies(parcel.sha256)} copies",
        )
        after = bench.look_up(parcel=parcel, harness=harness)
        must(isinstance(after.result, Found | Partly), f"a look-up of what is there {after.said}")
        if isinstance(after.result, Partly):
            again = bench.upload(parcel=parcel, harness=harness, progress=after.result.progress)
            must(
                isinstance(again.result, Delivered),
                f"going on from what a look-up has found {again.said}",
            )
        must(
            harness.copies(parcel.sha256) == 1,
            "a look-up, and what follows from it, has made a copy",
        )
        stranger = bench.look_up(parcel=other, harness=harness)
        must(
            not isinstance(stranger.result, Found | Partly),
            f"a look-up of another document {stranger.said}",
        )

    def test_a_look_up_that_fails_is_never_taken_for_an_answer(self) -> None:
        """Who was told an error, or nothing that can be understood, knows nothing: Unreadable."""
        bench, provider = self._bench(), self.harness().provider
        if not isinstance(provider, CanLookUp):
            return
        troubles: list[Reply] = [
            TransportFailure(kind, "broken") for kind in (*_SURELY_NOT_TAKEN, *_PERHAPS_TAKEN)
        ]
        troubles += [
            answered(status)
            for status in (401, 403, 408, 425, 429, *range(300, 309), *range(500, 600))
        ]
        talk = bench.look_up()
        for place, reply in enumerate(talk.replies):
            assert isinstance(reply, HttpResponse)
            broken = [answered(200, body) for body in UNPARSABLE] if reply.body else []
            cut = answered(reply.status, reply.body, ending=Ending.CUT_SHORT)
            for trouble in (*troubles, *broken, *([cut] if reply.body else [])):
                talk = bench.look_up(Fault(trouble, place))
                must(
                    isinstance(talk.result, Unreadable),
                    f"{_at(place)}a look-up that was answered {_shown(trouble)} {talk.said}",
                )

    def test_whatever_a_server_says_a_look_up_comes_to_a_finding(self) -> None:
        """No reply makes a look-up raise, or find what nobody has said is there."""
        bench, provider = self._bench(), self.harness().provider
        if not isinstance(provider, CanLookUp):
            return
        for place, reply in enumerate(bench.look_up().replies):
            assert isinstance(reply, HttpResponse)
            for body, headers in (
                *((body, ()) for body in BODIES),
                *((b"{}", headers) for headers in HEADERS),
            ):
                fault = Fault(answered(200, body, *headers), place)
                talk = bench.look_up(fault)
                _sound(talk, FINDINGS, place, fault)
                must(
                    not isinstance(talk.result, Found) or not reply.body,
                    f"{_at(place)}a look-up that was answered {body[:60]!r} {talk.said}",
                )

    def test_a_half_done_upload_is_found_as_what_it_is(self) -> None:
        """After a crash behind a bookmark, looking up and going on makes one copy."""
        bench = self._bench()
        if not isinstance(self.harness().provider, CanLookUp):
            return
        for number in range(1, len(self._well.bookmarks) + 1):
            harness = self.harness()
            parcel = sample_parcel(harness.provider)
            ((_, progress), *_) = reversed(
                bench.upload(harness=harness, bookmarks=number).bookmarks
            )
            looked = bench.look_up(harness=harness, progress=progress)
            must(
                isinstance(looked.result, Partly | Absent),
                f"a look-up of what is not done yet, behind bookmark {number}, {looked.said}",
            )
            go_on_from = looked.result.progress if isinstance(looked.result, Partly) else progress
            talk = bench.upload(harness=harness, progress=go_on_from)
            must(
                isinstance(talk.result, Delivered),
                f"going on from what a look-up has found {talk.said}",
            )
            copies = 1 if harness.copies is None else harness.copies(parcel.sha256)
            must(
                copies == 1,
                f"after a crash, a look-up and another attempt the platform holds {copies} copies",
            )

    # --- the dry run -----------------------------------------------------------------------------

    def test_a_dry_run_is_ready_where_all_is_well_and_uploads_nothing(self) -> None:
        """`check` asks, and changes nothing."""
        harness, bench = self.harness(), self._bench()
        if not isinstance(harness.provider, Checkable):
            return
        talk = bench.check(harness=harness)
        must(isinstance(talk.result, Ready), f"a dry run of which all went well {talk.said}")
        must(talk.requests or talk.mint_requests, "a dry run asks nobody anything")
        for request in talk.requests:
            must(
                reads_only(request) or harness.repeatable(request),
                f"a dry run makes a {request.method} request that the harness does not know as harmless",
            )

    def test_a_dry_run_that_fails_is_not_ready(self) -> None:
        """An error, and a reply that nobody understands, is NotReady with a failure that says
        why."""
        bench = self._bench()
        if not isinstance(self.harness().provider, Checkable):
            return
        for place, reply in enumerate(bench.check().replies):
            assert isinstance(reply, HttpResponse)
            troubles: list[Reply] = [TransportFailure(FailureKind.NO_CONNECTION, "broken")]
            troubles += [
                answered(status, body)
                for status in (302, 401, 403, 404, 429, 500)
                for body in (b"", b"{}")
            ]
            if reply.body:
                troubles += [
                    answered(reply.status, body) for body in (*UNPARSABLE, b"null", b'"ok"', b"{}")
                ]
            for trouble in troubles:
                talk = bench.check(Fault(trouble, place))
                must(
                    isinstance(talk.result, NotReady) and isinstance(talk.result.failure, Failure),
                    f"{_at(place)}a dry run that was answered {_shown(trouble)} {talk.said}",
                )

    # --- several in one request ------------------------------------------------------------------

    def test_a_bundle_is_one_request_with_a_verdict_for_each(self) -> None:
        """All documents in one request, all verdicts in order."""
        bench, parcels = self._bench(), self._bundle()
        if not parcels:
            return
        talk = bench.together(parcels)
        must(
            len(talk.requests) == 1,
            f"a bundle makes {len(talk.requests)} requests, and pays for one",
        )
        sent = b"".join(talk.requests[0].body)
        for parcel in parcels:
            must(
                parcel.content in sent and parcel.file_name.encode() in sent,
                f"{parcel.file_name} is missing in its bundle",
            )
        self._all_of(talk, parcels, (Delivered,), "of which all went well")

    def test_the_bundle_that_failed_failed_for_each(self) -> None:
        """What becomes of the one request becomes of each upload; a refusal of their contents
        may be Unbundled."""
        bench, parcels = self._bench(), self._bundle()
        if not parcels:
            return
        well = bench.together(parcels)
        success = well.replies[0]
        assert isinstance(success, HttpResponse)
        for trouble, kinds in (
            *((answered(status), (Unclear,)) for status in range(500, 600)),
            *((answered(status), (Deferred,)) for status in (408, 425, 429)),
            *((answered(status), (Rejected, Unbundled)) for status in _COMPLETE_4XX),
            *((answered(status), (Rejected,)) for status in (301, 302, 307, 308)),
            (answered(401), (Rejected, Deferred) if well.tokens else (Rejected,)),
            *((TransportFailure(kind, "broken"), (Deferred,)) for kind in _SURELY_NOT_TAKEN),
            *((TransportFailure(kind, "broken"), (Unclear,)) for kind in _PERHAPS_TAKEN),
            *(
                (answered(success.status, body), (Rejected, Unclear, Unbundled))
                for body in BODIES
                if success.body
            ),
        ):
            assert isinstance(trouble, HttpResponse | TransportFailure)
            self._all_of(
                bench.together(parcels, Fault(trouble, 0)),
                parcels,
                kinds,
                f"answered {_shown(trouble)}",
            )

    # ---------------------------------------------------------------------------------------------

    def _bench(self, mark: str = "one") -> _Bench:
        return self._first_bench if mark == "one" else self._new_bench(mark)

    @cached_property
    def _first_bench(self) -> _Bench:
        return self._new_bench("one")

    @cached_property
    def _well(self) -> Conversation:
        """An upload of which all goes well."""
        return self._first_bench.upload()

    def _new_bench(self, mark: str) -> _Bench:
        harness = self.harness()
        canaries = _Canaries(harness.secrets, mark)
        integration, problems = _loaded(harness.provider, harness.settings, canaries)
        must(integration is not None, f"the harness's settings do not load: {'; '.join(problems)}")
        assert integration is not None
        return _Bench(
            self.harness, integration.settings, integration, tuple(canaries.given.values())
        )

    def _endpoints(self) -> Iterator[str]:
        harness = self.harness()
        for key, rules in harness.provider.schema.items():
            if (
                isinstance(rules, Mapping)
                and rules.get("type") == "endpoint"
                and key in harness.settings
            ):
                yield _origin(str(harness.settings[key]))

    def _successes(self) -> Iterator[tuple[int | None, HttpResponse]]:
        """Each place at which a request is answered where all goes well, with that answer."""
        talk = self._well
        for number, reply in enumerate(talk.replies):
            assert isinstance(reply, HttpResponse)
            yield number, reply
        for reply in talk.mint_replies[:1]:
            assert isinstance(reply, HttpResponse)
            yield None, reply

    def _faults(self, replies: Iterable[Reply]) -> Iterator[tuple[int | None, HttpRequest, Fault]]:
        """Each reply at each place."""
        talk = self._well
        places: list[tuple[int | None, HttpRequest]] = list(enumerate(talk.requests))
        places += [(None, request) for request in talk.mint_requests[:1]]
        for reply in replies:
            for place, request in places:
                yield place, request, Fault(reply, place)

    def _after(
        self, replies: list[Any], kind: type
    ) -> Iterator[tuple[int | None, HttpRequest, Conversation]]:
        """What each reply comes to at each place, where that is of the kind that it must be."""
        bench, harness = self._bench(), self.harness()
        for place, request, fault in self._faults(replies):
            reply = fault.reply
            right: _VERDICTS = (kind,)
            if isinstance(reply, HttpResponse):
                right = harness.otherwise(request, reply.status) or right
            if right == (Unclear,) and self._may_repeat(place, request, harness):
                right = (Deferred,)
            talk = bench.upload(fault)
            must(
                isinstance(talk.result, right),
                f"{_at(place)}{_shown(reply)} to {request.method} {talk.said}, not to {right[0].__name__}",
            )
            if right == (kind,):
                yield place, request, talk

    def _otherwise(self, place: int | None, status: int) -> _VERDICTS | None:
        return self.harness().otherwise(self._request_at(place), status)

    def _or_deferred(self, place: int | None, *kinds: type) -> _VERDICTS:
        repeatable = self._may_repeat(place, self._request_at(place), self.harness())
        return (*kinds, Deferred) if repeatable else kinds

    def _request_at(self, place: int | None) -> HttpRequest:
        return self._well.mint_requests[0] if place is None else self._well.requests[place]

    def _may_repeat(
        self, place: int | None, request: HttpRequest, harness: ProviderHarness
    ) -> bool:
        return place is None or reads_only(request) or harness.repeatable(request)

    def _bundle(self) -> list[Parcel]:
        harness = self.harness()
        provider = harness.provider
        bundle = provider.bundle(self._bench().settings) if isinstance(provider, Bundling) else None
        if bundle is None:
            return []
        must(bundle.most >= 1, f"a bundle takes {bundle.most} uploads")
        return [
            sample_parcel(provider, f"ev-{number}", b"%%PDF number %d" % number)
            for number in range(min(3, bundle.most))
        ]

    def _all_of(
        self, talk: Conversation, parcels: list[Parcel], kinds: _VERDICTS, what: str
    ) -> None:
        verdicts = talk.result
        must(
            isinstance(verdicts, list | tuple) and len(verdicts) == len(parcels),
            f"a bundle of {len(parcels)} {what} {talk.said}: it owes a verdict for each",
        )
        must(
            all(isinstance(verdict, kinds) for verdict in verdicts),
            f"a bundle {what} {talk.said}, not to {kinds[0].__name__} for each",
        )


_REDIRECTS: Final[list[Reply]] = [
    answered(status, b"", ("Location", "https://elsewhere.invalid/api"))
    for status in range(300, 400)
]
_TELLING: Final[list[Reply]] = [
    *(answered(status) for status in (200, 302, 400, 401, 403, 404, 409, 413, 415, 422, 429, 500)),
    answered(200, b"{}"),
    *(TransportFailure(kind, "broken") for kind in (*_SURELY_NOT_TAKEN, *_PERHAPS_TAKEN)),
]


def _loaded(
    provider: Provider, settings: Mapping[str, object], secrets: _Canaries
) -> tuple[Integration | None, list[str]]:
    block = {"provider": provider.name, **settings}
    tenants = {"acme": {"integrations": {"compliance": block}}}
    loaded = load_mapping(tenants, providers={provider.name: provider}, secrets=secrets)
    return loaded.integrations.get("acme"), [str(problem) for problem in loaded.problems]


def _alike(one: Conversation, other: Conversation) -> bool:
    """Whether two conversations ask for the same, as far as they were told the same: what the
    platform gives goes into what follows."""
    for first, second, told, told_too in zip(
        one.requests, other.requests, one.replies, other.replies, strict=False
    ):
        if _masked(first, one) != _masked(second, other):
            return False
        if isinstance(told, TransportFailure) or isinstance(told_too, TransportFailure):
            return told == told_too
        if (told.status, told.body) != (told_too.status, told_too.body):
            return True
    return len(one.requests) == len(other.requests)


def _masked(request: HttpRequest, talk: Conversation) -> HttpRequest:
    """The request without the tokens that the conversation was given."""
    headers = request.headers
    for token in talk.tokens:
        headers = tuple((name, value.replace(token, "***")) for name, value in headers)
    return attrs.evolve(request, headers=headers)


def _told_about(provider: Provider, settings: object) -> Iterator[str]:
    advice: Any = getattr(provider, "advice", None)
    if callable(advice):
        sentences: Any = advice(settings)
        yield from map(str, sentences)


def _holds(text: str, secret: str) -> bool:
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    return any(
        one in view
        for view in (text, unquote(text))
        for one in (secret, encoded, secret.encode().hex())
    )


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()


def _unsound(request: HttpRequest) -> str | None:
    if not _FIT_FOR_A_URL.fullmatch(request.url):
        return "its URL holds what must be percent-encoded"
    if not _HEADER_NAME.fullmatch(request.method):
        return f"its method is {request.method!r}"
    for name, value in request.headers:
        if not _HEADER_NAME.fullmatch(name):
            return f"it has a header called {name!r}"
        if _UNFIT_FOR_A_HEADER.search(value):
            return f"its header {name} holds a control character, or one that is not Latin-1"
    return None


def _sound(talk: Conversation, kinds: _VERDICTS, place: int | None, fault: Fault) -> None:
    reply = fault.reply
    answered_what = f"{_at(place)}what was answered {_shown(reply)}"
    must(talk.error is None, f"{answered_what} {talk.said}")
    try:
        sound(talk.result, kinds)
    except TypeError as error:
        raise AssertionError(f"{answered_what} came to no sound answer: {error}") from None


def _at(place: int | None) -> str:
    return "at the request for a token, " if place is None else f"at request {place + 1}, "


def _shown(reply: Reply) -> str:
    if isinstance(reply, TransportFailure):
        return reply.kind.value
    body = f" with {reply.body[:40]!r}" if reply.body else ""
    return f"HTTP {reply.status}{body}"
