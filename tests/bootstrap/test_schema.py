"""`schema`: what an editor is given."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from evidence_courier.bootstrap.cli.app import app

ROOT = Path(__file__).parents[2]


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["schema", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_schema_of_a_record_is_the_published_one() -> None:
    published = (ROOT / "docs" / "training-record.schema.json").read_text("utf-8")
    assert printed("record") == published


@pytest.mark.parametrize(
    "file", sorted((ROOT / "examples" / "tenants").glob("*.yaml")), ids=lambda file: file.name
)
def test_the_example_tenants_are_valid_to_an_editor(file: Path) -> None:
    judge = Draft202012Validator(json.loads(printed("tenant")))
    assert [error.message for error in judge.iter_errors(yaml.safe_load(file.read_text()))] == []


def test_the_block_is_where_the_host_has_it() -> None:
    judge = Draft202012Validator(json.loads(printed("tenant", "--block", "exports.grc")))
    assert judge.is_valid({"integrations": {"compliance": {"provider": 5}}})
    assert not judge.is_valid({"exports": {"grc": {"provider": 5}}})


def test_an_installed_plug_in_is_offered_with_its_settings() -> None:
    """An editor completes the words of `enum` and the keys of `properties`."""
    schema = json.loads(printed("tenant"))
    block = schema["properties"]["integrations"]["properties"]["compliance"]["then"]
    offered = block["properties"]["provider"]["anyOf"][0]["enum"]
    assert {"sprinto", "vanta", "drata", "secureframe"} <= {*offered}
    for name in offered:
        assert "endpoint" in schema["$defs"][f"provider {name}"]["properties"]


def test_an_editor_says_in_words_what_a_pattern_means() -> None:
    """Those that know `patternErrorMessage`, as VS Code and the language server for YAML do."""
    kinds = json.loads(CliRunner().invoke(app, ["schema", "tenant"]).stdout)["$defs"]
    words = {
        kind: text
        for kind in ("secret", "duration", "size", "pace", "endpoint", "keep")
        if (text := re.search(r'"patternErrorMessage": "([^"]+)"', json.dumps(kinds[kind])))
    }
    assert len(words) == 6
    assert words["pace"][1] == "Write a pace such as 2/s, 10/min or 100/h"
    for kind, text in words.items():
        assert text[1].startswith("Write "), kind
