"""What a dry run says, and what becomes of a bundle."""

from __future__ import annotations

from collections.abc import Iterator

from ....domain.upload.failure import FailureKind
from ....domain.upload.verdict import (
    Deferred,
    NotReady,
    Ready,
    Rejected,
    Unbundled,
    Unclear,
)
from ....ports.dialogue import HttpResponse, TransportFailure
from ....ports.provider import Bundling, Checkable, Parcel
from ..assertions import must
from ..conversation import Conversation, Fault, Reply
from ..hostile_inputs import BODIES, UNPARSABLE
from .harness import Verdicts, answered, sample_parcel
from .rehearsal import (
    PERHAPS_TAKEN,
    REFUSALS,
    SURELY_NOT_TAKEN,
    TAKEN,
    ProviderRules,
    at,
    come_to,
    must_be_sound,
    shown,
)


class DryRunRules(ProviderRules):
    """The rules for providers with `check`."""

    def test_a_dry_run_is_ready_where_all_is_well_and_uploads_nothing(self) -> None:
        """`check` asks, and changes nothing."""
        harness = self.harness()
        if not isinstance(harness.provider, Checkable):
            return
        talk = self._tried.check(harness=harness)
        come_to(talk, Ready, "a dry run that went well")
        must(talk.requests or talk.mint_requests, "a dry run makes no request")
        for request in talk.requests:
            must(
                harness.may_repeat(request),
                f"a dry run makes a {request.method} request that the harness does not know "
                "as harmless",
            )

    def test_a_dry_run_that_fails_is_not_ready(self) -> None:
        """An error, and a reply that cannot be understood, is NotReady with a failure that says
        why."""
        if not isinstance(self.harness().provider, Checkable):
            return
        statuses = (302, 401, 403, 404, 429, 500)
        troubles: list[Reply] = [TransportFailure(FailureKind.NO_CONNECTION, "broken")]
        troubles += [answered(status, body) for status in statuses for body in (b"", b"{}")]
        for place, reply in enumerate(self._tried.check().replies):
            assert isinstance(reply, HttpResponse)
            bodies = (*UNPARSABLE, b"null", b'"ok"', b"{}") if reply.body else ()
            for trouble in (*troubles, *(answered(reply.status, body) for body in bodies)):
                talk = self._tried.check(Fault(trouble, place))
                what = f"{at(place)}a dry run that was answered {shown(trouble)}"
                come_to(talk, NotReady, what)


class BundleRules(ProviderRules):
    """The rules for providers that take several uploads in one request."""

    def test_a_bundle_is_one_request_with_a_verdict_for_each(self) -> None:
        """All documents in one request, all verdicts in order."""
        parcels = self._bundle()
        if not parcels:
            return
        talk = self._tried.together(parcels)
        count = len(talk.requests)
        must(count == 1, f"a bundle makes {count} requests, and pays for one")
        must(
            self.harness().may_repeat(talk.requests[0]) or not talk.requests[0].repeatable,
            "the provider calls a bundle repeatable, and the harness does not",
        )
        sent = b"".join(talk.requests[0].body)
        for parcel in parcels:
            must(
                parcel.content in sent and parcel.file_name.encode() in sent,
                f"{parcel.file_name} is missing in its bundle",
            )
        _come_to_each(talk, parcels, TAKEN, "that went well")

    def test_the_bundle_that_failed_failed_for_each(self) -> None:
        """Each upload gets the verdict of the one request; a refusal of their contents may be
        Unbundled."""
        parcels = self._bundle()
        if not parcels:
            return
        for trouble, kinds in self._bundle_troubles(self._tried.together(parcels)):
            talk = self._tried.together(parcels, Fault(trouble, 0))
            _come_to_each(talk, parcels, kinds, f"answered {shown(trouble)}")

    def _bundle(self) -> list[Parcel]:
        provider = self.harness().provider
        bundle = provider.bundle(self._tried.settings) if isinstance(provider, Bundling) else None
        if bundle is None:
            return []
        must(bundle.most >= 1, f"a bundle takes {bundle.most} uploads")
        return [
            sample_parcel(provider, f"ev-{number}", b"%%PDF number %d" % number)
            for number in range(min(3, bundle.most))
        ]

    def _bundle_troubles(self, well: Conversation) -> Iterator[tuple[Reply, Verdicts]]:
        """Replies to a bundle, with the verdicts that each may come to."""
        success = well.replies[0]
        assert isinstance(success, HttpResponse)
        unread = BODIES if success.body else ()
        for replies, kinds in (
            ([answered(status) for status in range(500, 600)], (Unclear,)),
            ([answered(status) for status in (408, 425, 429)], (Deferred,)),
            ([answered(status) for status in REFUSALS], (Rejected, Unbundled)),
            ([answered(status) for status in (301, 302, 307, 308)], (Rejected,)),
            ([answered(401)], (Rejected, Deferred) if well.tokens else (Rejected,)),
            (SURELY_NOT_TAKEN, (Deferred,)),
            (PERHAPS_TAKEN, (Unclear,)),
            ([answered(success.status, body) for body in unread], (Rejected, Unclear, Unbundled)),
        ):
            for reply in replies:
                yield reply, kinds


def _come_to_each(talk: Conversation, parcels: list[Parcel], kinds: Verdicts, what: str) -> None:
    verdicts = talk.result
    must(
        isinstance(verdicts, list | tuple) and len(verdicts) == len(parcels),
        f"a bundle of {len(parcels)} {what} {talk.outcome}: it owes a verdict for each",
    )
    must(
        all(isinstance(verdict, kinds) for verdict in verdicts),
        f"a bundle {what} {talk.outcome}, not to {kinds[0].__name__} for each",
    )
    for verdict in verdicts:
        must_be_sound(verdict, f"a bundle {what}")
