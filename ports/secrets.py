"""Resolving the ``${VAR}`` references of tenant files."""

from __future__ import annotations

from typing import Protocol

from ..domain.secrets.secret import Secret


class Secrets(Protocol):
    """Where secrets come from: the environment, or a vault that the host brings."""

    def resolve(self, name: str) -> Secret | None:
        """Look one secret up.

        Args:
            name: the name in ``${NAME}``.

        Returns:
            The secret, or None if there is none of that name.

        Raises:
            Exception: it cannot be looked up; the tenant's configuration is then refused. The
                message is not shown, since it can hold a secret.
        """
        ...
