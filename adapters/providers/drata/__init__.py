"""The provider for Drata."""

from .provider import DrataProvider

__all__ = ["DrataProvider"]
