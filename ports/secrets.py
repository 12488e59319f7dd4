"""Resolving the ``${VAR}`` references of tenant files."""

from __future__ import annotations

from typing import Protocol

from ..domain.secrets.secret import Secret


class Secrets(Protocol):
    """Where secrets come from: the environment by default, a vault if a host brings one."""

    def resolve(self, name: str) -> Secret | None:
        """The secret of that name; None where there is none."""
        ...
