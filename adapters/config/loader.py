"""Loading the tenants: from a folder of files, or from mappings that a host keeps elsewhere.

Everything that is wrong with any of them is gathered, so that an administrator mends it in one go.
What is right is given at the same time: whether one invalid tenant stops the others is the caller's
choice.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping

from attrs import define, field, frozen

from ...domain.errors import ConfigError, Problem
from ...domain.integration import Integration
from ...ports.secrets import Secrets
from .block import BlockReader, Providers
from .json_source import read_json
from .mapping_source import read_mapping
from .nodes import Node, Unreadable
from .report import Report
from .tenant_data import read_tenant
from .yaml_source import read_yaml

DEFAULT_BLOCK = "integrations.compliance"
SIZE_LIMIT = 1024 * 1024
"""A tenant file holds at most so many bytes."""

_ENDINGS = (".yaml", ".yml", ".json")
_TENANT_LINE = re.compile(
    r"""^(?:tenant|'tenant'|[{ \t]{0,8}"tenant")[ \t]*:[ \t]*["']?([\w.-]{1,512})["']?[ \t]*,?[ \t]*(?:#.*)?$""",
    re.MULTILINE,
)


@frozen
class Loaded:
    """What a load came to.

    - `integrations`: by tenant, those that hold.
    - `without`: the tenants that are named and have no integration.
    - `broken`: by tenant, what is wrong with those that do not hold. One whose file cannot be read
      goes by what looks like its tenant's id, or by the file's name.
    - `problems`: everything that is wrong, in the order of the files and lines.
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
    """Load every ``*.yaml``, ``*.yml`` and ``*.json`` directly in a folder, one tenant each, in the
    order of their names.

    `block` is the dotted path of the block in each file. Raises ConfigError only where the folder
    itself cannot be read, or `block` is no path; what is wrong in the files is in the result.
    """
    folder = os.fspath(path)
    keys = _block_path(block)
    reader = BlockReader(providers, secrets, keys)
    tenants = _Tenants()
    for name in _files(folder):
        file = os.path.join(folder, name)
        report = Report(file=_shown(file))
        stem = os.path.splitext(name)[0]
        text = ""
        try:
            text = _text(file)
            root = read_json(text) if name.endswith(".json") else read_yaml(text)
        except Unreadable as error:
            report.note((), error.message, line=error.line)
            guess = _TENANT_LINE.search(text)
            tenants.unreadable(guess[1] if guess else stem, report)
        else:
            _load(root, stem, folder, reader, report, tenants)
    return tenants.loaded()


def load_mapping(
    tenants: Mapping[str, Mapping[str, object]],
    *,
    providers: Providers,
    secrets: Secrets,
    block: str = DEFAULT_BLOCK,
) -> Loaded:
    """Load tenants that a host keeps itself: by tenant id, what the tenant's file would hold (a key
    ``tenant`` in it goes first).

    As for `load_folder`; problems have a path that begins with the key, and no file or line.
    """
    keys = _block_path(block)
    reader = BlockReader(providers, secrets, keys)
    found = _Tenants()
    given: object = tenants
    if not isinstance(given, Mapping):
        raise ConfigError(
            (
                Problem(
                    "the tenants must be a mapping of tenant ids to what each tenant's file would hold"
                ),
            )
        )
    for key, tenant in given.items():
        if isinstance(key, str):
            _load(read_mapping(tenant, keys), key, None, reader, Report(top=_shown(key)), found)
        else:
            report = Report()
            report.note((), "a tenant id among the keys is not text")
            found.unreadable("", report)
    return found.loaded()


def _load(
    root: Node | None,
    default: str,
    folder: str | None,
    reader: BlockReader,
    report: Report,
    tenants: _Tenants,
) -> None:
    data = read_tenant(root, default, reader.block, report)
    integration, rules = (
        (None, None) if data.settings is None else reader.integration(data, folder, report)
    )
    tenants.add(
        _Tenant(
            data.tenant,
            default,
            data.name,
            integration,
            report,
            report.problems(reader.block, rules),
        )
    )


@frozen
class _Tenant:
    tenant_id: str | None
    default: str
    name: str | None
    integration: Integration | None
    report: Report
    problems: tuple[Problem, ...]

    def problem_of_its_id(self, message: str) -> Problem:
        path = "tenant" if self.report.top is None else f"{self.report.top}.tenant"
        return Problem(message, path, self.report.file, self.report.line_of(("tenant",)))

    @property
    def place(self) -> str:
        return self.report.file or self.report.top or "another tenant"


@define
class _Tenants:
    """All tenants of a load, in order; sorted out at the end, when it is known which ids were
    given twice."""

    known: list[_Tenant] = field(factory=list)

    def add(self, tenant: _Tenant) -> None:
        self.known.append(tenant)

    def unreadable(self, guess: str, report: Report) -> None:
        self.add(_Tenant(None, guess, None, None, report, report.problems()))

    def loaded(self) -> Loaded:
        by_id: dict[str, list[_Tenant]] = {}
        for tenant in self.known:
            if tenant.tenant_id is not None:
                by_id.setdefault(tenant.tenant_id, []).append(tenant)
        integrations: dict[str, Integration] = {}
        without: list[str] = []
        broken: dict[str, tuple[Problem, ...]] = {}
        problems: list[Problem] = []
        for tenant in self.known:
            found = (*tenant.problems, *_twice(tenant, by_id.get(tenant.tenant_id or "", ())))
            problems.extend(found)
            key = tenant.tenant_id if tenant.tenant_id is not None else tenant.default
            if found:
                if tenant.tenant_id is not None or key not in by_id:
                    broken[key] = (*broken.get(key, ()), *found)
            elif tenant.integration is not None:
                integrations[key] = tenant.integration
            else:
                without.append(key)
        names = {
            tenant_id: next((t.name for t in alike if t.name), None)
            for tenant_id, alike in by_id.items()
        }
        return Loaded(integrations, tuple(without), broken, tuple(problems), names)


def _twice(tenant: _Tenant, alike: Iterable[_Tenant]) -> tuple[Problem, ...]:
    others = [other.place for other in alike if other is not tenant]
    if not others:
        return ()
    return (
        tenant.problem_of_its_id(
            f"the tenant {tenant.tenant_id} is also in {' and in '.join(others)}: keep one of them"
        ),
    )


def _block_path(block: str) -> tuple[str, ...]:
    keys = tuple(block.split(".")) if isinstance(block, str) else ("",)
    if not all(key.strip() for key in keys):
        raise ConfigError(
            (
                Problem(
                    f"the path of the block must be keys with dots between them, such as {DEFAULT_BLOCK}"
                ),
            )
        )
    return keys


def _files(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            found = [
                entry.name
                for entry in entries
                if entry.name.endswith(_ENDINGS)
                and not entry.name.startswith(".")
                and not _is_folder(entry)
            ]
    except FileNotFoundError:
        raise _of_folder(
            folder, "there is no such folder: give the folder that holds the tenant files"
        ) from None
    except NotADirectoryError:
        raise _of_folder(folder, "is a file: give the folder that holds the tenant files") from None
    except PermissionError:
        raise _of_folder(
            folder, "may not be read by this process: give it the right to list the folder"
        ) from None
    except (OSError, ValueError) as error:
        raise _of_folder(folder, f"cannot be read as a folder ({type(error).__name__})") from None
    return sorted(found)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except (
        OSError
    ):  # a link that leads nowhere but to itself; it is told as a file that cannot be read
        return False


def _of_folder(folder: str, message: str) -> ConfigError:
    return ConfigError((Problem(message, file=_shown(folder)),))


def _text(file: str) -> str:
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise Unreadable("is not a regular file")
        with open(file, "rb") as stream:
            content = stream.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise Unreadable("is a link to a file that does not exist") from None
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or type(error).__name__}") from None
    if len(content) > SIZE_LIMIT:
        raise Unreadable("is larger than 1 MiB, which no tenant file should be")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(
            "is not UTF-8 text: save it in that encoding", content.count(b"\n", 0, error.start) + 1
        ) from None


def _shown(path: str) -> str:
    """A path that can be printed, whatever bytes its name is made of."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in path)
