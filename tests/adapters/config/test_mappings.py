"""Tenants that a host keeps elsewhere and hands over as mappings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from tenant_files import ENVIRON, KEY, PROVIDERS, ArchiveSettings

from evidence_courier.adapters.config import Loaded, load_mapping
from evidence_courier.adapters.secrets import EnvironSecrets
from evidence_courier.domain.errors import ConfigError
from evidence_courier.domain.secrets.secret import Secret

BLOCK: Mapping[str, object] = {"provider": "archive", "key": "${ACME_KEY}", "shelf": "s"}


def load(tenants: Any, environ: Mapping[str, str] = ENVIRON) -> Loaded:
    return load_mapping(tenants, providers=PROVIDERS, secrets=EnvironSecrets(environ))


def problem_lines(loaded: Loaded) -> list[str]:
    return [str(problem) for problem in loaded.problems]


def with_block(**settings: object) -> dict[str, object]:
    return {"integrations": {"compliance": {**BLOCK, **settings}}}


def test_each_key_is_a_tenant_unless_its_mapping_says_otherwise() -> None:
    loaded = load(
        {
            "acme": {"name": "ACME", **with_block()},
            "b": {"tenant": "beta"},
            "c": {"integrations": None},
        }
    )
    assert (list(loaded.integrations), loaded.without) == (["acme"], ("beta", "c"))
    assert loaded.names == {"acme": "ACME", "beta": None, "c": None}
    settings = loaded.integrations["acme"].settings
    assert isinstance(settings, ArchiveSettings) and settings.key == Secret(KEY)


def test_problems_have_the_key_in_their_path() -> None:
    loaded = load(
        {"acme": with_block(wing="up", labels=("a", 7)), "b": 5, "ü\n": {"tenant": 1}}, {}
    )
    assert problem_lines(loaded) == [
        "acme.integrations.compliance.key: ${ACME_KEY} is not set: tenant acme needs the "
        "variable ACME_KEY",
        "acme.integrations.compliance.labels[1]: must be text, and this is a number: put it in "
        "quotes",
        "acme.integrations.compliance.wing: must be east or west",
        "b: does not hold a mapping of keys to values",
        "ü\\n.tenant: must be text, and this is a number: put it in quotes",
    ]
    assert list(loaded.broken) == ["acme", "b", "ü\n"]


def test_two_keys_for_one_tenant_are_refused() -> None:
    loaded = load({"a": {}, "b": {"tenant": "a"}})
    assert problem_lines(loaded) == [
        "a.tenant: the tenant a is also in b: keep one of them",
        "b.tenant: the tenant a is also in a: keep one of them",
    ]


def test_a_relative_certificate_bundle_has_nothing_to_be_relative_to() -> None:
    [message] = problem_lines(load({"a": with_block(ca_bundle="own.pem")}))
    assert message.startswith("a.integrations.compliance.ca_bundle: must be an absolute path")


def test_a_mapping_that_holds_itself_is_refused() -> None:
    extra: dict[str, object] = {}
    extra["a"] = extra
    assert problem_lines(load({"a": with_block(extra=extra)})) == [
        "a.integrations.compliance.extra.a: holds itself: an anchor is referred to from within"
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"bytes", "is neither text, a number, true or false, a date, a list nor a mapping"),
        (Secret("s"), "is neither text, a number, true or false, a date, a list nor a mapping"),
        (date(2026, 2, 21), "must be text, and this is a date: put it in quotes"),
        pytest.param(10**5000, "is too large a number", id="5,001 digits"),
        (float("nan"), "is not a finite number"),
        ("\ud800", "holds a control character or half a character"),
    ],
)
def test_values_that_no_file_could_hold_are_refused(value: object, words: str) -> None:
    assert problem_lines(load({"a": with_block(extra={"x": value})})) == [
        f"a.integrations.compliance.extra.x: {words}"
    ]


def test_what_is_nested_without_end_is_refused() -> None:
    deep: object = "end"
    for _ in range(5_000):
        deep = [deep]
    [message] = problem_lines(load({"a": with_block(extra={"x": deep})}))
    assert message == "a.integrations.compliance.extra.x: is nested deeper than 20 levels"


@pytest.mark.parametrize("tenants", [None, [], "acme"])
def test_anything_but_a_mapping_is_a_configuration_error(tenants: object) -> None:
    with pytest.raises(ConfigError, match="must be a mapping of tenant ids"):
        load(tenants)


def test_an_id_that_is_not_text_is_reported() -> None:
    assert problem_lines(load({1: with_block(), "a": {}})) == [
        "a tenant id among the keys is not text"
    ]
