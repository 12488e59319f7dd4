"""What every SQL store says of what goes wrong."""

from __future__ import annotations

from collections.abc import Sequence


class RefusedError(Exception):
    """The store refuses by itself; the text says why and what to do. `passing` as in StoreError."""

    def __init__(self, why: str, passing: bool = False) -> None:
        self.passing = passing
        super().__init__(why)


def subject_of(about: Sequence[object]) -> str:
    """What a message is about, at its beginning."""
    match len(about):
        case 0:
            return ""
        case 1:
            return f"{about[0]} "
        case many:
            return f"{about[0]} and {many - 1} more "
