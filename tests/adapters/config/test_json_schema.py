"""The JSON Schema of a tenant's file judges as Cerberus does, by the rules of every plug-in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from tenant_files import ArchiveProvider

from evidence_courier.adapters.config import load_mapping
from evidence_courier.adapters.config.json_schema import SHAPES, tenant_schema
from evidence_courier.adapters.config.schema import FORMATS
from evidence_courier.adapters.plugins import BrokenProvider, discover_providers
from evidence_courier.domain.evidence.evidence import Outcome
from evidence_courier.ports.provider import Provider


class StrictProvider(ArchiveProvider):
    """Its schema has the rules of Cerberus that a plug-in can be expected to use."""

    name: ClassVar[str] = "strict"
    schema: ClassVar[Mapping[str, object]] = {
        "key": {"type": "secret", "required": True},
        "values": {
            "type": "dict",
            "schema": {
                "form": {"type": "string", "regex": "[a-z]{2,3}(?:-[0-9]+)?"},
                "length": {"type": "string", "minlength": 2, "maxlength": 4},
                "filled": {"type": "string", "empty": False},
                "one": {"type": "string", "allowed": ["a", "b"]},
                "some": {"type": "list", "allowed": ["a", "b"], "maxlength": 2},
                "whole": {"type": "integer", "min": 1, "max": 9},
                "level": {"type": "integer", "allowed": [1, 3]},
                "share": {"type": "float", "min": 0, "max": 1},
                "either": {"type": ["string", "integer"]},
                "any": {"anyof": [{"type": "string", "allowed": ["x"]}, {"type": "integer"}]},
                "pairs": {"type": "list", "items": [{"type": "string"}, {"type": "boolean"}]},
                "table": {"type": "dict", "keysrules": {"regex": "[a-z]+", "type": "string"},
                          "valuesrules": {"type": "integer"}},
                "open": {"type": "dict", "allow_unknown": True,
                         "schema": {"a": {"type": "string"}}},
                "nothing": {"type": "string", "nullable": True},
                "this": {"type": "boolean", "excludes": ["that", "whole"]},
                "that": {"type": "boolean", "dependencies": ["one"]},
                "read": {"type": "integer", "coerce": int},
                "place": {"type": "endpoint"},
                "wait": {"type": "duration"},
                "room": {"type": "size"},
                "rows": {"type": "list", "minlength": 1, "schema": {
                    "type": "dict", "schema": {"a": {"type": "string", "required": True}}}},
            },
        },
    }  # fmt: skip


def loose(provider: Any) -> Any:
    """The provider with a settings class that takes whatever its schema takes."""
    fields = {name: attrs.field(default=None) for name in provider.schema}
    own = {
        "settings_class": attrs.make_class("Settings", fields, frozen=True),
        "default_outcomes": lambda self, settings: tuple(Outcome),
    }
    return type("Loose", (type(provider),), own)()


INSTALLED = {name: loose(provider) for name, provider in discover_providers().items()}
PROVIDERS: dict[str, Provider | BrokenProvider] = {
    **INSTALLED,
    "archive": loose(ArchiveProvider()),
    "strict": loose(StrictProvider()),
    "broken": BrokenProvider("broken", "its package is broken"),
}
SCHEMA = tenant_schema(PROVIDERS)
JUDGE = Draft202012Validator(SCHEMA)


def judged(text: str) -> tuple[bool, bool]:
    """Whether a tenant's file is valid to a courier, and to the schema."""
    tenant = yaml.safe_load(text)
    loaded = load_mapping({"acme": tenant}, providers=PROVIDERS, secrets=None)
    problems = [str(problem) for problem in loaded.problems]
    return problems == [], JUDGE.is_valid(tenant)


START = {
    "archive": "provider: archive, key: '${KEY}', shelf: s-1",
    "strict": "provider: strict, key: '${KEY}'",
    "sprinto": "provider: sprinto, api_key: '${KEY}', workflow_check: c",
    "vanta": "provider: vanta, client_id: c, client_secret: '${KEY}', document: d",
    "drata": "provider: drata, api_key: '${KEY}', workspace: 1",
    "secureframe": "provider: secureframe, api_key: '${KEY}', api_secret: '${KEY}'",
}


def with_block(provider: str, *lines: str) -> str:
    inside = ", ".join((START[provider], *lines))
    return f"integrations: {{compliance: {{{inside}}}}}"


def test_it_is_a_json_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        *(with_block(provider) for provider in START),
        "tenant: acme",
        "{tenant: acme, name: Acme, integrations: {}}",
        "integrations:",
        "integrations: {compliance: null, other: 5}",
        "integrations: {compliance: {enabled: false, provider: 5}}",
        "{name: [5], users: {a: 1}}",
        "{name: {first: A}, tenant: {a: 1}}",
        "integrations: {compliance: {provider: '${WHICH}'}}",
        with_block("sprinto", "success_statuses: any", "region: '${REGION}'", "proxy: null"),
        with_block("sprinto", "retry: {max_attempts: 3, give_up_after: 24h}"),
        with_block("vanta", "pace: 10/min", "park_limit: 0", "timeout: {connect: 1.5, total: 30s}"),
        with_block("archive", "key: '${file:/run/secrets/archive key}'"),
        with_block("archive", "endpoint: 'http://localhost:8080/x?y=1'", "max_bytes: 9 MiB"),
        with_block("archive", "retention: {attempts: 90d  after success, failed_documents: never}"),
        with_block("strict", "values: {this: true, that: null}"),
    ],
)
def test_what_is_valid_is_valid_to_both(text: str) -> None:
    if "WHICH" not in text:  # which names no provider here
        assert judged(text) == (True, True)
    assert JUDGE.is_valid(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "tenant: 5",
        "tenant: ' acme'",
        "tenant: ''",
        "tenant: '${ACME}'",
        "integrations: []",
        "integrations: {compliance: []}",
        "integrations: {compliance: {}}",
        "integrations: {compliance: {provider: null}}",
        "integrations: {compliance: {provider: sprintoo}}",
        "integrations: {compliance: {provider: broken}}",
        "integrations: {compliance: {enabled: true}}",
        "{name: 5, " + with_block("sprinto") + "}",
        '{name: "A\\nB", ' + with_block("sprinto") + "}",
        "integrations: {compliance: {provider: sprinto, workflow_check: c}}",
        with_block("sprinto").replace("${KEY}", "sk-live"),
        with_block("sprinto").replace("${KEY}", "x${KEY}"),
        with_block("sprinto").replace("workflow_check: c", "workflow_check: null"),
        with_block("sprinto").replace("workflow_check: c", "workflow_check: 'x-${KEY}'"),
        with_block("sprinto", "regoin: eu"),
        with_block("sprinto", "region: mars"),
        with_block("sprinto", "workflow_check: 5"),
        with_block("sprinto", "on_unknown: retry"),
        with_block("sprinto", "outcomes: []"),
        with_block("sprinto", "outcomes: [passed, lost]"),
        with_block("sprinto", "retry: {max_attempts: 101}"),
        with_block("sprinto", "retry: {max_attempts: '3'}"),
        with_block("sprinto", "retry: {max_attempts: '${MOST}'}"),
        with_block("sprinto", "retry: {most: 3}"),
        with_block("sprinto", "retry: {give_up_after: 0s}"),
        with_block("sprinto", "timeout: {total: 0}"),
        with_block("sprinto", "park_limit: 31d"),
        with_block("sprinto", "park_limit: soon"),
        with_block("sprinto", "pace: 0/min"),
        with_block("sprinto", "pace: 10/day"),
        with_block("sprinto", "max_bytes: 0"),
        with_block("sprinto", "max_bytes: 5 TB"),
        with_block("sprinto", "endpoint: 'http://example.com/'"),
        with_block("sprinto", "endpoint: 'https://me:pass@example.com/'"),
        with_block("sprinto", "proxy: 'http://proxy.example:3128/path'"),
        with_block("sprinto", "retention: {attempts: 0d}"),
        with_block("sprinto", "retention: {failed_documents: 90d after success}"),
        with_block("secureframe", "test: t", "person: subject"),
        with_block("strict", "values: {this: true, whole: 3}"),
        with_block("strict", "values: {that: true}"),
        with_block("strict", "values: {unknown: 3}"),
    ],
)
def test_what_is_invalid_is_invalid_to_both(text: str) -> None:
    assert judged(text) == (False, False)


PLAIN = st.sampled_from(
    ["", "a", "b", "x", "ab", "ab-1", "abcd", "abcde", "5", "5s", "0s", "30d", "30.5d", "31d",
     "720h", "721h", "999999999ms", "1.5 h", "1e3", "25MB", "25 mib", "1024GiB", "1025GiB", "0kB",
     "10/min", "0/s", "1000000/h", "1000001/h", "https://a.example/x", "https://a.example:0/",
     "https://[::1]:8443", "http://127.0.0.1", "http://127.0.0.1.example", "HTTPS://A", "https://",
     "https://a b", "https://a/#x", "${X}", "${x y}", "$X", "${file:/run/secrets/x}", "a\n", "\x01",
     "90d", "2 w", "90d after success", "never", "eu", "passed", "retry", "hold", "subject", "*",
     0, 1, 3, 9, 10, -1, 101, 2592000, 2592001, 2**40, 2**40 + 1, 0.5, 1.5, True, False, None]
)  # fmt: skip
VALUES = st.recursive(
    PLAIN,
    lambda inside: (
        st.lists(inside, max_size=2) | st.dictionaries(st.sampled_from("ab1"), inside, max_size=2)
    ),
    max_leaves=3,
)


def tenants(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """A tenant of that provider with some of its keys, nested ones too."""
    found: Any = PROVIDERS[name]
    core = SCHEMA["$defs"]["block"]["properties"]
    start = yaml.safe_load(f"{{{START[name]}}}")
    keys = sorted({*core, *found.schema} - {"provider", "enabled", "ca_bundle"})

    def value(key: str) -> st.SearchStrategy[object]:
        below = found.schema.get(key, {}).get("schema")
        if key in ("retry", "timeout", "retention"):
            below = core[key]["anyOf"][0]["properties"]
        if not isinstance(below, Mapping) or "type" in below:
            return VALUES
        names = st.lists(st.sampled_from(sorted(below)), max_size=3, unique=True)
        return VALUES | names.flatmap(
            lambda some: st.fixed_dictionaries(dict.fromkeys(some, VALUES))
        )

    some = st.lists(st.sampled_from(keys), max_size=2, unique=True)
    blocks = some.flatmap(lambda some: st.fixed_dictionaries({key: value(key) for key in some}))
    return blocks.map(lambda own: {"integrations": {"compliance": start | own}})


NOT_SAID = ("longer than", "which is all that archive takes", "secret of this block")
"""Parts of the messages of what JSON Schema cannot say."""


@given(st.sampled_from(sorted(START)).flatmap(tenants))
def test_any_file_is_judged_alike(tenant: dict[str, Any]) -> None:
    loaded = load_mapping({"acme": tenant}, providers=PROVIDERS, secrets=None)
    problems = [str(problem) for problem in loaded.problems]
    if not any(words in one for one in problems for words in NOT_SAID):
        assert JUDGE.is_valid(tenant) == (problems == []), problems


def test_each_type_of_ours_has_a_shape() -> None:
    assert {*FORMATS} <= {*SHAPES}


def test_an_editors_expressions_take_the_patterns() -> None:
    """With the flag `u` JavaScript refuses an escape that means nothing."""
    patterns = re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', json.dumps(SCHEMA))
    escaped = {char for each in patterns for char in re.findall(r"\\(.)", json.loads(f'"{each}"'))}
    assert escaped <= {*"$.*+?()[]{}|/^\\", *"sSdDwWbBux-"}
