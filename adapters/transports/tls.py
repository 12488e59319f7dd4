"""TLS contexts, one for each file of certificate authorities, made away from the event loop:
reading a file of authorities takes tens of milliseconds."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import TypeAlias

from attrs import define, field

Version: TypeAlias = tuple[int, ...]


def version_of(ca_bundle: str | None) -> Version:
    """Something that changes if the file is written anew or replaced. OSError without the file."""
    if ca_bundle is None:
        return ()
    status = os.stat(ca_bundle)
    return status.st_ino, status.st_size, status.st_mtime_ns


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """A context that verifies certificates and host names, with TLS 1.2 or newer.

    `ca_bundle` is a PEM file that takes the place of the system's authorities. Raises OSError if it
    cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca_bundle)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@define
class TlsContexts:
    """Makes each context once for each version of its file, for one event loop."""

    _made: dict[str | None, tuple[Version, ssl.SSLContext]] = field(factory=dict, init=False)
    _lock: asyncio.Lock = field(factory=asyncio.Lock, init=False)

    async def get(self, ca_bundle: str | None) -> ssl.SSLContext:
        """The context for that file. Raises as `tls_context` does, and tries again the next
        time."""
        async with self._lock:
            version, context = version_of(ca_bundle), None
            if ca_bundle in self._made:
                made, context = self._made[ca_bundle]
                context = context if made == version else None
            if context is None:
                context = await asyncio.to_thread(tls_context, ca_bundle)
                self._made[ca_bundle] = version, context
            return context
