"""What a provider sends, and the bookmarks of a half-done upload."""

from __future__ import annotations

import base64
import re
from typing import Final

from attrs import evolve

from ....domain.secrets.redaction import MASK, Redactor
from ....domain.secrets.secret import Secret
from ....domain.upload.verdict import Delivered
from ....ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from ....ports.provider import CanLookUp
from ..assertions import must
from ..conversation import Conversation, Fault
from ..hostile_inputs import NAMES
from .harness import AT, answered, reads_only, sample_parcel
from .rehearsal import REDIRECTS, TAKEN, ProviderRules, come_to, origin

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_UNFIT_FOR_A_HEADER: Final = re.compile(r"[\x00-\x1f\x7f\u0100-\U0010ffff]")
_FIT_FOR_A_URL: Final = re.compile(r"https?://[!-~]+")
_FILE_NAME: Final = re.compile(rb'filename\*?="?([^"\r\n;&\x00]*)')


class RequestRules(ProviderRules):
    """The rules for the requests of a provider."""

    def test_success_is_delivered(self) -> None:
        """If the platform says what success says, the verdict is Delivered, or Processing if the
        platform decides later and can be asked."""
        talk = self._tried.upload()
        come_to(talk, TAKEN, "an upload that went well")
        must(
            isinstance(talk.result, Delivered) or isinstance(self.harness().provider, CanLookUp),
            "a provider that answers Processing needs look_up, which asks for the decision",
        )

    def test_it_asks_for_nothing_but_requests_bookmarks_and_tokens(self) -> None:
        """A dialogue yields `HttpRequest`, `Bookmark` and `Access`."""
        for talk in self._tried.each():
            must(not talk.strangers, f"it yields {talk.strangers[:1]!r}")

    def test_the_document_is_sent_whole_under_the_parcels_file_name(self) -> None:
        """`content` as it is and `file_name` stand in the requests, and no other file name does."""
        for evidence_id in ("ev-1", *NAMES):
            parcel = sample_parcel(self.harness().provider, evidence_id)
            name, content = parcel.file_name.encode(), parcel.content
            requests = self._tried.upload(parcel=parcel).requests
            must(requests, "it sends nothing")
            sent = b"\0".join(b"".join(request.body) for request in requests)
            must(
                content in sent or base64.b64encode(content) in sent,
                "the document's bytes are in none of its requests as they are",
            )
            heads = "\0".join(f"{request.url}\0{request.headers!r}" for request in requests)
            rest = sent.replace(content, b"") + b"\0" + heads.encode()
            must(name in rest, f"the file name {parcel.file_name!r} is in none of its requests")
            for found in _FILE_NAME.findall(rest):
                must(
                    found == name,
                    f"it sends a file as {found.decode(errors='replace')!r}, "
                    f"not as {parcel.file_name!r}",
                )

    def test_strange_names_make_sound_requests(self) -> None:
        """No name of an evidence breaks out of a URL or a header."""
        for name in NAMES:
            parcel = sample_parcel(self.harness().provider, name, subject=name)
            talk = self._tried.upload(parcel=parcel)
            called = f"with an evidence and a person called {name!r}"
            must(talk.error is None, f"{called} it {talk.outcome}")
            for request in (*talk.requests, *talk.mint_requests):
                fault = _unsound(request)
                must(fault is None, f"{called}, {fault}")

    def test_every_attempt_sends_the_same_bytes_made_anew(self) -> None:
        """The same parcel gives the same requests, after a failure too."""
        harness = self.harness()
        first = self._tried.upload()
        self._tried.upload(Fault(answered(503), 0), harness=harness)
        must(
            _alike(first, self._tried.upload(harness=harness)),
            "the same parcel gives other requests at its second attempt: "
            "a document may then be taken for another one",
        )

    def test_two_dialogues_know_nothing_of_one_another(self) -> None:
        """Uploads of two tenants in turns send what each sends alone."""
        provider = self.harness().provider
        both = (
            (self._tried, sample_parcel(provider, "ev-1")),
            (self._rehearsal("other"), sample_parcel(provider, "ev-2", b"%PDF another")),
        )
        alone = [tenant.upload(parcel=parcel) for tenant, parcel in both]
        talks = [
            Conversation(provider.upload(parcel, tenant.settings, None), self.harness().answer)
            for tenant, parcel in both
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
        """Credentials and documents go where the settings say. Beside an endpoint among the
        settings, the harness's `origins` are second hosts: they are asked without a credential,
        but for a token."""
        own, allowed = self._origins()
        must(
            allowed,
            "say in the harness where requests may go: an endpoint among the settings, or origins",
        )
        for talk in self._tried.each(*(fault for _, _, fault in self._faults(REDIRECTS[:10]))):
            for request in (*talk.requests, *talk.mint_requests):
                must(
                    origin(request.url) in allowed,
                    f"a request goes to {origin(request.url)}, "
                    f"which is none of {', '.join(sorted(allowed))}",
                )
            redactor = Redactor(map(Secret, (*self._tried.secrets, *talk.tokens)))
            for request in talk.requests:
                must(
                    origin(request.url) in own or not _shows_a_secret(request, redactor),
                    f"a request shows a credential to {origin(request.url)}, "
                    f"which is none of {', '.join(sorted(own))}",
                )

    def test_a_request_is_repeatable_only_if_repeating_it_makes_no_copy(self) -> None:
        """The provider calls no request `repeatable` that the harness does not, and what the
        harness calls so leaves as many copies when it is sent twice."""
        harness = self.harness()
        for talk in self._tried.each():
            for request in talk.requests:
                must(
                    harness.may_repeat(request) or not request.repeatable,
                    f"the provider calls {request.method} {request.url} repeatable, and the "
                    "harness does not: a copy of it would be marked nowhere",
                )
        if harness.copies is None:
            return

        def twice(request: HttpRequest) -> HttpResponse:
            reply = harness.answer(request)
            if harness.may_repeat(request):
                harness.answer(request)
            return reply

        self._tried.upload(harness=evolve(harness, answer=twice))
        count = harness.copies(sample_parcel(harness.provider).sha256)
        must(
            count <= 1,
            "an upload whose repeatable requests are each sent twice leaves "
            f"{count} copies: one of them is not repeatable",
        )

    def test_an_upload_makes_no_more_requests_than_it_costs(self) -> None:
        """`cost` covers an upload that goes well. Requests for tokens and reading requests are
        charged by themselves."""
        made = sum(not reads_only(request) for request in self._tried.upload().requests)
        cost = self.harness().provider.cost
        must(
            made <= cost,
            f"an upload makes {made} requests, and says that it costs {cost}: "
            "the pace would be overrun",
        )


class BookmarkRules(ProviderRules):
    """The rules for half-done uploads."""

    def test_what_must_not_be_repeated_is_bookmarked_before_the_next_step(self) -> None:
        """After a request that may make a copy comes a bookmark, and then the next request."""
        harness, talk = self.harness(), self._tried.upload()
        marks = {before for before, _ in talk.bookmarks}
        for number, request in enumerate(talk.requests[:-1], start=1):
            must(
                harness.may_repeat(request) or number in marks,
                f"request {number} ({request.method}) must not be repeated, "
                "and the next one follows without a bookmark",
            )

    def test_a_new_dialogue_goes_on_from_a_bookmark(self) -> None:
        """After a crash behind any bookmark, the next attempt delivers, and repeats nothing that
        makes a copy."""
        for number in range(1, len(self._well.bookmarks) + 1):
            harness = self.harness()
            killed = self._tried.upload(harness=harness, bookmarks=number)
            before, progress = killed.bookmarks[-1]
            once = [one for one in killed.requests[:before] if not harness.may_repeat(one)]
            talk = self._tried.upload(harness=harness, progress=progress)
            come_to(talk, TAKEN, "an attempt that goes on from its bookmark")
            must(
                not any(request in once for request in talk.requests),
                "an attempt that goes on from its bookmark sends again what makes a copy",
            )


def _alike(one: Conversation, other: Conversation) -> bool:
    """Whether two conversations ask for the same as long as they are told the same: what the
    platform gives goes into what follows."""
    for first, second, reply, other_reply in zip(
        one.requests, other.requests, one.replies, other.replies, strict=False
    ):
        if _masked(first, one) != _masked(second, other):
            return False
        if isinstance(reply, TransportFailure) or isinstance(other_reply, TransportFailure):
            return reply == other_reply
        if (reply.status, reply.body) != (other_reply.status, other_reply.body):
            return True
    return len(one.requests) == len(other.requests)


def _masked(request: HttpRequest, talk: Conversation) -> HttpRequest:
    """The request without the tokens that the conversation was given."""
    headers = request.headers
    for token in talk.tokens:
        headers = tuple((name, value.replace(token, "***")) for name, value in headers)
    return evolve(request, headers=headers)


def _shows_a_secret(request: HttpRequest, redactor: Redactor) -> bool:
    sealed = () if request.seal is None else request.seal(AT)
    texts = [value for _, value in (*request.headers, *sealed)]
    texts += [request.url, *(part.decode("latin-1") for part in request.body)]
    return any(MASK in redactor.text(text) for text in texts)


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
