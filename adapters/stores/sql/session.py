"""How statements are written here, and what a database offers.

The texts are SQLite's. PostgreSQL's session reads them with a few words replaced: `INDEXED BY` an
index is left out, `GLOB` becomes `~`, a `CROSS JOIN ... ON`, which fixes the order of a join, is a
join, and what stands in a comment is said to PostgreSQL only: locks above all, since one that
writes to SQLite is alone. `:name` stands for a value that is given with the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from attrs import field, frozen

from ....domain.upload.upload import UploadKey
from ....ports.documents import Documents
from ....ports.records import Entry
from ..rows import Cell, Row

Cells: TypeAlias = Sequence[Cell | list[str]]
Given: TypeAlias = Mapping[str, Any]
NOTHING: Given = {}


@frozen(eq=False)
class Batch:
    """A statement for many rows: the cells of each have `names` in the table `given`, with which
    `then` does something. `large`: its answer holds documents."""

    names: Sequence[str]
    then: str
    large: bool = field(default=False, kw_only=True)


@frozen(eq=False)
class Each:
    """A question that is asked once for each of many rows, whose cells have `names`."""

    names: Sequence[str]
    question: str


class Session(Protocol):
    """A connection to a database."""

    def ask(self, text: str, given: Given = NOTHING) -> list[Row]:
        """The rows that a question gives."""
        ...

    def tell(self, text: str, given: Given = NOTHING) -> None:
        """Have something done."""
        ...

    def tell_many(self, text: str, given: Sequence[Given]) -> None:
        """Have something done once for each."""
        ...

    def ask_all(self, batch: Batch, rows: Iterable[Cells]) -> list[Row]:
        """What a statement gives for all these rows."""
        ...

    def cells_of(self, batch: Batch, rows: Iterable[Cells]) -> list[tuple[Any, ...]]:
        """The same without the names of its columns, which takes less time."""
        ...

    def cells_of_each(self, each: Each, rows: Iterable[Cells]) -> list[list[tuple[Any, ...]]]:
        """What a question gives for each of these rows, likewise."""
        ...

    def tell_all(self, batch: Batch, rows: Iterable[Cells]) -> None:
        """Have something done with all these rows."""
        ...

    def ask_each(self, each: Each, rows: Iterable[Cells]) -> list[list[Row]]:
        """What a question gives for each of these rows."""
        ...

    def list_of(self, texts: Iterable[str]) -> str | list[str]:
        """Texts as one cell, for `json_each`."""
        ...

    def living(self) -> Iterator[int]:
        """The couriers that are registered and not known to be dead."""
        ...


class Readers(Protocol):
    """The sessions that read a database. They change nothing."""

    def reading(self) -> AbstractContextManager[Session]:
        """A session that sees the records as they are at one moment."""
        ...

    @property
    def documents(self) -> Documents | None:
        """Where large documents are; None: in the records."""
        ...

    def close(self) -> None:
        """As in `UploadRecords`."""
        ...


class Database(Readers, Protocol):
    """A database that couriers write to. Writers take turns."""

    @property
    def session(self) -> Session:
        """The session that writes."""
        ...

    def transaction(self, undone: str, about: Sequence[object]) -> AbstractContextManager[None]:
        """Make one transaction of all that is written inside: all of it is written, or none.

        Args:
            undone: What is not done if it fails, as in "not recorded".
            about: What it was to be done to.
        """
        ...

    def remove_files(self, names: Iterable[str]) -> None:
        """Remove files of documents, once what is being written is committed."""
        ...

    def insert(self, entries: Sequence[Entry]) -> Mapping[UploadKey, int]:
        """Add new uploads; the numbers of those that no other courier added at the same moment."""
        ...

    def numbers(self, many: int) -> Sequence[int]:
        """This many numbers for slots and turns, higher than all that are recorded."""
        ...

    def heartbeat(self, courier_id: int | None, now: datetime) -> int:
        """As in `Couriers`."""
        ...

    def unregister(self, courier_id: int) -> None:
        """As in `Couriers`."""
        ...

    def others(self, session: Session, caller: int) -> Mapping[int, bool]:
        """The other couriers that are registered, and whether each is believed dead."""
        ...
