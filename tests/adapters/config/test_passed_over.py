"""What looks as if it were for a tenant and is not read is named; of a broken file it is known
whether a block can be seen in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tenant_files import block, load

VALID = block()
ALL_IN_ONE = "acme:\n  name: A\n" + "".join(f"  {line}\n" for line in VALID.splitlines())


def warnings(folder: Path, files: dict[str, str]) -> list[str]:
    """The warnings of a load, without the folder's path."""
    found = load(folder, files).warnings
    return [
        str(one).replace(f"{folder}{os.sep}", "").replace(str(folder), "FOLDER") for one in found
    ]


NEARLY = (
    "ACME.YAML b.Yml b.JSON b.yaml.txt B.YML.TXT b.ymll b.yalm b.yam b.ymal b.yl b.YAMLL b.jsonc "
    "b.json5 b.jsn b.jsom b.jsonl"
)


@pytest.mark.parametrize("name", [*NEARLY.split(), "b.yaml "])
def test_a_file_with_another_ending_is_named(tmp_path: Path, name: str) -> None:
    (warned,) = warnings(tmp_path, {"a.yaml": VALID, name: VALID})
    assert warned.startswith(f"{name}: is not read, as its name does not end in .yaml/.yml/.json")


def test_a_template_is_not_read_and_is_named(tmp_path: Path) -> None:
    loaded = load(tmp_path, {"a.yaml": VALID, "_template.yaml": "integrations: [", "_notes": ""})
    assert (list(loaded.integrations), loaded.problems) == (["a"], ())
    (warned,) = loaded.warnings
    assert str(warned).endswith(
        "_template.yaml: is not read, as its name begins with _: rename it if it is a tenant's file"
    )


def test_what_is_no_tenants_file_is_not_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "a.yaml").write_text(VALID)
    files = {"a.yaml": VALID, "README.md": "", "d.txt": "", ".b.YAML": "", "e.yaml.bak": ""}
    files |= dict.fromkeys(
        ("f.yaml~", "g.xml", "h.toml", "i.html", "j.js", "k.yaml.j2", "l.yaml.disabled", "m"), ""
    )
    assert warnings(tmp_path, files) == []


def test_a_folder_with_tenant_files_in_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "eu").mkdir()
    (tmp_path / "eu" / "beta.yaml").write_text(VALID)
    warned = warnings(tmp_path, {"a.yaml": VALID})
    assert warned == ["eu: is a folder, and beta.yaml in it is not read"]


@pytest.mark.parametrize("is_link", [False, True])
def test_a_folder_with_the_name_of_a_tenants_file_is_named(tmp_path: Path, is_link: bool) -> None:
    """As a container makes it that is given a file which does not exist."""
    folder = tmp_path / ("away" if is_link else "b.yaml")
    folder.mkdir()
    if is_link:
        (tmp_path / "b.yaml").symlink_to(folder)
    warned = warnings(tmp_path, {"a.yaml": VALID})
    assert warned == ["b.yaml: is a folder, and no tenant's file"]


@pytest.mark.parametrize(
    ("right", "written", "line"),
    [
        ("integrations", "integration", 1),
        ("integrations", "Integrations", 1),
        ("compliance", "complience", 2),
    ],
)
def test_a_key_on_the_way_to_the_block_that_is_misspelled_is_named(
    tmp_path: Path, right: str, written: str, line: int
) -> None:
    files = {"a.yaml": VALID, "b.yaml": VALID.replace(f"{right}:", f"{written}:")}
    assert warnings(tmp_path, files) == [
        f"b.yaml:{line}: `{written}` is not read: did you mean `{right}`?"
    ]
    both = VALID.replace("integrations:", "Integrations:").replace("compliance:", "Compliance:")
    assert warnings(tmp_path, {"b.yaml": both}) == [
        "b.yaml:1: `Integrations` is not read: did you mean `integrations`?"
    ]
    own = "integration: off\nIntegrations: []\nintegrations:\n  complianz: 7\n"
    assert warnings(tmp_path, {"b.yaml": own, "c.yaml": f"integration: {{}}\n{VALID}"}) == []


def test_a_block_at_the_top_is_named(tmp_path: Path) -> None:
    alone = VALID.split("\n", 1)[1].replace("\n  ", "\n")
    assert alone.startswith("  compliance:")
    files = {"a.yaml": VALID, "b.yaml": f"name: B\n{alone[2:]}", "c.yaml": "compliance: {x: 1}\n"}
    assert warnings(tmp_path, files) == [
        "b.yaml:2: `compliance` is not read here: it belongs in `integrations`"
    ]


@pytest.mark.parametrize("content", [b"\0" * 64, VALID.encode("utf-16")])
def test_a_file_that_is_no_text_may_hold_a_block(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b.yaml").write_bytes(content)
    loaded = load(tmp_path, {"a.yaml": VALID})
    assert set(loaded.held) == {"b"}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (ALL_IN_ONE, "acme"),
        ("tenants:\n" + "".join(f"  {line}\n" for line in ALL_IN_ONE.splitlines()), "tenants"),
        ("tenants:\n- id: a\n" + "".join(f"  {line}\n" for line in VALID.splitlines()), "tenants"),
        ('{"acme": {"integrations": {"compliance": {"provider": "archive"}}}}', "acme"),
    ],
)
def test_one_file_with_all_tenants_is_named(tmp_path: Path, content: str, place: str) -> None:
    (warned,) = warnings(tmp_path, {"a.yaml": VALID, "all.yaml": content})
    assert warned.startswith("all.yaml:")
    assert f"`integrations.compliance` stands within `{place}`, where it is not read" in warned


@pytest.mark.parametrize("key", ["tenant_id", "tenantID", "TENANT_ID", "Tenant-Id", "tenantid"])
def test_a_tenants_id_is_known_in_all_its_spellings(tmp_path: Path, key: str) -> None:
    (warned,) = warnings(tmp_path, {"acme.yaml": f"{key}: globex\n{VALID}"})
    assert warned.startswith(f"acme.yaml:1: `{key}` is another id than that of the tenant, acme")


def test_a_tenant_id_that_disagrees_with_the_files_name_is_named(tmp_path: Path) -> None:
    files = {
        "acme.yaml": "tenant_id: globex\n" + VALID,
        "beta.yaml": "tenant_id: beta\n" + VALID,
        "gamma.yaml": "tenant: delta\ntenant_id: delta\n" + VALID,
        "mine.yaml": "tenant_id: 7\n" + VALID,
    }
    (warned,) = warnings(tmp_path, files)
    assert warned.startswith("acme.yaml:1: `tenant_id` is another id than that of the tenant, acme")


def test_a_list_in_the_way_to_the_block_is_a_problem(tmp_path: Path) -> None:
    (problem,) = load(tmp_path, {"a.yaml": "integrations: []\n"}).problems
    assert "must be a mapping, as `compliance` is looked for in it" in str(problem)


def test_a_folder_without_a_tenant_file_is_named(tmp_path: Path) -> None:
    assert warnings(tmp_path, {}) == ["FOLDER: holds no tenant file"]


def test_a_block_that_no_file_has_is_named(tmp_path: Path) -> None:
    (warned,) = warnings(tmp_path, {"a.yaml": "x: 1\n", "b.yaml": "y: 1\n"})
    assert "no tenant has the block `integrations.compliance`" in warned
    assert warnings(tmp_path, {"b.yaml": "integrations: {compliance: null}\n"}) == []


@pytest.mark.parametrize(
    ("content", "held"),
    [
        ("integrations:\n  compliance: {provider: none}\n", True),
        ("integrations:\n  compliance: archive\n", True),
        ("integrations:\n\tcompliance:\n", True),
        ('{"integrations": {"compliance": {]', True),
        ("\xff integrations: {compliance: }".encode("latin-1"), True),
        ("integrations: {other: [}\n", False),
        ("compliance: [\n", False),
        ("integrations: []\n", False),
        ("tenant: 7\nintegrations:\n  compliance: {enabled: false}\n", False),
        ("tenant: 7\n", False),
    ],
)
def test_of_a_broken_file_it_is_known_whether_it_seems_to_hold_a_block(
    tmp_path: Path, content: str | bytes, held: bool
) -> None:
    (tmp_path / "a.yaml").write_bytes(content.encode() if isinstance(content, str) else content)
    loaded = load(tmp_path, {})
    assert loaded.broken
    assert set(loaded.held) == ({"a"} if held else set())


def test_a_file_that_cannot_be_opened_may_hold_a_block(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "nowhere")
    assert set(load(tmp_path, {}).held) == {"a"}


def test_what_a_warning_quotes_is_printable(tmp_path: Path) -> None:
    (tmp_path / "eu").mkdir()
    (tmp_path / "eu" / "b\x1b[2J.yaml").write_text(VALID)
    odd = '"a\\e[2J":\n' + "".join(f"  {line}\n" for line in VALID.splitlines())
    warned = warnings(
        tmp_path, {"a.yaml": VALID, "all.yaml": odd, "b.yaml": "tenant_id: x\ntenant: 7"}
    )
    assert len(warned) == 2
    assert all(one.isprintable() for one in warned)
