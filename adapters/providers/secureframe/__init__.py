"""The provider for Secureframe."""

from .provider import SecureframeProvider

__all__ = ["SecureframeProvider"]
