"""What tells that a file has changed, without reading it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import TypeAlias

Stamp: TypeAlias = tuple[int, ...]
"""What changes when a file's content does: its times, size and identity."""
Stamps: TypeAlias = Mapping[str, "Stamp | None"]
"""By path; None if there is no such file, or it may not be looked at."""

_SETTLED_AFTER = 2_000_000_000
"""Nanoseconds: the coarsest clock of a file system in use is FAT's, of two seconds."""


def stamp_of(found: os.stat_result, *, settled: bool = False) -> Stamp | None:
    """A file's stamp; None if it must be `settled`, and a change after this moment could leave it
    the same: the clock of the file system may stand for a while, and that of its machine may be
    ahead."""
    times = (found.st_mtime_ns, found.st_ctime_ns)
    if settled and max(times) + _SETTLED_AFTER > time.time_ns():
        return None
    return (*times, found.st_size, found.st_ino, found.st_dev)


def stamp_at(path: str) -> Stamp | None:
    """The stamp of the file that a path leads to, whatever links are on the way."""
    try:
        return stamp_of(os.stat(path))
    except (OSError, ValueError):
        return None
