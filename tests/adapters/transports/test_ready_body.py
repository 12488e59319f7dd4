"""A body notes how much of it may have left; in doubt it says more, never less."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from attrs import define, field

from evidence_courier.adapters.transports.outgoing import CHUNK, STREAMED_FROM, Sent
from evidence_courier.adapters.transports.ready_body import ReadyBody

SMALL = (b"a" * 1_000, b"b" * 1_000)
BIG = (b"a" * 1_000, b"b" * STREAMED_FROM)


@define
class StuckConnection:
    """Takes `room` bytes and then blocks whoever waits for it to drain, as a connection does
    whose peer stops reading."""

    room: int
    taken: list[bytes] = field(factory=list)

    async def write(self, chunk: bytes, *, drain: bool = True) -> None:
        self.taken.append(bytes(chunk))
        if drain:
            await self.drain()

    async def drain(self) -> None:
        if sum(map(len, self.taken)) > self.room:
            await asyncio.get_running_loop().create_future()


class ClosedConnection:
    """Takes nothing any more."""

    async def write(self, chunk: bytes, *, drain: bool = True) -> None:
        raise ConnectionResetError


async def stuck(body: ReadyBody, room: int) -> Sent:
    """What a body says of itself when its connection is stuck after so many bytes."""
    task = asyncio.create_task(body.write(cast(Any, StuckConnection(room))))
    await asyncio.sleep(0)
    assert not task.done()
    said = body.sent
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return said


@pytest.mark.parametrize(
    ("parts", "room", "sent"),
    [
        (SMALL, 0, Sent.ALL),
        (SMALL, 1_999, Sent.ALL),
        (BIG, 0, Sent.PART),
        (BIG, STREAMED_FROM // 2, Sent.PART),
        (BIG, STREAMED_FROM + 999, Sent.ALL),
    ],
)
def test_bytes_handed_over_may_arrive_even_if_the_connection_is_stuck(
    parts: tuple[bytes, ...], room: int, sent: Sent
) -> None:
    assert asyncio.run(stuck(ReadyBody(parts), room)) is sent


@pytest.mark.parametrize("parts", [SMALL, BIG])
def test_what_a_closed_connection_did_not_take_was_not_sent_whole(parts: tuple[bytes, ...]) -> None:
    body = ReadyBody(parts)
    with pytest.raises(ConnectionResetError):
        asyncio.run(body.write(cast(Any, ClosedConnection())))
    assert body.sent is not Sent.ALL


def test_a_small_body_is_handed_over_at_once_and_a_big_one_in_pieces() -> None:
    for parts, at_once in ((SMALL, True), (BIG, False)):
        connection = StuckConnection(room=10 * STREAMED_FROM)
        body = ReadyBody(parts)
        assert body.size == sum(map(len, parts))
        asyncio.run(body.write_with_length(cast(Any, connection), body.size))
        assert b"".join(connection.taken) == b"".join(parts)
        assert (len(connection.taken) == 1) is at_once
        assert at_once or max(map(len, connection.taken)) <= CHUNK
