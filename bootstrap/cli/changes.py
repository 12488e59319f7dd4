"""What `run --watch` looks at: the tenant files, and what they name (secrets, certificates)."""

from __future__ import annotations

import os
from contextlib import suppress

from ...adapters.config.stamps import Stamps, stamp_at

_ENDINGS = (".yaml", ".yml", ".json")


class Changes:
    """The files as they were at the last look; the first is when this is made, before the tenants
    are read."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._listed: Stamps = self._list()
        self._named: Stamps = {}

    def look(self, named: Stamps) -> list[str]:
        """What has changed since, in order. `named`: what the tenant files name, each as it was
        before it was read; what was not looked at yet is compared with that."""
        listed, before = self._list(), {**named, **self._named}
        now = {path: stamp_at(path) for path in named}
        changed = [
            one for one in {*listed, *self._listed} if listed.get(one) != self._listed.get(one)
        ]
        changed += [path for path in now if now[path] != before[path]]
        self._listed, self._named = listed, now
        return sorted(changed)

    def _list(self) -> Stamps:
        found = {}
        with suppress(OSError):
            for name in os.listdir(self._folder):
                if name.endswith(_ENDINGS):
                    found[name] = stamp_at(os.path.join(self._folder, name))
        return found
