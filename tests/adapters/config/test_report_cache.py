"""A reload reads the files that have changed, and misses no change."""

from __future__ import annotations

import copy
import os
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from tenant_files import ENVIRON, PROVIDERS, block, problem_lines

from evidence_courier.adapters.config import Loaded, ReportCache, load_folder, loader
from evidence_courier.adapters.plugins import BrokenProvider
from evidence_courier.adapters.secrets.environ import EnvironSecrets
from evidence_courier.delivery.destinations import destination_of

PEM = Path(__file__).parents[1] / "transports" / "loopback.pem"
LONG_AGO = time.time_ns() - 3_600_000_000_000


class AskedFor(dict[str, Any]):
    """Providers, each loaded when it is asked for first."""

    asked: ClassVar[set[str]] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)

    def items(self) -> Any:
        raise AssertionError("that asks for all of them")

    values = __iter__ = items


class Folder:
    """A folder that is loaded again and again, and the names of the files that each load read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environ = dict(ENVIRON)
        self.kept = ReportCache()
        self.read: list[str] = []
        self.providers = AskedFor(PROVIDERS)

    def write(self, name: str, content: str, *, ago: bool = True) -> None:
        (self.path / name).write_text(content)
        if ago:
            os.utime(self.path / name, ns=(LONG_AGO, LONG_AGO))

    def load(self, at: str = "integrations.compliance") -> Loaded:
        self.read.clear()
        secrets = EnvironSecrets(self.environ)
        return load_folder(
            self.path, providers=self.providers, secrets=secrets, block=at, cache=self.kept
        )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """The clock is a minute ahead, so that what the test writes counts as written long ago."""
    content = loader._content  # pyright: ignore[reportPrivateUsage]
    folder, now = Folder(tmp_path), time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 60_000_000_000)

    def noted(file: str) -> object:
        folder.read.append(os.path.basename(file))
        return content(file)

    monkeypatch.setattr(loader, "_content", noted)
    folder.write("a.yaml", block())
    folder.write("b.yaml", block("pace: 10/min"))
    folder.write("c.json", '{"tenant": "c"}')
    folder.load()
    assert folder.read == ["a.yaml", "b.yaml", "c.json"]
    return folder


def test_a_load_after_no_change_reads_nothing_and_says_the_same(folder: Folder) -> None:
    fresh, again = (
        load_folder(folder.path, providers=PROVIDERS, secrets=EnvironSecrets(folder.environ)),
        folder.load(),
    )
    assert folder.read == []
    assert again.integrations == fresh.integrations
    assert (again.without, again.names, again.warnings) == (
        fresh.without,
        fresh.names,
        fresh.warnings,
    )
    assert again.lines("b") == fresh.lines("b") != {}


def test_what_tenants_have_in_common_is_in_memory_once(folder: Folder) -> None:
    """A collection of garbage looks at each object, and stops the loop meanwhile."""
    folder.write("a.yaml", block("pace: 10/min"))
    folder.write("b.yaml", block("pace: 10/min"))
    loaded = folder.load()
    one, other = loaded.integrations["a"], loaded.integrations["b"]
    for name in ("pace", "route", "retry", "retention", "outcomes"):
        assert getattr(one, name) is getattr(other, name), name
    assert loaded.reports["a"].lines is loaded.reports["b"].lines
    archive = PROVIDERS[one.provider]
    assert not isinstance(archive, BrokenProvider)
    rules, others = (destination_of(each, archive, b"key").rules for each in (one, other))
    assert rules is others


def test_a_changed_a_new_and_a_deleted_file_are_noticed(folder: Folder) -> None:
    folder.write("a.yaml", block("pace: 7/min"))
    folder.write("d.yaml", block())
    (folder.path / "b.yaml").unlink()
    loaded = folder.load()
    assert folder.read == ["a.yaml", "d.yaml"]
    assert str(loaded.integrations["a"].pace) == "7/min"
    assert sorted(loaded.integrations) == ["a", "d"]


def test_a_change_that_keeps_size_and_time_is_noticed(folder: Folder) -> None:
    folder.write("b.yaml", block("pace: 20/min"))
    assert str(folder.load().integrations["b"].pace) == "20/min"
    other = folder.path / "other"
    other.write_text(block("pace: 30/min"))
    os.utime(other, ns=(LONG_AGO, LONG_AGO))
    other.replace(folder.path / "b.yaml")
    assert str(folder.load().integrations["b"].pace) == "30/min"


def test_a_link_that_leads_elsewhere_now_is_noticed(folder: Folder) -> None:
    for version in ("1", "2"):
        (folder.path / version).mkdir()
        (folder.path / version / "e").write_text(block(f"pace: {version}/min"))
        os.utime(folder.path / version / "e", ns=(LONG_AGO, LONG_AGO))
    (folder.path / "now").symlink_to("1")
    (folder.path / "e.yaml").symlink_to("now/e")
    assert str(folder.load().integrations["e"].pace) == "1/min"
    (folder.path / "now").unlink()
    (folder.path / "now").symlink_to("2")
    assert str(folder.load().integrations["e"].pace) == "2/min"


def test_a_file_that_was_just_written_is_read_again(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next change may fall on the same tick of the file system's clock."""
    folder.write("a.yaml", block("pace: 2/min"), ago=False)
    written = (folder.path / "a.yaml").stat().st_ctime_ns
    monkeypatch.setattr(time, "time_ns", lambda: written + 1_000_000_000)
    folder.load()
    folder.load()
    assert "a.yaml" in folder.read
    monkeypatch.setattr(time, "time_ns", lambda: written + 3_000_000_000)
    folder.load()
    folder.load()
    assert folder.read == []


def test_a_variable_that_changed_is_noticed(folder: Folder) -> None:
    folder.environ["ACME_KEY"] = "another-key"
    loaded = folder.load()
    assert folder.read == ["a.yaml", "b.yaml"]
    assert [secret.reveal() for secret in loaded.integrations["a"].secrets] == ["another-key"]
    del folder.environ["ACME_KEY"]
    assert "ACME_KEY" in " ".join(problem_lines(folder.load(), folder.path))


def test_a_file_with_a_problem_is_read_each_time(folder: Folder) -> None:
    folder.write("a.yaml", "tenant: b\n")
    assert len(problem_lines(folder.load(), folder.path)) == 2
    folder.write("a.yaml", "tenant: a\n")
    loaded = folder.load()
    assert folder.read == ["a.yaml", "b.yaml"]
    assert not loaded.problems


def test_a_secret_of_a_file_that_is_not_read_is_refused_elsewhere(folder: Folder) -> None:
    folder.environ["SHELF"] = "x"
    folder.write("d.yaml", block().replace("s-1", "${ACME_KEY}").replace("key: ${ACME", "key: ${S"))
    folder.environ["S_KEY"] = "other"
    loaded = folder.load()
    assert folder.read == ["d.yaml"]
    assert "which fills a secret elsewhere" in " ".join(problem_lines(loaded, folder.path))


def test_a_bundle_that_changed_is_noticed(folder: Folder) -> None:
    bundle = folder.path / "own.pem"
    bundle.write_bytes(PEM.read_bytes())
    folder.write("a.yaml", block("ca_bundle: own.pem"))
    assert not folder.load().problems
    bundle.write_text("no certificate")
    assert "ca_bundle" in " ".join(problem_lines(folder.load(), folder.path))


def test_another_provider_of_the_name_reads_all_and_no_other_is_asked_for(folder: Folder) -> None:
    folder.load()
    assert folder.providers.asked == {"archive"}
    folder.providers["archive"] = copy.copy(PROVIDERS["archive"])
    folder.load()
    assert folder.read == ["a.yaml", "b.yaml", "c.json"]


def test_another_place_of_the_block_reads_all(folder: Folder) -> None:
    assert not folder.load(at="other").integrations
    assert folder.read == ["a.yaml", "b.yaml", "c.json"]
