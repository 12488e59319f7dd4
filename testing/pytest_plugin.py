"""Fixtures for a host's tests. pytest finds this plugin by its entry point.

    def test_an_upload(fakes): ...
    def test_a_platform(sprinto_sandbox): ...

A fixture imports what it needs when it is first used: a test run that uses none reads only this
file. A fixture of the host with the same name replaces ours, as always with pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .clock import FakeClock
    from .fakes import Fakes
    from .logger import RecordingLogger
    from .memory_store import MemoryStore
    from .scripted_provider import ScriptedProvider


@pytest.fixture
def fakes() -> Fakes:
    """All the fakes that a courier needs: ``AsyncCourier.from_mapping({"acme": tenant()},
    **fakes.ports())``."""
    from .fakes import Fakes

    return Fakes()


@pytest.fixture
def fake_clock(fakes: Fakes) -> FakeClock:
    """The clock of `fakes`: it stands still until it is told to move."""
    return fakes.clock


@pytest.fixture
def memory_store(fakes: Fakes) -> MemoryStore:
    """The store of `fakes`: an empty one in memory."""
    return fakes.store


@pytest.fixture
def recording_logger(fakes: Fakes) -> RecordingLogger:
    """The logger of `fakes`: it keeps every event."""
    return fakes.logger


@pytest.fixture
def scripted_provider(fakes: Fakes) -> ScriptedProvider:
    """The provider of `fakes`: everything is delivered."""
    return fakes.provider


def _sandbox(name: str) -> Callable[..., Iterator[Any]]:
    """A fixture that serves a new sandbox from a thread, for tests of any kind."""

    def serve() -> Iterator[Any]:
        try:
            from . import sandboxes
        except ModuleNotFoundError as error:
            if error.name is not None and error.name.partition(".")[0] == "evidence_courier":
                raise
            pytest.skip(
                'a sandbox needs more than is installed: pip install "evidence-courier[sandbox]" '
                f"({error})"
            )
        with sandboxes.sandbox_in_thread(getattr(sandboxes, name)()) as sandbox:
            yield sandbox

    serve.__doc__ = (
        f"A `{name}` with the key ``sandbox-key``: point a tenant's `endpoint` to its `url`."
    )
    return pytest.fixture(serve)


drata_sandbox = _sandbox("DrataSandbox")
secureframe_sandbox = _sandbox("SecureframeSandbox")
sprinto_rest_sandbox = _sandbox("SprintoRestSandbox")
sprinto_sandbox = _sandbox("SprintoSandbox")
vanta_sandbox = _sandbox("VantaSandbox")
