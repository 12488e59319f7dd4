"""What every store owes to those who must know: each notice waits until its sink has taken it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta

from attrs import evolve

from ...domain.health import MOST_LISTED, SinkNotices
from ...domain.notices import News, Notice, notice_of
from ...domain.telling import SEEMS_DOWN, Fault, PutBack, Refused, WaitingNotice
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.upload import Failed, FailedReason, Status
from ...ports.notices import MAX_WAITING
from ...ports.records import Change, InvalidTenants
from .assertions import same
from .store_gates import GateRules
from .stored import AT, entry

SOON = AT + timedelta(minutes=2)
LATER = SOON + timedelta(minutes=5)
REJECTED = Failure(FailureKind.BAD_REQUEST, "no")
ONCE = Refused(Fault.UNKNOWN)


def says(*texts: str) -> News:
    """These notices, and no new note."""
    return News([notice(text) for text in texts], {})


def notice(text: str) -> Notice:
    """A notice, with text that Unicode has."""
    return notice_of("failed", AT, text, "acmé", "sprinto", text, 3)


def back(*notices: WaitingNotice, due: datetime, refused: Refused | None = None) -> list[PutBack]:
    """That these wait again until then."""
    return [PutBack(one.number, due, refused) for one in notices]


def of_block(kind: str, tenant_id: str) -> Notice:
    """That an integration is blocked, or open again."""
    return notice_of(kind, AT, kind, tenant_id, "sprinto", "unauthorized")


class NoticeRules(GateRules):
    """The rules for notices."""

    def test_a_notice_waits_for_each_sink_until_that_has_taken_it(self) -> None:
        with self._store() as store:
            same(store.note(AT, ["one", "two"], says("a", "b"), {}), 2)
            waiting = store.claim("one", AT, SOON, 9)
            same([one.notice for one in waiting], [notice("a"), notice("b")])
            store.notices_taken("one", [one.number for one in waiting], AT)
            same(list(store.claim("one", SOON, SOON, 9)), [])
            same(len(store.claim("two", AT, SOON, 1)), 1, "how many of at most one")
            same(len(store.claim("two", SOON, LATER, 9)), 2, "how many in all")

    def test_what_one_has_taken_up_is_due_for_others_after_a_while(self) -> None:
        with self._store() as store:
            store.note(AT, ["one"], says("a"), {})
            (first,) = store.claim("one", AT, SOON, 9)
            same(list(store.claim("one", SOON - timedelta(seconds=1), SOON, 9)), [])
            same(list(store.claim("one", SOON, SOON, 9)), [first], "what is claimed again")

    def test_what_a_sink_has_not_taken_is_due_later_with_a_try_more(self) -> None:
        with self._store() as store:
            store.note(AT, ["one"], says("a"), {})
            (first,) = store.claim("one", AT, SOON, 9)
            store.put_back(SOON, back(first, due=LATER, refused=ONCE))
            same(list(store.claim("one", SOON, SOON, 9)), [])
            same(list(store.claim("one", LATER, LATER, 9)), [evolve(first, refused=ONCE)])

    def test_what_was_claimed_and_not_tried_is_due_when_it_is_put_back(self) -> None:
        with self._store() as store:
            store.note(AT, ["one"], says("a", "b"), {})
            first, second = store.claim("one", AT, SOON, 9)
            store.put_back(SOON, [*back(first, due=LATER, refused=ONCE), *back(second, due=LATER)])
            same(list(store.claim("one", SOON, SOON, 9)), [])
            refused = evolve(first, refused=ONCE)
            same(list(store.claim("one", LATER, SOON, 9)), [second, refused], "in this order")

    def test_what_another_has_taken_up_since_is_not_put_back(self) -> None:
        with self._store() as store:
            store.note(AT, ["one"], says("a", "b"), {})
            claimed = store.claim("one", AT, SOON, 9)
            same(len(store.claim("one", SOON, LATER, 9)), 2, "how many another courier took up")
            store.put_back(SOON, back(*claimed, due=SOON, refused=ONCE))
            same(list(store.claim("one", SOON, LATER, 9)), [])
            times = [one.refused.times for one in store.claim("one", LATER, LATER, 9)]
            same(times, [0, 0], "how many times they were refused")

    def test_of_several_couriers_one_at_a_time_tells_a_sink(self) -> None:
        with self._store() as store:
            store.note(AT, ["one", "two"], says("a", "b"), {})
            same(len(store.claim("one", AT, SOON, 1)), 1)
            store.note(AT, ["one"], says("c"), {})
            same(list(store.claim("one", AT, SOON, 9)), [], "meanwhile")
            same(len(store.claim("two", AT, SOON, 9)), 2, "how many for another sink")
            same(len(store.claim("one", SOON, LATER, 9)), 3, "how many once its time is over")

    def test_a_notice_that_a_sink_refused_waits_alone(self) -> None:
        with self._store() as store:
            store.note(AT, ["one"], says("a", "b"), {})
            (first,) = store.claim("one", AT, SOON, 1)
            store.put_back(SOON, back(first, due=LATER, refused=ONCE))
            store.note(AT, ["one"], says("c"), {})
            found = [one.notice for one in store.claim("one", AT, SOON, 9)]
            same(found, [notice("b"), notice("c")], "before its time")
            same(len(store.claim("one", LATER, LATER, 9)), 3, "how many at its time")

    def test_a_sink_that_seems_to_be_down_is_left_alone_with_all(self) -> None:
        with self._store() as store:
            store.note(AT, ["one", "two"], says(*map(str, range(SEEMS_DOWN))), {})
            refused = store.claim("one", AT, SOON, SEEMS_DOWN)
            store.put_back(SOON, back(*refused, due=LATER, refused=ONCE))
            store.note(AT, ["one"], says("new"), {})
            same(list(store.claim("one", SOON, LATER, 9)), [], "before its time")
            same(len(store.claim("two", SOON, LATER, 9)), SEEMS_DOWN, "how many for another sink")
            found = store.claim("one", LATER, LATER, 9)
            same(len(found), SEEMS_DOWN + 1, "how many at its time")
            same({one.suspects for one in found}, {SEEMS_DOWN}, "how many it has refused")

    def test_what_a_sink_refuses_in_a_row_is_counted_for_all(self) -> None:
        with self._store() as store:
            store.note(AT, ["one", "two"], says("a", "b"), {})
            refused = list[int]()
            for many in range(4):
                (one,) = store.claim("one", AT, SOON, 1)
                same((one.refusals, one.suspects), (many, min(many, 2)))
                refused.append(one.number)
                store.put_back(SOON, back(one, due=AT, refused=Refused(Fault.UNKNOWN, many + 1)))
            a, b, *_ = refused
            same(refused, [a, b, a, b], "another one each time")
            _, second = store.claim("one", AT, SOON, 9)
            (other, _) = store.claim("two", AT, SOON, 9)
            same(other.refusals, 0, "of another sink")
            store.notices_taken("one", [a], AT)
            store.put_back(SOON, back(second, due=AT))
            same([one.refusals for one in store.claim("one", AT, SOON, 9)], [0], "once it took one")

    def test_a_sink_that_takes_again_is_given_at_once_what_it_refused(self) -> None:
        with self._store() as store:
            store.note(AT, ["one", "two"], says(*map(str, range(SEEMS_DOWN + 1))), {})
            for sink in ("one", "two"):
                untold, *refused = store.claim(sink, AT, SOON, 9)
                given = [*back(*refused, due=LATER, refused=ONCE), *back(untold, due=LATER)]
                store.put_back(SOON, given)
            store.notices_taken("one", [], AT)  # as one that was given up for hanging has
            again = store.claim("one", AT, SOON, 9)
            faults = [one.refused.fault for one in again]
            same(faults, [Fault.NONE, *[Fault.SINK] * SEEMS_DOWN], "whose fault it was")
            same(list(store.claim("two", AT, SOON, 9)), [], "another sink's")
            store.notices_taken("one", [again[0].number], AT)
            same(list(store.claim("one", AT, SOON, 9)), [], "what is being sent")

    def test_what_a_sink_has_refused_alone_waits_on_while_it_takes_others(self) -> None:
        with self._store() as store:
            store.note(AT, ["one"], says("a", "b", "c"), {})
            refused, taken, untold = store.claim("one", AT, SOON, 9)
            seven = back(refused, due=LATER, refused=Refused(Fault.UNKNOWN, 7))
            store.put_back(SOON, [*seven, *back(untold, due=LATER)])
            store.notices_taken("one", [taken.number], AT)
            same(list(store.claim("one", AT, SOON, 9)), [untold], "what was not tried")
            found = store.claim("one", LATER, LATER, 9)
            same(found, [untold, evolve(refused, refused=Refused(Fault.NOTICE))], "in this order")

    def test_a_notice_comes_behind_older_ones_about_the_same(self) -> None:
        blocked, over = of_block("blocked", "acme"), of_block("open_again", "acme")
        again, other = evolve(blocked, reason="forbidden"), of_block("blocked", "globex")
        with self._store() as store:
            store.note(AT, ["one"], News([blocked], {}), {})
            (first,) = store.claim("one", AT, SOON, 1)
            store.note(AT, ["one"], News([over, again, other], {}), {})
            store.put_back(SOON, back(first, due=LATER, refused=ONCE))
            claimed = [one.notice for one in store.claim("one", SOON, LATER, 9)]
            same(claimed, [other], "while an older one waits")
            claimed = [one.notice for one in store.claim("one", LATER, LATER, 9)]
            same(claimed, [other, blocked, over, again], "in this order")

    def test_a_look_is_given_how_all_stand_and_what_was_noted(self) -> None:
        seen: list[Mapping[str, str]] = []
        with self._store() as store:
            new = entry()
            store.add([new])
            failed = Failed(FailedReason.REJECTED, REJECTED)
            store.save([Change(evolve(new.upload, state=failed, version=2))])
            same(store.counts([Status.FAILED]), {Status.FAILED: 1})
            for new_notes in ({"first": "1"}, {"first": None, "a": "2"}, {}):
                standing, notes = store.standing(AT)
                seen.append(notes)
                same(store.looked(), bool(notes), "whether a courier has looked")
                same([(one.tenant_id, one.number) for one in standing.counts], [("acme", 1)])
                same(store.note(AT, ["one"], News([], new_notes), notes), 0)
            same(seen, [{}, {"first": "1"}, {"a": "2"}])

    def test_a_look_is_given_when_the_last_upload_of_a_count_failed(self) -> None:
        failed = Failed(FailedReason.REJECTED, REJECTED)
        with self._store() as store:
            new = entry()
            store.add([new])
            for version, state in enumerate((failed, new.upload.state, failed), start=2):
                at = AT + timedelta(minutes=version)
                upload = evolve(new.upload, state=state, version=version, updated_at=at)
                store.save([Change(upload)])
                found = [(one.number, one.last_at) for one in store.standing(AT)[0].counts]
                same(found, [(1, at)], f"after version {version}")

    def test_a_look_sees_more_stops_than_are_listed(self) -> None:
        with self._store() as store:
            invalid = [f"tenant-{number}" for number in range(MOST_LISTED + 2)]
            store.save([InvalidTenants(invalid, [], AT)])
            same(len(store.health(AT).stops), MOST_LISTED)
            same(len(store.standing(AT)[0].stops), MOST_LISTED + 2)

    def test_of_two_that_have_seen_the_same_notes_one_writes(self) -> None:
        with self._store() as store:
            seen = [store.standing(AT)[1] for _ in range(2)]
            same(store.note(AT, ["one"], News([notice("a")], {"a": "1"}), seen[0]), 1)
            same(store.note(AT, ["one"], News([notice("b")], {"a": "2"}), seen[1]), 0)
            same([one.notice for one in store.claim("one", AT, SOON, 9)], [notice("a")])
            same(store.standing(AT)[1], {"a": "1"}, "what was noted")

    def test_what_a_sink_does_not_take_becomes_a_summary_and_is_not_dropped(self) -> None:
        with self._store() as store:
            rest = MAX_WAITING // 2
            for begins in (0, MAX_WAITING):
                at = AT + timedelta(seconds=begins)
                many = [evolve(notice(f"{begins + n}"), at=at) for n in range(MAX_WAITING)]
                store.note(AT, ["one"], News(many, {}), {})
            store.note(AT, ["one", "two"], says("last"), {})
            waiting = [one.notice for one in store.claim("one", AT, SOON, 9_999)]
            same({one.since for one in store.health(AT).notices}, {AT}, "since when they wait")
            summaries = [one for one in waiting if one.kind == "summary"]
            others = [one.text for one in waiting if one.kind != "summary"]
            same(sum(one.number for one in summaries) + len(others), 2 * MAX_WAITING + 1)
            same(len(summaries), 1, "how many summaries")
            same(others[-1], "last")
            same(others[0], f"{2 * MAX_WAITING - rest}", "the oldest that is sent by itself")
            same(len(store.claim("two", AT, SOON, 9_999)), 1)

    def test_a_notice_that_is_taken_late_takes_no_summary_with_it(self) -> None:
        with self._store() as store:
            store.note(AT, ["one"], says("a"), {})
            (late,) = store.claim("one", AT, SOON, 9)
            store.note(AT, ["one"], says(*map(str, range(MAX_WAITING))), {})
            store.notices_taken("one", [late.number], AT)
            (summary,) = [
                one.notice
                for one in store.claim("one", AT, SOON, 9_999)
                if one.notice.kind == "summary"
            ]
            same(summary.number, MAX_WAITING + 1 - MAX_WAITING // 2)

    def test_a_clock_that_was_set_back_keeps_no_notice_back(self) -> None:
        with self._store() as store:
            store.note(AT, ["one"], says("a"), {})
            back = AT - timedelta(days=400)
            same(len(store.claim("one", back, back + timedelta(minutes=2), 9)), 1)
            same(len(store.claim("one", back, back + timedelta(minutes=2), 9)), 0, "claimed twice")

    def test_health_says_what_waits_for_each_sink(self) -> None:
        with self._store() as store:
            later = evolve(notice("b"), at=LATER)
            store.note(AT, ["two", "one"], News([notice("a"), later], {}), {})
            first, _ = store.claim("one", AT, SOON, 9)
            store.put_back(SOON, back(first, due=LATER, refused=Refused(Fault.NOTICE)))
            store.notices_taken("two", [one.number for one in store.claim("two", AT, SOON, 1)], AT)
            one = SinkNotices(sink="one", number=2, since=AT, tries=1)
            two = SinkNotices(sink="two", number=1, since=LATER, tries=0)
            same(list(store.health(LATER).notices), [one, two])

    def test_a_notice_outlives_the_store(self) -> None:
        with self._folder() as folder:
            with closing(self.open_store(folder, False)) as store:
                store.note(AT, ["one"], says("a"), {})
            if self.durable:
                with closing(self.open_store(folder, False)) as store:
                    same([one.notice for one in store.claim("one", AT, SOON, 9)], [notice("a")])
