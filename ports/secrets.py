"""Resolving the references of tenant files, such as ``${NAME}``."""

from __future__ import annotations

from typing import Protocol

from ..domain.secrets.secret import Secret


class SecretError(Exception):
    """A secret cannot be looked up. The message is shown to those who look after the tenant's
    file: it says why and what to do, and holds no secret."""


class Secrets(Protocol):
    """Where secrets come from: the environment, or a vault that the host brings."""

    def resolve(self, name: str) -> Secret | None:
        """Look one secret up.

        Args:
            name: the name in ``${NAME}``. A courier looks ``${file:PATH}`` up by itself.

        Returns:
            The secret, or None if no secret has that name.

        Raises:
            SecretError: it cannot be looked up, and the message says why; the tenant's
                configuration is then refused.
            Exception: the same, and the message is not shown, since it can hold a secret.
        """
        ...
