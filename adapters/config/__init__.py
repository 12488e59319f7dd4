"""Tenant files: reading them, checking them, and reporting all that is wrong with them at once.

From a file to an `Integration`: `sources` reads text into nodes with lines, `tenant_file` finds the
tenant and the block, `references` resolves its secrets, `schema` checks its values (`values` reads
durations, sizes and URLs), and `block` makes the integration with the provider's settings class.
`loader` does this for all tenants; `report` gathers the problems.
"""

from __future__ import annotations

from .loader import DEFAULT_BLOCK, NO_TENANT_FILE, Loaded, load_folder, load_mapping
from .report_cache import ReportCache

__all__ = [
    "DEFAULT_BLOCK",
    "NO_TENANT_FILE",
    "Loaded",
    "ReportCache",
    "load_folder",
    "load_mapping",
]
