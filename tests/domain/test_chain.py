"""The hash chain: what a change, a removal, an insertion and another order show, and what erasing
does not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from itertools import count

import pytest
import rfc8785
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.domain.arguments import NO_TEXT
from evidence_courier.domain.chain import (
    SALT,
    Check,
    Head,
    Link,
    Record,
    Value,
    canonical,
    canonical_of_hashes,
    chained,
    link,
    positions_of,
    ranges_of,
)

TIME = "2026-02-21T10:00:00.000000Z"
VALUES = (
    st.none()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
ERASABLE = ["by", "reason", "detail"]
CONTENTS = st.dictionaries(st.sampled_from(["by", "at", "reason", "detail"]), VALUES, min_size=1)

Chain = tuple[list[tuple[Link, Record | None]], Head]


def records(contents: Sequence[Mapping[str, Value]]) -> list[Record]:
    return [
        Record("acme", "action", number, f"retry of evidence {number}", content)
        for number, content in enumerate(contents, 1)
    ]


def chain_of(contents: Sequence[Mapping[str, Value]]) -> Chain:
    found, salts = records(contents), count(1)
    links, heads = chained({}, found, lambda many: f"{next(salts):0{2 * many}x}", TIME)
    return [*zip(links, found, strict=True)], heads[0] if heads else Head("acme")


def faults(chain: Chain, kept: Sequence[Head] = ()) -> list[str]:
    links, head = chain
    check = Check("acme", kept)
    found = [fault for pair in links for fault in check.next(*pair)]
    return [*map(str, [*found, *check.end(head)])]


def told(content: dict[str, Value]) -> str:
    """What of it is linked."""
    return str(sorted((name, value) for name, value in content.items() if value is not None))


@given(st.dictionaries(st.sampled_from(["a", "b", "Z", "_"]), VALUES))
def test_what_is_hashed_is_canonical_json(value: dict[str, Value]) -> None:
    """As a library of its own writes RFC 8785."""
    assert canonical(value).encode() == rfc8785.dumps(value)
    assert canonical([*value.values()]).encode() == rfc8785.dumps([*value.values()])


def test_nothing_else_is_hashed() -> None:
    """Two ways to write a broken number would be two hashes."""
    with pytest.raises(TypeError, match=r"^1\.5 is nothing that is hashed here$"):
        canonical({"days": 1.5})


@given(CONTENTS, st.text(st.characters(exclude_categories=["Cs"])), st.none() | st.just("ab"))
def test_a_link_is_written_as_canonical_json(
    content: dict[str, Value], tenant_id: str, previous: str | None
) -> None:
    """It has a shorter way there."""
    record = Record(tenant_id, "action", 7, "a retry", content)
    made = link(Head(tenant_id, 3, previous), record, "0123456789abcdef" * 8, TIME)
    assert made.fields is not None
    assert canonical_of_hashes(made.fields).encode() == rfc8785.dumps({**made.fields})
    text: dict[str, Value] = {"tenant": tenant_id, "position": 4, "time": TIME, "kind": "action"}
    text |= {"record": made.record_hash(record), "previous": previous}
    assert made.hash == hashlib.sha256(rfc8785.dumps(text)).hexdigest()


def test_each_record_is_linked_behind_the_head_of_its_tenant() -> None:
    content = {"by": "dana"}
    found = [
        Record("acme", "action", 7, "a retry", content),
        Record("globex", "action", 8, "a retry", content),
        Record("acme", "action", 9, "a retry", content),
    ]
    before = Head("acme", 3, "ab", "2026-02-20T10:00:00.000000Z")
    links, heads = chained({"acme": before}, found, lambda many: "5" * 2 * many, TIME)
    assert [(one.tenant_id, one.position, one.row_id) for one in links] == [
        ("acme", 4, 7),
        ("globex", 1, 8),
        ("acme", 5, 9),
    ]
    assert heads == [Head("acme", 5, links[2].hash, TIME), Head("globex", 1, links[1].hash, TIME)]


def test_each_field_has_a_salt_of_its_own() -> None:
    content = {"by": "dana", "reason": None, "at": TIME, "detail": "mended"}
    salts = "".join(f"{number:0{SALT}x}" for number in range(4))
    made = link(Head("acme"), Record("acme", "action", 7, "a retry", content), salts, TIME)
    assert made.fields is not None
    assert {name: int(what[:SALT], 16) for name, what in made.fields.items()} == {
        "by": 0,
        "at": 2,
        "detail": 3,
    }


@given(st.lists(CONTENTS))
def test_what_was_linked_and_is_unchanged_has_no_fault(contents: list[dict[str, Value]]) -> None:
    chain = chain_of(contents)
    assert faults(chain) == []
    assert faults(chain, [chain[1]] if contents else []) == []


@given(st.lists(CONTENTS, min_size=1), st.data())
def test_a_changed_field_is_named_with_its_link(
    contents: list[dict[str, Value]], data: st.DataObject
) -> None:
    links, head = chain_of(contents)
    place = data.draw(st.integers(0, len(links) - 1))
    link, record = links[place]
    assert record is not None
    name = data.draw(st.sampled_from([*record.content, "new"]))
    value = data.draw(VALUES.filter(lambda one: one != record.content.get(name)))
    links[place] = link, evolve(record, content={**record.content, name: value})
    (fault,) = faults((links, head))
    assert fault in {
        f"tenant 'acme', link {place + 1}: {record.about} has changed: {name}",
        # One time in 65,536 the field cannot be named.
        f"tenant 'acme', link {place + 1}: its hash is not that of its record and place",
    }


def test_all_changed_fields_of_a_record_are_named() -> None:
    ((link, record),), head = chain_of([{"by": "dana", "reason": "mended", "at": TIME}])
    assert record is not None
    changed = evolve(record, content={**record.content, "by": "eve", "reason": "new"})
    assert faults(([(link, changed)], head)) == [
        "tenant 'acme', link 1: retry of evidence 1 has changed: by, reason"
    ]


@pytest.mark.parametrize(
    ("removed", "what"),
    [
        ([2], "link 2: it is missing"),
        ([2, 3], "link 2: it and all up to link 3 are missing"),
        ([1, 2, 3], "link 1: it and all up to link 3 are missing"),
    ],
)
def test_links_that_are_missing_are_named(removed: list[int], what: str) -> None:
    """What comes behind them does not fit to what is before them."""
    links, head = chain_of([{"by": "dana"}] * 4)
    left = [pair for number, pair in enumerate(links, 1) if number not in removed]
    assert faults((left, head)) == [
        f"tenant 'acme', {what}",
        f"tenant 'acme', link {removed[-1] + 1}: its hash is not that of its record and place",
    ]


def test_a_link_of_which_nothing_is_left_but_its_place_is_found() -> None:
    ((link, _),), head = chain_of([{"by": "dana"}])
    emptied = evolve(link, row_id=None, fields=None, record=None)
    assert faults(([(emptied, None)], head)) == [
        "tenant 'acme', link 1: its hash is not that of its record and place",
        "tenant 'acme': no checkpoint says who erased what links 1 held",
    ]


def test_what_a_database_has_in_the_place_of_a_text_is_found() -> None:
    """It was linked as it is, so that nothing else shows it."""
    broken = NO_TEXT + "d\\xff"
    content = {"by": broken, "reason": "mended", "detail": broken}
    found = Record(broken, "action", 1, "retry of evidence 1", content)
    (made,), (head,) = chained({}, [found], lambda many: "5" * 2 * many, TIME)
    check = Check(broken)
    assert [fault.what for fault in check.next(made, found)] == [
        "retry of evidence 1 has texts that are not UTF-8: tenant_id, by, detail"
    ]
    ((link, record),), head = chain_of([{"by": broken}])
    assert faults(([(link, record)], head)) == [
        "tenant 'acme', link 1: retry of evidence 1 has texts that are not UTF-8: by"
    ]


@given(st.lists(CONTENTS, min_size=2), st.data())
def test_a_removed_link_is_found(contents: list[dict[str, Value]], data: st.DataObject) -> None:
    links, head = chain_of(contents)
    place = data.draw(st.integers(0, len(links) - 1))
    assert faults(([*links[:place], *links[place + 1 :]], head)) != []
    # Also if the others move up.
    moved = [(evolve(link, position=link.position - 1), one) for link, one in links[place + 1 :]]
    shorter = evolve(head, length=head.length - 1)
    assert faults(([*links[:place], *moved], shorter)) != []


@given(st.lists(CONTENTS, min_size=2, unique_by=told), st.data())
def test_another_order_is_found(contents: list[dict[str, Value]], data: st.DataObject) -> None:
    links, head = chain_of(contents)
    order = data.draw(st.permutations(range(len(links))).filter(lambda one: one != sorted(one)))
    moved = [
        (evolve(links[there][0], position=place), links[there][1])
        for place, there in enumerate(order, 1)
    ]
    assert faults((moved, head)) != []
    # Also if only the records change places.
    swapped = [(links[place][0], links[there][1]) for place, there in enumerate(order)]
    assert faults((swapped, head)) != []


@given(st.lists(CONTENTS, min_size=1), CONTENTS, st.data())
def test_an_inserted_link_is_found(
    contents: list[dict[str, Value]], more: dict[str, Value], data: st.DataObject
) -> None:
    """Even one that fits to the link before it."""
    links, head = chain_of(contents)
    place = data.draw(st.integers(0, len(links)))
    before = links[place - 1][0] if place else None
    own = Head("acme", place, None if before is None else before.hash, TIME)
    (new,) = records([more])
    (made,), (end,) = chained({"acme": own}, [new], lambda many: "e" * 2 * many, TIME)
    moved = [(evolve(link, position=link.position + 1), one) for link, one in links[place:]]
    longer = [*links[:place], (made, new), *moved]
    assert faults((longer, evolve(head, length=head.length + 1))) != []
    if moved:
        assert faults((longer, evolve(end, length=len(longer)))) != []


@given(st.lists(CONTENTS, min_size=1), st.data())
def test_a_missing_record_is_named(contents: list[dict[str, Value]], data: st.DataObject) -> None:
    links, head = chain_of(contents)
    place = data.draw(st.integers(0, len(links) - 1))
    links[place] = links[place][0], None
    assert faults((links, head)) == [
        f"tenant 'acme', link {place + 1}: its action is missing from the records"
    ]


@given(st.lists(CONTENTS, min_size=1), st.data())
def test_what_is_erased_leaves_the_chain_whole(
    contents: list[dict[str, Value]], data: st.DataObject
) -> None:
    """Any fields, and any whole records, if a checkpoint names them."""
    links, _ = chain_of(contents)
    everything = st.sets(st.sampled_from(ERASABLE))
    changes = data.draw(
        st.dictionaries(st.integers(0, len(links) - 1), st.none() | everything, min_size=1)
    )
    for place, names in changes.items():
        link, record = links[place]
        assert record is not None
        after = link.without(record, names)
        kept = {
            name: None if names and name in names else value
            for name, value in record.content.items()
        }
        links[place] = after, None if names is None else evolve(record, content=kept)
        assert after.hash == link.hash
    gone = ranges_of(place + 1 for place in changes if links[place][0].gone)
    head = Head("acme", links[-1][0].position, links[-1][0].hash, TIME)
    if gone:
        (fault,) = faults((links, head))
        assert fault.endswith(f"no checkpoint says who erased what links {gone} held")
    named = Record("acme", "checkpoint", 1, "the checkpoint", {"by": "dana", "links": gone})
    (made,), (end,) = chained({"acme": head}, [named], lambda many: "c" * 2 * many, TIME)
    assert faults(([*links, (made, named)], end)) == []


def test_several_checkpoints_name_what_was_erased_together() -> None:
    links, head = chain_of([{"by": "dana"}] * 3)
    erased = [(link.without(record, None), None) for link, record in links]
    assert [link.row_id for link, _ in erased] == [None] * 3
    found = [
        Record("acme", "checkpoint", number, "the checkpoint", {"by": "dana", "links": named})
        for number, named in enumerate(["2", None, "1,3"], 1)
    ]
    made, (end,) = chained({"acme": head}, found, lambda many: "c" * 2 * many, TIME)
    assert faults(([*erased, *zip(made, found, strict=True)], end)) == []


def test_the_salt_goes_with_the_field() -> None:
    """A field that is erased cannot be guessed from what is kept."""
    ((link, record),), _ = chain_of([{"by": "dana", "reason": "mended"}])
    assert record is not None
    after = link.without(record, ["by"])
    assert link.fields is not None and after.fields is not None
    assert link.fields["by"][:32] not in str(after)
    assert len(after.fields["by"]) == 64
    assert after.fields["reason"] == link.fields["reason"]


@pytest.mark.parametrize(
    ("name", "value", "holds"),
    [
        ("by", None, True),
        ("by", "(erased)", True),
        ("by", "eve", False),
        ("by", "erased-0123", False),
        ("evidence_id", f"erased-{'0f' * 16}", True),
        ("evidence_id", f"erased-{'0f' * 16}-2", True),
        ("evidence_id", "erased-0123", False),
        ("evidence_id", "ev-2", False),
        ("verdict", None, False),
        ("verdict", "(erased)", False),
        ("provider", None, False),
        ("at", None, False),
    ],
)
def test_a_field_whose_hash_stands_alone_holds_nothing_else(
    name: str, value: str | None, holds: bool
) -> None:
    """Nor is any field erased that can name no person."""
    content = {"by": "dana", "evidence_id": "ev-1", "verdict": "deferred", "at": TIME}
    ((link, record),), head = chain_of([{**content, "provider": "vanta"}])
    assert record is not None
    pair = link.without(record, [name]), evolve(record, content={**record.content, name: value})
    named = Record("acme", "checkpoint", 1, "the checkpoint", {"by": "eve", "links": "1"})
    (made,), (end,) = chained({"acme": head}, [named], lambda many: "c" * 2 * many, TIME)
    changed = [f"tenant 'acme', link 1: {record.about} has changed: {name}"]
    assert faults(([pair, (made, named)], end)) == ([] if holds else changed)


def test_a_record_that_another_tenant_has_now_is_found() -> None:
    ((link, record),), head = chain_of([{"by": "dana"}])
    assert record is not None
    assert faults(([(link, evolve(record, tenant_id="globex"))], head)) == [
        "tenant 'acme', link 1: retry of evidence 1 has changed: tenant_id"
    ]


def test_the_provider_of_an_action_may_become_known_later() -> None:
    ((link, record),), head = chain_of([{"by": "dana", "provider": None}])
    assert record is not None
    known = evolve(record, content={"by": "dana", "provider": "vanta"})
    assert faults(([(link, known)], head)) == []
    ((link, _),), head = chain_of([{"by": "dana", "provider": "sprinto"}])
    assert faults(([(link, known)], head)) == [
        "tenant 'acme', link 1: retry of evidence 1 has changed: provider"
    ]


@pytest.mark.parametrize("dropped", [1, 2])
def test_a_chain_that_lost_its_end_does_not_fit_to_its_head(dropped: int) -> None:
    links, head = chain_of([{"by": "dana"}] * 4)
    shorter = links[:-dropped]
    assert faults((shorter, head)) == [
        f"tenant 'acme': its head says that it has 4 links, and it has {4 - dropped}"
    ]


def test_a_chain_that_was_written_anew_shows_in_an_earlier_head() -> None:
    """And in nothing else."""
    _, stored = chain_of([{"by": "dana"}] * 3)
    anew = chain_of([{"by": "dana"}, {"by": "eve"}, {"by": "dana"}, {"by": "dana"}])
    assert faults(anew) == []
    assert faults(anew, [stored]) == [
        f"tenant 'acme', link 3: its hash is not that of an earlier head, {stored.hash}"
    ]
    shorter = chain_of([{"by": "dana"}] * 2)
    assert faults(shorter) == []
    assert faults(shorter, [stored]) == [
        f"tenant 'acme', link 3: it is missing, and an earlier head names it ({stored.hash})"
    ]


def test_each_earlier_head_counts_also_those_of_one_length() -> None:
    """The one of the day before does not hide behind today's."""
    _, stored = chain_of([{"by": "dana"}] * 3)
    links, today = chain_of([{"by": "eve"}] * 3)
    expected = [f"tenant 'acme', link 3: its hash is not that of an earlier head, {stored.hash}"]
    for heads in ([stored], [stored, today], [today, stored]):
        assert faults((links, today), heads) == expected
    shorter = chain_of([{"by": "eve"}] * 2)
    assert len(faults(shorter, [stored, today])) == 2


def test_the_hash_of_a_link_is_that_of_the_text_it_shows() -> None:
    ((first, one), (second, other)), _ = chain_of([{"by": "dana"}, {"by": "eve"}])
    assert one is not None
    text = second.text(second.record_hash(other), first.hash)
    assert hashlib.sha256(text.encode()).hexdigest() == second.hash
    assert first.hash in text


@pytest.mark.parametrize(
    ("positions", "words"),
    [([], ""), ([7], "7"), ([3, 1, 2], "1-3"), ([9, 1, 2, 4, 8, 9], "1-2,4,8-9")],
)
def test_positions_are_written_as_ranges(positions: list[int], words: str) -> None:
    assert ranges_of(positions) == words


@given(st.sets(st.integers(1, 50)))
def test_positions_are_read_as_they_were_written(positions: set[int]) -> None:
    assert positions_of(ranges_of(positions), 51) == positions


@pytest.mark.parametrize("text", ["", ",", "-", "x-y", "9-1", "1-", "-3", "99999999999999999999"])
def test_positions_that_cannot_be_read_name_no_link(text: str) -> None:
    assert positions_of(text, 51) <= {1}
    assert len(positions_of("1-99999999999999999999", 51)) == 50
