"""A few hundred inputs for each target; `make fuzz` tries a million."""

from __future__ import annotations

from random import Random

import pytest
from fuzz_targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_surprising_comes_of_surprising_inputs(name: str) -> None:
    outcomes = {TARGETS[name](Random(f"{name} {number}")) for number in range(300)}
    assert len(outcomes) >= 2, "the inputs are all of one kind"
