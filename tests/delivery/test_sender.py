"""What one attempt's requests leave behind: how many, how long, and whether any may be received."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from attrs import define, field

from evidence_courier.delivery.destinations import Destination
from evidence_courier.delivery.effects import Interrupted, Send, TakeSlot, Token, Wait
from evidence_courier.delivery.sender import (
    MAX_STEPS,
    MAX_WIRE_TIME,
    EndlessDialogueError,
    OvertimeError,
    Sender,
    run_dialogue,
)
from evidence_courier.delivery.slots import Slots
from evidence_courier.domain.integration import Integration, Pace, Route, Timeouts
from evidence_courier.domain.pacing.gate import Acquired, Blocked, NotBefore, Quota
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.domain.upload.failure import Failure, FailureKind
from evidence_courier.domain.upload.transitions import Rules
from evidence_courier.domain.upload.upload import UploadKey
from evidence_courier.ports.dialogue import (
    Access,
    Bookmark,
    Dialogue,
    HttpRequest,
    HttpResponse,
    MintedToken,
    TransportFailure,
    access,
    bookmark,
    fetch,
)
from evidence_courier.testing import FakeClock

AT = datetime(2026, 2, 21, 10, 0, tzinfo=UTC)
GET = HttpRequest("GET", "https://api.example/")
POST = HttpRequest("POST", "https://api.example/", body=(b"x",))
CUT = Interrupted(KeyboardInterrupt(), "the program was interrupted")
Answer = HttpResponse | TransportFailure | BaseException


def reply(status: int = 200) -> HttpResponse:
    return HttpResponse(status, (), b"", AT)


@define
class Line:
    """A sender on a line of which the answers are known, and at whose gate they are too."""

    answers: list[Answer] = field(factory=list)
    at_gate: list[Acquired | NotBefore | Blocked] = field(factory=list)
    pace: Pace | None = None
    seconds: float = 0.0
    may_wait: bool = True
    clock: FakeClock = field(factory=FakeClock)
    sent: list[HttpRequest] = field(factory=list)
    silences: list[float] = field(factory=list)
    sender: Sender = field(init=False)

    def __attrs_post_init__(self) -> None:
        quota = Quota("a credential", "an address", self.pace)
        route = Route(Timeouts(total=timedelta(seconds=60)))
        integration = Integration("acme", "paper", None, route=route)
        destination = Destination(integration, cast(Any, None), Rules(), quota)
        slots = Slots(quota, 1, self.clock, UploadKey("acme", "ev-1", "paper"))
        self.sender = Sender(destination, slots, commit=lambda progress: _nothing())

    def run(self, dialogue: Dialogue[Any]) -> Any:
        """What the dialogue comes to."""
        return self._drive(run_dialogue(dialogue, self.sender))

    def _drive(self, turn: Generator[Any, Any, Any]) -> Any:
        resume: Callable[[Any], Any] = turn.send
        answer: Any = None
        while True:
            try:
                effect = resume(answer)
            except StopIteration as end:
                return end.value
            answer = self._perform(effect)
            resume = turn.throw if isinstance(answer, BaseException) else turn.send

    def _perform(self, effect: object) -> Any:
        match effect:
            case Send(leave=leave, route=route):
                leaving = self._drive(leave())
                if not isinstance(leaving, HttpRequest):
                    return leaving
                self.sent.append(leaving)
                self.silences.append(route.timeouts.idle.total_seconds())
                self.clock.advance(self.seconds)
                return self.answers.pop(0) if self.answers else reply()
            case TakeSlot():
                return self.at_gate.pop(0) if self.at_gate else Acquired(slot=1)
            case Wait(until=until):
                if self.may_wait:
                    self.clock.set(until)
                return self.may_wait
            case Token(mint=mint):
                return self._drive(mint())
        raise AssertionError(effect)


def _nothing() -> Generator[Any, Any, None]:
    yield from ()


def asking(*steps: HttpRequest | Bookmark) -> Dialogue[None]:
    for step in steps:
        _ = yield step


# --- the bound -----------------------------------------------------------------------------------


def for_ever(step: Callable[[], Dialogue[Any]]) -> Dialogue[None]:
    while True:
        yield from step()


@pytest.mark.parametrize(
    "step", [lambda: fetch(GET), lambda: bookmark("page")], ids=["requests", "bookmarks"]
)
def test_a_dialogue_without_an_end_is_ended(step: Callable[[], Dialogue[Any]]) -> None:
    line = Line()
    with pytest.raises(EndlessDialogueError, match=f"more than {MAX_STEPS} steps"):
        line.run(for_ever(step))
    assert len(line.sent) <= MAX_STEPS


def test_requests_that_are_slow_together_are_ended() -> None:
    line = Line(seconds=59)
    with pytest.raises(OvertimeError, match="more than 600 s"):
        line.run(for_ever(lambda: fetch(GET)))
    assert len(line.sent) == MAX_WIRE_TIME + 1


def test_waiting_for_the_pace_is_not_time_on_the_wire() -> None:
    waits = [NotBefore(AT + timedelta(hours=n)) for n in range(1, 9)]
    line = Line(at_gate=[*waits], pace=Pace(1, timedelta(hours=1)), seconds=1)
    line.run(asking(GET, POST))
    assert line.sent == [GET, POST]


# --- the gate ------------------------------------------------------------------------------------


def test_a_request_that_the_pace_keeps_too_long_is_not_sent() -> None:
    line = Line(at_gate=[NotBefore(AT)], pace=Pace(1, timedelta(hours=1)), may_wait=False)
    answer = line.run(fetch(POST))
    assert isinstance(answer, TransportFailure) and answer.kind is FailureKind.NOT_SENT
    assert (line.sent, line.sender.sent, line.sender.in_doubt) == ([], False, False)
    assert line.sender.no_room_before == AT


@pytest.mark.parametrize(
    ("steps", "until"),
    [
        ([GET, POST], None),
        ([GET, Bookmark("half"), POST], AT),
        ([GET, Bookmark("half"), GET, POST], None),
    ],
    ids=["no bookmark", "a bookmark", "a request after it"],
)
def test_giving_up_for_the_pace_is_free_if_no_request_has_to_be_made_again(
    steps: list[HttpRequest | Bookmark], until: datetime | None
) -> None:
    requests = [step for step in steps if isinstance(step, HttpRequest)]
    at_gate = [Acquired(slot=n) for n in range(1, len(requests))]
    line = Line(at_gate=[*at_gate, NotBefore(AT)], pace=Pace(1, timedelta(hours=1)), may_wait=False)
    line.run(asking(*steps))
    assert line.sent == requests[:-1]
    assert line.sender.no_room_before == until


def test_after_a_block_no_request_of_a_begun_upload_leaves() -> None:
    blocked = Blocked(Failure(FailureKind.UNAUTHORIZED, "the key is refused"))
    line = Line(at_gate=[Acquired(slot=1), blocked], pace=Pace(1, timedelta(hours=1)))

    def two() -> Dialogue[Any]:
        yield from fetch(GET)
        return (yield from fetch(POST))

    answer = line.run(two())
    assert isinstance(answer, TransportFailure) and answer.kind is FailureKind.NOT_SENT
    assert "the key is refused" in answer.message
    assert line.sent == [GET]


# --- what may have been received -----------------------------------------------------------------


def cut_while(*steps: Callable[[], Dialogue[Any]], answers: list[Answer]) -> Sender:
    """The sender of a dialogue that is cut off at the last of these steps."""
    line = Line([*answers, CUT])

    def dialogue() -> Dialogue[None]:
        for step in steps:
            yield from step()

    with pytest.raises(Interrupted):
        line.run(dialogue())
    return line.sender


GETTING, POSTING = (lambda: fetch(GET)), (lambda: fetch(POST))
TIMEOUT = TransportFailure(FailureKind.TIMEOUT, "no reply")
NO_LINE = TransportFailure(FailureKind.NO_CONNECTION, "refused")


def test_a_request_under_way_is_in_doubt() -> None:
    assert cut_while(POSTING, answers=[]).in_doubt


def test_a_request_that_only_reads_is_not() -> None:
    assert not cut_while(GETTING, answers=[]).in_doubt


def test_an_answered_request_is_not() -> None:
    assert not cut_while(POSTING, GETTING, answers=[reply()]).in_doubt


def test_an_answered_request_is_not_while_the_next_one_waits_for_its_slot() -> None:
    waits = NotBefore(AT + timedelta(seconds=5))
    line = Line(at_gate=[Acquired(slot=1), waits], pace=Pace(1, timedelta(hours=1)))

    def cut_in_the_wait(sender: Sender, refused: NotBefore) -> Generator[Any, Any, bool]:
        yield from ()
        raise CUT

    line.sender.wait = cut_in_the_wait
    with pytest.raises(Interrupted):
        line.run(asking(POST, POST))
    assert (line.sent, line.sender.in_doubt) == ([POST], False)


@pytest.mark.parametrize("answer", [TIMEOUT, reply(502)], ids=str)
def test_a_request_without_a_clear_answer_stays_in_doubt(answer: Answer) -> None:
    assert cut_while(POSTING, GETTING, answers=[answer]).in_doubt


def test_a_bookmark_speaks_of_what_was_before_it() -> None:
    steps = (POSTING, lambda: bookmark("half"), GETTING)
    assert not cut_while(*steps, answers=[TIMEOUT]).in_doubt


def test_a_request_that_did_not_leave_is_not() -> None:
    sender = cut_while(POSTING, GETTING, answers=[NO_LINE])
    assert not sender.in_doubt


def test_a_token_brings_nothing_of_the_upload() -> None:
    def mint() -> Dialogue[MintedToken | Failure]:
        yield from fetch(POST)
        return MintedToken(Secret("token"), 60.0)

    sender = cut_while(lambda: access(Access("app", mint)), answers=[])
    assert (sender.in_doubt, sender.sent) == (False, False)


def test_a_token_request_may_be_silent_for_less_long_than_others() -> None:
    def mint() -> Dialogue[MintedToken | Failure]:
        yield from fetch(POST)
        return MintedToken(Secret("token"), 60.0)

    def posting() -> Dialogue[None]:
        yield Access("app", mint)
        yield from fetch(POST)

    line = Line()
    line.run(posting())
    assert line.silences == [10, 30]
    line.sender.brief = True  # as a dry run's is
    line.run(posting())
    assert line.silences[2:] == [10, 10]
    times = Route(Timeouts(*map(timedelta, (0, 0, 1), (60, 5, 0)))).brief.timeouts
    assert times == Timeouts(*map(timedelta, (0, 0, 0), (60, 5, 5)))


def test_the_last_answer_is_in_doubt_until_the_dialogue_has_seen_it() -> None:
    line = Line()

    def struck() -> Dialogue[None]:
        yield from fetch(POST)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        line.run(struck())
    assert line.sender.in_doubt


def test_it_knows_for_how_long_its_requests_have_waited_at_the_gate() -> None:
    at_gate: list[Acquired | NotBefore | Blocked] = [
        Acquired(slot=1),
        NotBefore(AT + timedelta(seconds=20)),
        Acquired(slot=2),
    ]
    line = Line(at_gate=at_gate, pace=Pace(1, timedelta(minutes=1)), clock=FakeClock(AT))
    line.run(asking(GET, GET))
    assert len(line.sent) == 2
    assert line.sender.waited == 20.0
