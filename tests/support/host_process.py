"""A host application as a process of its own: started, waited for, told to end, and killed
whatever happens."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from attrs import frozen

BIN = Path(sys.executable).parent
PATIENCE = 30.0
"""Seconds until something that should have happened is given up. A machine may be busy; nothing
here takes long."""


def free_port() -> int:
    """A port that nobody listens on, on the loopback interface."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(what: str, holds: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Look again and again; AssertionError that says `what` did not come about."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, f"not within {patience:g} s: {what}"
        time.sleep(0.05)


@frozen
class HostProcess:
    """A program and its children, in a process group of their own."""

    popen: subprocess.Popen[bytes]
    log: Path

    def answers(self, url: str) -> bool:
        """Whether its health page is well; AssertionError where the program has ended instead."""
        import httpx  # where hosts serve pages, it is installed

        assert self.popen.poll() is None, f"ended with {self.popen.returncode}"
        try:
            return httpx.get(url, timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def tell_to_end(self) -> None:
        """Send SIGTERM to the program alone, as a supervisor does."""
        self.popen.send_signal(signal.SIGTERM)

    def ended(self) -> int:
        """Wait for its end; its exit code."""
        return self.popen.wait(PATIENCE)

    def said(self) -> str:
        """Everything it has written."""
        return self.log.read_text(encoding="utf-8", errors="replace")


@contextmanager
def host_process(
    command: Sequence[str | Path], *, folder: Path, environment: Mapping[str, str], log: Path
) -> Iterator[HostProcess]:
    """Run a program of this environment in a folder while the block runs. What it wrote is
    printed, for pytest to show where a test fails."""
    program, *arguments = command
    with log.open("ab") as out:
        popen = subprocess.Popen(
            [BIN / program, *arguments],
            cwd=folder,
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    host = HostProcess(popen, log)
    try:
        yield host
    finally:
        with suppress(ProcessLookupError):
            os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()
        sys.stderr.write(f"--- {' '.join(map(str, command))}\n{host.said()}\n")
