"""The provider for Sprinto."""

from .provider import SprintoProvider

__all__ = ["SprintoProvider"]
