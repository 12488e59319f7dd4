"""Secrets in files: what ``${file:/run/secrets/x}`` stands for in a tenant file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from ...domain.errors import MisuseError
from ...domain.secrets.secret import Secret
from ...ports.secrets import SecretError, Secrets

FOLDERS = ("/run/secrets",)
"""Where Docker, Podman and others mount secrets."""

PREFIX = "file:"
MAX_SIZE = 64 * 1024

_NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)


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
            content = self._read(os.path.realpath(name.removeprefix(PREFIX)))
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

    def _read(self, path: str) -> bytes:
        if not any(_is_in(path, os.path.realpath(folder)) for folder in self._folders):
            allowed = " or ".join(self._folders) or "none is allowed"
            raise SecretError(
                f"the file is not in a folder that secrets may come from ({allowed}): put it there,"
                " or allow its own folder (`secret_folders`, --secret-folder)"
            )
        with open(path, "rb", opener=_open) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise SecretError("it is not a regular file")
            content = file.read(MAX_SIZE + 1)
        if len(content) > MAX_SIZE:
            raise SecretError(f"the file is larger than {MAX_SIZE // 1024} KiB, as no secret is")
        return content


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | _NO_LINK | _NO_WAIT)


def _is_in(path: str, folder: str) -> bool:
    return path.startswith(os.path.join(folder, ""))
