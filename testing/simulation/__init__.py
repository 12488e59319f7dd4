"""Whole couriers in virtual time: days pass in milliseconds, and the same seed repeats a failure.

`Simulation` runs the real engine, domain, schedule and gate on a store in memory. Its provider is a
`ModelServer`, whose `Faults` are data: outages, lost replies, late commits, an enforced pace.
Couriers are killed at a write or between two, clocks jump, people act, and `breaches` says what
does not hold.

    simulation = Simulation(seed=7, faults=Faults(takes_and_drops=0.2))
    simulation.submit(100)
    simulation.crash()
    simulation.settle()
    assert simulation.breaches() == []
"""

from .model import Faults, ModelProvider, ModelServer, Outage, ReadableModelProvider
from .simulation import Simulation

__all__ = [
    "Faults",
    "ModelProvider",
    "ModelServer",
    "Outage",
    "ReadableModelProvider",
    "Simulation",
]
