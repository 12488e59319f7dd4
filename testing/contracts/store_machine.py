"""A store beside the one in memory: whatever is asked of both, in whatever order, both answer the
same.

    TestMyStoreMachine = store_machine(lambda folder, keep_documents: MyStore(folder,
    keep_documents=keep_documents))

The machine is Hypothesis', and so needs the extra `testing`: ``pip install
"evidence-courier[testing]"``.
"""

from __future__ import annotations

import tempfile
import unicodedata
import unittest
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from typing import TypeVar

from attrs import evolve, frozen

try:
    from hypothesis import given, settings
    from hypothesis import strategies as st
    from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
except ModuleNotFoundError as error:
    if error.name != "hypothesis":
        raise
    raise ModuleNotFoundError(
        'the state machine for stores needs Hypothesis: pip install "evidence-courier[testing]"',
        name="hypothesis",
    ) from None

from ...delivery.chain import faults_of
from ...domain.evidence.evidence import Outcome
from ...domain.integration import Pace
from ...domain.pacing.gate import Acquired, GateChange, NotBefore, Quota
from ...domain.pacing.paused import Paused, Resumed, Scope
from ...domain.retention import Part
from ...domain.upload.actions import Person
from ...domain.upload.attempt import Attempt
from ...domain.upload.failure import Failure, FailureKind
from ...domain.upload.find import Find, all_of
from ...domain.upload.upload import (
    COUNTED_BELOW,
    Failed,
    FailedReason,
    Held,
    LookingUp,
    Queued,
    Sending,
    Skipped,
    State,
    Status,
    Succeeded,
    Tally,
    Undecided,
    Upload,
    UploadKey,
    Waiting,
    new_upload,
)
from ...domain.upload.verdict import VERDICTS, Delivered, Receipt, verdict_of
from ...ports.gates import Acquire, AcquireAnswer
from ...ports.records import (
    Added,
    BeginAnswer,
    Begun,
    Change,
    Dossier,
    Entry,
    SaveAnswer,
    Saved,
    Start,
    StoredDocument,
)
from ...ports.removal import Removal
from ...ports.store import UploadStore
from ..memory_store import MemoryStore
from .assertions import must, same
from .stored import BUSY_PROVIDER, unblock

T = TypeVar("T")

AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
LARGEST = 2**63 - 1
# All that UTF-8 can write: every script, every control character, NUL too; not the halves of
# characters.
texts = st.text(st.characters(exclude_categories=["Cs"]))
zones = st.sampled_from(
    [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=11))]
)
moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones)  # noqa: DTZ001
tallied = st.integers(0, 5) | st.integers(0, COUNTED_BELOW - 1)
failures = st.builds(
    Failure,
    st.sampled_from(FailureKind),
    texts,
    http_status=st.none() | st.integers(100, 599),
    retry_after=st.none() | st.floats(allow_nan=False),
    detail=st.none() | texts,
)
receipts = st.builds(Receipt, st.none() | texts, st.none() | texts)
states: st.SearchStrategy[State] = st.one_of(
    st.builds(Queued, moments),
    st.builds(Sending, tallied, moments, st.none() | failures),
    st.builds(Waiting, moments, failures),
    st.builds(LookingUp, tallied, moments, moments, failures),
    st.builds(Undecided, tallied, moments, moments, failures),
    st.builds(Held, failures),
    st.builds(Succeeded, receipts),
    st.builds(Failed, st.sampled_from(FailedReason), failures),
    st.builds(Skipped, failures),
)
tallies = st.builds(
    Tally,
    attempts=tallied,
    spent=tallied,
    doubt=st.booleans(),
    possible_duplicate=st.booleans(),
    progress=st.none() | texts | st.just("bookmark ").map(lambda word: word * 20_000),
    alone=st.booleans(),
    parked_at=st.none() | moments,
    tried_since=st.none() | moments,
    reopened_at=st.none() | moments,
)
verdicts = st.builds(Delivered, receipts) | st.builds(
    verdict_of, st.sampled_from([word for word in VERDICTS if word != "delivered"]), failures
)
attempts = st.builds(Attempt, tallied, moments, moments, verdicts, st.none() | texts)
json_values: st.SearchStrategy[object] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=5,
)
documents = st.builds(
    StoredDocument,
    sha256=texts,
    size=st.integers(0, 5) | st.integers(0, LARGEST),
    media_type=texts,
    filename=st.none() | texts,
    source=st.none() | texts,
)
dossiers = st.builds(
    Dossier,
    session_id=texts,
    subject=texts,
    subject_email=st.none() | texts,
    outcome=st.sampled_from(Outcome),
    recorded_at=moments,
    submitted_digest=texts,
    document=documents,
    settings=st.dictionaries(texts, json_values, max_size=3),
    backfill=st.booleans(),
)


keys = st.builds(UploadKey, texts, texts, texts)


def uploads(
    keys: st.SearchStrategy[UploadKey], created: st.SearchStrategy[datetime]
) -> st.SearchStrategy[Upload]:
    """Uploads of those keys, created then, and in any state."""
    return st.builds(
        Upload,
        key=keys,
        digest=texts,
        evidence_date=st.dates(),
        created_at=created,
        updated_at=moments,
        version=st.integers(1, COUNTED_BELOW - 2),
        tally=tallies,
        state=states,
    )


def round_trips(store: UploadStore, examples: int = 60) -> None:
    """Whatever an upload, its dossier and its attempts hold, the store reads it back as it was
    written, and shows it as `MemoryStore` does."""
    arrivals = count()

    @given(
        upload=uploads(keys, moments),
        dossier=dossiers,
        state=states,
        tally=tallies,
        attempt=attempts,
    )
    @settings(max_examples=examples, deadline=None)
    def check(
        upload: Upload, dossier: Dossier, state: State, tally: Tally, attempt: Attempt
    ) -> None:
        # A key that no example before has used.
        key = upload.key._replace(evidence_id=f"{upload.key.evidence_id}{next(arrivals)}")
        upload = evolve(upload, key=key)
        after = evolve(upload, state=state, tally=tally, version=upload.version + 1)
        details = []
        for one in (store, MemoryStore()):
            same(one.add([Entry(upload, dossier)]), [Added()])
            same(one.get([key]), {key: Entry(upload, dossier)})
            same(one.save([Change(after, attempt)]), [Saved()])
            same(one.get([key]), {key: Entry(after, dossier)})
            details.append(one.show(key.tenant_id, key.evidence_id, AT))
        same(details[0], details[1], "how it is shown")

    check()


few_moments = st.builds(lambda minute: AT + timedelta(minutes=minute), st.integers(0, 3))
few_keys = st.builds(
    UploadKey,
    st.sampled_from(["acme", "globex", "initech"]),
    st.sampled_from("abc"),
    st.sampled_from(["sprinto", "vanta"]),
)


def is_elsewhere(entry: Entry) -> bool:
    """Whether the host stores the document."""
    return entry.dossier.document.source is not None


few_entries = st.lists(
    st.builds(
        Entry,
        uploads(few_keys, few_moments).map(lambda upload: evolve(upload, version=1)),
        dossiers,
        st.none() | st.binary(max_size=8),
    ).map(
        # The bytes of a document that the host stores are not staged.
        lambda entry: evolve(entry, content=None) if is_elsewhere(entry) else entry
    ),
    max_size=4,
)
spans = (
    st.tuples(few_moments, few_moments)
    .map(sorted)
    .flatmap(lambda both: st.tuples(*(st.sampled_from([None, one]) for one in both)))
)
finds = st.builds(
    lambda span, **given: Find(since=span[0], until=span[1], **given),
    spans,
    tenant_id=st.none() | st.sampled_from(["acme", "globex"]),
    statuses=st.lists(st.sampled_from(Status), max_size=3),
    kind=st.none() | st.sampled_from([kind.value for kind in FailureKind]),
    provider=st.none() | st.sampled_from(["sprinto", "vanta"]),
    id_prefix=st.none() | st.sampled_from(["a", "b", ""]),
    limit=st.integers(1, 4),
)


# What is two periods old may be forgotten. None is, so that it does not matter whether a store has
# when the clock is set back.
_PACE = Pace(3, timedelta(minutes=2))
PASSAGES = {
    "acme": Quota("one credential", "one address", _PACE, 2, timedelta(seconds=90)),
    "globex": Quota("another", "another", None),
    "initech": Quota("third", "third", _PACE, together=2, exclusive=True),
}


courier_ids = st.integers(1, 2)


@frozen
class Plan:
    """A change to come, before it is known which version it meets."""

    key: UploadKey
    state: State
    tally: Tally
    updated_at: datetime
    behind: int
    attempt: Attempt | None


plans = st.builds(
    Plan,
    few_keys,
    states,
    tallies,
    moments,
    st.sampled_from([0, 0, 0, 1, -1]),
    st.none() | attempts,
)


def _called(dossier: Dossier) -> list[str]:
    names = (dossier.subject, dossier.subject_email or "")
    return [unicodedata.normalize("NFKC", name).casefold() for name in names]


class StoreMachine(RuleBasedStateMachine):
    """Asks both. A subclass says how the store is opened; `store_machine` makes one."""

    def open_store(self, folder: str, keep_documents: bool) -> UploadStore:
        """The store in that folder, new."""
        raise NotImplementedError

    @initialize(keep_documents=st.booleans())
    def open(self, keep_documents: bool) -> None:
        self._stack = ExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        self._subject = self._stack.enter_context(closing(self.open_store(folder, keep_documents)))
        self._memory = self._stack.enter_context(
            closing(MemoryStore(keep_documents=keep_documents))
        )
        self._open: dict[UploadStore, list[tuple[Quota, int | None, list[int]]]] = {
            self._subject: [],
            self._memory: [],
        }

    def teardown(self) -> None:
        if hasattr(self, "_stack"):
            self._stack.close()

    def both(self, question: Callable[[UploadStore], T]) -> T:
        """The answer that both give."""
        answer = question(self._memory)
        same(question(self._subject), answer)
        return answer

    def changes(self, plans: Sequence[Plan]) -> list[Change]:
        stored = self._memory.get([plan.key for plan in plans])
        latest = {key: item.upload for key, item in stored.items()}
        changes = []
        for plan in plans:
            upload = latest.get(plan.key) or new_upload(plan.key, "", AT.date(), AT)
            after = evolve(
                upload,
                state=plan.state,
                tally=plan.tally,
                updated_at=plan.updated_at,
                version=upload.version + 1 - plan.behind,
            )
            latest[plan.key] = after
            changes.append(Change(after, plan.attempt))
        return changes

    @rule(entries=few_entries)
    def add(self, entries: list[Entry]) -> None:
        self.both(lambda store: list(store.add(entries)))

    def starts(self, plans: Sequence[Plan], courier_id: int) -> list[Start]:
        uploads = [change.upload for change in self.changes(plans)]
        at = uploads[0].updated_at if uploads else AT  # what is begun together begins at one moment
        return [
            Start(
                evolve(upload, state=Sending(1, at), updated_at=at),
                PASSAGES[upload.key.tenant_id],
                courier_id,
                5,
            )
            for upload in uploads
        ]

    @rule(plans=st.lists(plans, max_size=5), courier_id=courier_ids)
    def begin(self, plans: list[Plan], courier_id: int) -> None:
        self.begin_turns([[start] for start in self.starts(plans, courier_id)])

    @rule(
        plans=st.lists(plans, min_size=1, max_size=3, unique_by=lambda plan: plan.key),
        courier_id=courier_ids,
    )
    def begin_together(self, plans: list[Plan], courier_id: int) -> None:
        (quota, *_) = [start.quota for start in self.starts(plans, courier_id)]
        alike = [start for start in self.starts(plans, courier_id) if start.quota == quota]
        self.begin_turns([alike])

    @rule(courier_id=courier_ids)
    def unregister(self, courier_id: int) -> None:
        self.both(lambda store: store.unregister(courier_id))

    def begin_turns(self, turns: list[list[Start]]) -> None:
        def begin(store: UploadStore) -> list[list[BeginAnswer]]:
            answers = [list(turn) for turn in store.begin(turns)]
            for starts, turn in zip(turns, answers, strict=True):
                for position, (start, answer) in enumerate(zip(starts, turn, strict=True)):
                    if isinstance(answer, Begun):
                        slots = [] if answer.acquired.slot is None else [answer.acquired.slot]
                        self._open[store].append((start.quota, answer.acquired.turn, slots))
                        # The numbers are each store's own.
                        turn[position] = Begun(answer.content)
            return answers

        self.both(begin)

    @rule(
        at=few_moments,
        quota=st.sampled_from(sorted(PASSAGES)),
        courier_id=courier_ids,
        goes_on=st.booleans(),
        look_ups=st.lists(plans, max_size=1),
    )
    def acquire(
        self, at: datetime, quota: str, courier_id: int, goes_on: bool, look_ups: list[Plan]
    ) -> None:
        asked, begins = PASSAGES[quota], [change.upload for change in self.changes(look_ups)]
        look_up = evolve(begins[0], state=LookingUp(1, at, at, BUSY_PROVIDER)) if begins else None

        def acquire(store: UploadStore) -> AcquireAnswer:
            open_turns = [one for one in self._open[store] if one[0] == asked]
            quota, turn, slots = open_turns[0] if goes_on and open_turns else (asked, None, [])
            ended, slots[:] = tuple(slots), []
            request = Acquire(quota, at, courier_id, turn, ended, look_up=look_up)
            (answer,) = store.acquire([request])
            if isinstance(answer, Acquired):
                if turn is None:
                    self._open[store].append((quota, answer.turn, slots))
                slots += [] if answer.slot is None else [answer.slot]
                # The numbers are each store's own.
                return Acquired(lease_since=answer.lease_since)
            if isinstance(answer, NotBefore) and answer.turn != turn:
                mine = self._open[store].index((quota, turn, slots))
                self._open[store][mine] = (quota, answer.turn, slots)
            return answer

        self.both(acquire)

    def end(self, store: UploadStore) -> GateChange:
        """The end of the oldest turn."""
        if not self._open[store]:
            return GateChange(PASSAGES["acme"], AT)
        quota, turn, slots = self._open[store].pop(0)
        return GateChange(quota, AT, tuple(slots), turn=turn)

    @rule(at=few_moments, pause=st.none() | st.none() | few_moments)
    def settle(self, at: datetime, pause: datetime | None) -> None:
        self.both(lambda store: store.save([evolve(self.end(store), at=at, cooldown_until=pause)]))

    @rule(
        plans=st.lists(plans, max_size=5),
        at=few_moments,
        pause=st.none() | st.none() | few_moments,
        block=st.none()
        | st.none()
        | st.just(Failure(FailureKind.UNAUTHORIZED, "no", http_status=401)),
    )
    def save(
        self, plans: list[Plan], at: datetime, pause: datetime | None, block: Failure | None
    ) -> None:
        changes = self.changes(plans)

        def save(store: UploadStore) -> list[SaveAnswer]:
            gate = evolve(self.end(store), at=at, cooldown_until=pause, block=block)
            return list(store.save([evolve(change, gate=gate) for change in changes]))

        self.both(save)
        if block is not None:
            self.both(lambda store: unblock(store, "acme", "sprinto"))

    @rule(
        keys=st.lists(few_keys, unique=True, max_size=4),
        parts=st.frozensets(st.sampled_from(Part), min_size=1),
    )
    def remove(self, keys: list[UploadKey], parts: frozenset[Part]) -> None:
        # Each store has its own hashes for ids that are names.
        stored = {
            key: one.upload.version
            for key, one in self._memory.get(keys).items()
            if not {key.evidence_id} & {*_called(one.dossier)}
        }
        removal = Removal(
            action="prune",
            tenant_id="acme",
            person=Person("kim", "kept no longer"),
            at=AT,
            parts={key: (version, parts) for key, version in stored.items()},
        )
        self.both(lambda store: store.remove(removal))

    @rule(limit=st.integers(1, 5) | st.just(10_000))
    def link(self, limit: int) -> None:
        """Which records are linked first is each store's own."""
        self.both(lambda store: store.link(limit, AT))
        self.both(lambda store: sum(one.number for one in store.chains().values()))
        faults = [one for head in self._subject.heads() for one in self.faults(head.tenant_id)]
        same(faults, [], "what does not hold of the chains")

    def faults(self, tenant_id: str) -> list[str]:
        return [str(fault) for fault in faults_of(self._subject, tenant_id)]

    @rule(after=st.just(0), limit=st.integers(20, 30))
    def settled(self, after: int, limit: int) -> None:
        self.both(lambda store: store.settled(after, limit))

    @rule(find=finds)
    def find(self, find: Find) -> None:
        pages = all_of(
            lambda after: self.both(lambda store: store.find(evolve(find, after=after), AT))
        )
        seen = [(upload.tenant_id, upload.evidence_id, upload.provider) for upload in pages]
        must(len(seen) == len(set(seen)), f"the pages show an upload twice: {seen!r}")

    @rule(find=finds)
    def counted(self, find: Find) -> None:
        def numbers(store: UploadStore) -> Counter[tuple[str, str, Status, str | None]]:
            found: Counter[tuple[str, str, Status, str | None]] = Counter()
            for one in store.counted(find):
                found[one.tenant_id, one.provider, one.status, one.reason] += one.number
            return found

        self.both(numbers)

    @rule()
    def health(self) -> None:
        self.both(lambda store: store.health(AT))

    @rule(
        tenant_id=st.sampled_from(["acme", "globex", "unknown"]),
        evidence_ids=st.lists(st.sampled_from("abcd")),
    )
    def statuses(self, tenant_id: str, evidence_ids: list[str]) -> None:
        self.both(lambda store: store.statuses(tenant_id, evidence_ids, AT))

    @rule(key=few_keys)
    def show(self, key: UploadKey) -> None:
        self.both(lambda store: store.show(key.tenant_id, key.evidence_id, AT))

    @rule(
        before=moments | few_moments,
        limit=st.integers(0, 5),
        written_after=st.none() | few_moments,
    )
    def due(self, before: datetime, limit: int, written_after: datetime | None) -> None:
        def lists(store: UploadStore) -> dict[str | None, list[UploadKey]]:
            lines = store.due(before, limit, written_after=written_after)
            return {line: list(keys) for line, keys in lines.items()}

        self.both(lists)

    @rule(limit=st.integers(1, 5))
    def freed(self, limit: int) -> None:
        integrations = {
            (tenant_id, provider): quota.address
            for tenant_id, quota in PASSAGES.items()
            for provider in ("sprinto", "vanta")
        }
        self.both(
            lambda store: sorted(held.upload.key for held in store.freed(integrations, limit))
        )

    @rule(tenant_id=st.sampled_from([None, "acme", "globex"]), resumes=st.booleans())
    def pause(self, tenant_id: str | None, resumes: bool) -> None:
        scope = Scope(tenant_id, None if tenant_id == "acme" else "sprinto")
        change = (Resumed if resumes else Paused)(scope, AT, "asha", "an audit")
        self.both(lambda store: store.save([change]))
        self.both(lambda store: list(store.paused()))

    @rule(keys=st.lists(few_keys))
    def get(self, keys: list[UploadKey]) -> None:
        self.both(lambda store: store.get(keys))
        self.both(lambda store: {k: one.courier_id for k, one in store.get(keys).items()})

    @invariant()
    def both_count_the_same(self) -> None:
        few = [Status.PENDING, Status.RETRYING]
        open_uploads = sum(self.both(lambda store: store.counts(few)).values())
        found = self.both(lambda store: store.counts())
        same(
            open_uploads,
            found[Status.PENDING] + found[Status.RETRYING],
            "how many uploads are open",
        )


def store_machine(
    open_store: Callable[[str, bool], UploadStore], *, examples: int = 20, steps: int = 25
) -> type[unittest.TestCase]:
    """A test case that compares a store with `MemoryStore`; `open_store` takes an empty folder,
    and whether documents are kept."""

    class Machine(StoreMachine):
        def open_store(self, folder: str, keep_documents: bool) -> UploadStore:
            return open_store(folder, keep_documents)

    case: type[unittest.TestCase] = Machine.TestCase
    case.settings = settings(max_examples=examples, stateful_step_count=steps, deadline=None)  # type: ignore[attr-defined]
    return case
