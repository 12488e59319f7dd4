"""A worker whose disk fails while it delivers a document, small or large; run with `eio.c`.

Its arguments: a folder, the kind of call, and names of files or folders. From the first, the
second or the third call on each fails. It writes what it was told, how the second try ended, and
what the provider has.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
from pathlib import Path

from store_fixtures import Desk, House, evidence

from evidence_courier import StoreError
from evidence_courier.ports.documents import LARGE


def deliver(
    folder: Path, control: mmap.mmap, kind: int, path: str, number: int
) -> dict[str, object]:
    """Deliver two documents while the disk fails, and again once it works."""
    house = House(folder / "courier.db")
    told, ends = list[str](), list[tuple[str, bool]]()
    around = {"transport": Desk(house), "sleep": house.clock.advance, "keep_documents": True}
    with house.blocking_courier(**around) as courier:
        courier.deliver(evidence("before"))
        given = [evidence("small"), evidence("large", content=bytes(2 * LARGE))]
        control[2 : 3 + len(path)] = path.encode() + b"\0"
        control[1], control[0] = number, kind
        for one in given:
            try:
                courier.deliver(one)
            except StoreError as error:
                told.append(str(error))
        control[0] = 0
        for one in given:
            delivery = courier.deliver(one)
            while delivery.again_at is not None:
                house.clock.set(delivery.again_at)
                delivery = courier.deliver(one)
            assert delivery.status is not None
            ends.append((delivery.status.status, delivery.status.possible_duplicate))
    return {"told": told, "ends": ends, "held": [name for name, _ in house.server.held]}


def main() -> None:
    """The command."""
    folder, kind, *paths = sys.argv[1:]
    with open(os.environ["EIO_CONTROL"], "r+b") as file, mmap.mmap(file.fileno(), 4096) as control:
        for index, path in enumerate(paths):
            for number in (1, 2, 3):
                place = Path(folder, f"{index}-{number}")
                place.mkdir()
                said = deliver(place, control, int(kind), path, number)
                sys.stdout.write(json.dumps({"folder": str(place), **said}) + "\n")


if __name__ == "__main__":
    main()
