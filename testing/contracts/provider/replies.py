"""What a reply of the platform comes to."""

from __future__ import annotations

from collections.abc import Iterable

from ....delivery.outcome import VERDICTS
from ....domain.secrets.secret import Secret
from ....domain.upload.failure import Concern
from ....domain.upload.verdict import Deferred, Rejected, Unclear
from ....ports.dialogue import Ending
from ..assertions import must
from ..conversation import Fault, Reply
from ..hostile_inputs import BODIES, HEADERS
from .harness import answered
from .rehearsal import (
    PERHAPS_TAKEN,
    REDIRECTS,
    REFUSALS,
    SURELY_NOT_TAKEN,
    TAKEN,
    ProviderRules,
    at,
    come_to,
    origin,
    shown,
)


class ReplyRules(ProviderRules):
    """The rules for the verdict of an upload."""

    def test_what_does_not_say_success_is_not_taken_for_it(self) -> None:
        """A whole 2xx reply with any other body is Rejected, or Unclear if it cannot be read;
        never Delivered or Processing."""
        for place, success in self._successes():
            if not success.body:
                continue  # its status alone is the success
            near = (success.body[:-1], b"[" + success.body + b"]", success.body * 2)
            right = self._or_deferred(place, Rejected, Unclear)
            for body in (*BODIES, *near):
                fault = Fault(answered(success.status, body), place, once=True)
                come_to(
                    self._tried.upload(fault), right, f"{at(place)}a reply that says {body[:60]!r}"
                )

    def test_words_of_success_do_not_outweigh_the_status(self) -> None:
        """The body of a success is no success under another status."""
        for place, success in self._successes():
            for status in (*range(100, 200), *range(300, 600)):
                # A 401 may be followed by another token, and then by a success that is one.
                fault = Fault(answered(status, success.body), place, once=status != 401)
                talk = self._tried.upload(fault)
                must(
                    not isinstance(talk.result, TAKEN)
                    or self._otherwise(place, status) is not None,
                    f"{at(place)}HTTP {status} with the words of success {talk.outcome}",
                )

    def test_a_refusal_of_the_credentials_speaks_of_the_integration(self) -> None:
        """401 is Rejected, for the whole integration. With an old token, a new one is asked for
        once; with a fresh token it is Deferred. A second host sees no credential, and says nothing
        of it."""
        own, _ = self._origins()
        for place, request, fault in self._faults([answered(401)]):
            talk = self._tried.upload(fault)
            if self._otherwise(place, 401) is not None:
                continue
            if place is not None and origin(request.url) not in own:
                must(
                    isinstance(talk.result, Rejected | Deferred)
                    and talk.result.failure.kind.concern is Concern.UPLOAD,
                    f"{at(place)}HTTP 401 of {origin(request.url)}, which sees no credential, "
                    f"{talk.outcome}: it is Rejected or Deferred, and is not to block the "
                    "integration",
                )
                continue
            if place is not None and talk.tokens:
                must(
                    isinstance(talk.result, Deferred),
                    f"{at(place)}401 with a token that was minted just now {talk.outcome}: "
                    "another courier may have minted one since",
                )
                second = self._tried.upload(fault, token=Secret("an-older-token"))
                must(
                    len(second.tokens) == 1,
                    f"{at(place)}after a 401 with an old token, {len(second.tokens)} new ones "
                    "were minted instead of one",
                )
                continue
            must(
                isinstance(talk.result, Rejected)
                and talk.result.failure.kind.concern is Concern.INTEGRATION,
                f"{at(place)}HTTP 401 to {request.method} {talk.outcome}: "
                "it is to block the integration",
            )

    def test_a_request_to_come_back_later_is_deferred_until_then(self) -> None:
        """408, 425 and 429 are Deferred, with the Retry-After."""
        later = [answered(status, b"", ("Retry-After", "77")) for status in (408, 425, 429)]
        for place, request, talk in self._after(later, Deferred):
            failure = talk.result.failure
            must(
                failure.kind.throttling and failure.retry_after == 77.0,
                f"{at(place)}{request.method} was to come back in 77 seconds and {talk.outcome}",
            )

    def test_any_other_4xx_is_rejected(self) -> None:
        """Sending it again will not help."""
        refusals = [answered(status, body) for status in REFUSALS for body in (b"", b"{}")]
        for place, request, talk in self._after(refusals, Rejected):
            kind = talk.result.failure.kind
            must(
                not kind.retryable,
                f"{at(place)}a refusal of {request.method} was rejected as {kind.value}, "
                "a kind that is tried again",
            )

    def test_an_error_of_the_platforms_own_is_unclear(self) -> None:
        """Any 5xx, and a status that is no final one: it may have been taken."""
        self._all([answered(status) for status in (*range(100, 200), *range(500, 600))], Unclear)

    def test_a_redirect_is_rejected_and_not_followed(self) -> None:
        """The credentials stay here."""
        for place, _, talk in self._after(REDIRECTS, Rejected):
            must(
                place is None or len(talk.requests) == place + 1,
                f"{at(place)}a redirect was followed by another request",
            )

    def test_a_reply_that_is_not_whole_is_unclear(self) -> None:
        """Words of success that are cut short, or never end, are no success and no refusal."""
        for place, success in self._successes():
            for ending in (Ending.CUT_SHORT, Ending.TOO_LONG):
                cut = answered(success.status, success.body, ending=ending)
                come_to(
                    self._tried.upload(Fault(cut, place)),
                    self._or_deferred(place, Unclear),
                    f"{at(place)}a reply that is {ending.value}",
                )

    def test_a_request_that_never_left_is_deferred(self) -> None:
        """No connection, or not sent whole: definitely not received."""
        self._all(SURELY_NOT_TAKEN, Deferred)

    def test_a_request_without_a_reply_is_unclear(self) -> None:
        """A timeout, or a connection lost after the request was sent: it may have been taken."""
        self._all(PERHAPS_TAKEN, Unclear)

    def test_every_reply_has_a_verdict(self) -> None:
        """No reply makes a dialogue raise, or give anything but a verdict whose parts have the
        right types, and whose kind of failure is not one that only the courier gives."""
        statuses = (200, 201, 204, 302, 400, 401, 404, 422, 429, 500)
        replies: list[Reply] = [*SURELY_NOT_TAKEN, *PERHAPS_TAKEN, *map(answered, range(100, 600))]
        replies += [answered(status, body) for status in statuses for body in BODIES]
        replies += [answered(status, b"{}", *headers) for status in statuses for headers in HEADERS]
        for place, _, fault in self._faults(replies):
            what = f"{at(place)}what was answered {shown(fault.reply)}"
            come_to(self._tried.upload(fault), VERDICTS, what)

    def _all(self, replies: Iterable[Reply], kind: type) -> None:
        for _ in self._after(replies, kind):
            pass
