"""A host, its couriers, its people and its bad luck, in any order: after each step every invariant
holds, and at the end everything has settled.

Where it fails, Hypothesis shows the shortest story that does.
"""

from __future__ import annotations

from hypothesis import settings
from simulated_world import World

World.TestCase.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
TestWorld = World.TestCase
