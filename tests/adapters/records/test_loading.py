"""Reading a training record: what holds is read, what does not hold is named, all of it at once."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_records import record_as_json

from evidence_courier.adapters.records import load_record
from evidence_courier.domain.errors import RecordError


def problems(data: Any, where: str = "record") -> list[str]:
    with pytest.raises(RecordError) as caught:
        load_record(data, where=where)
    return [str(problem) for problem in caught.value.problems]


def test_a_record_is_read_from_bytes_text_and_a_mapping() -> None:
    tree = record_as_json()
    text = json.dumps(tree)
    record = load_record(tree)
    assert (
        load_record(text)
        == load_record(text.encode())
        == load_record(b"\xef\xbb\xbf" + text.encode())
        == record
    )
    assert record.training.title == "Security attestation"
    assert record.modules[0].questions[0].rationale == "Correct channel."
    assert record.generated_at == datetime(2026, 2, 21, 10, 0, 3, tzinfo=UTC)


def test_the_optional_may_be_left_out_or_null() -> None:
    tree = record_as_json(employee__name=None, employee__email=None, content_hash=None)
    del (
        tree["extra"],
        tree["outcome"]["weak_areas"],
        tree["modules"][0]["questions"][0]["rationale"],
    )
    record = load_record(tree)
    assert (record.employee.name, record.employee.email, record.content_hash) == (None, None, None)
    assert (record.extra, record.outcome.weak_areas, record.modules[0].questions[0].rationale) == (
        {},
        (),
        None,
    )


def test_null_means_absent_for_every_optional_key() -> None:
    tree = record_as_json(outcome__weak_areas=None, extra=None, employee__email=None)
    tree["modules"][0]["questions"][0]["rationale"] = None
    record = load_record(tree)
    assert (record.outcome.weak_areas, record.extra, record.employee.email) == ((), {}, None)
    assert record.modules[0].questions[0].rationale is None


def test_null_is_no_value_of_a_key_that_is_needed() -> None:
    tree = record_as_json(schema_version=None)
    assert problems(tree) == ["record: schema_version: must be 1, not null"]
    tree = record_as_json(modules=None, outcome__score=None, more=None)
    assert [line.split(": ")[1] for line in problems(tree)] == ["outcome.score", "modules", "more"]


def test_whole_numbers_may_be_written_with_a_point() -> None:
    record = load_record(
        record_as_json(schema_version=1.0, training__attempt=2.0, outcome__score=1)
    )
    assert (record.schema_version, record.training.attempt, record.outcome.score) == (1, 2, 1.0)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-21T10:00:03Z",
        "2026-02-21T10:00:03.000000000Z",
        "2026-02-21t10:00:03z",
        "2026-02-21T15:30:03+05:30",
        "2026-02-20T22:00:03-12:00",
    ],
)
def test_a_moment_is_read_in_every_form_of_rfc_3339(text: str) -> None:
    assert load_record(record_as_json(generated_at=text)).generated_at == datetime(
        2026, 2, 21, 10, 0, 3, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("2026-02-21", "needs a time of day and a time zone, such as 2026-02-21T10:00:00Z"),
        ("2026-02-21T10:00:03",
        "needs a time zone at its end: Z for UTC, or an offset such as +05:30"),
        ("2026-02-21T10:00:03.25",
        "needs a time zone at its end: Z for UTC, or an offset such as +05:30"),
        ("21.2.2026", "must be a date and time, such as 2026-02-21T10:00:00Z"),
        ("2026-02-30T10:00:00Z", "names a day that does not exist"),
        ("2026-02-29T10:00:00Z", "names a day that does not exist"),
        ("2026-02-21T25:00:00Z", "names a time of day that does not exist"),
        ("2026-02-21T24:00:00Z", "names a time of day that does not exist"),
        ("2026-02-21T10:60:00Z", "names a time of day that does not exist"),
        ("2026-02-21T10:00:60Z", "names a time of day that does not exist"),
        ("2026-02-21T10:00:00+25:00", "names a time zone that does not exist"),
        ("2026-02-21T10:00:00+14:60", "names a time zone that does not exist"),
        ("2026-02-21T10:00:00+05", "needs minutes in its time zone, such as +05:30"),
        ("2026-02-21T10:00:00,5Z", "needs a point before its fractions of a second, not a comma"),
        ("2026-02-21T10:00:00.0123456789Z", "has more than nine digits after its point"),
        ("0001-01-01T00:00:00+14:00", "lies outside the years 1 to 9999 of UTC"),
        ("20260221T100000Z", "must be a date and time, such as 2026-02-21T10:00:00Z"),
        ("Sat, 21 Feb 2026 10:00:00 GMT",
        "must be a date and time, such as 2026-02-21T10:00:00Z"),
        ("2026-02-21T10:00Z", "needs seconds, such as 2026-02-21T10:00:00Z"),
        ("2026-02-21 10:00:00Z",
        "needs a T between the date and the time, such as 2026-02-21T10:00:00Z"),
        ("2026-02-21T10:00:00+0000", "needs a colon in its time zone, such as +05:30"),
        ("2026-02-21T10:00:00 Z",
        "must be a date and time, such as 2026-02-21T10:00:00Z"),
        ("", "must be a date and time, such as 2026-02-21T10:00:00Z"),
        ("now", "must be a date and time, such as 2026-02-21T10:00:00Z"),
    ],
)  # fmt: skip
def test_another_moment_is_refused_with_what_is_wrong(value: str, complaint: str) -> None:
    assert problems(record_as_json(started_at=value)) == [f"record: started_at: {complaint}"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2016-12-31T23:59:60Z", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2016-12-31T15:59:60-08:00", datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_leap_second_is_read_as_the_second_before(written: str, read: datetime) -> None:
    assert load_record(record_as_json(generated_at=written)).generated_at == read


def test_every_problem_is_named_with_its_path() -> None:
    tree = record_as_json(
        outcome__status="abandoned",
        outcome__weak_areas=["ok", 3, None, "\ud800"],
        training__attempt=4,
        training__type=" ",
        started_at=12,
        extra={"a": [float("nan"), {"x y": float("inf")}]},
        content_hash="md5:1",
    )
    del tree["session_id"]
    tree["training"]["titel"] = tree["training"].pop("title")
    tree["modules"][0]["questions"][0]["score"] = 7
    tree["modules"].append(["Passwords"])
    assert problems(tree, "ev-1.json") == [
        "ev-1.json: session_id: is missing",
        "ev-1.json: training.title: is missing",
        "ev-1.json: training.type: must not be empty",
        "ev-1.json: training.titel: is not a known key (did you mean title?)",
        "ev-1.json: training.attempt: is 4, but max_attempts is 3",
        "ev-1.json: outcome.status: is abandoned: such a session leaves no evidence, do not hand "
        "its record over",
        "ev-1.json: outcome.weak_areas[1]: must be text, not a number",
        "ev-1.json: outcome.weak_areas[2]: must be text, not null",
        "ev-1.json: outcome.weak_areas[3]: holds half a character (a lone surrogate), which is "
        "not text",
        "ev-1.json: started_at: must be a date and time, not a number",
        "ev-1.json: modules[0].questions[0].score: must be a number from 0 to 1, not 7",
        "ev-1.json: modules[1]: must be an object, not a list",
        "ev-1.json: content_hash: must begin with sha256:",
        "ev-1.json: extra.a[0]: is not a finite number",
        "ev-1.json: extra.a[1]['x y']: is not a finite number",
    ]


def test_a_single_problem_is_reported_as_well() -> None:
    assert problems(record_as_json(training__attempt=4)) == [
        "record: training.attempt: is 4, but max_attempts is 3"
    ]


@pytest.mark.parametrize(
    ("path", "typo", "meant"),
    [
        ("employee", "e-mail", "email"),
        ("outcome", "treshold", "pass_threshold"),
        ("training", "maxAttempts", "max_attempts"),
    ],
)
def test_a_near_miss_is_answered_with_the_key_that_was_meant(
    path: str, typo: str, meant: str
) -> None:
    assert problems(record_as_json(**{f"{path}__{typo}": 1})) == [
        f"record: {path}.{typo}: is not a known key (did you mean {meant}?)"
    ]


def test_a_key_like_no_other_is_answered_with_the_known_ones() -> None:
    assert problems(record_as_json(employee__zzz=1)) == [
        "record: employee.zzz: is not a known key; known are id, name, email"
    ]


def test_another_schema_version_is_the_only_problem() -> None:
    assert problems({"schema_version": 2, "whatever": 1}) == [
        "record: schema_version: 2 is not known; the known version is 1"
    ]
    assert problems({"schema_version": True}) == [
        "record: schema_version: must be 1, not true or false"
    ]


def test_a_record_without_its_version_is_refused() -> None:
    tree = record_as_json()
    del tree["schema_version"]
    assert problems(tree) == ["record: schema_version: is missing"]


def test_a_key_that_stands_twice_is_named_with_its_path() -> None:
    text = json.dumps(record_as_json()).replace('"name":', '"name": "Somebody Else", "name":')
    text = text.replace('"locale":', '"locale": 1, "locale": 2, "locale":')
    assert problems(text) == [
        "record: extra.locale: stands more than once in its object",
        "record: employee.name: stands more than once in its object",
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "record:1: is not JSON: Expecting value at column 1"),
        (b'{"a": "\t"}', "record:1: is not JSON: Invalid control character at column 8"),
        (b'{"a": "b}', "record:1: is not JSON: Unterminated string starting at column 7"),
        (
            b'{"a": 1,\n  b}',
            "record:2: is not JSON: Expecting property name enclosed in double quotes at column 3",
        ),
        (b"\xff{}", "record: is not UTF-8: byte 0 cannot be read"),
        (b"[1]", "record: must be an object, not a list"),
        (b"null", "record: must be an object, not null"),
        (b"[" * 100_000, "record: is nested deeper than 64 levels"),
        (b'{"a":' * 100_000, "record: is nested deeper than 64 levels"),
        (b"9" * 5_000, "record: holds a number of more than 4,200 digits"),
        (b" " * (8 * 1024 * 1024 + 1), "record: is larger than 8 MiB"),
        (b"[" + b"[]," * 100_000 + b"[]]", "record: must be an object, not a list"),
        (b'{"a":[' + b"[]," * 100_000 + b"[]]}", "record: holds more than 100,000 values"),
        (None, "record: must be an object, not null"),
        ({1: 2, "schema_version": 1}, "record: has a key that is not text"),
    ],
)
def test_what_is_no_record_at_all_has_one_problem(data: Any, problem: str) -> None:
    assert problems(data) == [problem]


def test_a_mapping_that_contains_itself_is_refused() -> None:
    tree = record_as_json()
    tree["extra"] = {"self": tree}
    listed = problems(tree)
    assert all(problem.startswith("record: extra.self.extra.self.") for problem in listed)
    assert all(problem.endswith(": is nested deeper than 64 levels") for problem in listed)


def test_a_mapping_that_holds_one_part_very_often_is_refused() -> None:
    part: list[object] = []
    for _ in range(40):
        part = [part, part]
    assert problems(record_as_json(extra={"a": part})) == ["record: holds more than 100,000 values"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_refused_wherever_it_stands(number: str) -> None:
    text = json.dumps(record_as_json(outcome__score="?", extra={"a": ["?"]})).replace('"?"', number)
    assert [problem.split(": must")[0].split(": is")[0] for problem in problems(text)] == [
        "record: outcome.score",
        "record: extra.a[0]",
    ]


def test_at_most_a_hundred_problems_are_listed() -> None:
    listed = problems(record_as_json(modules=[{}] * 200))
    assert len(listed) == 101
    assert listed[-1] == "record: there are more problems than these"


def test_no_value_of_the_record_stands_in_a_message() -> None:
    tree = record_as_json(
        employee="Asha Patel", training__title=["Asha"], started_at="Asha", outcome__score="Asha"
    )
    assert not any("Asha" in problem for problem in problems(tree))


keys = st.sampled_from(
    [
        "schema_version",
        "tenant_id",
        "employee",
        "id",
        "modules",
        "questions",
        "score",
        "extra",
        "attempt",
        "\ud800",
        "",
    ]
)
trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(codec=None, categories=None))
    | st.sampled_from(["2026-02-21T10:00:00Z", "passed", "0001-01-01T00:00:00+23:59"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(keys | st.text(max_size=5), inner, max_size=6)
    ),
    max_leaves=20,
)


@given(st.binary())
def test_any_bytes_give_a_record_or_a_record_error(data: bytes) -> None:
    with pytest.raises(RecordError):
        load_record(data)


@given(trees)
def test_any_tree_gives_a_record_or_a_record_error(tree: Any) -> None:
    with pytest.raises(RecordError):
        load_record(tree)
    with pytest.raises(RecordError):
        load_record(json.dumps(tree))


PATHS = [
    "tenant_id",
    "employee",
    "employee__id",
    "employee__name",
    "training__title",
    "training__attempt",
    "training__max_attempts",
    "outcome__status",
    "outcome__score",
    "outcome__weak_areas",
    "started_at",
    "modules",
    "content_hash",
    "extra",
    "extra__more",
    "schema_version",
]


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(PATHS), trees, max_size=3))
def test_a_record_with_anything_anywhere_loads_or_says_why(changes: dict[str, Any]) -> None:
    try:
        tree = record_as_json(**dict(sorted(changes.items(), reverse=True)))
    except (
        TypeError,
        KeyError,
        AttributeError,
    ):  # a part was replaced by something that has no members
        return
    try:
        record = load_record(tree)
    except RecordError as error:
        str(error).encode("utf-8")  # what is said can be printed
    else:
        assert load_record(json.dumps(tree)) == record


@given(st.integers(min_value=0, max_value=1500), st.binary(min_size=1, max_size=3))
def test_a_damaged_text_loads_or_says_why(place: int, damage: bytes) -> None:
    text = json.dumps(record_as_json()).encode()
    place %= len(text)
    with contextlib.suppress(RecordError):
        load_record(text[:place] + damage + text[place + len(damage) :])
