"""Secrets in files: which are read, which are refused, and what is said of those."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest

from evidence_courier.adapters.secrets import EnvironSecrets, FileSecrets
from evidence_courier.adapters.secrets.files import MAX_SIZE
from evidence_courier.domain.errors import MisuseError
from evidence_courier.domain.secrets.secret import Secret
from evidence_courier.ports.secrets import SecretError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "secrets"
    made.mkdir()
    return made


def resolved(path: Path, *folders: Path) -> Secret | None:
    return FileSecrets(EnvironSecrets({}), folders).resolve(f"file:{path}")


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        ("k3y", "k3y"),
        ("k3y\n", "k3y"),
        ("k3y\r\n", "k3y"),
        ("k3y\n\n", "k3y\n"),
        (" k3y ", " k3y "),
    ],
)
def test_a_file_is_a_secret_without_the_line_break_at_its_end(
    folder: Path, content: str, secret: str
) -> None:
    (folder / "key").write_bytes(content.encode())
    assert resolved(folder / "key", folder) == Secret(secret)


def test_other_names_are_asked_elsewhere() -> None:
    secrets = FileSecrets(EnvironSecrets({"KEY": "k3y"}))
    assert (secrets.resolve("KEY"), secrets.resolve("OTHER")) == (Secret("k3y"), None)


def test_a_file_is_read_anew_each_time(folder: Path) -> None:
    (folder / "key").write_text("old")
    secrets = FileSecrets(EnvironSecrets({}), [folder])
    assert secrets.resolve(f"file:{folder}/key") == Secret("old")
    (folder / "key").write_text("new")
    assert secrets.resolve(f"file:{folder}/key") == Secret("new")


def test_links_within_the_folder_are_followed(folder: Path) -> None:
    """As Kubernetes mounts secrets: each file is a link into a folder that is itself a link."""
    (folder / "..2026").mkdir()
    (folder / "..2026" / "key").write_text("k3y")
    (folder / "..data").symlink_to("..2026")
    (folder / "key").symlink_to("..data/key")
    linked = folder.parent / "linked"
    linked.symlink_to(folder)
    assert resolved(folder / "key", folder) == Secret("k3y")
    assert resolved(linked / "key", folder) == resolved(folder / "key", linked) == Secret("k3y")


OUTSIDE = "is not in a folder that secrets may come from"


@pytest.mark.parametrize("way", ["secrets/../key", "secrets/link", "secrets/below/key", "key"])
@pytest.mark.parametrize("exists", [True, False])
def test_what_is_outside_of_the_folders_is_refused(folder: Path, way: str, exists: bool) -> None:
    """In the same words whether it exists: a tenant's file must not ask what there is."""
    outside = folder.parent / "elsewhere"
    outside.mkdir()
    if exists:
        (folder.parent / "key").write_text("k3y")
        (outside / "key").write_text("k3y")
    (folder / "link").symlink_to(folder.parent / "key")
    (folder / "below").symlink_to(outside)
    with pytest.raises(SecretError, match=f"{OUTSIDE} .*{folder}") as refused:
        resolved(folder.parent / way, folder)
    assert "--secret-folder" in str(refused.value)


def test_a_folder_whose_name_only_begins_so_is_another(folder: Path) -> None:
    (folder.parent / "secrets-of-others").write_text("k3y")
    with pytest.raises(SecretError, match=OUTSIDE):
        resolved(folder.parent / "secrets-of-others", folder)
    with pytest.raises(SecretError, match="none is allowed"):
        resolved(folder / "key")


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_name_does_not_allow_the_current_folder(name: str) -> None:
    with pytest.raises(MisuseError, match="an empty text is no folder of secrets: name one"):
        FileSecrets(EnvironSecrets({}), ["/run/secrets", name])


def test_what_is_no_secret_is_refused_with_the_reason(folder: Path) -> None:
    (folder / "large").write_bytes(b"k" * (MAX_SIZE + 1))
    (folder / "binary").write_bytes(b"\xff\xfe")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    reasons = {
        "large": "larger than 64 KiB",
        "binary": "not UTF-8 text",
        "folder": "it is a folder: name the file in it",
        "pipe": "not a regular file",
        "loop": "cannot be read",
        "missing": "there is no such file: mount the secret there",
    }
    for name, reason in reasons.items():
        with pytest.raises(SecretError, match=reason):
            resolved(folder / name, folder)
    (folder / "large").write_bytes(b"k" * MAX_SIZE)
    assert resolved(folder / "large", folder) == Secret("k" * MAX_SIZE)


def test_a_folder_that_only_may_be_walked_through_is_enough(folder: Path) -> None:
    (folder / "below").mkdir()
    (folder / "below" / "key").write_text("k3y")
    for one in (folder / "below", folder):
        one.chmod(0o111)
    try:
        assert resolved(folder / "below" / "key", folder) == Secret("k3y")
    finally:
        for one in (folder, folder / "below"):
            one.chmod(0o700)


def test_a_link_that_takes_a_folders_place_meanwhile_is_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one on the way, not only the last."""
    (folder / "below").mkdir()
    (folder / "below" / "key").write_text("k3y")
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "key").write_text("another's")
    follow = os.path.realpath

    def swapped_once_judged(path: str) -> str:
        found = follow(path)
        if str(path).endswith("below/key"):
            (folder / "below").rename(folder / "gone")
            (folder / "below").symlink_to(outside)
        return found

    monkeypatch.setattr(os.path, "realpath", swapped_once_judged)
    with pytest.raises((SecretError, OSError)) as refused:
        resolved(folder / "below" / "key", folder)
    assert "another's" not in str(refused.value)


def test_a_file_that_is_swapped_while_it_is_read_is_found_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        (folder / f"..{number}").mkdir()
        (folder / f"..{number}" / "key").write_text(f"k3y {number}")
    (folder / "..data").symlink_to("..1")
    (folder / "key").symlink_to("..data/key")
    follow = os.path.realpath

    def swapped_once_followed(path: str) -> str:
        found = follow(path)
        if found.endswith("..1/key"):
            (folder / "next").symlink_to("..2")
            (folder / "next").rename(folder / "..data")
            (folder / "..1" / "key").unlink()
            (folder / "..1").rmdir()
        return found

    monkeypatch.setattr(os.path, "realpath", swapped_once_followed)
    assert resolved(folder / "key", folder) == Secret("k3y 2")


def test_no_file_stays_open(folder: Path) -> None:
    (folder / "key").write_text("k3y")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    for name in ("key", "folder", "pipe", "missing", "folder/none"):
        with suppress(SecretError):
            resolved(folder / name, folder)
    after = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
    assert len(after) == len(before)


def test_the_source_shows_no_secret(folder: Path) -> None:
    (folder / "key").write_text("canary")
    secrets = FileSecrets(EnvironSecrets({"KEY": "canary"}), [folder])
    assert secrets.resolve(f"file:{folder}/key") is not None
    assert "canary" not in f"{secrets!r} {secrets}"
