"""TLS contexts, one for each file of certificate authorities: making one takes tens of
milliseconds."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from typing import TypeAlias

from attrs import define, field

Version: TypeAlias = tuple[int, ...]


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """A context that verifies certificates and host names, with TLS 1.2 or newer.

    `ca_bundle` is a PEM file that takes the place of the system's authorities. Raises OSError if it
    cannot be read or holds no certificate.
    """
    context = ssl.create_default_context(cafile=ca_bundle)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False  # a certificate names its hosts as alternatives
    return context


@define
class TlsContexts:
    """Makes each context once for each version of its file."""

    _made: dict[str | None, tuple[Version, ssl.SSLContext]] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def get(self, ca_bundle: str | None) -> ssl.SSLContext:
        """The context for that file. Raises as `tls_context` does, and tries again the next
        time."""
        with self._lock:
            version, context = self._known(ca_bundle)
            if context is None:
                context = tls_context(ca_bundle)
                self._made[ca_bundle] = version, context
            return context

    async def get_on_loop(self, ca_bundle: str | None) -> ssl.SSLContext:
        """The same; a context that is still to be made is made in a thread."""
        _, context = self._known(ca_bundle)
        return await asyncio.to_thread(self.get, ca_bundle) if context is None else context

    def _known(self, ca_bundle: str | None) -> tuple[Version, ssl.SSLContext | None]:
        version = _version_of(ca_bundle)
        made, context = self._made.get(ca_bundle, (version, None))
        return version, context if made == version else None


def _version_of(ca_bundle: str | None) -> Version:
    """Something that changes if the file is written anew or replaced. OSError without the file."""
    if ca_bundle is None:
        return ()
    status = os.stat(ca_bundle)
    return status.st_ino, status.st_size, status.st_mtime_ns
