"""TLS contexts, one for each bundle of certificate authorities, made away from the event loop:
reading a bundle takes tens of milliseconds."""

from __future__ import annotations

import asyncio
import ssl

from attrs import define, field


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """A context that verifies certificates and host names, with TLS 1.2 or newer.

    `ca_bundle` is a PEM file that takes the place of the system's authorities. Raises OSError where
    it cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca_bundle)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@define
class TlsContexts:
    """Makes each context once, for one event loop."""

    _made: dict[str | None, ssl.SSLContext] = field(factory=dict, init=False)
    _lock: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    async def get(self, ca_bundle: str | None) -> ssl.SSLContext:
        """The context for that bundle. Raises as `tls_context` does, and tries again the next
        time."""
        if ca_bundle in self._made:
            return self._made[ca_bundle]
        async with self._lock:
            if ca_bundle not in self._made:
                self._made[ca_bundle] = await asyncio.to_thread(tls_context, ca_bundle)
            return self._made[ca_bundle]
