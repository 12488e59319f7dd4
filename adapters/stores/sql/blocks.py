"""The blocks of integrations and targets, out of their rows."""

from __future__ import annotations

from collections.abc import Iterable

from ....domain.pacing.gate import Block
from ....domain.upload.failure import Failure, FailureKind
from ..rows import Row, moment_of, since_of
from .session import Session
from .statements import BLOCKS

UNREADABLE = (
    "the row of this block in the table `blocks` cannot be read, so nothing is sent: have it"
    " mended, or release an upload if the integration works"
)


def blocks_of(session: Session, addresses: Iterable[str]) -> dict[str, Block]:
    """The blocks of integrations, by address."""
    rows = session.ask_all(BLOCKS, [(address,) for address in addresses])
    return {row["address"]: _block_of(row) for row in rows}


def _block_of(row: Row) -> Block:
    """One whose kind or end cannot be read, since other hands wrote it, lasts until a person ends
    it."""
    since = since_of(row["at"])
    try:
        kind, until = FailureKind(row["kind"]), moment_of(row["until"])
    except (ValueError, TypeError):
        return Block(Failure(FailureKind.UNAUTHORIZED, UNREADABLE), since)
    return Block(Failure(kind, row["message"], http_status=row["http_status"]), since, until)
