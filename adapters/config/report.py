"""Batching everything that is wrong with one tenant's configuration, and saying where it stands.

A problem is noted with its path as soon as it is found, at most one for a path, and put into words
for the administrator at the end, when it is known which keys the tenant's provider has. No value is
ever quoted, since a secret may stand in any wrong place; nor is a key below a secret or below a key
that nobody knows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

from attrs import define, field, frozen

from ...domain.errors import Problem

Path: TypeAlias = tuple[str | int, ...]
"""The keys and indexes from the top of the tenant's data down to a value."""

Rules: TypeAlias = Mapping[str, object]
"""What Cerberus calls a rules set: all that holds for one value."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")


@frozen
class _Note:
    path: Path
    message: str
    suggestion: str | None
    line: int | None


@define
class Report:
    """What was found in one tenant's data. `top` stands before every path: the key in a host's
    own mapping, or nothing."""

    file: str | None = None
    top: str | None = None
    lines: dict[Path, int] = field(factory=dict)
    notes: dict[Path, _Note] = field(factory=dict)
    around: set[Path] = field(factory=set)
    """Every path at which, or within which, there is a problem."""

    def note(
        self, path: Path, message: str, *, suggestion: str | None = None, line: int | None = None
    ) -> None:
        """Remember a problem; only the first for a path is kept, as those after it mostly follow
        from it."""
        if path not in self.notes:
            self.notes[path] = _Note(
                path, message, suggestion, self.line_of(path) if line is None else line
            )
            self.around.update(path[:end] for end in range(len(path) + 1))

    def noted(self, path: Path) -> bool:
        """Whether there is a problem at `path` or within it."""
        return path in self.around

    def line_of(self, path: Path) -> int | None:
        """The line of the key at `path`, or of the nearest thing around it that was written."""
        return next(
            (
                self.lines[path[:end]]
                for end in range(len(path), -1, -1)
                if path[:end] in self.lines
            ),
            None,
        )

    def problems(self, block: Path = (), rules: Rules | None = None) -> tuple[Problem, ...]:
        """All of it in the order of the lines. `rules` are those of the block, which stands at
        the path `block`."""
        found = sorted(self.notes.values(), key=lambda note: note.line or 0)
        return tuple(
            Problem(
                note.message,
                self._shown(note.path, block, rules or {}),
                self.file,
                note.line,
                note.suggestion,
            )
            for note in found
        )

    def _shown(self, path: Path, block: Path, rules: Rules) -> str:
        keys = list(path)
        if path[: len(block)] == block:
            keys = [*block, *_known_part(path[len(block) :], rules)]
        text = "" if self.top is None else self.top
        for key in keys:
            text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
        return text


def _known_part(path: Path, rules: Rules) -> Path:
    """As much of a path within the block as may be shown: down to the first key that is secret
    or not known."""
    if not path or rules.get("type") == "secret":
        return ()
    key, rest = path[0], path[1:]
    if isinstance(key, str) and not _PLAIN_KEY.fullmatch(key):
        return ()
    below = rules_below(rules, key)
    if below is None:
        return (key,) if isinstance(key, str) else ()
    return (key, *_known_part(rest, below))


def rules_below(rules: Rules, key: str | int) -> Rules | None:
    """The rules for the member `key` of a value that has `rules`; None where they do not know
    it."""
    if isinstance(key, int):
        own = rules.get("items")
        below = (
            own[key] if isinstance(own, (list, tuple)) and key < len(own) else rules.get("schema")
        )
    else:
        own = rules.get("schema")
        below = own.get(key) if isinstance(own, Mapping) and rules.get("type") == "dict" else None
        below = rules.get("valuesrules") if below is None else below
    return below if isinstance(below, Mapping) else None
