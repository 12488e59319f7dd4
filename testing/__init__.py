"""For tests of a host or an adapter: fakes of the ports, a simulation, contract kits, sandboxes of
the providers.

Here are the fakes that a host's tests want. `testing.contracts` holds the kit for each port,
`testing.sandboxes` (extra `sandbox`) the providers' stand-ins, `testing.pytest_plugin` fixtures for
both. Each name is imported from its home when it is first used.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .clock import FakeClock
    from .fakes import Fakes, tenant
    from .logger import RecordingLogger
    from .memory_store import MemoryStore
    from .scripted_provider import ReadableScriptedProvider, ScriptedProvider
    from .scripted_transport import ScriptedTransport
    from .simulation import Simulation
    from .time_travel import until_settled
else:
    _HOMES = {
        "FakeClock": "clock",
        "Fakes": "fakes",
        "MemoryStore": "memory_store",
        "ReadableScriptedProvider": "scripted_provider",
        "RecordingLogger": "logger",
        "ScriptedProvider": "scripted_provider",
        "ScriptedTransport": "scripted_transport",
        "Simulation": "simulation",
        "tenant": "fakes",
        "until_settled": "time_travel",
    }

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f".{_HOMES[name]}", __name__), name)

    def __dir__():
        return sorted({*globals(), *_HOMES})


__all__ = [
    "FakeClock",
    "Fakes",
    "MemoryStore",
    "ReadableScriptedProvider",
    "RecordingLogger",
    "ScriptedProvider",
    "ScriptedTransport",
    "Simulation",
    "tenant",
    "until_settled",
]
