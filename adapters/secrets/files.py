"""Secrets in files: what ``${file:/run/secrets/x}`` stands for in a tenant file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress

from ...domain.errors import MisuseError
from ...domain.secrets.secret import Secret
from ...ports.secrets import SecretError, Secrets

FOLDERS = ("/run/secrets",)
"""Where Docker, Podman and others mount secrets."""

PREFIX = "file:"
MAX_SIZE = 64 * 1024

_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)
_FOLDER: int = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _NO_LINK
_SWAPS = 2
"""Kubernetes swaps a link and removes what it led to: so often the path is followed once more."""


class FileSecrets:
    """Reads the names that begin with ``file:`` from files, and asks `others` for the rest.

    A file is read at each `resolve`, so a reload sees its changes. It must be in one of the
    `folders`, also once every link on the way to it is followed. A line break at its end is not
    part of the secret.
    """

    def __init__(
        self, others: Secrets, folders: Iterable[str | os.PathLike[str]] = FOLDERS
    ) -> None:
        self._others = others
        self._folders = tuple(os.fspath(folder) for folder in folders)
        if not all(folder.strip() for folder in self._folders):  # it would be the current one
            raise MisuseError(
                "an empty text is no folder of secrets: name one (`secret_folders`, "
                "--secret-folder), or leave it out"
            )

    def resolve(self, name: str) -> Secret | None:
        """The secret in that file, or of that name. SecretError if the file cannot be used."""
        if not name.startswith(PREFIX):
            return self._others.resolve(name)
        try:
            content = self._read(name.removeprefix(PREFIX))
        except FileNotFoundError:
            message = "there is no such file: mount the secret there, or correct the path"
            raise SecretError(message) from None
        except PermissionError:
            raise SecretError("this process may not read the file: give it the right to") from None
        except OSError as error:
            raise SecretError(f"the file cannot be read ({error.strerror})") from None
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            raise SecretError("the file is not UTF-8 text") from None
        return Secret(text.removesuffix("\n").removesuffix("\r"))

    def _read(self, named: str) -> bytes:
        for _ in range(_SWAPS):
            with suppress(OSError):
                return self._read_once(os.path.realpath(named))
        return self._read_once(os.path.realpath(named))

    def _read_once(self, path: str) -> bytes:
        real = (os.path.realpath(folder) for folder in self._folders)
        folder = next((one for one in real if _is_in(path, one)), None)
        if folder is None:
            allowed = " or ".join(self._folders) or "none is allowed"
            raise SecretError(
                f"the file is not in a folder that secrets may come from ({allowed}): put it there,"
                " or allow its own folder (`secret_folders`, --secret-folder)"
            )
        descriptor = _opened(folder, path)
        try:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                raise SecretError("it is a folder: name the file in it")
            if not stat.S_ISREG(mode):
                raise SecretError("it is not a regular file")
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(MAX_SIZE + 1)
        finally:
            os.close(descriptor)
        if len(content) > MAX_SIZE:
            raise SecretError(f"the file is larger than {MAX_SIZE // 1024} KiB, as no secret is")
        return content


def _opened(folder: str, path: str) -> int:
    """The file's descriptor. No link is followed below the folder, also none that has taken the
    place of a folder since the path was judged."""
    if os.open not in os.supports_dir_fd:
        return os.open(path, os.O_RDONLY | _NO_LINK | _NO_WAIT)
    *below, name = os.path.relpath(path, folder).split(os.sep)
    within = os.open(folder, _FOLDER)
    try:
        for one in below:
            outer = within
            within = os.open(one, _FOLDER, dir_fd=outer)
            os.close(outer)
        return os.open(name, os.O_RDONLY | _NO_LINK | _NO_WAIT, dir_fd=within)
    finally:
        os.close(within)


def _is_in(path: str, folder: str) -> bool:
    return path.startswith(os.path.join(folder, ""))
