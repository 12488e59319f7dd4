"""Sends one attempt's requests, and runs the provider's dialogue that asks for them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, TypeVar

from attrs import define, field

from ..domain.pacing.gate import Blocked, NotBefore
from ..domain.secrets.redaction import SHORTEST_RUN
from ..domain.secrets.secret import Secret
from ..domain.upload.failure import Failure, FailureKind
from ..ports.dialogue import (
    Access,
    AccessToken,
    Bookmark,
    Dialogue,
    HttpRequest,
    HttpResponse,
    Mask,
    Now,
    Step,
    TransportFailure,
)
from .destinations import Destination
from .effects import Interrupted, Send, Token, Turn, Wait, perform
from .slots import Slots

MAX_STEPS = 250
"""A dialogue that asks for more requests, bookmarks and tokens than this does not end by itself."""

MAX_WIRE_TIME = 10
"""An attempt's requests together may take this many times what a single one may take."""

REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-amzn-requestid", "cf-ray")
_NOT_TAKEN = (FailureKind.NO_CONNECTION, FailureKind.NOT_SENT)
_READING = ("GET", "HEAD")

T = TypeVar("T")


class EndlessDialogueError(Exception):
    """A dialogue asks for more than any upload can need."""


class OvertimeError(Exception):
    """An attempt's requests together take longer than they may."""


def refuse_unstorable(what: str, text: str) -> None:
    """Raise TypeError for what no database takes as a text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise TypeError(f"the {what} holds half a character (a lone surrogate)") from None
    if "\0" in text:
        raise TypeError(f"the {what} holds the character U+0000")


def wait_out(sender: Sender, refused: NotBefore) -> Turn[bool]:
    """Wait as long as the driver may."""
    return (yield from perform(Wait(refused.at)))


def forget(progress: str) -> Turn[None]:
    """What only reads has nothing to remember: its bookmarks are not committed."""
    yield from ()


@define
class Sender:
    """Sends one attempt's requests and tracks whether the provider may have received any.

    `sent`: the provider may have received something of the attempt. `secrets` are those of this
    attempt: the tokens that the dialogue was given, what it asked to mask, and sealed headers.
    `no_room_before`: the last request was given up for the pace until then, and no request is lost
    by that, because none had left since the last bookmark. `answered`: the last request was
    answered, if it was not a token's; False: it has timed out; None: neither. `blocked`: a request
    was not sent because the integration is blocked. `waited`: how many seconds its requests
    have waited at the gate. `brief`: its requests have little time, as
    those for a token have in any case.
    """

    destination: Destination
    slots: Slots
    commit: Callable[[str], Turn[None]] = forget
    wait: Callable[[Sender, NotBefore], Turn[bool]] = wait_out
    brief: bool = False
    sent: bool = field(default=False, init=False)
    request_id: str | None = field(default=None, init=False)
    secrets: tuple[Secret, ...] = field(default=(), init=False)
    no_room_before: datetime | None = field(default=None, init=False)
    answered: bool | None = field(default=None, init=False)
    blocked: Blocked | None = field(default=None, init=False)
    waited: float = field(default=0.0, init=False)
    _to_repeat: bool = field(default=False, init=False)
    _under_way: bool = field(default=False, init=False)
    _unanswered: bool = field(default=False, init=False)
    _minting: bool = field(default=False, init=False)
    _steps: int = field(default=0, init=False)
    _left_at: float = field(default=0.0, init=False)
    _wire_time: float = field(default=0.0, init=False)
    _broken_seal: Exception | None = field(default=None, init=False)
    _next: HttpRequest | None = field(default=None, init=False)

    @property
    def in_doubt(self) -> bool:
        """Whether a request that may have changed something has no answer that was looked at.

        Requests that only read or are repeatable, answered requests and what a bookmark speaks of
        leave no doubt.
        """
        return self._under_way or self._unanswered

    def answer(self, step: Step) -> Turn[Any]:
        """Do what a dialogue asks for."""
        self._under_way = False  # the dialogue has seen the last answer
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise EndlessDialogueError(f"its dialogue asked for more than {MAX_STEPS} steps")
        match step:
            case HttpRequest():
                return (yield from self._send(step))
            case Bookmark(progress=progress):
                yield from self.commit(progress)
                self._unanswered = self._to_repeat = False
                return None
            case Access():
                return (yield from self._token(step))
            case Now():
                return self.slots.clock.now()
            case Mask(secret=secret):
                return self._hide(secret)
            case _:
                raise TypeError(
                    "a dialogue yields HttpRequest, Bookmark, Access, Now or Mask, not "
                    f"{type(step).__name__}"
                )

    def _send(self, request: HttpRequest) -> Turn[HttpResponse | TransportFailure]:
        timeout = self.destination.integration.route.timeouts.total.total_seconds()
        if self._wire_time > MAX_WIRE_TIME * timeout:
            raise OvertimeError(f"its requests took more than {MAX_WIRE_TIME * timeout:.0f} s")
        sent_before = self.sent
        try:
            reply = yield from self._send_in_its_slot(request)
        except ValueError:
            self._not_taken(sent_before)  # refused before a byte left: it was no request
            raise
        except Interrupted as cut:
            if cut.not_sent:
                self._not_taken(sent_before)
            raise
        finally:
            self.slots.returned()
        if isinstance(reply, HttpResponse):
            self.request_id = request_id_of(reply)
            self._unanswered = self._unanswered or (self._under_way and reply.status >= 500)
        elif reply.kind in _NOT_TAKEN:
            self._not_taken(sent_before)
        else:
            self._unanswered = self._unanswered or self._under_way
        return reply

    def _send_in_its_slot(self, request: HttpRequest) -> Turn[HttpResponse | TransportFailure]:
        brief = self.brief or self._minting
        self._next = request
        send = Send(self.destination, self._leave, brief)
        reply: HttpResponse | TransportFailure | NotBefore = yield send
        while isinstance(reply, NotBefore):
            if not (yield from self._wait(reply)):
                self.no_room_before = None if self._to_repeat else reply.at
                return TransportFailure(
                    FailureKind.NOT_SENT,
                    f"the pace leaves no room for one request more before {reply.at:%H:%M:%S} UTC",
                )
            reply = yield send
        if self._broken_seal is not None:
            raise self._broken_seal
        took = self.slots.clock.monotonic() - self._left_at
        self._wire_time += took
        self._hear(reply, timedelta(seconds=took))
        return reply

    def _hear(self, reply: HttpResponse | TransportFailure, took: timedelta) -> None:
        timeouts = self.destination.integration.route.timeouts
        shortest = min(timeouts.connect, timeouts.idle, timeouts.total)
        if isinstance(reply, HttpResponse):
            self.answered = True if reply.status < 500 and not self._minting else None
        else:
            self.answered = None if took < shortest else False

    def _wait_for_slot(self) -> Turn[None]:
        """Wait for the lease of an exclusive credential: a token from before it is dead."""
        while isinstance(refused := (yield from self.slots.reserve()), NotBefore):
            if not (yield from self._wait(refused)):
                return

    def _wait(self, refused: NotBefore) -> Turn[bool]:
        since = self.slots.clock.monotonic()
        try:
            return (yield from self.wait(self, refused))
        finally:
            self.waited += self.slots.clock.monotonic() - since

    def _leave(self) -> Turn[HttpRequest | NotBefore | TransportFailure]:
        """With a connection in hand: take a slot, seal the request, and note that it leaves."""
        request = self._next
        assert request is not None
        self._left_at = self.slots.clock.monotonic()
        refused = yield from self.slots.leave()
        if isinstance(refused, Blocked):
            self.blocked = refused
            return TransportFailure(
                FailureKind.NOT_SENT, f"the integration does not work: {refused.failure.message}"
            )
        if refused is not None:
            return refused
        try:
            leaving = request.sealed(self.slots.clock.now())
        except Exception as error:  # the provider's bug, which is raised in the turn
            self._broken_seal = error
            return TransportFailure(FailureKind.NOT_SENT, "the request could not be sealed")
        for _, value in leaving.headers[len(request.headers) :]:
            # A shorter value is no secret: masked, it would hide parts of every message.
            if len(value) >= SHORTEST_RUN:
                self._hide(Secret(value))
        self._left_at = self.slots.clock.monotonic()
        self.sent = self.sent or not self._minting
        self._to_repeat = self._to_repeat or not self._minting
        self.no_room_before = None
        repeatable = request.repeatable or request.method.upper() in _READING
        self._under_way = not repeatable and not self._minting
        return leaving

    def _not_taken(self, sent_before: bool) -> None:
        self.sent, self._under_way = sent_before, False

    def _token(self, wish: Access) -> Turn[AccessToken | Failure]:
        slots = self.slots
        if slots.quota.exclusive and slots.acquired.lease_since is None:
            yield from self._wait_for_slot()
        token = Token(self.destination, wish, lambda: self._mint(wish), slots.acquired.lease_since)
        answer = yield from perform(token)
        if isinstance(answer, AccessToken):
            self._hide(answer.value)
        return answer

    def _hide(self, secret: Secret) -> None:
        if secret.reveal() and secret not in self.secrets:
            self.secrets += (secret,)

    def _mint(self, wish: Access) -> Turn[Any]:
        """A token's requests bring nothing of the upload."""
        self._minting = True
        try:
            return (yield from run_dialogue(wish.mint(), self))
        finally:
            self._minting = False


def run_dialogue(dialogue: Dialogue[T], sender: Sender) -> Turn[T]:
    """The dialogue's result. It is closed in every case; what it raises passes through."""
    reply = None
    try:
        while True:
            try:
                step = dialogue.send(reply)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            except GeneratorExit as error:  # would look like the turn's own end
                raise RuntimeError("its dialogue raised GeneratorExit") from error
            reply = yield from sender.answer(step)
    except BaseException:
        # A dialogue that misbehaves when it is closed must not hide why it is closed.
        with suppress(Exception):
            dialogue.close()
        raise


def request_id_of(reply: HttpResponse) -> str | None:
    """By what the provider's people find the request again, if the reply says it."""
    found: dict[str, str] = {}
    for name, value in reply.headers:
        if (known := name.lower()) in REQUEST_ID_HEADERS:
            found.setdefault(known, value)
    return next(filter(None, map(found.get, REQUEST_ID_HEADERS)), None) if found else None
