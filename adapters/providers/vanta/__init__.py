"""The provider for Vanta."""

from .provider import VantaProvider

__all__ = ["VantaProvider"]
