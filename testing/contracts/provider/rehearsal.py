"""How the kit talks a provider's dialogues through, and what its rules share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import frozen

from ....adapters.config import load_mapping
from ....delivery.outcome import sound
from ....domain.integration import Integration
from ....domain.secrets.secret import Secret
from ....domain.upload.failure import FailureKind
from ....domain.upload.verdict import Deferred, Delivered, Processing, Unclear
from ....ports.dialogue import HttpRequest, HttpResponse, TransportFailure
from ....ports.provider import Bundling, CanLookUp, Checkable, Parcel, Provider
from ..assertions import must
from ..conversation import Conversation, Fault, Reply
from .harness import ProviderHarness, Verdicts, answered, sample_parcel

TAKEN: Final = (Delivered, Processing)
SURELY_NOT_TAKEN: Final[list[Reply]] = [
    TransportFailure(kind, "broken") for kind in (FailureKind.NO_CONNECTION, FailureKind.NOT_SENT)
]
PERHAPS_TAKEN: Final[list[Reply]] = [
    TransportFailure(kind, "broken") for kind in (FailureKind.TIMEOUT, FailureKind.CONNECTION_LOST)
]
REFUSALS: Final = [status for status in range(400, 500) if status not in (401, 408, 425, 429)]
REDIRECTS: Final[list[Reply]] = [
    answered(status, b"", ("Location", "https://elsewhere.invalid/api"))
    for status in range(300, 400)
]


class Canaries:
    """Secrets that are easily found again in what a provider shows."""

    def __init__(self, known: Mapping[str, str], mark: str) -> None:
        self._known, self._mark = known, mark
        self.given: dict[str, str] = {}

    def resolve(self, name: str) -> Secret:
        """The secret of that name."""
        value = self._known.get(name, f"canary-{self._mark}-{name}-4f1c9a7e2b")
        value = value if name not in self._known or self._mark == "one" else f"{value}{self._mark}"
        self.given[name] = value
        return Secret(value)


def load(
    provider: Provider, settings: Mapping[str, object], secrets: Canaries
) -> tuple[Integration | None, list[str]]:
    """What a tenant file with these settings comes to: the integration, and the problems."""
    block = {"provider": provider.name, **settings}
    tenants = {"acme": {"integrations": {"compliance": block}}}
    loaded = load_mapping(tenants, providers={provider.name: provider}, secrets=secrets)
    return loaded.integrations.get("acme"), [str(problem) for problem in loaded.problems]


@frozen
class Rehearsal:
    """Settings that were loaded once. Each of its methods talks one dialogue through."""

    make: Callable[[], ProviderHarness]
    settings: Any
    secrets: tuple[str, ...]

    def upload(
        self,
        fault: Fault | None = None,
        *,
        parcel: Parcel | None = None,
        progress: str | None = None,
        harness: ProviderHarness | None = None,
        token: Secret | None = None,
        bookmarks: int | None = None,
    ) -> Conversation:
        """Talk an upload through, or only as far as a number of bookmarks."""
        harness = harness or self.make()
        provider = harness.provider
        dialogue = provider.upload(parcel or sample_parcel(provider), self.settings, progress)
        return Conversation(dialogue, harness.answer, fault, token).through(bookmarks)

    def look_up(
        self,
        fault: Fault | None = None,
        *,
        parcel: Parcel | None = None,
        harness: ProviderHarness | None = None,
        progress: str | None = None,
    ) -> Conversation:
        """Talk a look-up through."""
        harness = harness or self.make()
        provider = harness.provider
        assert isinstance(provider, CanLookUp)
        dialogue = provider.look_up(parcel or sample_parcel(provider), self.settings, progress)
        return Conversation(dialogue, harness.answer, fault).through()

    def check(
        self, fault: Fault | None = None, harness: ProviderHarness | None = None
    ) -> Conversation:
        """Talk a dry run through."""
        harness = harness or self.make()
        assert isinstance(harness.provider, Checkable)
        return Conversation(harness.provider.check(self.settings), harness.answer, fault).through()

    def together(self, parcels: list[Parcel], fault: Fault | None = None) -> Conversation:
        """Talk a bundle through."""
        harness = self.make()
        assert isinstance(harness.provider, Bundling)
        dialogue = harness.provider.upload_together(parcels, self.settings)
        return Conversation(dialogue, harness.answer, fault).through()

    def each(self, *faults: Fault) -> list[Conversation]:
        """An upload, and one for each fault; a look-up and a dry run if the provider has them."""
        provider = self.make().provider
        talks = [self.upload(), *map(self.upload, faults)]
        talks += [self.look_up()] if isinstance(provider, CanLookUp) else []
        return talks + ([self.check()] if isinstance(provider, Checkable) else [])


class ProviderRules(ABC):
    """What the rules for a provider stand on."""

    @abstractmethod
    def harness(self) -> ProviderHarness:
        """The provider and its platform, both new."""

    def _rehearsal(self, mark: str) -> Rehearsal:
        harness = self.harness()
        canaries = Canaries(harness.secrets, mark)
        integration, problems = load(harness.provider, harness.settings, canaries)
        must(integration is not None, f"the harness's settings do not load: {'; '.join(problems)}")
        assert integration is not None
        return Rehearsal(self.harness, integration.settings, tuple(canaries.given.values()))

    @cached_property
    def _tried(self) -> Rehearsal:
        return self._rehearsal("one")

    def _origins(self) -> tuple[frozenset[str], frozenset[str]]:
        """The platform's own origins, and all that may be asked: beside an endpoint among the
        settings, the harness's `origins` are second hosts."""
        harness = self.harness()
        endpoints = [
            str(harness.settings[key])
            for key, rules in harness.provider.schema.items()
            if key in harness.settings
            and isinstance(rules, Mapping)
            and rules.get("type") == "endpoint"
        ]
        own = frozenset(map(origin, endpoints or harness.origins))
        return own, own | frozenset(map(origin, harness.origins))

    @cached_property
    def _well(self) -> Conversation:
        """An upload that goes well."""
        return self._tried.upload()

    def _successes(self) -> Iterator[tuple[int | None, HttpResponse]]:
        """Each place at which a request is answered if all goes well, with that answer."""
        minted = [(None, answer) for answer in self._well.mint_replies[:1]]
        for place, answer in (*enumerate(self._well.replies), *minted):
            assert isinstance(answer, HttpResponse)
            yield place, answer

    def _faults(self, replies: Iterable[Reply]) -> Iterator[tuple[int | None, HttpRequest, Fault]]:
        """Each reply at each place."""
        minted = [(None, request) for request in self._well.mint_requests[:1]]
        places: list[tuple[int | None, HttpRequest]] = [*enumerate(self._well.requests), *minted]
        for answer in replies:
            for place, request in places:
                yield place, request, Fault(answer, place)

    def _after(
        self, replies: Iterable[Reply], kind: type
    ) -> Iterator[tuple[int | None, HttpRequest, Conversation]]:
        """Have each reply at each place come to the kind; what came to no other one than that."""
        harness = self.harness()
        for place, request, fault in self._faults(replies):
            answer = fault.reply
            right: Verdicts = (kind,)
            if isinstance(answer, HttpResponse):
                right = harness.otherwise(request, answer.status) or right
            if right == (Unclear,) and (place is None or harness.may_repeat(request)):
                right = (Deferred,)
            talk = self._tried.upload(fault)
            must(
                isinstance(talk.result, right),
                f"{at(place)}{shown(answer)} to {request.method} {talk.outcome}, "
                f"not to {right[0].__name__}",
            )
            if right == (kind,):
                yield place, request, talk

    def _otherwise(self, place: int | None, status: int) -> Verdicts | None:
        return self.harness().otherwise(self._request_at(place), status)

    def _or_deferred(self, place: int | None, *kinds: type) -> Verdicts:
        """The kinds, and Deferred if the request at that place may be repeated."""
        again = place is None or self.harness().may_repeat(self._request_at(place))
        return (*kinds, Deferred) if again else kinds

    def _request_at(self, place: int | None) -> HttpRequest:
        return self._well.mint_requests[0] if place is None else self._well.requests[place]


def come_to(talk: Conversation, kinds: type | Verdicts, what: str) -> None:
    """Raise AssertionError unless a conversation came to one of those kinds, with sound parts."""
    __tracebackhide__ = True
    must(isinstance(talk.result, kinds), f"{what} {talk.outcome}")
    must_be_sound(talk.result, what)


def must_be_sound(result: object, what: str) -> None:
    """Raise AssertionError if a verdict, a finding or the answer of a dry run has a part that the
    courier does not take."""
    try:
        sound(result, (object,))
    except TypeError as error:
        raise AssertionError(f"{what} ended with no sound answer: {error}") from None


def origin(url: str) -> str:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()


def at(place: int | None) -> str:
    """At which request, as the beginning of a sentence."""
    return "at the request for a token, " if place is None else f"at request {place + 1}, "


def shown(answer: Reply) -> str:
    """A reply, in a few words."""
    if isinstance(answer, TransportFailure):
        return answer.kind.value
    body = f" with {answer.body[:40]!r}" if answer.body else ""
    return f"HTTP {answer.status}{body}"
