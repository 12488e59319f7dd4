"""What every store owes its gates: pace, cool-down, block, and who may use what; and what it knows
of the couriers on it."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import ClassVar

from attrs import evolve

from ...domain.integration import Pace
from ...domain.pacing.estimate import A_PLACE, NO_COURIER
from ...domain.pacing.gate import STALLED, YIELD, Acquired, Blocked, GateChange, NotBefore, Quota
from ...domain.pacing.lease import MIN_LEASE
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.status import wait_for_integration, wait_for_valid
from ...domain.upload.upload import Failed, FailedReason, Held, Sending, Status, Waiting
from ...ports.records import Begun, Change, Conflict, Entry, InvalidTenants, Saved, Start
from ...ports.store import UploadStore
from .assertions import a, must, same, some
from .stored import AT, acquire, begin_each, begin_together, deferred, entry, started, unblock

MINUTE = timedelta(minutes=1)
PACED = Quota("credential", "address", Pace(2, MINUTE))
TOGETHER = Quota("credential", "address", Pace(2, MINUTE), together=3)
SLOW = Quota("credential", "address", Pace(1, MINUTE), cost=2)
ALONE = Quota("credential", "address", Pace(100, MINUTE), exclusive=True)
REFUSED = Failure(FailureKind.UNAUTHORIZED, "no", http_status=401)


def starts(
    store: UploadStore, names: str, quota: Quota, at: datetime = AT, courier_id: int = 1
) -> list[Start]:
    """One recorded upload for each letter, about to begin."""
    known = [entry(name, content=name.encode()) for name in names]
    entries = [
        evolve(
            one,
            credential=quota.credential,
            dossier=evolve(one.dossier, backfill=quota.backfill),
        )
        for one in known
    ]
    store.add(entries)
    return [evolve(started(new.upload, at), quota=quota, courier_id=courier_id) for new in entries]


class GateRules(ABC):
    """The rules for what a store lets pass, and for the couriers on it."""

    durable: ClassVar[bool] = True
    """Whether what is written outlives the store: another one that is opened in the same folder
    has it."""

    @abstractmethod
    def open_store(self, folder: str, keep_documents: bool) -> UploadStore:
        """The store in that folder; it is made where it is not there. `keep_documents`: whether
        it keeps the documents of what has succeeded."""

    @contextmanager
    def _folder(self) -> Iterator[str]:
        with tempfile.TemporaryDirectory(prefix="store-contract-") as folder:
            yield folder

    @contextmanager
    def _store(self, keep_documents: bool = False) -> Iterator[UploadStore]:
        with self._folder() as folder, closing(self.open_store(folder, keep_documents)) as store:
            yield store

    def _raw(self, folder: str) -> bytes:
        """Everything that the store has left in its folder."""
        files = (
            os.path.join(where, name)
            for where, _, names in os.walk(folder)
            for name in sorted(names)
        )
        return b"\0".join(map(_content, files))

    # --- pace, cool-down and block ---------------------------------------------------------------

    def test_no_period_holds_more_requests_than_the_pace_allows(self) -> None:
        with self._store() as store:
            first, second, third = starts(store, "abc", PACED)
            slots = [
                a(Begun, answer).acquired.slot for answer in begin_each(store, [first, second])
            ]
            must(None not in slots, f"paced attempts were given the slots {slots!r}")
            # Both are under way, so the third waits for the end of one, whenever that is; it is
            # told to ask again.
            (refusal,) = begin_each(store, [third])
            must(
                a(NotBefore, refusal).at > AT,
                "a third attempt may ask again at once, where a minute holds two",
            )
            ended = [
                evolve(deferred(start.upload, AT), gate=GateChange(PACED, AT, (some(one),)))
                for start, one in zip((first, second), slots, strict=True)
            ]
            store.save(ended)
            same(begin_each(store, [third]), [NotBefore(AT + MINUTE)])
            (later,) = begin_each(store, [_at(third, AT + MINUTE)])
            a(Begun, later)

    def test_old_records_go_behind_what_is_fresh_and_leave_room_for_it(self) -> None:
        with self._store() as store:
            quota = evolve(PACED, pace=Pace(3, MINUTE))
            behind = evolve(quota, backfill=True)
            first, second = starts(store, "ab", behind)
            lines = {behind.line: [first.upload.key, second.upload.key]}
            same({line: [*keys] for line, keys in store.due(AT, 9).items()}, lines)
            found = store.get([first.upload.key])[first.upload.key]
            must(found.dossier.backfill, "an old record is read back as a fresh one")
            (fresh,) = starts(store, "c", quota)
            (refusal,) = begin_each(store, [first])
            must(a(NotBefore, refusal).at > AT, "an old record begins before one that is fresh")
            begun = a(Begun, *begin_each(store, [fresh]))
            a(Begun, *begin_each(store, [first]))  # and one slot is left free
            (refusal,) = begin_each(store, [second])
            must(a(NotBefore, refusal).at > AT, "an old record takes the last slot")
            end = GateChange(quota, AT, (some(begun.acquired.slot),))
            store.save([evolve(deferred(fresh.upload, AT), gate=end)])
            # The next old one takes its part of the pace: one in half a minute.
            same(begin_each(store, [_at(second, AT + MINUTE / 4)]), [NotBefore(AT + MINUTE)])
            # What is fresh and is to be tried again goes first, too.
            (refusal,) = begin_each(store, [_at(second, AT + MINUTE)])
            must(a(NotBefore, refusal).at > AT + MINUTE, "an old record begins before a retry")

    def test_an_old_record_waits_for_no_older_one_that_no_courier_serves(self) -> None:
        with self._store() as store:
            behind = evolve(PACED, pace=Pace(1, MINUTE), backfill=True)
            _, second = starts(store, "ab", behind)
            a(Begun, *begin_each(store, [second]))

    def test_a_status_says_when_an_old_record_may_begin(self) -> None:
        with self._store() as store:
            behind = evolve(PACED, pace=Pace(3, MINUTE), backfill=True)
            first, *_ = starts(store, "abc", behind)
            a(Begun, *begin_each(store, [first]))
            found = store.statuses("acme", "bc", AT)
            half, words = MINUTE / 2, "pace of sprinto, 3/min, behind what is fresh; next request"
            same([found[one].next_attempt_at for one in "bc"], [AT + half, AT + 2 * half])
            same(found["b"].waits_for, f"{words} about 10:00:30Z; {NO_COURIER}", "without one")
            store.heartbeat(None, AT)
            same(_waits(store, "b"), f"{words} about 10:00:30Z")

    def test_a_status_counts_what_is_fresh_before_an_old_record(self) -> None:
        with self._store() as store:
            fresh = evolve(PACED, pace=Pace(3, MINUTE))
            first, _ = starts(store, "ab", evolve(fresh, backfill=True))
            a(Begun, *begin_each(store, [first]))
            for number, (name, wanted) in enumerate(zip("cdefg", (1, 1, 1, 2, 2), strict=True), 1):
                starts(store, name, fresh)
                at = store.statuses("acme", ["b"], AT)["b"].next_attempt_at
                must(at == AT + wanted * MINUTE, f"behind {number} fresh it goes at {at}")

    def test_a_slot_counts_from_the_end_of_its_request(self) -> None:
        with self._store() as store:
            first, second = starts(store, "ab", evolve(PACED, pace=Pace(1, MINUTE)))
            (answer,) = begin_each(store, [first])
            over = AT + timedelta(seconds=20)
            change = deferred(first.upload, over)
            store.save(
                [
                    evolve(
                        change,
                        gate=GateChange(first.quota, over, (some(a(Begun, answer).acquired.slot),)),
                    )
                ]
            )
            same(begin_each(store, [_at(second, over)]), [NotBefore(over + MINUTE)])

    def test_what_is_refused_at_the_gate_is_not_begun(self) -> None:
        with self._store() as store:
            first, second, third = starts(store, "abc", PACED)
            begin_each(store, [first, second])
            a(NotBefore, begin_each(store, [third])[0])
            key = third.upload.key
            must(
                not isinstance(store.get([key])[key].upload.state, Sending),
                "it was written as being sent",
            )

    def test_what_is_due_of_a_tenant_that_is_gone_waits_for_an_integration(self) -> None:
        """Until a courier knows it again. What waits for its time goes on saying so."""
        with self._store() as store:
            starts(store, "ab", PACED)
            store.heartbeat(None, AT)
            later_on = AT + 5 * MINUTE
            same(store.save([InvalidTenants([], [], AT, gone=["acme"])]), [Saved()])
            gone = wait_for_integration("acme", "sprinto")
            seen = store.statuses("acme", ["a"], AT)["a"]
            same((seen.waits_for, seen.next_attempt_at), (gone, None))
            store.save([InvalidTenants(["acme"], [], AT)])
            same(_waits(store, "a"), wait_for_valid("acme"))
            store.save([InvalidTenants([], [], AT, gone=["acme"])])
            store.save([GateChange(PACED, AT, cooldown_until=later_on)])
            cool_down = "cool-down that sprinto asked for, until 10:05:00Z"
            same(_waits(store, "a"), cool_down, "what waits in a cool-down")
            store.save([InvalidTenants([], ["acme"], AT)])
            same(store.statuses("acme", ["b"], later_on)["b"].waits_for, A_PLACE)

    def test_a_status_says_what_is_waited_for(self) -> None:
        with self._store() as store:
            quota = evolve(PACED, cost=2, pace=Pace(3, MINUTE))
            first, second = starts(store, "ab", quota)
            waits = "a place at a courier, and room for its document"
            same(_waits(store, "b"), f"{waits}; {NO_COURIER}")
            store.heartbeat(None, AT)
            same(_waits(store, "b"), waits)
            begun = a(Begun, begin_each(store, [first])[0]).acquired
            same(_waits(store, "a"), None, "what waits while its request is under way")
            a(Acquired, acquire(store, quota, turn=begun.turn))
            a(Acquired, acquire(store, quota, turn=begun.turn))
            a(NotBefore, begin_each(store, [second])[0])
            pace = "pace of sprinto, 3/min; next request about 10:01:00Z"
            same(_waits(store, "b"), pace, "what waits to begin")
            a(NotBefore, acquire(store, quota, turn=begun.turn))
            same(_waits(store, "a"), pace, "what waits for its next request")
            end = GateChange(quota, AT, cooldown_until=AT + 5 * MINUTE)
            store.save([end])
            cool_down = "cool-down that sprinto asked for, until 10:05:00Z"
            same(_waits(store, "b"), cool_down, "what waits in a cool-down")
            store.save([deferred(first.upload)])
            same(_waits(store, "a"), cool_down, "what waits for a cool-down beyond its back-off")

    def test_a_status_says_that_another_courier_has_the_lease(self) -> None:
        with self._store() as store:
            ours, theirs = store.heartbeat(None, AT), store.heartbeat(None, AT)
            begin_each(store, starts(store, "a", ALONE, courier_id=ours))
            (mine,) = starts(store, "b", ALONE, courier_id=theirs)
            a(NotBefore, begin_each(store, [mine])[0])
            lease = "lease of another courier: one at a time may send to sprinto with this key"
            same(_waits(store, "b"), lease)

    def test_a_lost_race_costs_no_slot(self) -> None:
        with self._store() as store:
            first, second = starts(store, "ab", PACED)
            a(Begun, begin_each(store, [first])[0])
            a(Conflict, begin_each(store, [first])[0])
            a(Begun, begin_each(store, [second])[0])

    def test_single_requests_take_slots_as_attempts_do(self) -> None:
        with self._store() as store:
            for _ in range(2):
                must(
                    a(Acquired, acquire(store, PACED, AT, 1)).slot is not None,
                    "a paced request has no slot",
                )
            a(NotBefore, acquire(store, PACED, AT, 1))
            same(
                acquire(store, evolve(PACED, credential="another", pace=None), AT, 1),
                Acquired(),
            )

    def test_integrations_of_one_credential_share_its_pace_and_no_others_do(self) -> None:
        with self._store() as store:
            shared, other = (
                evolve(PACED, address="another tenant's"),
                evolve(PACED, credential="another"),
            )
            acquire(store, PACED, AT, 1)
            acquire(store, PACED, AT, 1)
            a(NotBefore, acquire(store, shared, AT, 1))
            a(Acquired, acquire(store, other, AT, 1))

    def test_a_cool_down_holds_all_with_the_credential_until_it_is_over(self) -> None:
        with self._store() as store:
            first, second = starts(store, "ab", evolve(PACED, pace=None))
            begin_each(store, [first])
            until = AT + 5 * MINUTE
            change = evolve(
                deferred(first.upload), gate=GateChange(first.quota, AT, cooldown_until=until)
            )
            store.save([change])
            same(begin_each(store, [second]), [NotBefore(until)])
            same(acquire(store, second.quota, AT, 1), NotBefore(until))
            a(Acquired, acquire(store, evolve(second.quota, credential="another"), AT, 1))
            a(Begun, begin_each(store, [_at(second, until)])[0])

    def test_a_clock_that_is_set_back_prolongs_no_cool_down(self) -> None:
        with self._store() as store:
            (first,) = starts(store, "a", evolve(PACED, pace=None))
            begin_each(store, [first])
            change = deferred(first.upload)
            store.save(
                [evolve(change, gate=GateChange(first.quota, AT, cooldown_until=AT + MINUTE))]
            )
            yesterday = AT - timedelta(days=1)
            same(acquire(store, first.quota, yesterday, 1), NotBefore(yesterday + MINUTE))

    def test_a_clock_that_is_set_back_costs_one_period_at_most(self) -> None:
        with self._store() as store:
            one = evolve(PACED, pace=Pace(1, MINUTE))
            store.save([GateChange(one, AT, (some(a(Acquired, acquire(store, one)).slot),))])
            yesterday = AT - timedelta(days=1)
            same(acquire(store, one, yesterday), NotBefore(yesterday + MINUTE))
            a(Acquired, acquire(store, one, yesterday + MINUTE))

    def test_a_caller_that_is_late_frees_no_slot_and_ends_no_cool_down(self) -> None:
        """What it asks is written when others have written what they did after its moment."""
        with self._store() as store:
            one = evolve(PACED, pace=Pace(1, MINUTE))
            end = AT + timedelta(seconds=25)
            slots = (some(a(Acquired, acquire(store, one)).slot),)
            store.save([GateChange(one, end, slots, cooldown_until=end + MINUTE / 2)])
            same(acquire(store, one), NotBefore(end + MINUTE / 2), "how long the cool-down lasts")
            a(NotBefore, acquire(store, one, end + MINUTE / 2 - timedelta(seconds=1)))
            for late in (MINUTE / 2, MINUTE - timedelta(seconds=1)):
                a(NotBefore, acquire(store, one, end + late))
            a(Acquired, acquire(store, one, end + MINUTE))

    def test_a_blocked_integration_is_shut_until_it_is_unblocked(self) -> None:
        with self._store() as store:
            first, second = starts(store, "ab", evolve(PACED, pace=None))
            begin_each(store, [first])
            store.save(
                [evolve(deferred(first.upload), gate=GateChange(first.quota, AT, block=REFUSED))]
            )
            same(begin_each(store, [second]), [Blocked(REFUSED)])
            same(acquire(store, second.quota, AT, 1), Blocked(REFUSED))
            a(Acquired, acquire(store, evolve(second.quota, address="with another key"), AT, 1))
            unblock(store, "globex", "sprinto")
            unblock(store, "acme", "vanta")
            same(
                begin_each(store, [second]),
                [Blocked(REFUSED)],
                "the answer after another integration was unblocked",
            )
            unblock(store, "acme", "sprinto")
            a(Begun, begin_each(store, [second])[0])

    # --- what has begun, and what it is owed ------------------------------------------------------

    def test_each_request_counts_from_its_own_end(self) -> None:
        with self._store() as store:
            (begun,) = begin_each(store, starts(store, "a", SLOW))
            begun = a(Begun, begun)
            end = AT + timedelta(seconds=5)
            slots = [some(begun.acquired.slot)]
            refused = a(NotBefore, acquire(store, SLOW, end, turn=begun.acquired.turn, ended=slots))
            same(refused.at, end + MINUTE, "when a slot is free whose request has ended")
            a(Acquired, acquire(store, SLOW, end + MINUTE, turn=begun.acquired.turn))

    def test_what_has_begun_keeps_its_claim_on_the_slots(self) -> None:
        with self._store() as store:
            two = evolve(PACED, cost=2)
            first, second = starts(store, "ab", two)
            begun = a(Begun, begin_each(store, [first])[0])
            a(NotBefore, begin_each(store, [second])[0])
            a(Acquired, acquire(store, two, turn=begun.acquired.turn))

    def test_a_claim_is_over_with_its_turn(self) -> None:
        with self._store() as store:
            first, second = starts(store, "ab", evolve(PACED, cost=2))
            begun = a(Begun, begin_each(store, [first])[0])
            end = GateChange(
                first.quota, AT, (some(begun.acquired.slot),), turn=begun.acquired.turn
            )
            store.save([evolve(deferred(first.upload), gate=end)])
            a(Begun, begin_each(store, [second])[0])

    def test_a_claim_is_over_when_its_courier_is(self) -> None:
        with self._store() as store:
            ours, theirs = store.heartbeat(None, AT), store.heartbeat(None, AT)
            two = evolve(PACED, cost=2)
            (first,), (second,) = (
                starts(store, "a", two, courier_id=theirs),
                starts(store, "b", two, courier_id=ours),
            )
            a(Begun, begin_each(store, [first])[0])
            a(NotBefore, begin_each(store, [second])[0])
            store.unregister(theirs)
            a(Begun, begin_each(store, [second])[0])

    def test_a_claim_that_is_not_renewed_is_over_after_a_while(self) -> None:
        with self._store() as store:
            first, second = starts(store, "ab", evolve(PACED, cost=3))
            a(Begun, begin_each(store, [first])[0])
            over = AT + first.quota.timeout + MINUTE
            a(NotBefore, begin_each(store, [_at(second, over - timedelta(seconds=1))])[0])
            a(Begun, begin_each(store, [_at(second, over)])[0])

    def test_at_a_short_period_only_what_waits_holds_others_back(self) -> None:
        with self._store() as store:
            fast = evolve(PACED, pace=Pace(2, timedelta(seconds=1)), cost=3)
            first, second, third = starts(store, "abc", fast)
            begun = [a(Begun, answer).acquired for answer in begin_each(store, [first, second])]
            ended = [some(one.slot) for one in begun]
            waits = a(NotBefore, acquire(store, fast, turn=begun[0].turn, ended=ended)).turn
            soon = AT + timedelta(seconds=1)
            a(Begun, begin_each(store, [_at(third, soon)])[0])
            a(Acquired, acquire(store, fast, soon, turn=waits))

    def test_the_oldest_turn_that_waits_goes_first(self) -> None:
        with self._store() as store:
            second_long = timedelta(seconds=1)
            fast = evolve(PACED, pace=Pace(2, second_long), cost=2)
            old, new = (a(Begun, one) for one in begin_each(store, starts(store, "ab", fast)))
            older, younger = (
                a(NotBefore, acquire(store, fast, turn=one.acquired.turn)).turn
                for one in (old, new)
            )
            store.save([GateChange(fast, AT, (some(old.acquired.slot),))])
            a(NotBefore, acquire(store, fast, AT + second_long, turn=younger))
            a(Acquired, acquire(store, fast, AT + second_long, turn=older))

    def test_after_a_block_no_request_of_a_begun_upload_leaves(self) -> None:
        with self._store() as store:
            two = evolve(PACED, cost=2)
            for quota in (two, Quota("unpaced", "its address")):
                (start,) = starts(store, quota.credential[0], quota)
                begun = a(Begun, begin_each(store, [start])[0])
                later = evolve(start.upload, version=start.upload.version + 1)
                store.save([Change(later, gate=GateChange(quota, AT, block=REFUSED))])
                same(acquire(store, quota, turn=begun.acquired.turn), Blocked(REFUSED))

    def test_a_line_whose_head_does_not_move_is_not_waited_for(self) -> None:
        with self._store() as store:
            slow = evolve(PACED, pace=Pace(1, MINUTE))
            _head, late = starts(store, "az", slow)
            same(begin_each(store, [late]), [NotBefore(AT + YIELD)])
            stalled = AT + MINUTE + STALLED
            a(NotBefore, begin_each(store, [_at(late, stalled - timedelta(seconds=1))])[0])
            a(Begun, begin_each(store, [_at(late, stalled)])[0])

    def test_a_head_of_the_line_that_finds_no_slot_is_waited_for(self) -> None:
        """A look-up took the slot in which it could have begun."""
        with self._store() as store:
            slow = evolve(SLOW, timeout=timedelta(seconds=1))
            head, late = starts(store, "az", slow)
            same(begin_each(store, [late]), [NotBefore(AT + YIELD)])
            a(Acquired, acquire(store, slow, AT + MINUTE))
            asked = AT + MINUTE + STALLED - timedelta(seconds=1)
            a(NotBefore, begin_each(store, [_at(head, asked)])[0])
            stalled = asked + MINUTE + STALLED
            a(NotBefore, begin_each(store, [_at(late, stalled - timedelta(seconds=1))])[0])
            a(Begun, begin_each(store, [_at(late, stalled)])[0])

    def test_who_cannot_wait_begins_when_all_its_requests_can_leave_in_time(self) -> None:
        with self._store() as store:
            two = evolve(PACED, cost=2)
            first, second = starts(store, "ab", two)
            begun = a(Begun, begin_each(store, [first])[0])
            end = GateChange(two, AT, (some(begun.acquired.slot),), turn=begun.acquired.turn)
            store.save([evolve(deferred(first.upload), gate=end)])
            half = MINUTE / 2
            same(begin_each(store, [evolve(second, patience=MINUTE)]), [NotBefore(AT + half)])
            patient = evolve(second, patience=2 * MINUTE)
            a(Begun, begin_each(store, [patient])[0])

    def test_what_does_not_leave_at_once_has_no_slot_yet(self) -> None:
        with self._store() as store:
            (start,) = starts(store, "a", PACED)
            begun = a(Begun, begin_each(store, [evolve(start, leaves=False)])[0])
            same(begun.acquired.slot, None, "the slot of what leaves later")
            same(
                a(Acquired, acquire(store, PACED, turn=some(begun.acquired.turn))).turn,
                begun.acquired.turn,
            )

    # --- what goes together, and what only one may use -------------------------------------------

    def test_uploads_that_go_together_take_one_slot(self) -> None:
        with self._store() as store:
            first, second, third = begin_together(store, starts(store, "abc", TOGETHER))
            first = a(Begun, first)
            must(first.acquired.slot is not None, "what goes together has no slot")
            same((first.content, second, third), (b"a", Begun(b"b"), Begun(b"c")))
            (fourth,) = begin_each(store, starts(store, "d", TOGETHER))
            fourth = a(Begun, fourth)
            same(begin_together(store, starts(store, "ef", TOGETHER)), [NotBefore(AT + MINUTE)] * 2)

    def test_an_upload_begun_elsewhere_takes_no_slot_and_keeps_none_back(self) -> None:
        with self._store() as store:
            lost, free = starts(store, "ab", TOGETHER)
            begin_each(store, [lost])
            conflict, begun = begin_together(store, [lost, free])
            same(conflict, Conflict(lost.upload))
            begun = a(Begun, begun)
            must(begun.acquired.slot is not None, "what is left of a bundle has no slot")
            same(
                begin_together(store, [lost, free]), [Conflict(lost.upload), Conflict(free.upload)]
            )

    def test_what_is_refused_together_is_begun_by_none(self) -> None:
        with self._store() as store:
            (one,) = starts(store, "a", TOGETHER)
            refused = Failure(FailureKind.UNAUTHORIZED, "no")
            begin_each(store, [one])
            store.save(
                [
                    Change(
                        evolve(one.upload, version=3), gate=GateChange(TOGETHER, AT, block=refused)
                    )
                ]
            )
            both = starts(store, "bc", TOGETHER)
            same(begin_together(store, both), [Blocked(refused)] * 2)
            stored = store.get([start.upload.key for start in both])
            must(
                not any(isinstance(found.upload.state, Sending) for found in stored.values()),
                "what was refused is written as being sent",
            )

    def test_no_one_yields_for_fewer_than_a_period_of_full_requests(self) -> None:
        with self._store() as store:
            waiting = starts(store, "abcdef", TOGETHER)
            (late,) = starts(store, "z", TOGETHER)
            same(begin_together(store, [late]), [NotBefore(AT + YIELD)])
            begin_together(store, waiting[:1])
            (begun,) = begin_together(store, [late])
            a(Begun, begun)

    def test_a_status_is_estimated_by_how_many_go_together(self) -> None:
        with self._store() as store:
            begin_together(store, starts(store, "abc", TOGETHER))
            starts(store, "defghi", TOGETHER)
            statuses = store.statuses("acme", list("defghi"), AT)
            same([statuses[name].next_attempt_at for name in "dghi"], [AT, *[AT + MINUTE] * 3])

    def test_only_one_courier_at_a_time_uses_an_exclusive_credential(self) -> None:
        with self._store() as store:
            ours, theirs = (store.heartbeat(None, AT), store.heartbeat(None, AT))
            (begun,) = begin_each(store, starts(store, "a", ALONE, courier_id=ours))
            begun = a(Begun, begun)
            (mine,) = starts(store, "b", ALONE, courier_id=theirs)
            same(begin_each(store, [mine]), [NotBefore(AT + YIELD)])
            same(acquire(store, ALONE, AT, theirs), NotBefore(AT + YIELD))
            a(Acquired, acquire(store, ALONE, AT, ours))

    def test_between_two_requests_of_a_turn_the_holder_does_not_change(self) -> None:
        with self._store() as store:
            ours, theirs = (store.heartbeat(None, AT), store.heartbeat(None, AT))
            two = evolve(ALONE, cost=2)
            (begun,) = begin_each(store, starts(store, "a", two, courier_id=ours))
            begun, over = a(Begun, begun), AT + MINUTE
            same(begun.acquired.lease_since, AT, "when the lease began")
            ended = [some(begun.acquired.slot)]
            mine = a(
                Acquired, acquire(store, two, over, ours, turn=begun.acquired.turn, ended=ended)
            )
            store.save([GateChange(two, over, (some(mine.slot),))])
            a(NotBefore, acquire(store, two, over, theirs))
            store.save([GateChange(two, over, turn=begun.acquired.turn)])
            taken = a(Acquired, acquire(store, two, over, theirs))
            same(taken.lease_since, over, "when the lease of the next one began")

    def test_it_is_handed_over_when_no_turn_is_open_and_its_time_is_over(self) -> None:
        with self._store() as store:
            ours, theirs = (store.heartbeat(None, AT), store.heartbeat(None, AT))
            (start,) = starts(store, "a", ALONE, courier_id=ours)
            (begun,) = begin_each(store, [start])
            begun = a(Begun, begun)
            over = AT + MIN_LEASE
            same(acquire(store, ALONE, over, theirs), NotBefore(over + YIELD))
            ended = evolve(start.upload, version=start.upload.version + 1)
            store.save(
                [
                    Change(
                        ended,
                        gate=GateChange(
                            ALONE, over, (some(begun.acquired.slot),), turn=begun.acquired.turn
                        ),
                    )
                ]
            )
            (ours_next,) = starts(store, "b", ALONE, over, ours)
            same(begin_each(store, [ours_next]), [NotBefore(over + YIELD)])
            a(Acquired, acquire(store, ALONE, over, theirs))
            same(acquire(store, ALONE, over, ours), NotBefore(over + YIELD))

    def test_a_courier_that_ends_lets_go_of_it(self) -> None:
        with self._store() as store:
            ours, theirs = (store.heartbeat(None, AT), store.heartbeat(None, AT))
            a(Acquired, acquire(store, ALONE, AT, ours))
            store.unregister(ours)
            taken = a(Acquired, acquire(store, ALONE, AT, theirs))
            # What the first one left unfinished keeps no one waiting.
            store.save([GateChange(ALONE, AT, (some(taken.slot),), turn=taken.turn)])
            a(Acquired, acquire(store, ALONE, AT + MIN_LEASE, store.heartbeat(None, AT)))

    def test_a_request_of_no_upload_counts_from_its_end_and_may_cool_down(self) -> None:
        with self._store() as store:
            one_a_minute = Quota("credential", "address", Pace(1, MINUTE), timeout=5 * MINUTE)
            charged = a(Acquired, acquire(store, one_a_minute, AT, 1))
            end = AT + timedelta(seconds=10)
            store.save([GateChange(one_a_minute, end, (some(charged.slot),), block=REFUSED)])
            # No block of what was not an upload.
            same(acquire(store, one_a_minute, end, 1), NotBefore(end + MINUTE))
            store.save([GateChange(one_a_minute, end, cooldown_until=AT + 2 * MINUTE)])
            same(acquire(store, one_a_minute, end + MINUTE, 1), NotBefore(AT + 2 * MINUTE))

    # --- the couriers on it ----------------------------------------------------------------------

    def test_each_courier_has_a_number_of_its_own(self) -> None:
        with self._store() as store:
            numbers = [store.heartbeat(None, AT) for _ in range(3)]
            same(len(set(numbers)), 3, "how many of three numbers are different")

    def test_what_a_courier_sends_is_known_as_its_own(self) -> None:
        with self._store() as store:
            ours, theirs = store.heartbeat(None, AT), store.heartbeat(None, AT)
            unpaced = evolve(PACED, pace=None)
            (mine,), (other,) = (
                starts(store, "a", unpaced, courier_id=ours),
                starts(store, "b", unpaced, courier_id=theirs),
            )
            begin_each(store, [mine, other])
            senders = {
                found.upload: found.courier_id
                for found in store.get([mine.upload.key, other.upload.key]).values()
            }
            same(senders, {mine.upload: ours, other.upload: theirs}, "who is sending what")
            store.unregister(ours)
            store.unregister(theirs)
            left = {
                courier: [found.upload for found in items]
                for courier, items in store.dead(0, 9).items()
            }
            same(left, {ours: [mine.upload], theirs: [other.upload]}, "who left what")
            store.save([deferred(mine.upload)])
            same(list(store.dead(0, 9)), [theirs], "who has left anything after an end was written")

    def test_a_courier_is_dead_once_it_has_ended_with_uploads_in_flight(
        self,
    ) -> None:
        with self._store() as store:
            ours, theirs = store.heartbeat(None, AT), store.heartbeat(None, AT)
            (theirs_start,) = starts(store, "a", evolve(PACED, pace=None), courier_id=theirs)
            begin_each(store, [theirs_start])
            store.heartbeat(theirs, AT)
            same(list(store.dead(ours, 9)), [], "who is dead while all live")
            store.unregister(theirs)
            same(list(store.dead(ours, 9)), [theirs], "who is dead after one has ended in mid-send")
            same(list(store.dead(theirs, 9)), [], "who is dead besides who asks")
            same(
                [found.upload for found in store.dead(ours, 9)[theirs]],
                [theirs_start.upload],
                "what it left",
            )

    def test_what_a_dead_courier_was_sending_is_read_by_the_page(self) -> None:
        with self._store() as store:
            theirs = store.heartbeat(None, AT)
            begin_each(store, starts(store, "abc", evolve(PACED, pace=None), courier_id=theirs))
            store.unregister(theirs)
            same([len(left) for left in store.dead(0, 2).values()], [2], "a page of two")
            same(store.dead(0, 2, {theirs: ["acme"]}), {theirs: []}, "without their tenant")
            same(len(store.dead(0, 9, {theirs + 1: ["acme"]})[theirs]), 3, "without another's")

    def test_who_ended_in_order_is_not_dead(self) -> None:
        with self._store() as store:
            ours, theirs = store.heartbeat(None, AT), store.heartbeat(None, AT)
            store.unregister(theirs)
            same(list(store.dead(ours, 9)), [], "who is dead")

    # --- what is held for its integration --------------------------------------------------------

    def test_what_is_held_for_its_integration_is_found_by_tenant_and_provider(self) -> None:
        with self._store() as store:
            unpaced = evolve(PACED, pace=None)
            first, second, other = starts(store, "abc", unpaced)
            begin_each(store, [first, second, other])
            for start, why in ((first, REFUSED), (second, REFUSED), (other, DOUBT)):
                upload = start.upload
                store.save([Change(evolve(upload, state=Held(why), version=upload.version + 1))])
            works = {("acme", "sprinto"): "an address", ("globex", "sprinto"): "another"}
            held = store.freed(works, 10)
            same(
                [found.upload.key.evidence_id for found in held],
                ["a", "b"],
                "what is held for its integration",
            )
            same(len(store.freed(works, 1)), 1, "how many of at most one")
            elsewhere = {("acme", "vanta"): "an address", ("globex", "sprinto"): "another"}
            same(list(store.freed(elsewhere, 10)), [], "what other integrations have held")

    def test_what_is_held_stays_held_while_its_integration_is_blocked(self) -> None:
        with self._store() as store:
            (start,) = starts(store, "a", PACED)
            begin_each(store, [start])
            held = evolve(start.upload, state=Held(REFUSED), version=start.upload.version + 1)
            store.save([Change(held, gate=GateChange(PACED, AT, block=REFUSED))])
            addresses = {("acme", "sprinto"): PACED.address}
            same(list(store.freed(addresses, 10)), [], "what may go on while it is blocked")
            changed = {("acme", "sprinto"): "new settings"}
            same(len(store.freed(changed, 10)), 1, "how much may go on with other settings")
            blocks = store.blocks_of([PACED.address, "new settings"])
            same([*blocks], [PACED.address], "what is blocked")
            block = blocks[PACED.address]
            same((block.failure.kind, block.since, block.until), (REFUSED.kind, AT, None))
            unblock(store, "acme", "sprinto")
            same(len(store.freed(addresses, 10)), 1, "how much may go on once it is unblocked")
            same(dict(store.blocks_of([PACED.address])), {}, "what is blocked once it is unblocked")

    def test_what_has_failed_for_its_integration_goes_on_like_what_is_held(self) -> None:
        with self._store() as store:
            (start,) = starts(store, "a", PACED)
            begin_each(store, [start])
            failed = Failed(FailedReason.REJECTED, REFUSED)
            stopped = evolve(start.upload, state=failed, version=start.upload.version + 1)
            store.save([Change(stopped, gate=GateChange(PACED, AT, block=REFUSED))])
            addresses = {("acme", "sprinto"): PACED.address}
            same(list(store.freed(addresses, 10)), [], "what may go on while it is blocked")
            changed = {("acme", "sprinto"): "new settings"}
            same(len(store.freed(changed, 10)), 1, "how much may go on with other settings")

    # --- targets that take nothing now -----------------------------------------------------------

    def test_a_parked_target_lets_one_upload_probe_it_and_opens_by_success(self) -> None:
        with self._store() as store:
            unpaced, later = evolve(PACED, pace=None), AT + timedelta(hours=1)
            first, second, third = starts(store, "abc", unpaced)
            begin_each(store, [first])
            waits = evolve(first.upload.tally, parked_at=AT)
            parked = evolve(
                first.upload,
                state=Waiting(later, CLOSED),
                tally=waits,
                version=first.upload.version + 1,
            )
            store.save([Change(parked, gate=GateChange(unpaced, AT, block=CLOSED))])
            both = [Status.PENDING, Status.RETRYING]
            same(store.counts(both), {Status.PENDING: 2, Status.RETRYING: 1}, "with parked ones")
            same(
                store.counts(both, without_parked=True),
                {Status.PENDING: 2, Status.RETRYING: 0},
                "without parked ones",
            )
            same(begin_each(store, [_at(second, AT)]), [Blocked(CLOSED, later)])
            (probe,) = begin_each(store, [_at(second, later)])
            a(Begun, probe)
            until = later + timedelta(hours=1)
            same(begin_each(store, [_at(third, later)]), [Blocked(CLOSED, until)])
            here = {("acme", "sprinto"): unpaced.address}
            same(list(store.freed(here, 10)), [], "what may go on while the target is parked")
            store.save([GateChange(unpaced, later, opens=True)])
            same(len(store.freed(here, 10)), 1, "how much may go on once it takes uploads again")
            a(Begun, begin_each(store, [_at(third, later)])[0])

    # --- what outlives the store -----------------------------------------------------------------

    def test_a_fingerprint_key_is_secret_and_stays_the_same(self) -> None:
        with self._folder() as folder:
            with closing(self.open_store(folder, False)) as store:
                key = store.fingerprint_key()
                must(
                    isinstance(key, bytes) and len(key) >= 16,
                    f"a key of {len(key)} bytes is easily guessed",
                )
                same(store.fingerprint_key(), key, "the key, asked for again")
            with closing(self.open_store(folder, False)) as store:
                must(
                    not self.durable or store.fingerprint_key() == key,
                    "the key has changed with the store: every credential would count as a new one",
                )

    def test_what_was_written_outlives_the_store(self) -> None:
        if not self.durable:
            return
        with self._folder() as folder:
            new = entry()
            with closing(self.open_store(folder, False)) as store:
                store.add([new])
                begin = started(new.upload)
                begin_each(store, [begin])
                store.save([deferred(begin.upload)])
            with closing(self.open_store(folder, False)) as store:
                key = new.upload.key
                same(
                    store.get([key]).get(key),
                    Entry(deferred(begin.upload).upload, new.dossier),
                )
                same(
                    len(some(store.show("acme", "ev-1", AT)).history),
                    1,
                    "the number of its attempts",
                )

    def test_a_gate_outlives_the_store(self) -> None:
        if not self.durable:
            return
        with self._folder() as folder:
            with closing(self.open_store(folder, False)) as store:
                acquire(store, PACED, AT, 1)
                acquire(store, PACED, AT, 1)
                (first,) = starts(
                    store, "a", evolve(PACED, credential="another", address="another", pace=None)
                )
                begin_each(store, [first])
                store.save(
                    [
                        evolve(
                            deferred(first.upload), gate=GateChange(first.quota, AT, block=REFUSED)
                        )
                    ]
                )
            with closing(self.open_store(folder, False)) as store:
                a(NotBefore, acquire(store, PACED, AT, 1))
                same(acquire(store, first.quota, AT, 1), Blocked(REFUSED))


DOUBT = Failure(FailureKind.TIMEOUT, "no reply")
CLOSED = Failure(FailureKind.CHECK_IN_REVIEW, "in review", http_status=200)


def _at(start: Start, moment: datetime) -> Start:
    return evolve(start, upload=evolve(start.upload, updated_at=moment))


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _waits(store: UploadStore, evidence_id: str) -> str | None:
    return store.statuses("acme", [evidence_id], AT)[evidence_id].waits_for
