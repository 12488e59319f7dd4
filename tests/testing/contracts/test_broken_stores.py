"""A store that breaks a rule of the kit is found out, at that rule."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from breaking import Break, every_rule_bites, found_at

from evidence_courier.domain.chain import ACTION, ATTEMPT, PAUSE, RESUME
from evidence_courier.domain.chain import Record as Linked
from evidence_courier.domain.errors import MisuseError, StoreError
from evidence_courier.domain.health import MOST_LISTED, Count, RecordsHealth
from evidence_courier.domain.notices import News, Standing
from evidence_courier.domain.pacing.gate import (
    CLAIMS_FROM,
    YIELD,
    Acquired,
    Block,
    Blocked,
    GateChange,
    NotBefore,
    Quota,
    Turn,
)
from evidence_courier.domain.pacing.paused import Paused, Resumed
from evidence_courier.domain.retention import ERASED, Part
from evidence_courier.domain.telling import NOT_REFUSED, Fault, PutBack, Refused, WaitingNotice
from evidence_courier.domain.upload.failure import FailureKind
from evidence_courier.domain.upload.find import Find, Page
from evidence_courier.domain.upload.status import UploadDetails, UploadStatus, status_of_upload
from evidence_courier.domain.upload.upload import (
    UNKNOWN_PROVIDER,
    Failed,
    LookingUp,
    Sending,
    Status,
    Undecided,
    Upload,
    UploadKey,
    Waiting,
    cause_of,
)
from evidence_courier.ports.chain import ChainPage, Unlinked
from evidence_courier.ports.couriers import NO_TENANTS
from evidence_courier.ports.gates import Acquire, AcquireAnswer
from evidence_courier.ports.notices import MAX_WAIT
from evidence_courier.ports.records import (
    ActedOn,
    AddAnswer,
    AnyChange,
    BeginAnswer,
    Begun,
    Change,
    Conflict,
    Entry,
    NamedProvider,
    SaveAnswer,
    Saved,
    Start,
)
from evidence_courier.ports.removal import (
    NamingTexts,
    PersonsUpload,
    Removal,
    Removed,
    Settled,
    SettledPage,
)
from evidence_courier.ports.store import UploadStore
from evidence_courier.testing import MemoryStore
from evidence_courier.testing.contracts import StoreContract
from evidence_courier.testing.contracts.stored import AT
from evidence_courier.testing.memory_gates import MemoryGates
from evidence_courier.testing.memory_record import MemoryRecord

BROKEN: list[Break] = []
FOR_EVER = datetime.max.replace(tzinfo=UTC)


def breaks(rule: str, *also: str) -> Callable[[type[MemoryStore]], type[MemoryStore]]:
    """The store below breaks that rule, and the others that cannot but be broken with it."""

    def listed(store: type[MemoryStore]) -> type[MemoryStore]:
        class Kit(StoreContract):
            durable = False

            def open_store(self, folder: str, keep_documents: bool) -> UploadStore:
                made = store(keep_documents=keep_documents)
                made.folder = folder  # type: ignore[attr-defined]
                return made

        _list(rule, Kit, store.__name__, also)
        return store

    return listed


def breaks_when_reopened(rule: str, *also: str) -> Callable[[type[MemoryStore]], type[MemoryStore]]:
    """The same for a store that is durable: one that is opened where another one was goes on
    with what that one had."""

    def listed(store: type[MemoryStore]) -> type[MemoryStore]:
        class Kit(StoreContract):
            def open_store(self, folder: str, keep_documents: bool) -> UploadStore:
                made, before = store(keep_documents=keep_documents), FOLDERS.get(folder)
                if before is not None:
                    made.go_on_from(before)  # type: ignore[attr-defined]
                FOLDERS[folder] = made
                return made

        _list(rule, Kit, store.__name__, also)
        return store

    return listed


FOLDERS: dict[str, MemoryStore] = {}


def _list(rule: str, kit: type, name: str, also: tuple[str, ...]) -> None:
    kit.__name__ = name
    BROKEN.append(Break(f"test_{rule}", kit, frozenset(f"test_{other}" for other in also)))


# --- recording


@breaks(
    "an_upload_is_read_as_it_was_added",
    "a_known_upload_is_returned_as_it_stands_and_stays_as_it_was",
    "any_text_that_unicode_has_is_read_back_as_it_was_written",
    "a_document_that_is_made_later_replaces_what_it_was_made_of",
    "uploads_of_an_unknown_provider_get_their_provider",
    "what_is_open_or_was_written_meanwhile_stays_as_it_is",
)
class ForgetsFileNames(MemoryStore):
    def get(self, keys: Sequence[UploadKey], *, staged: bool = False) -> Mapping[UploadKey, Entry]:
        found = super().get(keys, staged=staged)
        return {key: _without_name(one) for key, one in found.items()}


def _without_name(found: Entry) -> Entry:
    document = evolve(found.dossier.document, filename=None)
    return evolve(found, dossier=evolve(found.dossier, document=document))


@breaks("what_is_not_recorded_is_absent")
class CountsNothing(MemoryStore):
    def counts(
        self, statuses: Collection[Status] = tuple(Status), *, without_parked: bool = False
    ) -> Mapping[Status, int]:
        found = super().counts(statuses, without_parked=without_parked)
        return found if self._records else {}


@breaks("nothing_may_be_asked_for_nothing")
class WantsAFirstOne(MemoryStore):
    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        assert entries[0].upload.version >= 1
        return super().add(entries)


@breaks(
    "a_known_upload_is_returned_as_it_stands_and_stays_as_it_was",
    "evidence_of_an_unknown_provider_is_known_under_any_provider",
    "evidence_of_an_unknown_provider_is_known_once_it_is_named",
    "an_evidence_is_known_after_its_person_was_erased",
    "an_evidence_of_an_erased_person_is_new_to_another_provider",
)
class TakesTheNewerDossier(MemoryStore):
    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        answers = super().add(entries)
        for entry in entries:
            self._records[entry.upload.key].dossier = entry.dossier
        return answers


@breaks(
    "of_two_with_the_same_key_in_one_call_the_first_wins",
    "evidence_of_an_unknown_provider_is_known_under_any_provider",
    "evidence_of_an_unknown_provider_is_known_once_it_is_named",
    "an_evidence_is_known_after_its_person_was_erased",
    "an_evidence_of_an_erased_person_is_new_to_another_provider",
)
class TheLastOneWins(MemoryStore):
    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        answers = super().add(entries)
        for entry in entries:
            self._records[entry.upload.key].content = entry.content
        return answers


@breaks(
    "another_tenant_or_another_provider_makes_another_upload",
    "evidence_of_an_unknown_provider_is_known_once_it_is_named",
)
class OneForEachEvidenceId(MemoryStore):
    def get(self, keys: Sequence[UploadKey], *, staged: bool = False) -> Mapping[UploadKey, Entry]:
        found = super().get(keys, staged=staged)
        by_id = {key.evidence_id: (key, one) for key, one in found.items()}
        return dict(by_id.values())


@breaks("what_cannot_be_written_is_refused_whole")
class WritesHalf(MemoryStore):
    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        answers: list[AddAnswer] = []
        for entry in entries:
            if (
                not entry.upload.key.evidence_id.isprintable()
                and "\ud800" in entry.upload.key.evidence_id
            ):
                raise StoreError("half a character cannot be written")
            answers += super().add([entry])
        return answers


@breaks("any_text_that_unicode_has_is_read_back_as_it_was_written")
class StopsAtNul(MemoryStore):
    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        details = super().show(tenant_id, evidence_id, now)
        if details is None:
            return None
        history = [
            evolve(row, message=(row.message or "").partition("\0")[0]) for row in details.history
        ]
        return evolve(details, history=tuple(history))


# --- attempts and changes


@breaks("an_attempt_begins_with_the_document_that_was_staged")
class AnEmptyDocumentIsNone(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        return [
            [
                evolve(one, content=one.content or None) if isinstance(one, Begun) else one
                for one in answers
            ]
            for answers in super().begin(turns)
        ]


@breaks("a_begun_attempt_is_on_record_before_anything_else_happens")
class SaysTooLittle(MemoryStore):
    def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        found = super().statuses(tenant_id, evidence_ids, now)
        return {name: evolve(status, last_attempt_at=None) for name, status in found.items()}


@breaks(
    "a_change_of_an_older_version_is_answered_with_what_is_stored",
    "an_upload_begun_elsewhere_takes_no_slot_and_keeps_none_back",
    "a_text_that_was_erased_is_not_written_back",
)
class ConflictsWithNobody(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        return [
            [Conflict(None) if isinstance(one, Conflict) else one for one in answers]
            for answers in super().begin(turns)
        ]


@breaks("a_change_of_what_was_never_added_finds_nothing")
class SavesAnything(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        return [Saved() if answer == Conflict(None) else answer for answer in super().save(changes)]


@breaks("what_cannot_be_done_to_one_keeps_no_other_from_being_done")
class AllOrNothing(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        if not all(start.upload.key in self._records for turn in turns for start in turn):
            return [[Conflict(None) for _ in turn] for turn in turns]
        return super().begin(turns)


@breaks("changes_of_one_upload_in_one_call_build_on_one_another")
class LooksBeforeTheCall(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        first: dict[UploadKey, Upload] = {}
        answers: list[SaveAnswer] = []
        for change in changes:
            if not isinstance(change, Change):
                answers += super().save([change])
                continue
            again = first.get(change.upload.key)
            answers += [Conflict(again)] if again is not None else super().save([change])
            first[change.upload.key] = change.upload
        return answers


@breaks(
    "the_history_holds_every_attempt_in_the_order_in_which_they_ended",
    "late_news_of_an_attempt_stands_beside_what_was_thought_of_it",
)
class TellsItBackwards(MemoryStore):
    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        details = super().show(tenant_id, evidence_id, now)
        return details and evolve(details, history=details.history[::-1])


@breaks("late_news_of_an_attempt_stands_beside_what_was_thought_of_it")
class OneRowForEachNumber(MemoryStore):
    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        details = super().show(tenant_id, evidence_id, now)
        return details and evolve(
            details, history=tuple({row.number: row for row in details.history}.values())
        )


@breaks("an_attempt_is_not_stored_of_a_change_that_was_refused")
class KeepsRefusedAttempts(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        answers = super().save(changes)
        for change, answer in zip(changes, answers, strict=True):
            if (
                isinstance(answer, Conflict)
                and isinstance(change, Change)
                and change.attempt
                and change.upload.key in self._records
            ):
                self._records[change.upload.key].attempts.append(change.attempt)
        return answers


@breaks("success_removes_the_document_unless_keep_documents_is_set")
class NeverKeeps(MemoryStore):
    def __init__(self, *, keep_documents: bool = False) -> None:
        super().__init__(keep_documents=False)


@breaks("a_removed_document_is_nowhere_in_the_stores_folder")
class LeavesItOnTheDisk(MemoryStore):
    folder = ""

    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        for number, entry in enumerate(entries):
            Path(self.folder, f"{number}.pdf").write_bytes(entry.content or b"")
        return super().add(entries)


@breaks(
    "a_document_stays_while_its_upload_may_be_sent_again",
    "what_is_open_or_was_written_meanwhile_stays_as_it_is",
    "what_is_settled_is_listed_with_what_can_be_removed",
    "what_was_removed_is_not_listed_any_more",
    "what_was_removed_is_recorded_without_the_name",
)
class CleansUpAfterFailure(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        answers = super().save(changes)
        for change in changes:
            if isinstance(change, Change) and isinstance(change.upload.state, Failed):
                self._records[change.upload.key].content = None
        return answers


# --- finding


@breaks("what_is_due_stands_in_the_line_of_its_credential")
class TheLatestIsFirst(MemoryStore):
    def due(
        self, before: datetime, limit: int, **which: Any
    ) -> Mapping[str | None, Sequence[UploadKey]]:
        found = super().due(before, 1_000, **which)
        return {line: keys[::-1][:limit] for line, keys in found.items()}


@breaks("a_retry_is_due_when_its_wait_is_over")
class NeverRetries(MemoryStore):
    def due(
        self, before: datetime, limit: int, **which: Any
    ) -> Mapping[str | None, Sequence[UploadKey]]:
        found = super().due(before, limit, **which)
        return {line: [*filter(self._was_not_tried, keys)] for line, keys in found.items()}

    def _was_not_tried(self, key: UploadKey) -> bool:
        return not isinstance(self._records[key].upload.state, Waiting)


@breaks(
    "uploads_are_counted_by_status",
    "a_parked_target_lets_one_upload_probe_it_and_opens_by_success",
    "a_look_is_given_how_all_stand_and_what_was_noted",
)
class CountsThePendingOnly(MemoryStore):
    def counts(
        self, statuses: Collection[Status] = tuple(Status), *, without_parked: bool = False
    ) -> Mapping[Status, int]:
        found = super().counts(statuses, without_parked=without_parked)
        return {**found, Status.RETRYING: 0}


@breaks(
    "statuses_are_of_the_tenant_that_is_asked_about",
    "open_uploads_of_an_invalid_tenant_wait_for_its_file",
)
class MixesTenants(MemoryStore):
    def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        found = dict(super().statuses(tenant_id, evidence_ids, now))
        for other in {key.tenant_id for key in self._records} - {tenant_id} if found else set():
            found |= super().statuses(other, evidence_ids, now)
        return found


@breaks("an_id_that_only_begins_like_a_known_one_is_not_taken_for_it")
class IgnoresCase(MemoryStore):
    def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        return super().statuses(
            tenant_id, [*evidence_ids, *(one.lower() for one in evidence_ids)], now
        )


@breaks("a_name_leads_to_no_other_record")
class TakesWildcards(MemoryStore):
    def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        if tenant_id == "%":
            tenant_id = "acme"
        return super().statuses(tenant_id, evidence_ids, now)


@breaks("thousands_of_statuses_are_read_in_one_call")
class AsManyAsSqliteHasVariables(MemoryStore):
    def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        return super().statuses(tenant_id, evidence_ids[:32_766], now)


@breaks("an_evidence_with_two_providers_shows_the_newest_upload")
class ShowsTheFirst(MemoryStore):
    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        first = next((key for key in self._records if key.tenant_id == tenant_id), None)
        details = super().show(tenant_id, evidence_id, now)
        return details if first is None else details and evolve(details, provider=first.provider)


@breaks("details_are_of_the_tenant_and_the_evidence_that_are_asked_about")
class ShowsAnyTenant(MemoryStore):
    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        found = super().show(tenant_id, evidence_id, now)
        return found or (super().show("acme", evidence_id, now) if tenant_id == "globex" else None)


@breaks(
    "every_filter_that_is_given_holds_and_the_newest_comes_first",
    "filters_by_error_provider_time_and_id_hold_together",
)
class IgnoresSince(MemoryStore):
    def find(self, find: Find, now: datetime) -> Page:
        return super().find(evolve(find, since=None), now)


@breaks(
    "pages_show_each_upload_once_though_others_arrive",
    "a_full_last_page_leads_nowhere",
)
class PagesByMoment(MemoryStore):
    _seen: dict[str, datetime]

    def find(self, find: Find, now: datetime) -> Page:
        self._seen = getattr(self, "_seen", {})
        page = super().find(find, now)
        before = self._seen.get(find.after or "")
        if page.next_page is not None:
            self._seen[page.next_page] = page.uploads[-1].created_at
        kept = [upload for upload in page.uploads if before is None or upload.created_at < before]
        return evolve(page, uploads=tuple(kept))


@breaks(
    "a_full_last_page_leads_nowhere",
    "filters_by_error_provider_time_and_id_hold_together",
)
class AFullPageHasANextOne(MemoryStore):
    def find(self, find: Find, now: datetime) -> Page:
        page = super().find(find, now)
        full = len(page.uploads) == find.limit
        return evolve(page, next_page=page.next_page or ("the next one" if full else None))


@breaks("a_token_that_no_page_gave_is_refused")
class TakesAnyToken(MemoryStore):
    def find(self, find: Find, now: datetime) -> Page:
        try:
            return super().find(find, now)
        except MisuseError:
            if find.after is None:
                raise
            return super().find(evolve(find, after=None), now)


@breaks("a_page_of_nothing_is_refused")
class GivesNothing(MemoryStore):
    def find(self, find: Find, now: datetime) -> Page:
        return Page((), None) if find.limit == 0 else super().find(find, now)


@breaks("a_closed_store_says_so_and_may_be_closed_again")
class NeverCloses(MemoryStore):
    def close(self) -> None:
        pass


# --- what people do, and what was looked up


@breaks("what_people_do_stands_in_the_history_and_is_listed_from_a_mark")
class TellsItAgain(MemoryStore):
    def acted_on(self, after: int | None) -> ActedOn:
        return super().acted_on(None if after is None else 0)


@breaks("what_a_provider_decides_later_is_due_until_it_has_decided")
class TakesADecisionForADoubt(MemoryStore):
    def get(self, keys: Sequence[UploadKey], *, staged: bool = False) -> Mapping[UploadKey, Entry]:
        return {key: _in_doubt(found) for key, found in super().get(keys, staged=staged).items()}


def _in_doubt(found: Entry) -> Entry:
    state = found.upload.state
    if not isinstance(state, Undecided):
        return found
    looking_up = LookingUp(state.look_up, state.due, state.due, state.cause)
    return evolve(found, upload=evolve(found.upload, state=looking_up))


@breaks("look_ups_stand_in_the_history", "what_is_written_later_has_no_text")
class ForgetsLookUps(MemoryStore):
    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        details = super().show(tenant_id, evidence_id, now)
        return details and evolve(details, look_ups=())


@breaks("what_waits_beyond_a_clock_that_was_set_back_is_found")
class TrustsTheClock(MemoryStore):
    def due(
        self, before: datetime, limit: int, **which: Any
    ) -> Mapping[str | None, Sequence[UploadKey]]:
        return super().due(before, limit, **which) if which.get("written_after") is None else {}


@breaks("a_transaction_is_written_whole_or_not_at_all")
class TransactionalInName(MemoryStore):
    @contextmanager
    def transaction(self) -> Iterator[None]:
        yield


# --- the gate


@breaks(
    "no_period_holds_more_requests_than_the_pace_allows",
    "a_slot_counts_from_the_end_of_its_request",
    "what_is_refused_at_the_gate_is_not_begun",
    "a_line_whose_head_does_not_move_is_not_waited_for",
)
class OneTooMany(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        return super().begin(_with_quota(turns, _wider))


def _with_quota(
    turns: Sequence[Sequence[Start]], change: Callable[[Quota], Quota]
) -> Sequence[Sequence[Start]]:
    return [[evolve(start, quota=change(start.quota)) for start in turn] for turn in turns]


def _wider(quota: Quota) -> Quota:
    pace = quota.pace
    return (
        quota
        if pace is None or quota.together > 1 or quota.cost > 1
        else evolve(quota, pace=evolve(pace, limit=pace.limit + 1))
    )


@breaks("a_slot_counts_from_the_end_of_its_request")
class CountsFromTheBeginning(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        return super().save(_with_gate(changes, lambda gate: evolve(gate, at=AT)))


@breaks(
    "what_is_refused_at_the_gate_is_not_begun",
    "no_period_holds_more_requests_than_the_pace_allows",
    "a_cool_down_holds_all_with_the_credential_until_it_is_over",
    "a_line_whose_head_does_not_move_is_not_waited_for",
)
class WritesBeforeItAsks(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        answers = super().begin(turns)
        for (start, *more), (answer, *_) in zip(turns, answers, strict=True):
            quota = start.quota
            alone = not more and quota.together == quota.cost == 1 and not quota.exclusive
            if alone and isinstance(answer, NotBefore):
                self._records[start.upload.key].upload = start.upload
        return answers


@breaks("nothing_begins_for_what_is_paused_and_all_else_goes_on")
class BeginsWhatIsPaused(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        ends = [Resumed(one.scope, one.at, one.by, one.reason) for one in self.paused()]
        self.save(ends)
        return super().begin(turns)


@breaks(
    "a_look_up_is_made_by_one_courier_at_a_time",
    "a_look_up_that_another_courier_makes_costs_no_slot",
    "a_look_up_that_may_not_begin_is_not_written",
    "nothing_that_is_paused_is_looked_up",
)
class LooksUpAsOftenAsAsked(MemoryStore):
    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        return super().acquire([evolve(one, look_up=None) for one in requests])


@breaks("a_look_up_that_another_courier_makes_costs_no_slot")
class ALostLookUpCosts(MemoryStore):
    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        answers = super().acquire(requests)
        for request, answer in zip(requests, answers, strict=True):
            if isinstance(answer, Conflict):
                super().acquire([evolve(request, look_up=None, ended=())])
        return answers


@breaks("a_look_up_that_may_not_begin_is_not_written")
class BeginsLookUpsTooEarly(MemoryStore):
    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        answers = super().acquire(requests)
        for request, answer in zip(requests, answers, strict=True):
            if isinstance(answer, NotBefore) and request.look_up is not None:
                self.save([Change(request.look_up)])
        return answers


@breaks("nothing_that_is_paused_is_looked_up")
class LooksUpWhatIsPaused(MemoryStore):
    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        ends = [Resumed(one.scope, one.at, one.by, one.reason) for one in self.paused()]
        self.save(ends)
        return super().acquire(requests)


@breaks("a_pause_stays_with_whom_it_was_and_ends_once")
class PausesAnew(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        answers: list[SaveAnswer] = []
        for one in changes:
            if isinstance(one, Paused):
                super().save([Resumed(one.scope, one.at, one.by, one.reason)])
            answers += super().save([one])
        return answers


@breaks("what_is_held_for_a_pause_goes_on_once_it_is_resumed")
class KeepsWhatWasPaused(MemoryStore):
    def freed(self, addresses: Mapping[tuple[str, str], str], limit: int) -> Sequence[Entry]:
        found = super().freed(addresses, limit)
        kinds = [cause_of(one.upload.state) for one in found]
        return [
            one
            for one, cause in zip(found, kinds, strict=True)
            if cause is None or cause.kind is not FailureKind.PAUSED
        ]


@breaks("what_was_held_waits_for_a_courier_once_that_is_over")
class WaitsForAPersonForEver(MemoryStore):
    def _status(self, record: MemoryRecord, now: datetime) -> UploadStatus:
        return status_of_upload(record.upload, record.last_attempt_at)


@breaks("the_time_of_a_pause_does_not_count_as_waiting")
class CountsPausesAsWaiting(MemoryStore):
    def _health(self, now: datetime, most: int | None) -> RecordsHealth:
        pauses = self._gates.pauses
        self._gates.pauses = [*self._gates.paused()]
        found = super()._health(now, most)
        self._gates.pauses = pauses
        return found


@breaks("an_upload_that_goes_on_after_its_end_waits_since_then")
class CountsNoRetry(MemoryStore):
    def _health(self, now: datetime, most: int | None) -> RecordsHealth:
        uploads = [one.upload for one in self._records.values()]
        for one in self._records.values():
            one.upload = evolve(one.upload, tally=evolve(one.upload.tally, reopened_at=None))
        found = super()._health(now, most)
        for one, upload in zip(self._records.values(), uploads, strict=True):
            one.upload = upload
        return found


@breaks("the_history_of_an_upload_has_the_pauses_that_held_it")
class ForgetsPausesInHistory(MemoryStore):
    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        found = super().show(tenant_id, evidence_id, now)
        if found is None:
            return None
        return evolve(found, actions=tuple(r for r in found.actions if r.action != "pause"))


@breaks(
    "a_notice_waits_for_each_sink_until_that_has_taken_it",
    "what_a_sink_does_not_take_becomes_a_summary_and_is_not_dropped",
)
class TellsOneSinkOnly(MemoryStore):
    def note(self, now: datetime, sinks: Sequence[str], news: News, seen: Mapping[str, str]) -> int:
        return super().note(now, sinks[:1], news, seen)


@breaks("what_one_has_taken_up_is_due_for_others_after_a_while")
class ForgetsWhatWasTakenUp(MemoryStore):
    def claim(
        self, sink: str, now: datetime, until: datetime, limit: int
    ) -> Sequence[WaitingNotice]:
        return super().claim(sink, now, FOR_EVER, limit)


@breaks("what_a_sink_has_not_taken_is_due_later_with_a_try_more")
class CountsNoTries(MemoryStore):
    def claim(
        self, sink: str, now: datetime, until: datetime, limit: int
    ) -> Sequence[WaitingNotice]:
        return [evolve(one, refused=NOT_REFUSED) for one in super().claim(sink, now, until, limit)]


@breaks("what_was_claimed_and_not_tried_is_due_when_it_is_put_back")
class CountsATryForWhatWasNotTold(MemoryStore):
    def put_back(self, until: datetime, again: Sequence[PutBack]) -> None:
        once = Refused(Fault.UNKNOWN)
        super().put_back(until, [evolve(one, refused=one.refused or once) for one in again])


@breaks("what_another_has_taken_up_since_is_not_put_back")
class PutsBackWhatAnotherTells(MemoryStore):
    def put_back(self, until: datetime, again: Sequence[PutBack]) -> None:
        for one in again:
            super().put_back(self._notices[one.number].due, [one])


@breaks("a_sink_that_takes_again_is_given_at_once_what_it_refused")
class KeepsBackWhatWasRefused(MemoryStore):
    def notices_taken(self, sink: str, numbers: Sequence[int], now: datetime) -> None:
        super().notices_taken("another", numbers, now)


@breaks("a_sink_that_takes_again_is_given_at_once_what_it_refused")
class KeepsBackWhatWasNotTried(MemoryStore):
    def notices_taken(self, sink: str, numbers: Sequence[int], now: datetime) -> None:
        later = {n: one.due for n, one in self._notices.items() if one.refused == NOT_REFUSED}
        super().notices_taken(sink, numbers, now)
        for number, due in later.items():
            if number in self._notices:
                self._notices[number].due = due


@breaks("health_says_what_waits_for_each_sink")
class HidesWhatWaitsForASink(MemoryStore):
    def health(self, now: datetime) -> RecordsHealth:
        return evolve(super().health(now), notices=())


@breaks("health_counts_the_couriers_that_are_registered")
class CountsWhoHasEnded(MemoryStore):
    def health(self, now: datetime) -> RecordsHealth:
        return evolve(super().health(now), couriers=self._registered)


class KeepsBackNoOther(MemoryStore):
    """Only the notices that are not due are kept back, if a courier is telling them or if not."""

    if_claimed: bool

    def claim(
        self, sink: str, now: datetime, until: datetime, limit: int
    ) -> Sequence[WaitingNotice]:
        waiting = self._notices
        self._notices = {
            number: one
            for number, one in waiting.items()
            if one.claimed != self.if_claimed or not now < one.due <= now + MAX_WAIT
        }
        found = super().claim(sink, now, until, limit)
        self._notices = waiting
        return found


@breaks("of_several_couriers_one_at_a_time_tells_a_sink")
class TellsASinkTwiceAtATime(KeepsBackNoOther):
    if_claimed = True


@breaks("a_sink_that_seems_to_be_down_is_left_alone_with_all")
class TriesASinkOnceForEach(KeepsBackNoOther):
    if_claimed = False


@breaks("a_notice_that_a_sink_refused_waits_alone")
class KeepsBackAllForOne(MemoryStore):
    def claim(
        self, sink: str, now: datetime, until: datetime, limit: int
    ) -> Sequence[WaitingNotice]:
        due = [one.due for one in self._notices.values() if one.sink == sink]
        is_back = any(one > now + MAX_WAIT for one in due)
        return super().claim(sink, now, until, limit) if is_back or max(due) <= now else []


@breaks("what_a_sink_refuses_in_a_row_is_counted_for_all")
class CountsTheTriesOfEachAlone(MemoryStore):
    def claim(
        self, sink: str, now: datetime, until: datetime, limit: int
    ) -> Sequence[WaitingNotice]:
        found = super().claim(sink, now, until, limit)
        return [evolve(one, refusals=one.refused.times) for one in found]


@breaks("what_a_sink_has_refused_alone_waits_on_while_it_takes_others")
class TellsAgainWhatWasRefusedAlone(MemoryStore):
    def notices_taken(self, sink: str, numbers: Sequence[int], now: datetime) -> None:
        super().notices_taken(sink, numbers, now)
        for one in self._waiting_for(sink).values():
            one.due = now if one.refused.fault is Fault.NOTICE else one.due


@breaks("a_look_is_given_how_all_stand_and_what_was_noted")
class ForgetsThatItLooked(MemoryStore):
    def looked(self) -> bool:
        return False


@breaks("what_a_sink_refuses_in_a_row_is_counted_for_all")
class CountsOnWhenASinkTakesAgain(MemoryStore):
    def notices_taken(self, sink: str, numbers: Sequence[int], now: datetime) -> None:
        refused = {number: one.refused for number, one in self._notices.items()}
        super().notices_taken(sink, numbers, now)
        for number, one in self._notices.items():
            one.refused = refused[number]


@breaks("a_notice_comes_behind_older_ones_about_the_same")
class TellsOutOfOrder(MemoryStore):
    def claim(
        self, sink: str, now: datetime, until: datetime, limit: int
    ) -> Sequence[WaitingNotice]:
        return sorted(super().claim(sink, now, until, limit), key=lambda one: one.refused.times)


@breaks(
    "a_look_is_given_how_all_stand_and_what_was_noted",
    "of_two_that_have_seen_the_same_notes_one_writes",
)
class NotesNothing(MemoryStore):
    def note(self, now: datetime, sinks: Sequence[str], news: News, seen: Mapping[str, str]) -> int:
        return super().note(now, sinks, News(news.notices, {}), seen)


@breaks("of_two_that_have_seen_the_same_notes_one_writes")
class WritesWhatAnotherHasWritten(MemoryStore):
    def note(self, now: datetime, sinks: Sequence[str], news: News, seen: Mapping[str, str]) -> int:
        return super().note(now, sinks, news, self.standing(now)[1])


@breaks(
    "what_a_sink_does_not_take_becomes_a_summary_and_is_not_dropped",
    "a_notice_that_is_taken_late_takes_no_summary_with_it",
)
class DropsTheOldest(MemoryStore):
    def note(self, now: datetime, sinks: Sequence[str], news: News, seen: Mapping[str, str]) -> int:
        number = super().note(now, sinks, news, seen)
        kept = self._notices.items()
        self._notices = {n: one for n, one in kept if one.notice.kind != "summary"}
        return number


@breaks("a_notice_that_is_taken_late_takes_no_summary_with_it")
class WritesTheSummaryOverTheOldest(MemoryStore):
    def note(self, now: datetime, sinks: Sequence[str], news: News, seen: Mapping[str, str]) -> int:
        before = [*self._notices]
        number = super().note(now, sinks, news, seen)
        kept = self._notices.items()
        for summary in [n for n, one in kept if one.notice.kind == "summary" and n not in before]:
            self._notices[before[0]] = self._notices.pop(summary)
        return number


@breaks("a_clock_that_was_set_back_keeps_no_notice_back")
class WaitsForAClockThatWasSetBack(MemoryStore):
    def claim(
        self, sink: str, now: datetime, until: datetime, limit: int
    ) -> Sequence[WaitingNotice]:
        due = any(one.due <= now for one in self._notices.values())
        return super().claim(sink, now, until, limit) if due else []


@breaks("a_look_sees_more_stops_than_are_listed")
class SeesTheListedStopsOnly(MemoryStore):
    def standing(self, now: datetime) -> tuple[Standing, Mapping[str, str]]:
        standing, notes = super().standing(now)
        return evolve(standing, stops=standing.stops[:MOST_LISTED]), notes


@breaks("a_look_is_given_when_the_last_upload_of_a_count_failed")
class KnowsOnlyWhenTheFirstFailed(MemoryStore):
    def __init__(self, *, keep_documents: bool = False) -> None:
        super().__init__(keep_documents=keep_documents)
        self._first: dict[tuple[str, Status, str | None], datetime | None] = {}

    def standing(self, now: datetime) -> tuple[Standing, Mapping[str, str]]:
        standing, notes = super().standing(now)
        counts = []
        for one in standing.counts:
            first = self._first.setdefault((one.tenant_id, one.status, one.reason), one.last_at)
            counts.append(evolve(one, last_at=first))
        return evolve(standing, counts=counts), notes


@breaks("a_lost_race_costs_no_slot")
class ALostRaceCosts(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        answers = super().begin(turns)
        for (start, *more), (answer, *_) in zip(turns, answers, strict=True):
            if isinstance(answer, Conflict) and not more:
                self.acquire([Acquire(start.quota, start.upload.updated_at, start.courier_id)])
        return answers


@breaks("single_requests_take_slots_as_attempts_do")
class NumbersWhatIsFree(MemoryStore):
    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        free, numbered = Acquired(), Acquired(7)
        return [numbered if answer == free else answer for answer in super().acquire(requests)]


@breaks(
    "a_request_of_no_upload_counts_from_its_end_and_may_cool_down",
    "a_courier_that_ends_lets_go_of_it",
    "between_two_requests_of_a_turn_the_holder_does_not_change",
    "the_oldest_turn_that_waits_goes_first",
    "a_status_says_what_is_waited_for",
    "a_parked_target_lets_one_upload_probe_it_and_opens_by_success",
    "a_clock_that_is_set_back_costs_one_period_at_most",
    "a_caller_that_is_late_frees_no_slot_and_ends_no_cool_down",
    "what_is_due_of_a_tenant_that_is_gone_waits_for_an_integration",
)
class NeverHearsOfTheEnd(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        save = super().save
        return [Saved() if isinstance(one, GateChange) else save([one])[0] for one in changes]


@breaks(
    "integrations_of_one_credential_share_its_pace_and_no_others_do",
    "what_is_due_stands_in_the_line_of_its_credential",
    "open_uploads_of_an_invalid_tenant_wait_for_its_file",
)
class PacesEachAddress(MemoryStore):
    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        return super().add(
            [evolve(entry, credential=f"{entry.credential} address") for entry in entries]
        )

    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        return super().begin(_with_quota(turns, _by_address))

    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        return super().acquire(
            [evolve(request, quota=_by_address(request.quota)) for request in requests]
        )

    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        def by_address(gate: GateChange) -> GateChange:
            return evolve(gate, quota=_by_address(gate.quota))

        given: list[AnyChange] = [
            by_address(one) if isinstance(one, GateChange) else one for one in changes
        ]
        return super().save(_with_gate(given, by_address))


def _with_gate(
    changes: Sequence[AnyChange], how: Callable[[GateChange], GateChange]
) -> list[AnyChange]:
    return [
        evolve(one, gate=how(one.gate)) if isinstance(one, Change) and one.gate else one
        for one in changes
    ]


def _by_address(quota: Quota) -> Quota:
    return evolve(quota, credential=f"{quota.credential} {quota.address}")


@breaks(
    "a_cool_down_holds_all_with_the_credential_until_it_is_over",
    "a_clock_that_is_set_back_prolongs_no_cool_down",
)
class NeverPauses(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        return super().save(_with_gate(changes, lambda gate: evolve(gate, cooldown_until=None)))


@breaks(
    "a_clock_that_is_set_back_prolongs_no_cool_down",
    "a_clock_that_is_set_back_costs_one_period_at_most",
)
class WaitsForYesterday(MemoryStore):
    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        return super().acquire([evolve(one, at=max(one.at, AT)) for one in requests])


@breaks("a_clock_that_is_set_back_costs_one_period_at_most")
class WaitsForYesterdaysSlots(MemoryStore):
    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        paced = [one for one in requests if one.quota.pace is not None]
        return super().acquire(
            [evolve(one, at=max(one.at, AT)) if one in paced else one for one in requests]
        )


@breaks("a_caller_that_is_late_frees_no_slot_and_ends_no_cool_down")
class TakesTheLateForTheClock(MemoryStore):
    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        for one in requests:
            for slot in (
                self._gates.states[one.quota.credential].slots.values()
                if one.quota.credential in self._gates.states
                else ()
            ):
                slot.at = min(slot.at, one.at) if slot.at.year < 9999 else slot.at
        return super().acquire(requests)


@breaks("a_blocked_integration_is_shut_until_it_is_unblocked")
class UnblocksEverybody(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        if any(isinstance(one, Change) and one.unblocks for one in changes):
            self._gates.unblock("acme", "sprinto")
        return super().save(changes)


# --- what goes together, and what only one may use


@breaks("uploads_that_go_together_take_one_slot", "a_status_is_estimated_by_how_many_go_together")
class EachPaysForItself(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        each = super().begin([[start] for turn in turns for start in turn])
        answers = iter(answer for (answer,) in each)
        return [[next(answers) for _ in turn] for turn in turns]


@breaks("an_upload_begun_elsewhere_takes_no_slot_and_keeps_none_back")
class TogetherOrNotAtAll(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        begin = super().begin
        return [
            [Conflict(start.upload) for start in turn]
            if len(turn) > 1 and any(self._outdated(start) is not None for start in turn)
            else begin([turn])[0]
            for turn in turns
        ]


@breaks(
    "what_is_refused_together_is_begun_by_none",
    "no_one_yields_for_fewer_than_a_period_of_full_requests",
)
class WritesTogetherBeforeItAsks(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        answers = super().begin(turns)
        for turn in turns:
            for start in turn if turn[0].quota.together > 1 else ():
                if self._outdated(start) is None:
                    self._records[start.upload.key].upload = start.upload
        return answers


@breaks(
    "no_one_yields_for_fewer_than_a_period_of_full_requests",
    "a_status_is_estimated_by_how_many_go_together",
)
class CountsUploadsNotRequests(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        return super().begin(_with_quota(turns, lambda quota: evolve(quota, together=1)))


@breaks("old_records_go_behind_what_is_fresh_and_leave_room_for_it")
class TakesOldRecordsForFreshOnes(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        return super().begin(_with_quota(turns, lambda quota: evolve(quota, backfill=False)))


@breaks("an_old_record_waits_for_no_older_one_that_no_courier_serves")
class KeepsTheOrderOfOldRecords(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        (start,) = turns[0]
        return super().begin(turns) if start.upload.key.evidence_id == "a" else [[NotBefore(AT)]]


@breaks("a_status_says_when_an_old_record_may_begin")
class TellsNotWhatIsOld(MemoryStore):
    def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        found = super().statuses(tenant_id, evidence_ids, now)
        return {
            name: evolve(one, waits_for=one.waits_for and one.waits_for.replace("behind", "beside"))
            for name, one in found.items()
        }


@breaks("a_status_counts_what_is_fresh_before_an_old_record")
class ForgetsWhatIsFresh(MemoryStore):
    def _ahead(self, line: str, now: datetime) -> int:
        return 0


@breaks(
    "a_status_is_estimated_by_how_many_go_together",
    "a_status_says_when_an_old_record_may_begin",
    "a_status_counts_what_is_fresh_before_an_old_record",
)
class EstimatesNothing(MemoryStore):
    def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        found = super().statuses(tenant_id, evidence_ids, now)
        return {name: evolve(status, next_attempt_at=None) for name, status in found.items()}


@breaks(
    "only_one_courier_at_a_time_uses_an_exclusive_credential",
    "it_is_handed_over_when_no_turn_is_open_and_its_time_is_over",
    "between_two_requests_of_a_turn_the_holder_does_not_change",
)
class SharesWhatIsExclusive(MemoryStore):
    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        return super().acquire(
            [evolve(one, quota=evolve(one.quota, exclusive=False)) for one in requests]
        )


@breaks(
    "it_is_handed_over_when_no_turn_is_open_and_its_time_is_over",
    "between_two_requests_of_a_turn_the_holder_does_not_change",
)
class NeverHandsOver(MemoryStore):
    _first: int | None = None

    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        (request,) = requests
        if request.quota.exclusive and self._first not in (None, request.courier_id):
            return [NotBefore(request.at + YIELD)]
        return super().acquire(requests)

    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        if self._first is None and turns and turns[0][0].quota.exclusive:
            self._first = turns[0][0].courier_id
        return super().begin(turns)


@breaks(
    "each_request_counts_from_its_own_end",
    "at_a_short_period_only_what_waits_holds_others_back",
)
class ForgetsWhatARefusalBrings(MemoryStore):
    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        return super().acquire([evolve(request, ended=()) for request in requests])


@breaks(
    "what_has_begun_keeps_its_claim_on_the_slots",
    "a_claim_is_over_when_its_courier_is",
    "a_claim_that_is_not_renewed_is_over_after_a_while",
    "who_cannot_wait_begins_when_all_its_requests_can_leave_in_time",
    "the_oldest_turn_that_waits_goes_first",
    "a_status_says_what_is_waited_for",
)
class OwesNothing(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        return super().begin(_with_quota(turns, _cheap))


def _cheap(quota: Quota) -> Quota:
    return quota if quota.exclusive else evolve(quota, cost=1)


@breaks(
    "a_claim_is_over_with_its_turn",
    "who_cannot_wait_begins_when_all_its_requests_can_leave_in_time",
)
class NeverEndsATurn(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        return super().save(
            _with_gate(
                changes, lambda gate: gate if gate.quota.exclusive else evolve(gate, turn=None)
            )
        )


@breaks(
    "a_claim_is_over_when_its_courier_is",
)
class KeepsTheTurnsOfTheDead(MemoryStore):
    def unregister(self, courier_id: int) -> None:
        kept = [(gate, dict(gate.turns)) for gate in self._gates.states.values()]
        super().unregister(courier_id)
        for gate, turns in kept:
            gate.turns = turns


@breaks("a_claim_that_is_not_renewed_is_over_after_a_while")
class RemembersTurnsForEver(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        for gate in self._gates.states.values():
            gate.turns = {n: evolve(turn, until=FOR_EVER) for n, turn in gate.turns.items()}
        return super().begin(turns)


@breaks("at_a_short_period_only_what_waits_holds_others_back")
class CountsClaimsAtAnyPeriod(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        answers = super().begin(turns)
        for gate in self._gates.states.values():
            if gate.quota.pace is not None and gate.quota.pace.period < CLAIMS_FROM:
                gate.turns[1_000] = Turn(1_000, 1, 1, waits=True, until=AT + YIELD)
        return answers


@breaks("the_oldest_turn_that_waits_goes_first", "a_status_says_what_is_waited_for")
class ForgetsWhoWaits(MemoryStore):
    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        answers = super().acquire(requests)
        for gate in self._gates.states.values():
            gate.turns = {n: evolve(turn, waits=False) for n, turn in gate.turns.items()}
        return answers


@breaks("after_a_block_no_request_of_a_begun_upload_leaves")
class LetsBegunUploadsPassABlock(MemoryStore):
    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        begun = [one for one in requests if one.turn is not None or one.quota.pace is None]
        if begun and begun[0].quota.credential in ("unpaced", "credential"):
            return [
                Acquired() if isinstance(answer, Blocked) and request.quota.cost == 2 else answer
                for request, answer in zip(requests, super().acquire(requests), strict=True)
            ]
        return super().acquire(requests)


@breaks(
    "a_line_whose_head_does_not_move_is_not_waited_for",
    "a_head_of_the_line_that_finds_no_slot_is_waited_for",
)
class WaitsForTheHeadForEver(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        for gate in self._gates.states.values():
            gate.head = None
        return super().begin(turns)


@breaks("a_head_of_the_line_that_finds_no_slot_is_waited_for")
class DoesNotHearTheHeadAsk(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        heads = {credential: gate.head for credential, gate in self._gates.states.items()}
        answers = super().begin(turns)
        for credential, head in heads.items():
            self._gates.states[credential].head = head or self._gates.states[credential].head
        return answers


@breaks("who_cannot_wait_begins_when_all_its_requests_can_leave_in_time")
class ThinksThatAllCanWait(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        return super().begin([[evolve(one, patience=None) for one in turn] for turn in turns])


@breaks("what_does_not_leave_at_once_has_no_slot_yet")
class AlwaysGivesASlot(MemoryStore):
    def begin(self, turns: Sequence[Sequence[Start]]) -> Sequence[Sequence[BeginAnswer]]:
        return super().begin([[evolve(one, leaves=True) for one in turn] for turn in turns])


@breaks("between_two_requests_of_a_turn_the_holder_does_not_change")
class OpensNoTurns(MemoryStore):
    def acquire(self, requests: Sequence[Acquire]) -> Sequence[AcquireAnswer]:
        for gate in self._gates.states.values():
            if gate.lease is not None and gate.quota.cost == 2:
                gate.turns = {}
        return super().acquire(requests)


@breaks(
    "a_courier_that_ends_lets_go_of_it",
    "a_claim_is_over_when_its_courier_is",
)
class HoldsOn(MemoryStore):
    def unregister(self, courier_id: int) -> None:
        self._couriers.discard(courier_id)


# --- the couriers, and what is held


@breaks("each_courier_has_a_number_of_its_own")
class RunsOutOfNumbers(MemoryStore):
    def heartbeat(self, courier_id: int | None, now: datetime) -> int:
        return min(super().heartbeat(courier_id, now), 2)


@breaks("what_a_courier_sends_is_known_as_its_own")
class MixesCouriers(MemoryStore):
    def dead(
        self, caller: int, limit: int, without: Mapping[int, Collection[str]] = NO_TENANTS
    ) -> Mapping[int, Sequence[Entry]]:
        dead = super().dead(caller, limit, without)
        return {one: [found for left in dead.values() for found in left] for one in dead}


@breaks("what_a_courier_sends_is_known_as_its_own")
class ForgetsWhoSends(MemoryStore):
    def get(self, keys: Sequence[UploadKey], *, staged: bool = False) -> Mapping[UploadKey, Entry]:
        found = super().get(keys, staged=staged)
        return {key: evolve(one, courier_id=None) for key, one in found.items()}


@breaks(
    "a_courier_is_dead_once_it_has_ended_with_uploads_in_flight",
    "what_a_courier_sends_is_known_as_its_own",
    "what_a_dead_courier_was_sending_is_read_by_the_page",
)
class NobodyDies(MemoryStore):
    def dead(
        self, caller: int, limit: int, without: Mapping[int, Collection[str]] = NO_TENANTS
    ) -> Mapping[int, Sequence[Entry]]:
        return {}


@breaks("what_a_dead_courier_was_sending_is_read_by_the_page")
class ReadsAllOfTheDead(MemoryStore):
    def dead(
        self, caller: int, limit: int, without: Mapping[int, Collection[str]] = NO_TENANTS
    ) -> Mapping[int, Sequence[Entry]]:
        return super().dead(caller, 99)


@breaks("who_ended_in_order_is_not_dead", "what_a_courier_sends_is_known_as_its_own")
class EverybodyDies(MemoryStore):
    def dead(
        self, caller: int, limit: int, without: Mapping[int, Collection[str]] = NO_TENANTS
    ) -> Mapping[int, Sequence[Entry]]:
        ended = {*range(1, self._registered + 1)} - self._couriers - {caller}
        return {**{one: [] for one in ended}, **super().dead(caller, limit, without)}


@breaks("what_is_held_for_its_integration_is_found_by_tenant_and_provider")
class HeldAnywhere(MemoryStore):
    def freed(self, addresses: Mapping[tuple[str, str], str], limit: int) -> Sequence[Entry]:
        anywhere = {(tenant_id, "sprinto"): found for (tenant_id, _), found in addresses.items()}
        return super().freed(anywhere, limit)


@breaks(
    "what_is_held_stays_held_while_its_integration_is_blocked",
    "what_has_failed_for_its_integration_goes_on_like_what_is_held",
    "a_parked_target_lets_one_upload_probe_it_and_opens_by_success",
)
class FreesWhatIsBlocked(MemoryStore):
    def freed(self, addresses: Mapping[tuple[str, str], str], limit: int) -> Sequence[Entry]:
        return super().freed(dict.fromkeys(addresses, "an address that nothing blocks"), limit)


@breaks("what_is_held_stays_held_while_its_integration_is_blocked")
class KnowsNoBlock(MemoryStore):
    def blocks_of(self, addresses: Iterable[str]) -> Mapping[str, Block]:
        return {}


@breaks("what_has_failed_for_its_integration_goes_on_like_what_is_held")
class FreesOnlyWhatIsHeld(MemoryStore):
    def freed(self, addresses: Mapping[tuple[str, str], str], limit: int) -> Sequence[Entry]:
        found = super().freed(addresses, limit)
        return [one for one in found if one.upload.status is not Status.FAILED]


@breaks("a_parked_target_lets_one_upload_probe_it_and_opens_by_success")
class NeverOpens(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        return super().save(
            [evolve(one, opens=False) if isinstance(one, GateChange) else one for one in changes]
        )


# --- what outlives the store


@breaks("a_fingerprint_key_is_secret_and_stays_the_same")
class AlwaysAnotherKey(MemoryStore):
    def fingerprint_key(self) -> bytes:
        return os.urandom(32)


class Lasting(MemoryStore):
    """Goes on with everything that another one had."""

    def go_on_from(self, before: Any) -> None:
        self._records, self._gates = before._records, before._gates
        self._notices = before._notices
        self._couriers, self._registered, self._acted = (
            before._couriers,
            before._registered,
            before._acted,
        )


@breaks_when_reopened("a_pause_outlives_the_store_and_is_among_the_stops")
class PausesUntilItsEnd(Lasting):
    def go_on_from(self, before: Any) -> None:
        super().go_on_from(before)
        self._gates.pauses = []


@breaks_when_reopened("a_notice_outlives_the_store")
class NoticesUntilItsEnd(Lasting):
    def go_on_from(self, before: Any) -> None:
        super().go_on_from(before)
        self._notices = {}


@breaks_when_reopened("a_fingerprint_key_is_secret_and_stays_the_same")
class AKeyForEachOpening(Lasting):
    def __init__(self, *, keep_documents: bool = False) -> None:
        super().__init__(keep_documents=keep_documents)
        self._own_key = os.urandom(32)

    def fingerprint_key(self) -> bytes:
        return self._own_key


@breaks_when_reopened("what_was_written_outlives_the_store")
class ForgetsItsAttempts(Lasting):
    def go_on_from(self, before: Any) -> None:
        super().go_on_from(before)
        for record in self._records.values():
            record.attempts.clear()


@breaks_when_reopened(
    "a_gate_outlives_the_store", "a_pause_outlives_the_store_and_is_among_the_stops"
)
class ForgetsItsGates(Lasting):
    def go_on_from(self, before: Any) -> None:
        super().go_on_from(before)
        self._gates = MemoryGates(self._before, self._head)


# --- what came later: documents that are made later, unknown providers, what is waited for


@breaks("a_document_that_is_made_later_replaces_what_it_was_made_of")
class KeepsTheFirstDocument(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        return super().save(
            [evolve(one, document=None) if isinstance(one, Change) else one for one in changes]
        )


@breaks("evidence_of_an_unknown_provider_is_known_under_any_provider")
class AsksForTheKeyAlone(MemoryStore):
    _adding = False

    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        self._adding = True
        try:
            return super().add(entries)
        finally:
            self._adding = False

    def _newest(self, tenant_id: str, evidence_id: str) -> Any:
        return None if self._adding else super()._newest(tenant_id, evidence_id)


@breaks(
    "evidence_of_an_unknown_provider_is_known_once_it_is_named",
    "uploads_of_an_unknown_provider_get_their_provider",
)
class NamesNone(MemoryStore):
    def _name(self, key: UploadKey, credential: str | None, settings: Mapping[str, object]) -> None:
        pass


@breaks("filters_by_error_provider_time_and_id_hold_together")
class FindsEveryError(MemoryStore):
    def find(self, find: Find, now: datetime) -> Page:
        return super().find(evolve(find, kind=None), now)


@breaks("a_filter_takes_any_text_as_it_is")
class FindsByPattern(MemoryStore):
    def find(self, find: Find, now: datetime) -> Page:
        return super().find(evolve(find, id_prefix=(find.id_prefix or "").rstrip("%_*")), now)


@breaks("an_attempt_that_is_running_is_shown_with_its_courier")
class ShowsNothingRunning(MemoryStore):
    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        found = super().show(tenant_id, evidence_id, now)
        return None if found is None else evolve(found, running=None)


@breaks("uploads_are_counted_by_tenant_provider_status_and_error")
class CountsWithoutError(MemoryStore):
    def counted(self, find: Find) -> Sequence[Count]:
        return [evolve(one, reason=None) for one in super().counted(find)]


@breaks(
    "the_overview_shows_the_oldest_open_upload_and_the_last_success",
    "what_is_parked_stands_beside_the_oldest_open_upload",
)
class KnowsNoOldest(MemoryStore):
    def health(self, now: datetime) -> RecordsHealth:
        return evolve(super().health(now), oldest_open=None)


@breaks("what_is_parked_stands_beside_the_oldest_open_upload")
class CountsNothingParked(MemoryStore):
    def health(self, now: datetime) -> RecordsHealth:
        return evolve(super().health(now), parked=0)


@breaks(
    "what_is_blocked_is_listed_until_an_upload_succeeds",
    "what_is_parked_stands_beside_the_oldest_open_upload",
    "a_pause_outlives_the_store_and_is_among_the_stops",
)
class ListsNoStop(MemoryStore):
    def health(self, now: datetime) -> RecordsHealth:
        return evolve(super().health(now), stops=())


@breaks("what_is_due_of_a_tenant_that_is_gone_waits_for_an_integration")
class ForgetsWhoIsGone(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        answers = super().save(changes)
        kept = FailureKind.INTEGRATION_INVALID
        self._invalid = {one: why for one, why in self._invalid.items() if why[0] is kept}
        return answers


@breaks(
    "open_uploads_of_an_invalid_tenant_wait_for_its_file",
    "what_is_due_of_a_tenant_that_is_gone_waits_for_an_integration",
    "what_is_blocked_is_listed_until_an_upload_succeeds",
)
class ForgetsWhoIsInvalid(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        answers = super().save(changes)
        self._invalid = {}
        return answers


@breaks("uploads_of_an_unknown_provider_get_their_provider")
class NamesNoProvider(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        save = super().save
        return [Saved() if isinstance(one, NamedProvider) else save([one])[0] for one in changes]


@breaks("what_was_skipped_is_sent_once_it_is_no_longer_excluded")
class StagesNothingForTheSkipped(MemoryStore):
    def add(self, entries: Sequence[Entry]) -> Sequence[AddAnswer]:
        return super().add(
            [
                evolve(one, content=None) if one.upload.status is Status.SKIPPED else one
                for one in entries
            ]
        )


@breaks("a_status_says_that_another_courier_has_the_lease")
class HidesTheLease(MemoryStore):
    hidden = "lease"

    def statuses(
        self, tenant_id: str, evidence_ids: Sequence[str], now: datetime
    ) -> Mapping[str, UploadStatus]:
        found = super().statuses(tenant_id, evidence_ids, now)
        return {key: self._without(status) for key, status in found.items()}

    def _without(self, status: UploadStatus) -> UploadStatus:
        hides = self.hidden in (status.waits_for or "")
        return evolve(status, waits_for=None) if hides else status


@breaks(
    "a_status_says_what_is_waited_for",
    "what_is_due_of_a_tenant_that_is_gone_waits_for_an_integration",
)
class HidesTheCoolDown(HidesTheLease):
    hidden = "cool-down"


@breaks(
    "settled_attempts_and_what_people_did_are_linked",
)
class LinksNoAction(MemoryStore):
    def _settled(self) -> Iterator[Linked]:
        return (one for one in super()._settled() if one.kind != ACTION)


@breaks("pauses_and_their_ends_are_linked")
class LinksNoPause(MemoryStore):
    def _settled(self) -> Iterator[Linked]:
        return (one for one in super()._settled() if one.kind not in (PAUSE, RESUME))


@breaks("an_attempt_under_way_is_in_no_link")
class LinksWhatIsUnderWay(MemoryStore):
    def _settled(self) -> Iterator[Linked]:
        yield from super()._settled()
        for one in self._records.values():
            if isinstance(one.upload.state, Sending):
                yield Linked(one.upload.key.tenant_id, ATTEMPT, -one.arrival, "one", {})


@breaks(
    "each_tenant_has_a_chain_of_its_own",
    "what_is_not_linked_yet_is_counted",
    "pauses_and_their_ends_are_linked",
)
class MakesOneChain(MemoryStore):
    def _settled(self) -> Iterator[Linked]:
        return (evolve(one, tenant_id="acme") for one in super()._settled())


@breaks("a_chain_grows_behind_its_head", "pauses_and_their_ends_are_linked")
class BeginsAnewEachTime(MemoryStore):
    def link(self, limit: int, now: datetime, *, late: bool = True) -> int:
        before, self._heads = self._heads, {}
        done = super().link(limit, now, late=late)
        self._heads = before | self._heads
        return done


@breaks("links_are_read_by_the_page")
class ReadsAllLinks(MemoryStore):
    def links(self, tenant_id: str, after: int, limit: int) -> ChainPage:
        return super().links(tenant_id, after, 1000)


@breaks("what_is_not_linked_yet_is_counted")
class KnowsOfNothingUnlinked(MemoryStore):
    def chains(self) -> Mapping[str, Unlinked]:
        return {one: Unlinked(0, ()) for one in super().chains()}


# --- what is removed


@breaks("what_is_settled_is_listed_with_what_can_be_removed")
class ListsEveryPart(MemoryStore):
    def settled(self, after: int, limit: int) -> SettledPage:
        page = super().settled(after, limit)
        return evolve(page, uploads=[evolve(one, parts=frozenset(Part)) for one in page.uploads])


@breaks("what_is_settled_is_listed_in_pages")
class ListsAllAtOnce(MemoryStore):
    def settled(self, after: int, limit: int) -> SettledPage:
        return super().settled(after, 1000)


@breaks("it_is_known_how_far_was_looked")
class ForgetsHowFarItLooked(MemoryStore):
    def look_from(self, mark: int) -> None:
        pass


@breaks("what_was_removed_is_shown_with_who_removed_it")
class ShowsNoneOfIt(MemoryStore):
    def _status(self, record: MemoryRecord, now: datetime) -> UploadStatus:
        status = super()._status(record, now)
        return evolve(status, erased_at=None, pruned_at=None)


@breaks("an_upload_whose_time_was_over_says_so")
class HidesThatTheTimeWasOver(MemoryStore):
    def _status(self, record: MemoryRecord, now: datetime) -> UploadStatus:
        return evolve(super()._status(record, now), out_of_time=False)


@breaks("what_cannot_be_sent_again_once_its_person_was_erased_says_why")
class SaysNotWhyItCannotBeSent(MemoryStore):
    def show(self, tenant_id: str, evidence_id: str, now: datetime) -> UploadDetails | None:
        shown = super().show(tenant_id, evidence_id, now)
        if shown is None or shown.error is None or shown.error.kind != "document_gone":
            return shown
        return evolve(shown, error=evolve(shown.error, message=ERASED))


@breaks("what_another_courier_has_pruned_is_not_recorded_twice")
class RecordsWhatOthersPruned(MemoryStore):
    def remove(self, removal: Removal) -> Removed:
        removed = super().remove(removal)
        if removed.left and self._removed:
            self._removed.append(evolve(self._removed[-1], uploads=0))
        return removed


@breaks("what_was_removed_is_not_listed_any_more")
class ListsWhatIsGone(MemoryStore):
    _gone: Sequence[Settled] = ()

    def settled(self, after: int, limit: int) -> SettledPage:
        page = super().settled(after, limit)
        return evolve(page, uploads=[*page.uploads, *self._gone])

    def remove(self, removal: Removal) -> Removed:
        self._gone = super().settled(0, 1000).uploads
        return super().remove(removal)


class LeavesAPart(MemoryStore):
    """Leaves a part that is to be removed alone."""

    left: Part

    def remove(self, removal: Removal) -> Removed:
        parts = {
            key: (version, some - {self.left} if len(some) == 1 else some)
            for key, (version, some) in removal.parts.items()
        }
        return super().remove(evolve(removal, parts=parts))


@breaks("a_document_that_is_removed_is_gone_and_the_rest_stays")
class LeavesDocuments(LeavesAPart):
    left = Part.DOCUMENT


@breaks("attempts_that_are_removed_are_gone_and_the_counts_stay")
class LeavesAttempts(LeavesAPart):
    left = Part.ATTEMPTS


@breaks("what_names_a_person_is_gone_and_the_skeleton_stays")
class LeavesTheSession(MemoryStore):
    def remove(self, removal: Removal) -> Removed:
        before = [(one, one.dossier.session_id) for one in self._records.values()]
        removed = super().remove(removal)
        for record, session_id in before:
            record.dossier = evolve(record.dossier, session_id=session_id)
        return removed


@breaks(
    "what_is_open_or_was_written_meanwhile_stays_as_it_is",
    "what_another_courier_has_pruned_is_not_recorded_twice",
)
class RemovesWhatWasWrittenMeanwhile(MemoryStore):
    def remove(self, removal: Removal) -> Removed:
        parts = {
            key: (self._records[key].upload.version, some)
            for key, (_, some) in removal.parts.items()
        }
        return super().remove(evolve(removal, parts=parts))


class StaysAtItsVersion(MemoryStore):
    """Raises no version of an upload that is erased, or of one that only names the person."""

    of_erased: bool

    def remove(self, removal: Removal) -> Removed:
        before = [(one, one.upload.version) for one in self._records.values()]
        removed = super().remove(removal)
        for record, version in before:
            if (record.erased_at is not None) == self.of_erased:
                record.upload = evolve(record.upload, version=version)
        return removed


@breaks(
    "a_courier_that_has_read_it_before_is_too_late",
    "what_another_courier_has_pruned_is_not_recorded_twice",
)
class ErasesUnseen(StaysAtItsVersion):
    of_erased = True


@breaks("a_text_that_was_erased_is_not_written_back")
class BlanksUnseen(StaysAtItsVersion):
    of_erased = False


@breaks("what_is_written_later_has_no_text")
class WritesTextsAgain(MemoryStore):
    def save(self, changes: Sequence[AnyChange]) -> Sequence[SaveAnswer]:
        erased = [one for one in self._records.values() if one.erased_at]
        for record in erased:
            record.erased_at = None
        try:
            return super().save(changes)
        finally:
            for record in erased:
                record.erased_at = AT


@breaks(
    "an_evidence_is_known_after_its_person_was_erased",
    "an_evidence_of_an_erased_person_is_new_to_another_provider",
)
class ForgetsWhatItErased(MemoryStore):
    def _erased(self, tenant_id: str, evidence_id: str, provider: str = "") -> None:
        return None


@breaks("an_evidence_of_an_erased_person_is_new_to_another_provider")
class KnowsWhatItErasedForEveryProvider(MemoryStore):
    def _erased(
        self, tenant_id: str, evidence_id: str, provider: str = UNKNOWN_PROVIDER
    ) -> MemoryRecord | None:
        return super()._erased(tenant_id, evidence_id)


@breaks("the_uploads_of_a_person_are_found_by_id_and_by_address")
class TellsOneName(MemoryStore):
    def of_person(self, tenant_id: str, subject: str) -> Sequence[PersonsUpload]:
        return [evolve(one, names=one.names[:1]) for one in super().of_person(tenant_id, subject)]


@breaks("the_uploads_of_a_person_are_found_by_any_spelling")
class ComparesCaseAlone(MemoryStore):
    def of_person(self, tenant_id: str, subject: str) -> Sequence[PersonsUpload]:
        asked, found = subject.casefold(), super().of_person(tenant_id, subject)
        return [one for one in found if asked in map(str.casefold, one.names)]


@breaks(
    "a_person_goes_from_the_texts_of_a_tenants_other_uploads",
    "a_text_that_was_erased_is_not_written_back",
    "texts_that_name_a_person_are_found_before_they_are_erased",
)
class SearchesNoUpload(MemoryStore):
    def _search(self, tenant_id: str, called: Sequence[str]) -> int:
        records, self._records = self._records, {}
        found = super()._search(tenant_id, called)
        self._records = records
        return found


@breaks("texts_that_name_a_person_are_found_before_they_are_erased")
class CountsThePersonsOwn(MemoryStore):
    def naming(
        self, tenant_id: str, names: Sequence[str], besides: Collection[UploadKey]
    ) -> NamingTexts:
        return super().naming(tenant_id, names, [])


@breaks("a_longer_name_of_another_person_is_not_the_persons")
class TakesALongerNameForThePersons(MemoryStore):
    def _search(self, tenant_id: str, called: Sequence[str]) -> int:
        return super()._search(tenant_id, [*called, "jane.doe"])


@breaks("a_person_goes_from_what_people_have_paused")
class BlanksNoPause(MemoryStore):
    def _search(self, tenant_id: str, called: Sequence[str]) -> int:
        pauses = self._gates.pauses
        found = super()._search(tenant_id, called)
        self._gates.pauses = pauses
        return found


@breaks("the_hash_chain_stays_whole")
class RemovesLinks(MemoryStore):
    def remove(self, removal: Removal) -> Removed:
        self._links = self._links[1:]
        return super().remove(removal)


@breaks("what_was_removed_is_recorded_without_the_name")
class RecordsTheName(MemoryStore):
    def remove(self, removal: Removal) -> Removed:
        removed = super().remove(removal)
        if self._removed:
            self._removed[-1] = evolve(self._removed[-1], subject=removal.subject)
        return removed


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_it_is_found_at_its_rule(broken: Break) -> None:
    found_at(broken)


def test_every_rule_bites() -> None:
    every_rule_bites(StoreContract, BROKEN)
