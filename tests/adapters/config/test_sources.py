"""YAML and JSON as nodes: the parser written in C and the one written in Python must say the
same."""

from __future__ import annotations

import json

import pytest
import yaml
from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from evidence_courier.adapters.config.sources import (
    LOADER,
    Collection,
    Items,
    Node,
    Opaque,
    Pairs,
    Unreadable,
    read_json,
    read_yaml,
)

LOADERS = [pytest.param(yaml.SafeLoader, id="python"), pytest.param(LOADER, id="fastest")]


@frozen
class Odd:
    """Stands for what nobody here understands."""


def values(node: Node) -> object:
    match node:
        case Opaque() | Collection(tag=Opaque()):
            return Odd()
        case Pairs():
            return {values(pair.key): values(pair.value) for pair in node.members}
        case Items():
            return [values(item.value) for item in node.members]
        case _:
            return node


def lines(node: Node) -> list[int | None]:
    members = node.members if isinstance(node, Collection) else []
    return [line for member in members for line in (member.line, *lines(member.value))]


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", None),
        ("# nothing", None),
        ("---\n...\n", None),
        ("a: 1\nb: [x, 2.5, true, ~]\nc: {d: ''}", {"a": 1, "b": ["x", 2.5, True, None],
        "c": {"d": ""}}),
        ("%YAML 1.2\n---\na: &x {b: c}\nd: *x", {"a": {"b": "c"}, "d": {"b": "c"}}),
        ("a: &x 1\nb: &x 2\nc: *x", {"a": 1, "b": 2, "c": 2}),
        ("a: !vault b\nc: !x [d]\ne: !!set {f}\ng: !!binary aGk=", {"a": Odd(), "c": Odd(),
        "e": Odd(), "g": Odd()}),
        ("a: !!int x\nb: 2026-13-45\nc: !!timestamp x\nd: " + "9" * 5000, {"a": Odd(), "b": Odd(),
        "c": Odd(), "d": Odd()}),
        ("a: !!str 1\nc: =\nd: <<", {"a": "1", "c": "=", "d": "<<"}),
        ("? a\n: b", {"a": "b"}),
        ("a: |\n  x\n  y\nb: >\n  x\n  y\n", {"a": "x\ny\n", "b": "x y\n"}),
    ],
)  # fmt: skip
def test_yaml_is_read(loader: type, text: str, wanted: object) -> None:
    assert values(read_yaml(text, loader)) == wanted


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a:\n\tb", 2, "a tab stands where YAML wants spaces: indent with spaces"),
        ("é:\n  x: 1\n\tb: 2", 3, "indent with spaces"),
        ("x: 1\na: %b", 2, "put the value in quotes"),
        ("x: 1\na: @b", 2, "put the value in quotes"),
        ("x: 1\na: b: c", 2, "put a text that holds a colon and a space in quotes"),
        ("x: 1\na: 'b\n\n", 2, "a quotation mark is opened here"),
        ("x: 1\na: [b\nc: d\n", 2, "a [ is opened here"),
        ("x: 1\na: {b\n- c\n", 2, "a { is opened here"),
        ('x: 1\na: "\\q"', 2, "after a backslash"),
        ("x: 1\na: *b", 2, "an anchor that is not defined before"),
        ("x: 1\na: !h!b c", 2, "a handle that is not declared"),
        ("x: 1\n  b: 2", 2, "check the indentation"),
        ("a:\n  - b\n c: d", 3, "the indentation does not fit"),
        ("x: 1\n%\x01", 2, "a character that YAML does not allow"),
        ("x: 1\n---\ny: 1", 2, "more than one YAML document"),
        ("%YAML 3.0\n---\na: 1", 1, "another version"),
        ("x: 1\ny: " + "[" * 101, 2, "nested deeper than 100 levels"),
    ],
)
def test_what_is_no_yaml_is_explained_with_its_line(
    loader: type, text: str, line: int, words: str
) -> None:
    with pytest.raises(Unreadable) as caught:
        read_yaml(text, loader)
    assert words in caught.value.message
    assert caught.value.line == line


@pytest.mark.parametrize("loader", LOADERS)
def test_an_anchor_within_itself_is_one_node_and_no_end(loader: type) -> None:
    root = read_yaml("a: &a [*a, *a]", loader)
    assert isinstance(root, Pairs)
    items = root.members[0].value
    assert isinstance(items, Items) and all(item.value is items for item in items.members)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN, st.sampled_from([None, 0, "\t"]))
def test_any_json_is_read_as_the_standard_library_reads_it(
    value: object, indent: int | str | None
) -> None:
    text = json.dumps(value, indent=indent)
    assert values(read_json(text)) == json.loads(text)


@given(PLAIN)
def test_lines_in_json_are_where_the_keys_and_members_stand(value: object) -> None:
    found = lines(read_json(json.dumps(value, indent=1)))
    assert found == sorted(line for line in found if line is not None)
    assert len(set(found)) == len(found)


@given(PLAIN)
def test_both_parsers_of_yaml_agree(value: object) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    slow, fast = read_yaml(text, yaml.SafeLoader), read_yaml(text)
    assert values(slow) == values(fast) and lines(slow) == lines(fast)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{", 1),
        ('{"a": 1\n"b"}', 2),
        ("[1\n2]", 2),
        ("nul", 1),
        ('"\x01"', 1),
        ('{"a" 1}', 1),
        ("{} {}", 1),
        ("]", 1),
    ],
)
def test_invalid_json_is_reported_with_its_line(text: str, line: int) -> None:
    with pytest.raises(Unreadable, match="is not valid JSON") as caught:
        read_json(text)
    assert caught.value.line == line


def test_a_number_of_too_many_digits_is_nothing_that_is_understood() -> None:
    assert values(read_json(f"[{'9' * 5000}]")) == [Odd()]


def test_nothing_is_nothing() -> None:
    assert read_json(" \n") is None
