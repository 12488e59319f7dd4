"""Whole couriers in virtual time, under one seed: days pass in milliseconds, and what goes wrong
goes wrong again from the same seed.

`Simulation` runs the real engine, domain, schedule and gate on a store in memory, with a
`ModelServer` as the provider, whose `Faults` are data: outages, lost replies, late commits, a pace
that it enforces. Couriers are killed at any write or between two, clocks jump, people act, and
after all of it `breaches` says what does not hold.

    simulation = Simulation(seed=7, faults=Faults(takes_and_drops=0.2))
    simulation.submit(100)
    simulation.crash()
    simulation.settle()
    assert simulation.breaches() == []
"""

from .model import Faults, ModelServer, Outage
from .simulation import Simulation

__all__ = ["Faults", "ModelServer", "Outage", "Simulation"]
