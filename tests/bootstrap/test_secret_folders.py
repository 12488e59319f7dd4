"""The folders that secrets in files may come from: an option of a courier and of the commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from evidence_courier import BlockingCourier, ConfigError, MisuseError
from evidence_courier.bootstrap.cli.app import app
from evidence_courier.domain.secrets.secret import Secret

BLOCK = "integrations: {{compliance: {{provider: sprinto, workflow_check: c, api_key: '{}'}}}}\n"


@pytest.fixture
def tenants(tmp_path: Path) -> Path:
    folder, secrets = tmp_path / "tenants", tmp_path / "secrets"
    folder.mkdir()
    secrets.mkdir()
    (secrets / "acme").write_text("first\n")
    (folder / "acme.yaml").write_text(BLOCK.format(f"${{file:{secrets}/acme}}"))
    return folder


def test_a_courier_reads_secrets_in_the_folders_it_is_given(tenants: Path) -> None:
    secrets = tenants.parent / "secrets"
    database = tenants.parent / "courier.db"
    with pytest.raises(ConfigError, match=r"may come from \(/run/secrets\)"):
        BlockingCourier.from_config(tenants, database)
    with pytest.raises(MisuseError, match="takes a list of folders"):
        BlockingCourier.from_config(tenants, database, secret_folders=str(secrets))
    with BlockingCourier.from_config(tenants, database, secret_folders=[secrets]) as courier:
        assert credential_of(courier) == Secret("first")
        (secrets / "acme").write_text("second\n")
        courier.reload()
        assert credential_of(courier) == Secret("second")


def credential_of(courier: BlockingCourier) -> Secret:
    destination = courier._tenants.destinations["acme"]  # pyright: ignore[reportPrivateUsage]
    return destination.integration.secrets[0]


def test_the_commands_read_them_too(tenants: Path) -> None:
    secrets = tenants.parent / "secrets"
    allowed = ["--secret-folder", "/nowhere", "--secret-folder", str(secrets)]
    result = CliRunner().invoke(app, ["check", str(tenants), *allowed, "--effective"])
    assert result.exit_code == 0, result.output
    assert "first" not in result.output
    refused = CliRunner().invoke(app, ["check", str(tenants)])
    assert refused.exit_code == 2
    assert "secrets may come from (/run/secrets): put it there" in refused.stderr
