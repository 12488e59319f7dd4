"""What a look-up finds."""

from __future__ import annotations

from ....delivery.outcome import FINDINGS
from ....domain.upload.verdict import Absent, Found, Partly, Processing, Unreadable
from ....ports.dialogue import Ending, HttpResponse
from ....ports.provider import CanLookUp
from ..assertions import must
from ..conversation import Fault, Reply
from ..hostile_inputs import BODIES, HEADERS, UNPARSABLE
from .harness import answered, sample_parcel
from .rehearsal import (
    PERHAPS_TAKEN,
    SURELY_NOT_TAKEN,
    TAKEN,
    ProviderRules,
    at,
    come_to,
    shown,
)

_TROUBLES: list[Reply] = [
    *SURELY_NOT_TAKEN,
    *PERHAPS_TAKEN,
    *map(answered, (401, 403, 408, 425, 429, *range(300, 309), *range(500, 600))),
]


class LookUpRules(ProviderRules):
    """The rules for providers with `look_up`."""

    def test_an_upload_is_found_where_it_is_and_absent_where_it_is_not(self) -> None:
        """Absent before the upload, Found or Processing after it, Absent for another document; and
        a look-up uploads nothing.

        If the platform does not say whether the last step is done, Partly will do, if an attempt
        that goes on from it makes no copy.
        """
        harness, look_up = self.harness(), self._tried.look_up
        if not isinstance(harness.provider, CanLookUp):
            return
        copies = harness.copies
        must(copies, "the harness must say what the platform really holds: give it `copies`")
        assert copies is not None
        parcel = sample_parcel(harness.provider)
        other = sample_parcel(harness.provider, "ev-2", b"%PDF another")
        before = look_up(parcel=parcel, harness=harness)
        come_to(before, Absent, "a look-up of what was never uploaded")
        must(copies(parcel.sha256) == 0, "a look-up has uploaded the document")
        self._tried.upload(parcel=parcel, harness=harness)
        count = copies(parcel.sha256)
        must(count == 1, f"after an upload the platform holds {count} copies")
        after = look_up(parcel=parcel, harness=harness)
        come_to(after, (Found, Partly, Processing), "a look-up of what is there")
        if isinstance(after.result, Partly):
            progress = after.result.progress
            again = self._tried.upload(parcel=parcel, harness=harness, progress=progress)
            come_to(again, TAKEN, "going on from what a look-up has found")
        must(copies(parcel.sha256) == 1, "a look-up, and what follows from it, has made a copy")
        stranger = look_up(parcel=other, harness=harness)
        must(
            not isinstance(stranger.result, Found | Partly | Processing),
            f"a look-up of another document {stranger.outcome}",
        )

    def test_a_look_up_that_fails_is_never_taken_for_an_answer(self) -> None:
        """An error, or a reply that cannot be read, is Unreadable."""
        if not isinstance(self.harness().provider, CanLookUp):
            return
        for place, reply in enumerate(self._tried.look_up().replies):
            assert isinstance(reply, HttpResponse)
            broken: list[Reply] = [answered(200, body) for body in UNPARSABLE]
            broken += [answered(reply.status, reply.body, ending=Ending.CUT_SHORT)]
            for trouble in (*_TROUBLES, *(broken if reply.body else ())):
                come_to(
                    self._tried.look_up(Fault(trouble, place)),
                    Unreadable,
                    f"{at(place)}a look-up that was answered {shown(trouble)}",
                )

    def test_whatever_a_server_says_a_look_up_comes_to_a_finding(self) -> None:
        """No reply makes a look-up raise, or find what no reply has said is there."""
        if not isinstance(self.harness().provider, CanLookUp):
            return
        odd = [answered(200, body) for body in BODIES]
        odd += [answered(200, b"{}", *headers) for headers in HEADERS]
        for place, reply in enumerate(self._tried.look_up().replies):
            assert isinstance(reply, HttpResponse)
            for answer in odd:
                talk = self._tried.look_up(Fault(answer, place))
                come_to(talk, FINDINGS, f"{at(place)}what was answered {shown(answer)}")
                must(
                    not isinstance(talk.result, Found | Processing) or not reply.body,
                    f"{at(place)}a look-up that was answered {answer.body[:60]!r} {talk.outcome}",
                )

    def test_a_half_done_upload_is_found_as_what_it_is(self) -> None:
        """After a crash behind a bookmark, looking up and going on makes one copy."""
        if not isinstance(self.harness().provider, CanLookUp):
            return
        for number in range(1, len(self._well.bookmarks) + 1):
            harness = self.harness()
            killed = self._tried.upload(harness=harness, bookmarks=number)
            requests, progress = killed.bookmarks[-1]
            done = requests == len(self._well.requests)
            looked = self._tried.look_up(harness=harness, progress=progress)
            come_to(
                looked,
                (Partly, Found, Processing) if done else (Partly, Absent),
                f"a look-up of what is {'' if done else 'not '}done, behind bookmark {number},",
            )
            if isinstance(looked.result, Partly):
                progress = looked.result.progress
            talk = self._tried.upload(harness=harness, progress=progress)
            come_to(talk, TAKEN, "going on from what a look-up has found")
            digest = sample_parcel(harness.provider).sha256
            copies = 1 if harness.copies is None else harness.copies(digest)
            must(
                copies == 1,
                f"after a crash, a look-up and another attempt the platform holds {copies} copies",
            )
