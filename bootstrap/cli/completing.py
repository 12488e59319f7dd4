"""Tenant ids, for a shell that completes what is typed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ...adapters.config.passed_over import is_tenant_file
from ...domain.errors import CourierError
from ..records import Records


def tenants(given: Mapping[str, Any], begun: str) -> list[str]:
    """The tenants of the folder and of the uploads, as far as the line names them so far.
    A shell is told of no error."""
    found: set[str] = set()
    folder, database = given.get("folder"), given.get("database")
    if folder:
        with suppress(OSError):
            files = filter(is_tenant_file, os.listdir(folder))
            found |= {os.path.splitext(name)[0] for name in files}
    if database:
        with suppress(CourierError, OSError), Records.open(database) as records:
            found |= {one.tenant_id for one in records.counted()}
    return sorted(one for one in found if one.startswith(begun))
