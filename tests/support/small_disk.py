"""A small disk of its own, which a test can fill."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """A small disk with a database."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = str(folder / "courier.db")
        self._junk = folder / "junk"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._junk.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                pass

    def clear(self) -> None:
        """Leave all of it to the database."""
        self._junk.unlink()


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """One of 12 MiB; skips the test where it may not make one."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("the tests may not mount a disk")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
