"""Loading the tenants: from a folder of files, or from mappings that a host keeps elsewhere.

Everything that is wrong with any of them is gathered, so an administrator mends it in one go. What
is right is loaded too: whether one invalid tenant stops the others is the caller's choice.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping

from attrs import field, frozen

from ...domain.errors import ConfigError, Problem
from ...domain.integration import Integration
from ...ports.secrets import Secrets
from .block import BlockReader, Providers
from .references import References
from .report import Report
from .sources import Unreadable, read_json, read_mapping, read_yaml

DEFAULT_BLOCK = "integrations.compliance"
MAX_FILE_SIZE = 1024 * 1024

_ENDINGS = (".yaml", ".yml", ".json")
_NO_FOLDER: Mapping[type[Exception], str] = {
    FileNotFoundError: "there is no such folder: give the folder that holds the tenant files",
    NotADirectoryError: "is a file: give the folder that holds the tenant files",
    PermissionError: "may not be read by this process: give it the right to list the folder",
}
_TENANT_LINE = re.compile(
    r"""^(?:tenant|'tenant'|[{ \t]{0,8}"tenant")[ \t]*:[ \t]*["']?([\w.-]{1,512})["']?"""
    r"""[ \t]*,?[ \t]*(?:#.*)?$""",
    re.MULTILINE,
)


@frozen
class Loaded:
    """The result of a load.

    - `integrations`: the valid ones, by tenant.
    - `without`: the tenants that are named and have no integration.
    - `broken`: the problems of each invalid tenant. If a file cannot be read, its tenant is what
      looks like an id in it, or the file's name.
    - `problems`: all problems, in the order of the files and lines.
    - `names`: by tenant, the display name, or None.
    """

    integrations: Mapping[str, Integration] = field(factory=dict)
    without: tuple[str, ...] = ()
    broken: Mapping[str, tuple[Problem, ...]] = field(factory=dict)
    problems: tuple[Problem, ...] = ()
    names: Mapping[str, str | None] = field(factory=dict)


def load_folder(
    path: str | os.PathLike[str],
    *,
    providers: Providers,
    secrets: Secrets,
    block: str = DEFAULT_BLOCK,
) -> Loaded:
    """Load each ``*.yaml``, ``*.yml`` and ``*.json`` directly in a folder: one tenant a file.

    Args:
        path: the folder; its files are loaded in the order of their names.
        providers: the providers that a block can name.
        secrets: resolves the ``${VAR}`` references.
        block: the dotted path of the block in each file.

    Returns:
        The valid integrations, and what is wrong in the files.

    Raises:
        ConfigError: the folder cannot be read, or `block` is not a path.
    """
    folder, keys = os.fspath(path), _block_path(block)
    reader = BlockReader(providers, References(secrets))
    return _sorted_out([_from_file(folder, name, keys, reader) for name in _files(folder)])


def load_mapping(
    tenants: Mapping[str, Mapping[str, object]],
    *,
    providers: Providers,
    secrets: Secrets,
    block: str = DEFAULT_BLOCK,
) -> Loaded:
    """Load tenants that a host keeps itself, as `load_folder` does; problems have no file or line.

    Args:
        tenants: by tenant id, what the tenant's file would hold; a key ``tenant`` in it counts
            more than the id. The path of a problem begins with the id.
        providers, secrets, block: as for `load_folder`.

    Raises:
        ConfigError: `tenants` is not a mapping, or `block` is not a path.
    """
    reader, keys = BlockReader(providers, References(secrets)), _block_path(block)
    given: object = tenants
    if not isinstance(given, Mapping):
        message = "the tenants must be a mapping of tenant ids to what each tenant's file"
        raise ConfigError((Problem(f"{message} would hold"),))
    found = []
    for key, tenant in given.items():
        if isinstance(key, str):
            report = Report(key, keys, top=_printable(key))
            reader.read(read_mapping(tenant, keys), report)
        else:
            report = Report("", keys)
            report.note((), "a tenant id among the keys is not text")
        found.append(report)
    return _sorted_out(found)


def _from_file(folder: str, name: str, block: tuple[str, ...], reader: BlockReader) -> Report:
    file, stem, text = os.path.join(folder, name), os.path.splitext(name)[0], ""
    report = Report(stem, block, file=_printable(file), folder=folder)
    try:
        text = _text(file)
        root = read_json(text) if name.endswith(".json") else read_yaml(text)
    except Unreadable as error:
        report.note((), error.message, line=error.line)
        guess = _TENANT_LINE.search(text)
        report.fallback = guess[1] if guess else stem
    else:
        reader.read(root, report)
    return report


def _sorted_out(tenants: list[Report]) -> Loaded:
    """The result, now that it is known which ids were given twice."""
    by_id: dict[str, list[Report]] = {}
    for tenant in tenants:
        if tenant.tenant_id is not None:
            by_id.setdefault(tenant.tenant_id, []).append(tenant)
    for id_, same in by_id.items():
        for tenant in same if len(same) > 1 else ():
            others = (one.file or one.top or "another tenant" for one in same if one is not tenant)
            message = f"the tenant {id_} is also in {' and in '.join(others)}: keep one of them"
            tenant.note(("tenant",), message)
    integrations: dict[str, Integration] = {}
    without: list[str] = []
    broken: dict[str, tuple[Problem, ...]] = {}
    problems: list[Problem] = []
    for tenant in tenants:
        found = tenant.problems()
        problems.extend(found)
        key = tenant.fallback if tenant.tenant_id is None else tenant.tenant_id
        if found:
            if tenant.tenant_id is not None or key not in by_id:
                broken[key] = (*broken.get(key, ()), *found)
        elif tenant.integration is not None:
            integrations[key] = tenant.integration
        else:
            without.append(key)
    names = {id_: next((one.name for one in same if one.name), None) for id_, same in by_id.items()}
    return Loaded(integrations, tuple(without), broken, tuple(problems), names)


def _block_path(block: str) -> tuple[str, ...]:
    keys = tuple(block.split(".")) if isinstance(block, str) else ("",)
    if not all(key.strip() for key in keys):
        message = "the path of the block must be keys with dots between them"
        raise ConfigError((Problem(f"{message}, such as {DEFAULT_BLOCK}"),))
    return keys


def _files(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if _is_tenant_file(entry))
    except (OSError, ValueError) as error:
        unknown = f"cannot be read as a folder ({type(error).__name__})"
        message = _NO_FOLDER.get(type(error), unknown)
    raise ConfigError((Problem(message, file=_printable(folder)),))


def _is_tenant_file(entry: os.DirEntry[str]) -> bool:
    if not entry.name.endswith(_ENDINGS) or entry.name.startswith("."):
        return False
    try:
        return not entry.is_dir()
    except OSError:  # a link that leads to itself: it is reported as a file that cannot be read
        return True


def _text(file: str) -> str:
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise Unreadable("is not a regular file")
        with open(file, "rb") as stream:
            content = stream.read(MAX_FILE_SIZE + 1)
    except FileNotFoundError:
        raise Unreadable("is a link to a file that does not exist") from None
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or type(error).__name__}") from None
    if len(content) > MAX_FILE_SIZE:
        raise Unreadable("is larger than 1 MiB, which no tenant file should be")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable("is not UTF-8 text: save it in that encoding", line) from None


def _printable(path: str) -> str:
    """The path with everything unprintable in its bytes written out."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in path)
