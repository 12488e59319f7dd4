"""Secrets from the environment of this process, the place where most platforms put them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ...domain.secrets.secret import Secret


class EnvironSecrets:
    """Looks each reference up in `environ`, by default in this process's environment.

    The mapping is read at every `resolve`, so that a reload sees what has changed since. A variable
    that is set to nothing is given as it is; whether an empty secret will do is the reader's
    business.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ

    def resolve(self, name: str) -> Secret | None:
        """The secret of that name; None where the variable is not set."""
        value = self._environ.get(name)
        return None if value is None else Secret(value)
