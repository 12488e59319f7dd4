"""Adapters that break one rule each, and the two questions about them: is each caught at its
rule, and is no rule without one?

`make kits` also asks whether each keeps all other rules. That takes half an hour, as each runs
its whole kit.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from attrs import frozen

from evidence_courier.testing.contracts import broken_rules, rules_of


@frozen
class Break:
    """An adapter, as a subclass of a kit, that breaks `rule`; and `also` those that cannot but
    be broken with it."""

    rule: str
    kit: type
    also: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.rule} ({self.kit.__name__})"


def found_at(broken: Break) -> None:
    """It fails at its rule and at those named beside it; and, if whole kits run, at no other."""
    named = {broken.rule, *broken.also}
    found = broken_rules(broken.kit, None if "WHOLE_KITS" in os.environ else named)
    assert set(found) == named, found


def every_rule_bites(kit: type, table: Sequence[Break]) -> None:
    """For each rule of the kit, and no other, there is an adapter that breaks it."""
    assert sorted({*rules_of(kit)} ^ {broken.rule for broken in table}) == []
