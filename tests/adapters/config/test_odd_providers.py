"""Plug-ins whose schema or settings class does not do: only their tenants fail, and the load
goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from attrs import field, frozen
from tenant_files import KEY, ArchiveProvider, block, load, problem_lines

from evidence_courier.domain.integration import Pace
from evidence_courier.domain.secrets.secret import Secret

IN = "integrations.compliance"


@frozen
class Loose:
    key: Any
    shelf: Any


def provider(schema: object, settings: type = Loose) -> ArchiveProvider:
    class Odd(ArchiveProvider):
        settings_class: ClassVar[type] = settings

    Odd.schema = schema  # type: ignore[assignment]
    return Odd()


def problems(folder: Path, odd: ArchiveProvider, *lines: str) -> list[str]:
    loaded = load(folder, {"a.yaml": block(*lines)}, providers={"archive": odd})
    return [line.replace(f"{IN}.", "") for line in problem_lines(loaded, folder)]


KEY_AND_SHELF: Mapping[str, object] = {"key": {"type": "secret"}, "shelf": {"type": "string"}}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        (None, "its schema is not a mapping of keys to rules"),
        ({"key": "secret"}, "its schema is not a mapping of keys to rules"),
        ({**KEY_AND_SHELF, "retry": {}}, "its schema claims keys that every block has: retry"),
        (
            {**KEY_AND_SHELF, "x": {"type": "nonsense"}},
            "its schema is not one that Cerberus takes (SchemaError: ",
        ),
        (
            {**KEY_AND_SHELF, "x": {"type": "postgresql://app:hunter2@db/x"}},
            "its schema is not one that Cerberus takes (SchemaError: {'x': [{'type': "
            "['Unsupported types: postgresql://***@db/x']}]})",
        ),
        (
            {**KEY_AND_SHELF, "x": {"nonsense": 1}},
            "its schema is not one that Cerberus takes (SchemaError: ",
        ),
    ],
)
def test_a_schema_that_is_none_breaks_its_provider(
    tmp_path: Path, schema: object, words: str
) -> None:
    [message] = problems(tmp_path, provider(schema))
    assert message.startswith(f"a.yaml:3: provider: the provider archive cannot be used: {words}")


def test_a_provider_given_under_a_wrong_name_is_refused(tmp_path: Path) -> None:
    loaded = load(
        tmp_path, {"a.yaml": block().replace("archive", "x")}, providers={"x": ArchiveProvider()}
    )
    assert problem_lines(loaded, tmp_path) == [
        f"a.yaml:3: {IN}.provider: the provider archive cannot be used: what is given for it "
        "calls itself 'archive', not 'x'"
    ]


def raising(error: Exception) -> Callable[..., None]:
    def check(*arguments: object) -> None:
        raise error

    return check


@pytest.mark.parametrize(
    ("rules", "value", "words"),
    [
        ({"coerce": int}, "long-literal", "is not a value that the provider takes"),
        ({"coerce": raising(ValueError("wants to be prettier"))}, "x", "wants to be prettier"),
        ({"coerce": raising(ValueError(f"{KEY} does not open this"))}, "x",
        "is not a value that the provider takes"),
        ({"coerce": raising(ValueError("what is long-literal?"))}, "long-literal",
        "is not a value that the provider takes"),
        ({"check_with": lambda field, value, error: error(field, "is out\nof stock")}, "x",
        "is out of stock"),
        ({"regex": "[a-z]+"}, "'1'", "does not have the form that is expected ([a-z]+)"),
        ({"type": "string", "minlength": 3}, "ab", "must have at least 3 characters"),
        ({"type": "string", "maxlength": 3}, "abcd", "must have at most 3 characters"),
        ({"type": ["string", "list"], "empty": False}, "1",
        "must be text or a list, and this is a number: put it in quotes"),
        ({"type": "list", "allowed": ["a", "b"]}, "[a, c]", "may hold only a and b"),
        ({"dependencies": ["wing"]}, "1", "needs something else beside it: wing"),
        ({"excludes": "shelf"}, "1", "cannot stand beside shelf"),
        ({"anyof": [{"type": "list"}, {"type": "dict"}]}, "1",
        "does not satisfy the provider's rule `anyof`"),
        ({"type": "float"}, "yes", "must be a number, and this is true or false"),
        ({"forbidden": ["x"]}, "x", "does not satisfy the provider's rule `forbidden`"),
    ],
)  # fmt: skip
def test_the_rules_of_cerberus_are_put_into_sentences(
    tmp_path: Path, rules: object, value: str, words: str
) -> None:
    odd = provider({**KEY_AND_SHELF, "wing": {}, "more": rules})
    message = problems(tmp_path, odd, f"more: {value}")[-1]
    assert message == f"a.yaml:6: more: {words}"


def test_a_provider_check_that_fails_is_reported_without_its_message(tmp_path: Path) -> None:
    odd = provider({**KEY_AND_SHELF, "more": {"check_with": raising(RuntimeError(f"no {KEY}"))}})
    assert problems(tmp_path, odd, "more: x") == [
        f"a.yaml:2: {IN}: the provider archive failed to check its settings (RuntimeError)"
    ]


@frozen
class Inner:
    token: Secret
    pace: Pace


@frozen
class Nested:
    key: Secret
    shelf: str
    inner: Inner
    many: tuple[Secret, ...]
    named: dict[str, Secret]
    pair: list[Secret]


def test_our_types_are_read_at_any_depth_of_a_fragment(tmp_path: Path) -> None:
    odd = provider(
        {
            **KEY_AND_SHELF,
            "inner": {
                "type": "dict",
                "schema": {"token": {"type": "secret"}, "pace": {"type": "pace"}},
            },
            "many": {"type": "list", "schema": {"type": "secret"}},
            "named": {"type": "dict", "valuesrules": {"type": "secret"}},
            "pair": {"type": "list", "items": [{"type": "secret"}, {"type": "secret"}]},
        },
        Nested,
    )
    two = "['${ACME_KEY}', '${ACME_KEY}']"
    lines = [
        "inner: {token: '${ACME_KEY}', pace: 3/s}",
        f"many: {two}",
        "named: {a: '${ACME_KEY}'}",
        f"pair: {two}",
    ]
    loaded = load(tmp_path, {"a.yaml": block(*lines)}, providers={"archive": odd})
    assert problem_lines(loaded, tmp_path) == []
    integration = loaded.integrations["a"]
    key = Secret(KEY)
    inner = Inner(key, Pace(3, timedelta(seconds=1)))
    assert integration.settings == Nested(key, "s-1", inner, (key, key), {"a": key}, [key, key])
    assert integration.stored == {
        "key": "${ACME_KEY}",
        "shelf": "s-1",
        "inner": {"token": "${ACME_KEY}", "pace": "3/s"},
        "many": ["${ACME_KEY}", "${ACME_KEY}"],
        "named": {"a": "${ACME_KEY}"},
        "pair": ["${ACME_KEY}", "${ACME_KEY}"],
    }
    assert integration.secrets == (Secret(KEY),)
    wrong = [
        "inner: {token: tok, pace: 3}",
        "many: [tok]",
        "named: {a: tok}",
        "pair: [tok, '${ACME_KEY}']",
    ]
    places = [
        line.split(": is not")[0].split(": must")[0] for line in problems(tmp_path, odd, *wrong)
    ]
    assert places == [
        "a.yaml:6: inner.pace",
        "a.yaml:6: inner.token",
        "a.yaml:7: many[0]",
        "a.yaml:8: named.a",
        "a.yaml:9: pair[0]",
    ]


class Side(Enum):
    LEFT = "left"


def _positive(settings: object, attribute: object, value: int) -> None:
    if value < 0:
        raise ValueError("must not be negative")


@frozen
class Strict:
    key: Secret
    shelf: str
    side: Side = Side.LEFT
    kind: Literal["a", "b"] = "a"
    day: date = date(2026, 2, 21)
    count: int = field(default=0, validator=_positive)

    def __attrs_post_init__(self) -> None:
        if self.shelf == "together" and self.count == 1:
            raise ValueError(f"shelf and count do not go together with {self.key.reveal()}")


STRICT = {**KEY_AND_SHELF, **{key: {} for key in ("side", "kind", "day", "count", "more")}}


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["side: up"], ["a.yaml:6: side: 'up' is not a valid Side"]),
        (["kind: c"], ["a.yaml:6: kind: c not in literal typing.Literal['a', 'b']"]),
        (["day: today"], ["a.yaml:6: day: must be a date"]),
        (["count: -1"], ["a.yaml:6: count: must not be negative"]),
        (["count: x", "side: up"], ["a.yaml:6: count: ", "a.yaml:7: side: "]),
        (["more: 1"], [f"a.yaml:2: {IN}: the provider archive does not take this"]),
    ],
)
def test_a_settings_class_that_refuses_is_heard_at_the_right_place(
    tmp_path: Path, lines: list[str], wanted: list[str]
) -> None:
    found = problems(tmp_path, provider(STRICT, Strict), *lines)
    assert len(found) == len(wanted) and all(map(str.startswith, found, wanted)), found


def test_words_of_a_settings_class_that_quote_a_secret_are_not_passed_on(tmp_path: Path) -> None:
    text = block("count: 1").replace("s-1", "together")
    loaded = load(tmp_path, {"a.yaml": text}, providers={"archive": provider(STRICT, Strict)})
    assert problem_lines(loaded, tmp_path) == [
        f"a.yaml:2: {IN}: the provider archive does not take this"
    ]


def test_a_secret_field_whose_schema_forgot_to_say_so_takes_no_literal(tmp_path: Path) -> None:
    odd = provider({"key": {"type": "string"}, "shelf": {"type": "string"}}, Strict)
    assert problems(tmp_path, odd) == [
        "a.yaml:4: key: is a secret in the provider's settings, yet its schema does not give it "
        "the type `secret`"
    ]


def test_dates_and_defaults_of_the_class_are_stored_as_json(tmp_path: Path) -> None:
    odd = provider(STRICT, Strict)
    loaded = load(tmp_path, {"a.yaml": block("day: 2026-03-01")}, providers={"archive": odd})
    assert loaded.integrations["a"].stored == {
        "key": "${ACME_KEY}",
        "shelf": "s-1",
        "side": "left",
        "kind": "a",
        "day": "2026-03-01",
        "count": 0,
    }


def test_a_secret_that_slips_into_a_loose_field_is_still_not_stored(tmp_path: Path) -> None:
    loaded = load(tmp_path, {"a.yaml": block()}, providers={"archive": provider(KEY_AND_SHELF)})
    assert loaded.integrations["a"].stored == {"key": "${ACME_KEY}", "shelf": "s-1"}
    assert KEY not in repr(loaded.integrations["a"].settings)
