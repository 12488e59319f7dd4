"""What the fields of a training record may hold, rule by rule, and what a value becomes before
it is judged."""

from __future__ import annotations

from importlib.util import find_spec, module_from_spec
from itertools import chain
from typing import Any

import pytest
from attrs import field, fields, frozen

from evidence_courier.domain.evidence import training
from evidence_courier.domain.evidence import training_rules as rules
from evidence_courier.domain.evidence.training_rules import FieldError, Rule


def complaint(rule: Rule, value: object) -> str | None:
    """What the rule has to say of the value, in a field that is called `it`."""

    @frozen
    class Holder:
        it: Any = field(validator=rule)

    try:
        Holder(value)
    except FieldError as error:
        return f"{error.path} {error.complaint}"
    return None


@pytest.mark.parametrize(
    ("path", "key", "shown"),
    [
        ("", "plain", "plain"),
        ("extra", "plain", "extra.plain"),
        ("extra", "x" * 64, f"extra.{'x' * 64}"),
        ("extra", "odd key", "extra['odd key']"),
        ("", "odd key", "['odd key']"),
        ("extra", "ळ\n", r"extra['\u0933\n']"),
        ("extra", 7, "extra[7]"),
        # With the quotation marks 64 characters, and 65.
        ("extra", " " + "x" * 61, f"extra[' {'x' * 61}']"),
        ("extra", " " + "x" * 62, f"extra[' {'x' * 58}...]"),
    ],
)
def test_the_path_to_a_member_can_be_printed_whatever_its_key(
    path: str, key: object, shown: str
) -> None:
    assert rules.path_to(path, key) == shown


@pytest.mark.parametrize(
    "value",
    [None, True, "", 0, 0.5, [], (), {}, {"a": [None, {"b": False}]}, 1 << 13_999, -(1 << 13_999)],
)
def test_what_json_knows_has_no_flaws(value: object) -> None:
    assert list(rules.flaws_of(value, "extra")) == []


def test_every_flaw_is_named_with_its_place() -> None:
    flawed = {"a": [1 << 14_000, {"b": float("nan")}], "c": "\ud800"}
    assert [str(flaw) for flaw in rules.flaws_of(flawed, "extra")] == [
        "extra.a[0] is a number of more than 4,200 digits",
        "extra.a[1].b is not a finite number",
        "extra.c holds half a character (a lone surrogate), which is not text",
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("sha256:abc", None),
        ("sha256:", None),
        ("abc", "it must begin with sha256:"),
        ("sha256:a\nb", "it must not hold a control character or a line break"),
        ("sha256:" + "a" * 506, "it must have at most 512 characters, not 513"),
        (7, "it must be text, not a number"),
    ],
)
def test_a_digest_names_its_method_and_is_one_line(value: object, said: str | None) -> None:
    assert complaint(rules.digest, value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1, None),
        (1_000_000, None),
        (0, "it must be a whole number from 1 to 1,000,000, not 0"),
        (1_000_001, "it must be a whole number from 1 to 1,000,000, not 1000001"),
        (2**63 - 1, "it must be a whole number from 1 to 1,000,000, not 9223372036854775807"),
        (2**63, "it must be a whole number from 1 to 1,000,000, not a number of many digits"),
    ],
)
def test_a_count_is_bounded_and_shown_unless_it_is_endless(value: object, said: str | None) -> None:
    assert complaint(rules.count, value) == said


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        *(("de", True), ("pt-BR", True), ("sr-Latn-RS", True), ("zh-Hant", True), ("es-419", True)),
        *(("", False), ("German", False), ("d", False), ("de_AT", False), ("de\n", False)),
    ],
)
def test_a_language_is_a_tag_with_a_script_and_a_region(value: str, fits: bool) -> None:
    said = None if fits else "it must be a language such as de, pt-BR or sr-Latn-RS"
    assert complaint(rules.language, value) == said
    assert complaint(rules.language, 7) == "it must be text, not a number"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1.0, None),
        (1.0000001, "it must be a number from 0 to 1, not 1.0000001"),
        (-0.00000012345678, "it must be a number from 0 to 1, not -1.2345678e-07"),
    ],
)
def test_a_share_that_is_refused_is_shown_with_all_its_digits(
    value: object, said: str | None
) -> None:
    assert complaint(rules.share, value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("passed", None),
        ("exhausted", None),
        (
            "abandoned",
            "it is abandoned: such a session leaves no evidence, do not hand its record over",
        ),
        ("failed", "it must be passed or exhausted, not 'failed'"),
        ("ü" * 50, "it must be passed or exhausted, not '" + r"\xfc" * 9 + r"\xf"),
        (None, "it must be passed or exhausted, not null"),
        (7, "it must be passed or exhausted, not a number"),
    ],
)
def test_a_status_is_passed_or_exhausted(value: object, said: str | None) -> None:
    assert complaint(rules.status, value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1, None),
        (2, "it 2 is not known; the known version is 1"),
        ("1", "it must be 1, not text"),
        (1.0, "it must be 1, not a number"),
        (True, "it must be 1, not true or false"),
    ],
)
def test_the_version_is_the_known_one(value: object, said: str | None) -> None:
    assert complaint(rules.version, value) == said


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (training.Employee, training.Employee(id="emp-7"), None),
        (training.Employee, {"id": "emp-7"}, "it must be of class Employee, not an object"),
        (training.Employee, None, "it must be of class Employee, not null"),
        (str, "text", None),
        (str, 7, "it must be text, not a number"),
    ],
)
def test_a_part_is_of_its_class(kind: type, value: object, said: str | None) -> None:
    assert complaint(rules.only(kind), value) == said


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (str, (), None),
        (str, ("a", ""), None),
        (training.Employee, (training.Employee(id="emp-7"),), None),
        (str, "ab", "it must be a list, not text"),
        (str, ["a"], "it must be a list, not a list"),
        (str, None, "it must be a list, not null"),
        (str, ("a", 3), "it[1] must be text, not a number"),
        (
            str,
            ("a", "b\udfff"),
            "it[1] holds half a character (a lone surrogate), which is not text",
        ),
        (training.Employee, ("a",), "it[0] must be of class Employee, not text"),
    ],
)
def test_the_members_of_a_list_are_of_one_class(
    kind: type, value: object, said: str | None
) -> None:
    assert complaint(rules.list_of(kind), value) == said


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        *(
            (0, "0.0"),
            (1, "1.0"),
            (-0.0, "0.0"),
            (0.5, "0.5"),
            (2, "2"),
            (-1, "-1"),
            (True, "True"),
        ),
        *((1.0000000000000002, "1.0"), (-1e-17, "0.0"), (1.00001, "1.00001"), (-0.01, "-0.01")),
    ],
)
def test_a_number_that_is_a_share_becomes_a_float_and_no_other(value: float, becomes: str) -> None:
    assert repr(rules.as_number(value)) == becomes


def test_every_field_has_a_sentence_for_the_published_schema() -> None:
    # Loaded anew: what the fields say is settled while the module is loaded.
    found = find_spec("evidence_courier.domain.evidence.training")
    assert found is not None and found.loader is not None
    loaded = module_from_spec(found)
    found.loader.exec_module(loaded)
    parts = [getattr(loaded, name) for name in loaded.__all__ if name != "FieldError"]
    assert len(parts) == 6
    for one in chain.from_iterable(map(fields, parts)):
        assert set(one.metadata) == {"about"}
        assert one.metadata["about"].endswith(".")
