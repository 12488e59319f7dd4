"""Secrets: where the references of tenant files are looked up."""

from __future__ import annotations

from .environ import EnvironSecrets
from .files import FileSecrets

__all__ = ["EnvironSecrets", "FileSecrets"]
