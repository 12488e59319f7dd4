"""What `run --watch` sees: each file that the tenants were read from."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from evidence_courier import AsyncCourier
from evidence_courier.bootstrap.cli.changes import Changes

TENANT = """\
integrations:
  compliance:
    provider: sprinto
    workflow_check: c
    api_key: ${{file:{folder}/secrets/key}}
    ca_bundle: {folder}/bundle.pem
"""


@pytest.fixture
def looks(tmp_path: Path) -> Callable[[], list[str]]:
    """What has changed since the last look; the tenants are read anew after each."""
    for name in ("tenants", "secrets/..1"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "secrets/..1/key").write_text("first")
    (tmp_path / "secrets/..data").symlink_to("..1")
    (tmp_path / "secrets/key").symlink_to("..data/key")
    authorities = ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt"
    (tmp_path / "bundle.pem").write_bytes(Path(authorities).read_bytes())
    (tmp_path / "tenants/acme.yaml").write_text(TENANT.format(folder=tmp_path))
    changes = Changes(str(tmp_path / "tenants"))
    options = {"secret_folders": [tmp_path / "secrets"], "on_invalid": "skip"}
    courier = AsyncCourier.from_config(tmp_path / "tenants", tmp_path / "c.db", **options)  # type: ignore[arg-type]
    tenants = courier._tenants  # pyright: ignore[reportPrivateUsage]

    def look() -> list[str]:
        found = changes.look(tenants.files)
        tenants.put_in_force(tenants.read())
        return [os.path.relpath(one, tmp_path) if os.sep in one else one for one in found]

    assert tenants.destinations and look() == []
    return look


def swap(folder: Path, content: str) -> None:
    """As Kubernetes does: the whole folder is another at once."""
    (folder / "..2").mkdir()
    (folder / "..2/key").write_text(content)
    (folder / "..data_tmp").symlink_to("..2")
    (folder / "..data_tmp").rename(folder / "..data")
    (folder / "..1/key").unlink()
    (folder / "..1").rmdir()


def test_a_secret_that_is_swapped_is_seen_once(
    looks: Callable[[], list[str]], tmp_path: Path
) -> None:
    swap(tmp_path / "secrets", "later")
    assert [looks(), looks()] == [["secrets/key"], []]


def test_a_secret_that_went_is_seen_and_so_is_its_return(
    looks: Callable[[], list[str]], tmp_path: Path
) -> None:
    (tmp_path / "secrets/..1/key").rename(tmp_path / "aside")
    assert [looks(), looks()] == [["secrets/key"], []]
    (tmp_path / "aside").rename(tmp_path / "secrets/..1/key")
    assert [looks(), looks()] == [["secrets/key"], []]


def test_a_changed_bundle_of_certificates_is_seen(
    looks: Callable[[], list[str]], tmp_path: Path
) -> None:
    with (tmp_path / "bundle.pem").open("a") as file:
        file.write("\n")
    assert [looks(), looks()] == [["bundle.pem"], []]
    (tmp_path / "bundle.pem").write_text("nothing")
    assert [looks(), looks()] == [["bundle.pem"], []]


def test_a_secret_that_a_tenant_names_from_now_on_is_seen(
    looks: Callable[[], list[str]], tmp_path: Path
) -> None:
    """And one that it names no more is not."""
    (tmp_path / "secrets/next").write_text("next")
    text = TENANT.format(folder=tmp_path).replace("secrets/key", "secrets/next")
    (tmp_path / "tenants/acme.yaml").write_text(text)
    assert [looks(), looks()] == [["acme.yaml"], []]
    (tmp_path / "secrets/..1/key").write_text("of no use any more")
    assert looks() == []
    (tmp_path / "secrets/next").write_text("another")
    assert [looks(), looks()] == [["secrets/next"], []]


def test_what_changes_between_the_reading_and_the_first_look_is_seen(
    tmp_path: Path, looks: Callable[[], list[str]]
) -> None:
    changes = Changes(str(tmp_path / "tenants"))
    courier = AsyncCourier.from_config(
        tmp_path / "tenants", tmp_path / "c.db", secret_folders=[tmp_path / "secrets"]
    )
    (tmp_path / "secrets/..1/key").write_text("meanwhile")
    found = changes.look(courier._tenants.files)  # pyright: ignore[reportPrivateUsage]
    assert found == [str(tmp_path / "secrets/key")]


def test_a_secret_of_a_file_that_did_not_change_is_seen_again_and_again(
    looks: Callable[[], list[str]], tmp_path: Path
) -> None:
    """The tenant's own file is not read anew then, but what it names is."""
    for number in range(3):
        os.utime(tmp_path / "tenants/acme.yaml", (1, 1))
        looks()
        (tmp_path / "secrets/..1/key").write_text(f"number {number}")
        assert [looks(), looks()] == [["secrets/key"], []]
