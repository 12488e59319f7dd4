"""Files that are named to a command: one that has no end, or is not written yet, is not waited
for."""

from __future__ import annotations

import errno
from pathlib import Path

from ...adapters.records.json_text import MAX_BYTES

ENOUGH = MAX_BYTES + 1
"""How many bytes are read of a file that may be larger than a record."""


def regular(file: Path) -> Path:
    """The same file, to be read. OSError if it is a pipe, a device or a socket."""
    if file.exists() and not file.is_file() and not file.is_dir():
        raise OSError(errno.EINVAL, "it is a pipe or a device, and no file", str(file))
    return file


def record_in(file: Path) -> bytes:
    """The text of a record; of one that is too large, enough for that to be seen."""
    with regular(file).open("rb") as data:
        return data.read(ENOUGH)
