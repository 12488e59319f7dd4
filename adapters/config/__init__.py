"""Tenant files: reading them, checking them, and telling an administrator everything that is wrong
with them at once.

On the way from a file to an `Integration`: a *source* reads text into nodes with lines
(`yaml_source`, `json_source`, `mapping_source`); `tenant_data` finds the tenant and the block;
`references` looks its secrets up; `schema` checks it with Cerberus and `complaints` words what it
found; `structure` makes the frozen classes; `block` leads one tenant through all that, and `loader`
all tenants. `report` gathers the problems.
"""

from __future__ import annotations

from .loader import DEFAULT_BLOCK, Loaded, load_folder, load_mapping

__all__ = ["DEFAULT_BLOCK", "Loaded", "load_folder", "load_mapping"]
