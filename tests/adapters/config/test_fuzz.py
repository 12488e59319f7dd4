"""Whatever is in a file, a mapping or the environment: a load comes to an end, and only
ConfigError comes out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from tenant_files import KEY, PROVIDERS, block, load

from evidence_courier.adapters.config import Loaded, load_mapping
from evidence_courier.adapters.secrets import EnvironSecrets

LITERAL = "s3kr1t-literal"

TOKENS = """
    tenant name integrations compliance provider archive enabled true false null retry max_attempts initial_delay max_delay
    retry_after_limit on_unclear hold pace 10/min 0/h timeout connect idle total 5s 1e9 .inf -1 0x1F 12:30 max_bytes 25MB proxy
    http://u:p@h:1 ca_bundle . / endpoint https://a.example/ http://localhost key second_key shelf wing east labels keep part extra
    << ${ACME_KEY} ${NOT_SET} ${ $ACME_KEY 2026-02-21 !vault !!binary !!int &a *a &b *b ~
"""
WORDS = st.sampled_from([*TOKENS.split(), LITERAL])
GLUE = st.sampled_from(
    [
        ": ",
        ":",
        "\n",
        "\n  ",
        "\n    ",
        "\n      ",
        "\n- ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "'",
        '"',
        " #",
        "? ",
        "| ",
        "\t",
        " ",
        "---\n",
    ]
)
PIECES = st.lists(WORDS | GLUE | st.text(max_size=3), max_size=40).map("".join)
LINES = st.lists(
    st.tuples(WORDS, WORDS | GLUE).map(": ".join) | PIECES.map(lambda text: text[:30]), max_size=8
)

PLAIN = st.recursive(
    WORDS
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.dates()
    | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(WORDS | st.integers() | st.none(), inner, max_size=6)
    ),
    max_leaves=15,
)
KEYS = (
    "retry on_unclear pace timeout max_bytes proxy ca_bundle wing labels second_key part extra "
    "endpoint keep"
)
SETTINGS: Mapping[str, st.SearchStrategy[Any]] = dict.fromkeys(
    [*KEYS.split(), LITERAL], PLAIN | WORDS
)
BLOCKS = st.fixed_dictionaries(
    {
        "provider": st.just("archive") | WORDS,
        "key": st.just("${ACME_KEY}"),
        "shelf": st.just("s") | PLAIN,
    },
    optional=SETTINGS,
)


def told_whole(loaded: Loaded) -> None:
    """A load that gives every tenant one place, and every problem in words that can be printed."""
    places = [*loaded.integrations, *loaded.without, *loaded.broken]
    assert len(set(places)) == len(places)
    assert all(
        problem in loaded.problems for problems in loaded.broken.values() for problem in problems
    )
    for problem in loaded.problems:
        assert "\n" not in str(problem).encode("utf-8").decode()
        assert (
            problem.message
            and LITERAL not in problem.message
            and LITERAL not in (problem.suggestion or "")
        )


def load_text(content: bytes, name: str = "a.yaml", **environ: str) -> Loaded:
    with tempfile.TemporaryDirectory() as folder:
        return load(
            Path(folder),
            {name: content, "fine.yaml": block()},
            environ={"ACME_KEY": KEY, **environ},
        )


@settings(max_examples=40)
@given(st.binary(max_size=200), st.sampled_from(["a.yaml", "a.json"]))
def test_any_bytes_as_a_file_are_survived(content: bytes, name: str) -> None:
    loaded = load_text(content, name)
    told_whole(loaded)
    assert "fine" in (*loaded.integrations, *loaded.broken)


@settings(max_examples=80)
@given(PIECES)
@example("integrations: {compliance: &a {<<: [*a], provider: archive, extra: *a}}")
def test_any_shards_of_yaml_are_survived(text: str) -> None:
    told_whole(load_text(text.encode("utf-8", "surrogatepass")))


@settings(max_examples=80)
@given(LINES)
def test_any_lines_in_a_block_are_survived(lines: list[str]) -> None:
    told_whole(load_text(block(*lines).encode("utf-8", "surrogatepass")))


@settings(max_examples=40)
@given(BLOCKS)
def test_any_settings_as_json_are_survived(settings: dict[str, object]) -> None:
    text = json.dumps({"integrations": {"compliance": settings}}, default=str, skipkeys=True)
    told_whole(load_text(text.encode(), "a.json"))


@settings(max_examples=80)
@given(
    st.dictionaries(
        st.text(max_size=3) | st.just("a"),
        PLAIN | BLOCKS.map(lambda block: {"integrations": {"compliance": block}}),
        max_size=3,
    )
)
def test_any_mapping_is_survived(tenants: Any) -> None:
    loaded = load_mapping(tenants, providers=PROVIDERS, secrets=EnvironSecrets({"ACME_KEY": KEY}))
    told_whole(loaded)
    json.dumps([dict(integration.stored) for integration in loaded.integrations.values()])


@settings(max_examples=40)
@given(st.text(st.characters(exclude_characters="\0"), max_size=8), st.text(max_size=8))
def test_any_environment_is_survived(key: str, other: str) -> None:
    loaded = load_text(block("proxy: ${P}", "extra: {a: '${P}'}").encode(), ACME_KEY=key, P=other)
    told_whole(loaded)
    assert all(len(key) < 6 or key not in str(problem) for problem in loaded.problems)
