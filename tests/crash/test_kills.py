"""A host is killed at every point where it writes or sends, and its successors make good what it
left.

`campaign.py` beside this does the same at random, hundreds of times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from crash_host import Death
from crash_watch import Hosts, Life, batch, story

RECORDING = (
    Death("add", "before"),
    Death("add", "after"),
    Death("add", "before", 2),
    Death("add", "after", 2),
)
ATTEMPTS = (
    Death("begin", "before"),
    Death("begin", "after"),
    Death("begin", "after", 3),
    Death("save", "before"),
    Death("save", "after"),
    Death("save", "before", 3),
)
OWNERS = (
    Death("register", "before"),
    Death("register", "after"),
    Death("heartbeat", "before"),
    Death("heartbeat", "after", 2),
    Death("unregister", "before"),
    Death("unregister", "after"),
)
SENDING = (
    Death("unsent", nth=2),
    Death("half"),
    Death("whole", nth=2),
    Death("answering"),
    Death("answered", nth=3),
)


@pytest.mark.parametrize("deaths", [RECORDING, ATTEMPTS, OWNERS, SENDING])
def test_nothing_is_lost_and_no_copy_is_unmarked_wherever_a_host_dies(
    hosts: Hosts, tmp_path: Path, deaths: Sequence[Death]
) -> None:
    with story(hosts, tmp_path) as told:
        for number, death in enumerate(deaths):
            # Enough for two commits, where each is to be met.
            told.generation(
                Life(batch(f"life-{number}", 80 if death.point == "add" else 12), death)
            )
        accounts = told.end()
    assert accounts.wrong == []
    assert told.kills == Counter(map(str, deaths))


def test_no_large_document_is_lost_between_its_file_and_its_record(
    hosts: Hosts, tmp_path: Path
) -> None:
    deaths = (*RECORDING[:2], *ATTEMPTS[:2], Death("save", "before"), Death("save", "after"))
    with story(hosts, tmp_path) as told:
        for number, death in enumerate(deaths):
            told.generation(Life(batch(f"life-{number}", 6, size=300_000), death))
        accounts = told.end()
    assert accounts.wrong == []
    assert told.kills == Counter(map(str, deaths))


def test_nothing_is_lost_whenever_a_host_is_killed_from_outside(
    hosts: Hosts, tmp_path: Path
) -> None:
    with story(hosts, tmp_path, ["status:503=0.2", "reset-after=0.1"]) as told:
        for number, lines in enumerate((0, 1, 9, 30)):
            told.generation(Life(batch(f"life-{number}", 20), None, lines))
        accounts = told.end()
    assert accounts.wrong == []
    assert told.kills == {"from outside": 4}


def test_what_was_taken_without_a_word_arrives_twice_and_says_so(
    hosts: Hosts, tmp_path: Path
) -> None:
    with story(hosts, tmp_path) as told:
        told.generation(Life([("acme", "ev-1", 2_000)], Death("answered")))
        accounts = told.end()
    assert (accounts.wrong, accounts.copies, accounts.marked) == ([], 2, 1)


def test_what_was_taken_without_a_word_is_held_where_the_tenant_wants_that(
    hosts: Hosts, tmp_path: Path
) -> None:
    with story(hosts, tmp_path) as told:
        told.generation(Life([("globex", "ev-1", 2_000)], Death("answered")))
        accounts = told.end()
    assert (accounts.wrong, accounts.copies, accounts.statuses) == ([], 1, {"held": 1})


def test_what_never_left_is_sent_again_and_marked_all_the_same(
    hosts: Hosts, tmp_path: Path
) -> None:
    with story(hosts, tmp_path) as told:
        told.generation(Life([("acme", "ev-1", 2_000)], Death("unsent")))
        accounts = told.end()
    assert (accounts.wrong, accounts.copies, accounts.marked) == ([], 1, 1)


def test_an_attempt_that_was_not_committed_never_left(hosts: Hosts, tmp_path: Path) -> None:
    with story(hosts, tmp_path) as told:
        told.generation(Life([("acme", "ev-1", 2_000)], Death("begin", "before")))
        accounts = told.end()
    assert (accounts.wrong, accounts.copies, accounts.marked) == ([], 1, 0)


def test_two_couriers_with_the_same_evidences_that_die_leave_each_once(
    hosts: Hosts, tmp_path: Path
) -> None:
    with story(hosts, tmp_path) as told:
        same = batch("both", 30)
        told.generation(
            Life(same, Death("save", "after", 2)), Life(same, Death("begin", "after", 2))
        )
        told.generation(Life(same, Death("answered")), Life(same, None, 5))
        accounts = told.end()
    assert accounts.wrong == []
    assert accounts.statuses.total() == 30
