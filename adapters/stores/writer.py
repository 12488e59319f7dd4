"""The writer: commits are shared, and the loop waits for no disk.

A commit costs a few milliseconds of the disk's time, whether it holds one change or five hundred.
So `WriterThread` writes whatever has gathered since its last commit with one transaction, while the
loop goes on.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import chain, groupby, islice
from queue import Empty, SimpleQueue
from typing import Any, TypeAlias, TypeVar

from attrs import Factory, define, frozen

from ...domain.errors import CourierError, StoreError
from ...domain.secrets.redaction import words_of
from ...ports.gates import Acquire, AcquireAnswer
from ...ports.records import AddAnswer, BeginAnswer, Change, Entry, SaveAnswer, Start
from ...ports.store import UploadStore
from ...ports.writer import Transactional

T = TypeVar("T")

# A commit takes no more once it holds as many changes, or as many bytes of documents.
MAX_CHANGES = 512
MAX_BYTES = 8 * 2**20
# The store's verbs, in the order in which a commit takes them.
_WRITTEN = ("acquire", "begin", "save", "add")
# How many answers one turn of the loop is woken for.
_ANSWERS_AT_ONCE = 64
# How often an idle thread looks whether the program has ended without closing it, in seconds.
_IDLE = 0.5


@define(eq=False)
class _Request:
    """What was asked for at once: the future that waits for the answers, those that have come, and
    how many are to come. `alone`: it is one thing, and its answer stands alone."""

    verb: str
    items: Sequence[Any]
    answer: asyncio.Future[Any]
    alone: bool
    given: list[object] = Factory(list)
    left: int = Factory(lambda self: len(self.items), takes_self=True)

    def give(self, start: int, answers: Sequence[object]) -> None:
        """On the loop: note answers; the last ones end the wait."""
        if not self.given:
            self.given = [None] * len(self.items)
        self.given[start : start + len(answers)] = answers
        self.left -= len(answers)
        if self.left or self.answer.done():  # cancelled meanwhile
            return
        given = [one.error if isinstance(one, _Refused) else one for one in self.given]
        if not self.alone:
            self.answer.set_result(given)
        elif isinstance(self.given[0], _Refused):
            self.answer.set_exception(self.given[0].error)
        else:
            self.answer.set_result(given[0])


@frozen
class _Part:
    """Some of a request's items, from `start` on, that are written together."""

    request: _Request
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def verb(self) -> str:
        return self.request.verb

    @property
    def items(self) -> Sequence[Any]:
        return self.request.items[self.start : self.stop]

    @property
    def size(self) -> int:
        """How many bytes of documents are written with it."""
        return sum(len(one.content or b"") for one in self.items) if self.verb == "add" else 0

    def cut(self, length: int) -> tuple[_Part, _Part]:
        """The first `length`, and the others."""
        middle = self.start + length
        return _Part(self.request, self.start, middle), _Part(self.request, middle, self.stop)


@frozen
class _Refused:
    error: BaseException


_Answered: TypeAlias = tuple[_Part, list[object]]


class WriterThread:
    """A `Writer` with a thread of its own; its verbs may be called on any running event loop.

    One commit takes all that has gathered since the last, within bounds. What fails in company is
    rolled back and written again in halves, down to the one that cannot be written, which alone is
    refused. `on_idle` is called every half second in which nothing was asked for.
    """

    def __init__(self, store: UploadStore) -> None:
        self.on_idle: Callable[[], None] = lambda: None
        self._store = store
        self._transaction = store.transaction if isinstance(store, Transactional) else None
        self._inbox: SimpleQueue[_Request | None] = SimpleQueue()
        self._waiting: dict[str, deque[_Part]] = {verb: deque() for verb in (*_WRITTEN, "run")}
        self._gate = threading.Lock()
        self._closed = False
        self._stopping = False
        self._user = threading.current_thread()
        # Not a daemon: the program must not end in the middle of a write.
        self._thread = threading.Thread(
            target=self._work, name="evidence-courier-writer", daemon=False
        )
        self._thread.start()

    # --- on the loop -----------------------------------------------------------------------------

    def add(self, entries: Sequence[Entry]) -> asyncio.Future[Sequence[AddAnswer | CourierError]]:
        return self._ask("add", entries)

    def begin(
        self, turns: Sequence[Sequence[Start]]
    ) -> asyncio.Future[Sequence[Sequence[BeginAnswer] | CourierError]]:
        return self._ask("begin", turns)

    def save(
        self, changes: Sequence[Change]
    ) -> asyncio.Future[Sequence[SaveAnswer | CourierError]]:
        return self._ask("save", changes)

    def acquire(self, request: Acquire) -> asyncio.Future[AcquireAnswer]:
        return self._ask("acquire", [request], alone=True)

    def run(self, verb: Callable[[], T]) -> asyncio.Future[T]:
        return self._ask("run", [verb], alone=True)

    def close(self) -> None:
        """As in `Writer`. Not to be called on the loop: it waits for the disk."""
        self._close_inbox()
        self._thread.join()

    def _ask(
        self, verb: str, items: Sequence[object], *, alone: bool = False
    ) -> asyncio.Future[Any]:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        with self._gate:
            if self._closed:
                answer.set_exception(closed())
            else:
                self._inbox.put(_Request(verb, items, answer, alone))
        return answer

    def _close_inbox(self) -> None:
        with self._gate:
            if not self._closed:
                self._closed = True
                self._inbox.put(None)

    # --- in the thread ---------------------------------------------------------------------------

    def _work(self) -> None:
        while self._gather():
            self._write(self._take())
            self._run_others()

    def _gather(self) -> bool:
        """Sort what has arrived, waiting for it if there is nothing to do; False when there will
        be nothing more."""
        while not any(self._waiting.values()):
            if self._stopping:
                return False
            try:
                self._sort(self._inbox.get(timeout=_IDLE))
            except Empty:
                self.on_idle()
                if self._is_forgotten():
                    self._close_inbox()
        with suppress(Empty):
            while True:
                self._sort(self._inbox.get_nowait())
        return True

    def _is_forgotten(self) -> bool:
        """A host that did not close its courier still wants its program to end. But a thread that
        the program waits for anyway, and that may have more to write, is waited for here too."""
        if threading.main_thread().is_alive():
            return False
        return self._user.daemon or not self._user.is_alive()

    def _sort(self, request: _Request | None) -> None:
        if request is None:
            self._stopping = True
        else:
            self._waiting[request.verb].append(_Part(request, 0, len(request.items)))

    def _take(self) -> list[_Part]:
        """The next commit. What has begun goes first, and attempts and their outcomes
        before new uploads: however many of these arrive, the others wait for one commit."""
        taken: list[_Part] = []
        room, size = MAX_CHANGES, 0
        for verb in _WRITTEN:
            waiting = self._waiting[verb]
            while waiting and room and size < MAX_BYTES:
                part = waiting.popleft()
                if len(part) > room:
                    part, rest = part.cut(room)
                    waiting.appendleft(rest)
                room -= len(part)
                size += part.size
                taken.append(part)
        return taken

    def _write(self, parts: list[_Part]) -> None:
        if self._transaction is not None:
            self._write_pieces([parts] if parts else [], self._transaction)
        else:
            for _, group in _by_verb(parts):
                self._write_pieces([group], nullcontext)

    def _write_pieces(
        self, pieces: list[list[_Part]], transaction: Callable[[], AbstractContextManager[None]]
    ) -> None:
        while pieces:
            piece = pieces.pop()
            begun = False
            try:
                with transaction():
                    begun = True
                    answers = self._call(piece)
            except BaseException as error:  # whatever a store raises, somebody waits for an answer
                if not begun:
                    # The database cannot be had at all just now: no use asking again for each.
                    _refuse(chain(piece, *pieces), error)
                    return
                if sum(map(len, piece)) == 1:
                    _refuse(piece, error)
                else:
                    pieces += reversed(_halves(piece))
            else:
                _tell(answers)

    def _call(self, parts: list[_Part]) -> list[_Answered]:
        answers: list[_Answered] = []
        for verb, group in _by_verb(parts):
            items = [item for part in group for item in part.items]
            given = getattr(self._store, verb)(items)
            if len(given) != len(items):
                raise ValueError(f"{len(given)} answers to {len(items)}")
            answered = iter(given)
            answers += [(part, list(islice(answered, len(part)))) for part in group]
        return answers

    def _run_others(self) -> None:
        others = self._waiting["run"]
        while others:
            part = others.popleft()
            try:
                answer = part.items[0]()
            except BaseException as error:  # as above
                _refuse([part], error)
            else:
                _tell([(part, [answer])])


def _by_verb(parts: list[_Part]) -> Iterable[tuple[str, list[_Part]]]:
    return [(verb, list(group)) for verb, group in groupby(parts, key=lambda part: part.verb)]


def _halves(parts: Sequence[_Part]) -> list[list[_Part]]:
    left = sum(map(len, parts)) // 2
    halves: list[list[_Part]] = [[], []]
    for part in parts:
        first, second = part.cut(min(left, len(part)))
        left -= len(first)
        for half, some in zip(halves, (first, second), strict=True):
            if len(some):
                half.append(some)
    return halves


def _refuse(parts: Iterable[_Part], error: BaseException) -> None:
    _tell([(part, [_Refused(_refusal(error)) for _ in part.items]) for part in parts])


def _refusal(error: BaseException) -> CourierError:
    # One for each who waits: an exception that is raised in several places gathers all their
    # tracebacks.
    if isinstance(error, StoreError):
        refusal: CourierError = StoreError(str(error), error.passing)
        refusal.__cause__ = error
        return refusal
    return error if isinstance(error, CourierError) else unexpected(error)


def unexpected(error: BaseException) -> StoreError:
    """What a store raised that is no error of ours."""
    unexpected = StoreError(
        f"not written: the store failed in an unexpected way: {words_of(error)}"
    )
    unexpected.__cause__ = error
    return unexpected


def closed() -> StoreError:
    """What a writer that is closed answers."""
    return StoreError(
        "not written: the courier is closed; what it had recorded is gone on with by the next one"
    )


def _tell(answers: Sequence[_Answered]) -> None:
    for start in range(0, len(answers), _ANSWERS_AT_ONCE):
        some = answers[start : start + _ANSWERS_AT_ONCE]
        for loop, group in groupby(some, key=lambda one: one[0].request.answer.get_loop()):
            # A loop that has been closed has no one left who could be told.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, list(group))


def _settle(answers: Iterable[_Answered]) -> None:
    """On the loop."""
    for part, given in answers:
        part.request.give(part.start, given)
