"""Which files are read, which tenant each is for, and where the block stands."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from tenant_files import PROVIDERS, block, load, problem_lines

from evidence_courier.adapters.config import load_folder
from evidence_courier.adapters.secrets import EnvironSecrets
from evidence_courier.domain.errors import ConfigError

VALID = block()


def test_yaml_yml_and_json_files_directly_in_the_folder_are_read(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "never.yaml").write_text(VALID)
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "elsewhere").write_text(VALID)
    (tmp_path / "linked.yaml").symlink_to(tmp_path / "elsewhere")
    json = (
        '{"integrations": {"compliance": {"provider": "archive", "key": "${ACME_KEY}", "shelf": '
        '"s"}}}'
    )
    files = {
        "a.yaml": VALID,
        "b.yml": VALID,
        "c.json": json,
        ".hidden.yaml": VALID,
        "d.txt": VALID,
        "e.YAML.bak": VALID,
    }
    loaded = load(tmp_path, files)
    assert (list(loaded.integrations), loaded.problems) == (["a", "b", "c", "linked"], ())


def test_the_tenant_is_the_key_tenant_or_else_the_stem_of_the_file(tmp_path: Path) -> None:
    files = {"acme.prod.yaml": VALID, "b.yaml": 'tenant: "0815"\nname: Beta Ltd\n' + VALID}
    loaded = load(tmp_path, files)
    assert list(loaded.integrations) == ["acme.prod", "0815"]
    assert loaded.names == {"acme.prod": None, "0815": "Beta Ltd"}
    assert loaded.integrations["0815"].name == "Beta Ltd"


@pytest.mark.parametrize(
    "written",
    [
        "integrations:\n  compliance: null\n",
        "integrations:\n  compliance:\n",
        "integrations: ~\n",
        "integrations: {}\n",
        "x: 1\n",
    ],
)
def test_a_tenant_without_a_block_has_no_integration(tmp_path: Path, written: str) -> None:
    loaded = load(tmp_path, {"a.yaml": written})
    assert (loaded.without, loaded.integrations, loaded.problems) == (("a",), {}, ())


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a.yaml", ""),
        ("a.json", ""),
        ("a.yaml", "# integrations:\n#   compliance:\n#     provider: archive\n"),
        ("a.yaml", "# later\n"),
        ("a.yaml", "   \n"),
        ("a.yaml", "\n---\n"),
        ("a.yaml", "null\n"),
        ("a.json", "null\n"),
    ],
)
def test_a_file_that_holds_nothing_is_a_problem(tmp_path: Path, name: str, written: str) -> None:
    """It may have been cut off, so what was in force stays, and evidence is held."""
    loaded = load(tmp_path, {name: written})
    assert problem_lines(loaded, tmp_path) == [
        f"{name}: holds nothing: write what it should hold (`integrations: {{}}` if the tenant has "
        "no integration), or remove it"
    ]
    assert (list(loaded.broken), loaded.without, set(loaded.held)) == (["a"], (), {"a"})


@pytest.mark.parametrize(
    ("written", "line"),
    [("integrations:\n", 1), ("tenant: acme\nname: ACME\nintegrations:  # which\n\n# x\n", 3)],
)
def test_a_file_that_ends_above_the_block_holds_nothing(
    tmp_path: Path, written: str, line: int
) -> None:
    loaded = load(tmp_path, {"acme.yaml": written})
    assert problem_lines(loaded, tmp_path) == [
        f"acme.yaml:{line}: holds nothing after its last key: write what it should hold "
        "(`integrations: {}` if the tenant has no integration), or remove it"
    ]
    assert (list(loaded.broken), loaded.without, set(loaded.held)) == (["acme"], (), {"acme"})


def test_a_file_that_ends_at_the_block_leaves_its_tenant_without_and_warns(tmp_path: Path) -> None:
    written = {"a.yaml": "integrations:\n  compliance:  # none\n", "b.yaml": "name:\n"}
    loaded = load(tmp_path, written | {"c.yaml": "integrations:\n  compliance: null\n"})
    assert (loaded.without, loaded.problems) == (("a", "b", "c"), ())
    (warning,) = loaded.warnings
    assert str(warning).endswith(
        "a.yaml:2: `compliance` has no value, so the tenant has no integration: write "
        "`compliance: null` if that is so"
    )


def test_a_block_whose_colon_is_missing_is_seen(tmp_path: Path) -> None:
    without = VALID.replace("compliance:\n", "compliance\n")
    assert without != VALID
    loaded = load(tmp_path, {"a.yaml": without})
    assert (list(loaded.broken), set(loaded.held)) == (["a"], {"a"})


def test_null_switches_off_what_a_merged_default_brings(tmp_path: Path) -> None:
    defaults = (
        "defaults: &defaults\n  compliance: {provider: archive, key: '${ACME_KEY}', shelf: s}\n"
    )
    loaded = load(
        tmp_path,
        {
            "off.yaml": defaults + "integrations:\n  <<: *defaults\n  compliance: null\n",
            "on.yaml": defaults + "integrations:\n  <<: *defaults\n",
        },
    )
    assert (loaded.without, list(loaded.integrations)) == (("off",), ["on"])


def test_a_disabled_block_counts_as_absent_whatever_else_it_holds(tmp_path: Path) -> None:
    text = (
        "integrations: {compliance: {enabled: false, provider: nobody, key: literal, x: "
        "'${NOT_SET}'}}"
    )
    loaded = load(tmp_path, {"a.yaml": text})
    assert (loaded.without, loaded.problems) == (("a",), ())


def test_a_switch_that_says_both_is_refused_and_an_own_one_wins(
    tmp_path: Path,
) -> None:
    """A block's own switch beats one that is merged into it."""
    off = "off: &off {enabled: false}\n"
    loaded = load(
        tmp_path,
        {
            "a.yaml": block("enabled: false", "enabled: true"),
            "b.yaml": off + block("<<: *off", "enabled: true"),
            "c.yaml": off + block("<<: *off"),
        },
    )
    assert problem_lines(loaded, tmp_path) == [
        "a.yaml:7: integrations.compliance.enabled: the key is written twice, first on line 6: "
        "keep one of them"
    ]
    assert (list(loaded.integrations), loaded.without) == (["b"], ("c",))


def test_enabled_true_changes_nothing(tmp_path: Path) -> None:
    assert list(load(tmp_path, {"a.yaml": block("enabled: true")}).integrations) == ["a"]


def test_the_block_may_stand_at_another_path(tmp_path: Path) -> None:
    loaded = load(
        tmp_path, {"a.yaml": "grc: {provider: archive, key: '${ACME_KEY}', shelf: s}"}, at="grc"
    )
    assert list(loaded.integrations) == ["a"]


def test_the_hosts_own_keys_are_not_looked_at_however_odd(tmp_path: Path) -> None:
    host = "\n".join(
        [
            "oidc: {secret: !vault abc, again: '${X}x', again: 2}",
            "1: [.nan, 2026-13-45, 0b2, !!binary '-']",
            "self: &self {me: *self}",
            "? [a, b]",
            ": !include other.yaml",
            "other: {<<: !include defaults.yaml}",
            "name: {en: Acme}",
            "comment: 1 # ${NOT_SET}",
        ]
    )
    loaded = load(tmp_path, {"a.yaml": f"{host}\nintegrations: {{slack: !x 1, 7: 7}}\n"})
    assert (loaded.without, loaded.problems) == (("a",), ())


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("tenant: 42", "must be text, and this is a number: put it in quotes"),
        ("tenant: 0815.1", "must be text, and this is a number: put it in quotes"),
        ("tenant: no", "must be text, and this is true or false: put it in quotes"),
        ("tenant: 2026-02-21", "must be text, and this is a date: put it in quotes"),
        ("tenant: 1_0", "must be text, and this is a number: put it in quotes"),
        ("tenant: 0123", "must be text, and this is a number: put it in quotes"),
        ("tenant: [a]", "must be text, and this is a list"),
        ("tenant: !own a", "must be text, and this is a value of another kind"),
        ("tenant: ''", "must not be empty, nor begin or end with a space"),
        ("tenant: ' a'", "must not be empty, nor begin or end with a space"),
        ('tenant: "a\\nb"', "must be one line, without control characters"),
        ("tenant: " + 513 * "a", "must have at most 512 characters"),
        (
            "tenant: ${ACME}",
            "must be the tenant's id itself: references such as ${VAR} are resolved only inside "
            "the block",
        ),
    ],
)
def test_a_tenant_that_is_no_plain_text_is_refused_with_advice(
    tmp_path: Path, written: str, message: str
) -> None:
    loaded = load(tmp_path, {"a.yaml": f"# first\n{written}\n"})
    assert problem_lines(loaded, tmp_path) == [f"a.yaml:2: tenant: {message}"]
    assert list(loaded.broken) == ["a"]


@pytest.mark.parametrize(
    "written", ["tenant: {name: Acme, id: 7}", "tenant:", "tenant: null", "tenant: !own {a: b}"]
)
def test_a_mapping_under_tenant_is_the_hosts_own_and_null_is_absent(
    tmp_path: Path, written: str
) -> None:
    loaded = load(tmp_path, {"a.yaml": f"{written}\n{VALID}", "b.yaml": f"{written}\n"})
    assert (list(loaded.integrations), loaded.without, loaded.problems) == (["a"], ("b",), ())


def test_a_mapping_under_name_is_the_hosts_own(tmp_path: Path) -> None:
    loaded = load(tmp_path, {"a.yaml": "name: {en: Acme, hi: एक्मे}\n" + VALID})
    assert (list(loaded.integrations), loaded.problems) == (["a"], ())
    assert loaded.names == {"a": None}


def test_a_file_name_that_cannot_be_a_tenant_says_so(tmp_path: Path) -> None:
    loaded = load(tmp_path, {" a.yaml": "x: 1"})
    [message] = problem_lines(loaded, tmp_path)
    assert message.startswith(
        " a.yaml: tenant: the file's name, which stands for the tenant where no key `tenant` "
        "does, must not"
    )


def test_a_name_of_another_kind_matters_only_with_an_integration(tmp_path: Path) -> None:
    loaded = load(tmp_path, {"a.yaml": "name: 7\n" + VALID, "b.yaml": "name: 7\n"})
    assert problem_lines(loaded, tmp_path) == [
        "a.yaml:1: name: must be text, and this is a number: put it in quotes"
    ]
    assert loaded.without == ("b",)


def test_a_tenant_in_two_files_is_refused_in_both_and_each_names_the_other(tmp_path: Path) -> None:
    files = {
        "acme.json": "{}",
        "acme.yaml": VALID,
        "other.yaml": f"# x\ntenant: acme\n{VALID}",
        "fine.yaml": VALID,
    }
    loaded = load(tmp_path, files)
    keep = "keep one of them"
    assert problem_lines(loaded, tmp_path) == [
        f"acme.json: tenant: the tenant acme is also in {tmp_path}/acme.yaml and in "
        f"{tmp_path}/other.yaml: {keep}".replace(f"{tmp_path}/", ""),
        f"acme.yaml: tenant: the tenant acme is also in acme.json and in other.yaml: {keep}",
        f"other.yaml:2: tenant: the tenant acme is also in acme.json and in acme.yaml: {keep}",
    ]
    assert (list(loaded.integrations), list(loaded.broken), loaded.without) == (
        ["fine"],
        ["acme"],
        (),
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", b"x: 1\ny: \xff\n", "a.yaml:2: is not UTF-8 text: save it in that encoding"),
        (
            "a.yaml",
            b"x: 1\n---\ny: 2\n",
            "a.yaml:2: holds more than one YAML document: a file is for one tenant",
        ),
        ("a.yaml", b"- x\n", "a.yaml:1: does not hold a mapping of keys to values"),
        ("a.yaml", b"just text", "a.yaml:1: does not hold a mapping of keys to values"),
        ("a.json", b"[]", "a.json:1: does not hold a mapping of keys to values"),
        (
            "a.json",
            b'{"x": 1\n"y"}',
            "a.json:2: is not valid JSON: expecting ',' delimiter",
        ),
        ("a.json", b'{"x": NaN}', "a.json: is not valid JSON: NaN is no number there"),
        (
            "a.yaml",
            b"#" * (1024 * 1024 + 1),
            "a.yaml: is larger than 1 MiB, which no tenant file should be",
        ),
        ("a.yaml", b"x: " + b"[" * 101, "a.yaml:1: is nested deeper than 100 levels"),
        ("a.json", b"\n" + b"[" * 101, "a.json:2: is nested deeper than 100 levels"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    loaded = load(tmp_path, {name: content, "fine.yaml": VALID})
    assert problem_lines(loaded, tmp_path)[0].removesuffix(" (did you mean )").startswith(message)
    assert (list(loaded.broken), list(loaded.integrations)) == (["a"], ["fine"])


@pytest.mark.parametrize(
    ("content", "why"),
    [('{"x": "\t"}', "invalid control character"), ('{"x": "y}', "unterminated string")],
)
def test_a_sentence_on_torn_json_is_whole(tmp_path: Path, content: str, why: str) -> None:
    loaded = load(tmp_path, {"a.json": content})
    assert problem_lines(loaded, tmp_path) == [f"a.json:1: is not valid JSON: {why}"]


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    loaded = load(
        tmp_path, {"a.yaml": b"\xef\xbb\xbf" + VALID.encode(), "b.json": b"\xef\xbb\xbf{}"}
    )
    assert (list(loaded.integrations), loaded.without, loaded.problems) == (["a"], ("b",), ())


def test_a_broken_link_and_a_pipe_are_reported_and_never_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "b.yaml")
    (tmp_path / "c.yaml").symlink_to(tmp_path / "c.yaml")
    assert problem_lines(load(tmp_path, {}), tmp_path) == [
        "a.yaml: is a link to a file that does not exist",
        "b.yaml: is not a regular file",
        f"c.yaml: cannot be read: {os.strerror(errno.ELOOP)}",
    ]


@pytest.mark.parametrize("ending", ["tenant: acme\nx: [", "tenant: 'acme' # ours\nx: ["])
def test_a_file_that_cannot_be_read_goes_by_what_looks_like_its_tenant(
    tmp_path: Path, ending: str
) -> None:
    assert list(load(tmp_path, {"file.yaml": ending}).broken) == ["acme"]


def test_a_file_that_cannot_be_read_never_breaks_a_tenant_of_another_file(tmp_path: Path) -> None:
    loaded = load(tmp_path, {"acme.yaml": "x: [", "b.yaml": "tenant: acme\n" + VALID})
    assert (list(loaded.integrations), dict(loaded.broken), len(loaded.problems)) == (
        ["acme"],
        {},
        1,
    )


def test_all_problems_of_all_files_are_reported_and_the_rest_loads(
    tmp_path: Path,
) -> None:
    files = {
        "a.yaml": block("wing: north", "pace: fast"),
        "b.yaml": "tenant: 1\n",
        "c.yaml": "{",
        "d.yaml": VALID,
    }
    loaded = load(tmp_path, files)
    assert [line.split(": ")[0] for line in problem_lines(loaded, tmp_path)] == [
        "a.yaml:6",
        "a.yaml:7",
        "b.yaml:1",
        "c.yaml:1",
    ]
    assert list(loaded.integrations) == ["d"]
    assert sum(loaded.broken.values(), ()) == loaded.problems


def test_a_path_that_is_not_a_folder_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path, words in (
        (tmp_path / "gone", "no such folder"),
        (tmp_path / "file", "is a file"),
        ("nul\0", "cannot be read"),
    ):
        with pytest.raises(ConfigError, match=words) as caught:
            load_folder(path, providers=PROVIDERS, secrets=EnvironSecrets({}))
        [problem] = caught.value.problems
        assert problem.file == str(path).replace("\0", "\\x00")


@pytest.mark.parametrize("path", ["", ".", "a..b", "a."])
def test_a_path_of_the_block_with_an_empty_key_is_a_configuration_error(
    tmp_path: Path, path: str
) -> None:
    with pytest.raises(ConfigError, match="keys with dots between them"):
        load(tmp_path, {}, at=path)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            "integrations: [a]\n",
            "a.yaml:1: integrations: must be a mapping, as `compliance` is looked for in it; or "
            "leave it out",
        ),
        (
            "integrations:\n  compliance: sprinto\n",
            "a.yaml:2: integrations.compliance: must be a mapping with a `provider` and its "
            "settings, or null for no integration",
        ),
        (
            "integrations:\n  compliance: !vault x\n",
            "a.yaml:2: integrations.compliance: must be a mapping with a `provider` and its "
            "settings, or null for no integration",
        ),
        (
            "integrations: {}\nx: 1\nintegrations: {}\n",
            "a.yaml:3: integrations: the key is written twice, first on line 1: keep one of them",
        ),
        (
            "tenant: a\ntenant: a\n",
            "a.yaml:2: tenant: the key is written twice, first on line 1: keep one of them",
        ),
        (
            "integrations:\n  compliance:\n  compliance:\n",
            "a.yaml:3: integrations.compliance: the key is written twice, first on line 2: keep "
            "one of them",
        ),
    ],
)
def test_what_stands_on_the_way_to_the_block_must_be_clear(
    tmp_path: Path, written: str, message: str
) -> None:
    assert problem_lines(load(tmp_path, {"a.yaml": written}), tmp_path) == [message]


def test_file_names_that_cannot_be_printed_are_shown_escaped(tmp_path: Path) -> None:
    name = os.fsdecode(b"a\xff\n.yaml")
    try:
        (tmp_path / name).write_text("[")
    except OSError:
        pytest.skip("this file system takes no such name")
    [line] = problem_lines(load(tmp_path, {}), tmp_path)
    assert line.startswith("a\\udcff\\n.yaml:")
