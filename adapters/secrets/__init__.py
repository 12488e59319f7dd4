"""Secrets: where the ``${VAR}`` references of tenant files are looked up."""

from __future__ import annotations

from .environ import EnvironSecrets

__all__ = ["EnvironSecrets"]
