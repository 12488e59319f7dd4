"""The variables of the environment: all that are read are known, and one that is not is named."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from evidence_courier.bootstrap import notices
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.bootstrap.cli.app_code import TRACEBACK
from evidence_courier.bootstrap.cli.variables import KNOWN, unknown_among

HOUSE = Path(__file__).parents[2]


def parameters(group: click.Group) -> Iterator[click.Parameter]:
    for command in group.commands.values():
        yield from command.params
        if isinstance(command, click.Group):
            yield from parameters(command)


def test_every_variable_that_is_read_is_known_and_no_other() -> None:
    of_options = {str(one.envvar) for one in parameters(app) if one.envvar}
    assert {*of_options, *notices._ALL, TRACEBACK} == KNOWN


def test_pages_and_examples_name_none_that_is_unknown() -> None:
    files = [HOUSE / "README.md", *(HOUSE / "docs").glob("*.md")]
    files += [one for one in (HOUSE / "examples").rglob("*") if one.is_file()]
    text = "\n".join(one.read_text("utf-8", "replace") for one in files)
    named = set(re.findall(r"\bEVIDENCE_COURIER_[A-Z_]*[A-Z]\b", text))
    assert {"EVIDENCE_COURIER_DB", "EVIDENCE_COURIER_WEBHOOK"} <= named
    assert list(unknown_among(named)) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WEBHOK", "WEBHOOK"),
        ("WEBHOOKS", "WEBHOOK"),
        ("WEBHOOK_SECRT", "WEBHOOK_SECRET"),
        ("EMAIL", "MAIL"),
        ("db", "DB"),
        ("SLACK", None),
    ],
)
def test_an_unknown_one_is_named_with_the_nearest(name: str, meant: str | None) -> None:
    (said,) = unknown_among([f"EVIDENCE_COURIER_{name}", "EVIDENCE_COURIER_DB", "PATH"])
    what = f"EVIDENCE_COURIER_{name} is set, and is none of this program's variables"
    assert said == what + (f": did you mean EVIDENCE_COURIER_{meant}?" if meant else "")


def test_what_kubernetes_sets_for_a_service_of_that_name_is_not_named() -> None:
    ends = "PORT SERVICE_HOST SERVICE_PORT SERVICE_PORT_METRICS PORT_9464_TCP PORT_9464_TCP_ADDR"
    assert list(unknown_among(f"EVIDENCE_COURIER_{end}" for end in ends.split())) == []


def test_each_command_warns_of_an_unknown_one_without_its_value() -> None:
    env = {"EVIDENCE_COURIER_DATABASES": "postgresql://u:a-password@host/db"}
    shown = CliRunner().invoke(app, ["version", "--json"], env=env)
    assert shown.exit_code == 0
    assert shown.stderr == (
        "warning: EVIDENCE_COURIER_DATABASES is set, and is none of this program's variables\n"
    )
