"""What systemd is told of a service with `Type=notify`."""

from __future__ import annotations

import os
import socket
from contextlib import suppress


def tell(state: str) -> None:
    """Tell the supervisor that has started this process, if it asks for it, as READY=1."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address.startswith(("/", "@")):  # a path, or a name that is in no folder
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.setblocking(False)
            to.sendto(f"{state}\n".encode(), address.replace("@", "\0", 1))
