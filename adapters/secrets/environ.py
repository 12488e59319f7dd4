"""Secrets from the environment of this process, where most platforms put them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ...domain.secrets.secret import Secret


class EnvironSecrets:
    """Looks references up in `environ`, by default this process's environment.

    The mapping is read at every `resolve`, so a reload sees its changes. A variable that is set to
    nothing is an empty secret, which the reader of the tenant files refuses.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ

    def resolve(self, name: str) -> Secret | None:
        """The secret of that name; None if the variable is not set."""
        value = self._environ.get(name)
        return None if value is None else Secret(value)
