"""What is accepted without Cerberus, Cerberus accepts too, with the same result."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from cerberus.schema import DefinitionSchema
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence_courier.adapters.config.references import Resolved
from evidence_courier.adapters.config.schema import (
    UNKNOWN_PROVIDER,
    BlockSchema,
    _BlockValidator,  # pyright: ignore[reportPrivateUsage]
    schema_with,
)
from evidence_courier.adapters.plugins import BrokenProvider, discover_providers
from evidence_courier.domain.secrets.secret import Secret

SCHEMAS: dict[str, BlockSchema] = {
    name: schema_with(provider.schema)
    for name, provider in discover_providers().items()
    if not isinstance(provider, BrokenProvider)
}
SCHEMAS["odd"] = schema_with(
    {
        "code": {"type": "string", "regex": "[a-z]+", "minlength": 2, "maxlength": 4},
        "ratio": {"type": "float", "min": 0.5, "max": 2},
        "sizes": {"type": "list", "maxlength": 2, "schema": {"type": "size", "max": 10_000}},
        "kinds": {"type": "list", "allowed": ["a", "b", 1], "empty": False},
        "alone": {"type": "integer", "excludes": "ratio"},
        "deep": {
            "type": "dict",
            "schema": {
                "wait": {"type": "duration", "required": True, "min": timedelta(seconds=1)},
                "on": {"type": "boolean", "coerce": lambda value: {"on": True}.get(value, value)},
                "deeper": {"type": "dict", "schema": {"number": {"type": "number"}}},
            },
        },
    }
)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 12_000),
    st.floats(-1, 3),
    st.sampled_from(
        ["", "a", "b", "abc", "abcde", "on", "1h", "5s", "0s", "25MB", "1kB", "10/min", "us", "eu"]
    ),
    st.sampled_from(
        ["hold", "retry", "passed", "https://x.example", "http://x.example", "graphql"]
    ),
    st.sampled_from(["3f2504e0-4f89-11d3-9a0c-0305e82c3301", "http://localhost:1", "a b", "abc\n"]),
    st.sampled_from(["k", " ", ""]).map(lambda text: Resolved(Secret(text), "${K}")),
)


def _valid(rules: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that are often valid by the rules of one key."""
    kind = rules.get("type")
    if kind == "dict" and "schema" in rules:
        return st.one_of(SCALARS, _mappings(rules["schema"]))
    if kind == "list":
        member = _valid(rules["schema"]) if "schema" in rules else SCALARS
        if "allowed" in rules:
            member = st.one_of(member, st.sampled_from(list(rules["allowed"])))
        return st.one_of(SCALARS, st.lists(member, max_size=3))
    likely = {
        "secret": st.just(Resolved(Secret("key"), "${K}")),
        "string": st.sampled_from(["abc", "us", "3f2504e0-4f89-11d3-9a0c-0305e82c3301"]),
        "integer": st.integers(1, 5),
        "boolean": st.booleans(),
        "duration": st.sampled_from(["5s", "1h", 3]),
        "endpoint": st.just("https://x.example"),
    }
    own = st.sampled_from(list(rules["allowed"])) if "allowed" in rules else likely.get(kind or "")
    return SCALARS if own is None else st.one_of(own, own, own, SCALARS)


def _mappings(rules: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    required = {key: _valid(of) for key, of in rules.items() if of.get("required")}
    others = {key: _valid(of) for key, of in rules.items() if key not in required}
    picked = st.lists(st.sampled_from(sorted(others)), max_size=4, unique=True) if others else None
    some = picked.flatmap(lambda keys: st.fixed_dictionaries({k: others[k] for k in keys}))  # type: ignore[union-attr]
    return st.builds(
        lambda must, more, odd, left: {
            key: value for key, value in {**must, **more, **odd}.items() if key not in left
        },
        st.fixed_dictionaries(required),
        some,
        st.one_of(*[st.just({})] * 4, st.just({"unknown": 1})),
        st.sampled_from([(), (), (), *((key,) for key in required)]),
    )


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_accepted_at_once_is_what_cerberus_accepts(name: str) -> None:
    schema = SCHEMAS[name]
    assert schema.quick is not None
    accept, accepted = schema.quick, []

    @settings(max_examples=200, deadline=None)
    @given(_mappings(schema.rules))
    def agree(block: dict[str, Any]) -> None:
        document, errors = schema.judged(dict(block))
        try:
            quick = accept(dict(block))
        except Exception:
            # None is always Cerberus' to judge, and these rules let it accept none.
            assert errors
            return
        accepted.append(quick)
        assert not errors
        assert list(quick.items()) == list(document.items())
        assert _kinds(quick) == _kinds(document)

    agree()
    assert accepted


def _kinds(value: object) -> object:
    """The types within a value, which equality does not tell apart."""
    if isinstance(value, dict):
        return {key: _kinds(member) for key, member in value.items()}
    return [_kinds(member) for member in value] if isinstance(value, list) else type(value)


@pytest.mark.parametrize(
    "rules",
    [
        {"type": "string", "dependencies": "other"},
        {"type": "string", "check_with": lambda field, value, error: None},
        {"type": "string", "default": "a"},
        {"type": ["string", "integer"]},
        {"anyof": [{"type": "string"}, {"type": "integer"}]},
        {"type": "string", "nullable": True},
        {"type": "dict", "valuesrules": {"type": "string"}},
    ],
)
def test_a_schema_with_another_rule_is_left_to_cerberus(rules: dict[str, object]) -> None:
    assert schema_with({"own": rules, "other": {"type": "string"}}).quick is None


def test_the_rules_that_every_block_has_are_valid() -> None:
    """They are not checked when a courier starts."""
    DefinitionSchema(_BlockValidator(), UNKNOWN_PROVIDER.rules)
