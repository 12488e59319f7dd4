"""What is wrong with one tenant's configuration, and where.

A problem is noted with its path when it is found, at most one for a path. The paths are written out
at the end, when the keys of the tenant's provider are known. No value is quoted, since a secret can
stand in any wrong place; nor is a key below a secret or below an unknown key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

from attrs import define, evolve, field

from ...domain.errors import Problem
from ...domain.integration import Integration
from ...domain.secrets.secret import Secret
from .stamps import Stamp

Path: TypeAlias = tuple[str | int, ...]
"""The keys and indexes from the top of the tenant's data down to a value."""

Rules: TypeAlias = Mapping[str, object]
"""What Cerberus calls a rules set: all that holds for one value."""

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")


@define
class Report:
    """What is found in one tenant's data: who it is, its integration, and the problems.

    - `fallback` names the tenant if its id cannot be read, and is its id if the data has none.
    - `block` is where its integration stands; a relative path in it starts at `folder`.
    - `top` begins every path: the key in a host's mapping.
    - `rules` are those of the value at `block`, once the provider is known.
    """

    fallback: str
    block: tuple[str, ...]
    file: str | None = None
    top: str | None = None
    folder: str | None = None
    tenant_id: str | None = field(default=None, init=False)
    name: str | None = field(default=None, init=False)
    provider: str | None = field(default=None, init=False)
    integration: Integration | None = field(default=None, init=False)
    rules: Rules = field(factory=dict, init=False)
    lines: dict[Path, int] = field(factory=dict, init=False)
    notes: dict[Path, Problem] = field(factory=dict, init=False)
    block_exists: bool = field(default=False, init=False)
    """Whether the data has the key of the block."""
    has_block: bool = field(default=False, init=False)
    """Whether something stands where the block is looked for, and is not switched off."""
    warnings: tuple[Problem, ...] = field(default=(), init=False)
    shown: tuple[tuple[Path, str], ...] = field(default=(), init=False)
    """Where references stand in fields that are not secret."""
    secret: tuple[str, ...] = field(default=(), init=False)
    """The references that fill secrets."""
    answers: dict[str, Secret] = field(factory=dict, init=False)
    """What each reference was resolved to, by its name."""
    stamp: Stamp | None = field(default=None, init=False)
    """How the file was when it was read; None if a later change might not show in it."""

    files: dict[str, Stamp | None] = field(factory=dict, init=False)
    """Files that its block names beside secrets, each as it was before it was read."""

    def note(
        self, path: Path, message: str, *, suggestion: str | None = None, line: int | None = None
    ) -> None:
        """Remember a problem, unless the path has one: later ones mostly follow from the first."""
        if path not in self.notes:
            line = self.line_of(path) if line is None else line
            self.notes[path] = Problem(message, "", self.file, line, suggestion)

    def warn(self, message: str, line: int | None = None) -> None:
        """Note what is not wrong, and probably not meant."""
        self.warnings += (Problem(message, self.top or "", self.file, line),)

    def around(self) -> set[Path]:
        """Every path with a problem at it or within it."""
        return {path[:end] for path in self.notes for end in range(len(path) + 1)}

    def remember(self, path: Path, line: int | None) -> None:
        """Take down the line of the key at `path`; the first one stays."""
        if line is not None:
            self.lines.setdefault(path, line)

    def lines_in_block(self) -> dict[str, int | None]:
        """The line of each key in the block, by its path below that."""
        depth, lines = len(self.block), self.lines
        return {".".join(map(str, path[depth:])): lines[path] for path in lines if path[depth:]}

    def line_of(self, path: Path) -> int | None:
        """The line of the key at `path`, or of the nearest key around it."""
        around = (path[:end] for end in range(len(path), -1, -1))
        return next((self.lines[part] for part in around if part in self.lines), None)

    def may_be_secret(self, path: Path) -> bool:
        """Whether the value at `path` is a secret, or a proxy, which may have a password."""
        rules: Rules | None = self.rules
        for key in path[len(self.block) :]:
            rules = rules_below(rules or {}, key)
        return (rules or {}).get("type") in ("secret", "proxy")

    def problems(self) -> list[Problem]:
        """All problems in the order of their lines."""
        found = sorted(self.notes.items(), key=lambda noted: noted[1].line or 0)
        return [evolve(problem, path=self._shown(path)) for path, problem in found]

    def _shown(self, path: Path) -> str:
        depth = len(self.block)
        if path[:depth] == self.block:
            path = (*self.block, *_known_part(path[depth:], self.rules))
        text = self.top or ""
        for key in path:
            text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
        return text


def _known_part(path: Path, rules: Rules) -> Path:
    """The part of a path that may be shown: down to the first key that is secret or unknown."""
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
    """The rules for the member `key` of a value that has `rules`; None if they do not name it."""
    members, own, below = rules.get("schema"), rules.get("items"), None
    if isinstance(key, int):
        below = own[key] if isinstance(own, (list, tuple)) and key < len(own) else members
    elif isinstance(members, Mapping) and rules.get("type") == "dict":
        below = members.get(key)
    if below is None and isinstance(key, str):
        below = rules.get("valuesrules")
    return below if isinstance(below, Mapping) else None


def printable(path: str) -> str:
    """The path with everything unprintable in its bytes written out."""
    if path.isprintable():
        return path
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in path)
