"""Since when an upload waits, if the time for which a person paused it does not count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.domain.pacing.paused import Paused, Resumed, Scope, waits_since

AT = datetime(2026, 2, 21, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ITS = [Scope("acme"), Scope(None, "sprinto"), Scope("acme", "sprinto")]
OTHERS = [Scope("globex"), Scope(None, "vanta"), Scope("acme", "vanta")]
LENGTH = 20

switches = st.lists(st.tuples(st.integers(0, LENGTH), st.sampled_from([*ITS, *OTHERS])), max_size=9)


@given(switches, st.integers(0, LENGTH))
def test_the_minutes_count_in_which_no_pause_concerned_it(
    given_: list[tuple[int, Scope]], recorded: int
) -> None:
    changes, paused = list[Paused | Resumed](), set[Scope]()
    waited = 0
    for minute in range(LENGTH + 1):
        for _, scope in filter(lambda one: one[0] == minute, given_):
            kind = Resumed if scope in paused else Paused
            changes.append(kind(scope, AT + minute * MINUTE, "asha", "an audit"))
            paused ^= {scope}
        waited += minute >= recorded and minute < LENGTH and paused.isdisjoint(ITS)
    changes += [Resumed(one, AT + LENGTH * MINUTE, "bo", "it is over") for one in paused]
    since = waits_since(AT + recorded * MINUTE, "acme", "sprinto", changes)
    assert AT + LENGTH * MINUTE - since == waited * MINUTE
