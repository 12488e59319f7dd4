"""Loading the tenants: from a folder of files, or from mappings that a host keeps elsewhere.

Everything that is wrong with any of them is gathered, so an administrator mends it in one go. What
is right is loaded too: whether one invalid tenant stops the others is the caller's choice.
"""

from __future__ import annotations

import os
import re
import stat
from collections import ChainMap
from collections.abc import Collection, Mapping, Sequence, Set

from attrs import evolve, field, frozen

from ...domain.errors import ConfigError, Problem
from ...domain.integration import Integration, tenant_key
from ...ports.secrets import Secrets
from .block import BlockReader, Providers, refuse_shown_secrets
from .passed_over import (
    block_is_seen,
    cut_off_at,
    is_folder,
    is_tenant_file,
    note_what_is_passed_over,
    why_not_read,
)
from .references import References
from .report import Report, printable
from .report_cache import ReportCache
from .sources import Unreadable, read_json, read_mapping, read_yaml
from .stamps import Stamp, Stamps, stamp_of

DEFAULT_BLOCK = "integrations.compliance"
MAX_FILE_SIZE = 1024 * 1024
_USUAL_SIZE = 16 * 1024  # to ask for more sets memory aside

_NO_FOLDER: Mapping[type[Exception], str] = {
    FileNotFoundError: "there is no such folder: give the folder that holds the tenant files",
    NotADirectoryError: "is a file: give the folder that holds the tenant files",
    PermissionError: "may not be read by this process: give it the right to list the folder",
}
_NO_VALUE = "`{0}` has no value, so the tenant has no integration: write `{0}: null` if that is so"
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
    - `held`: the invalid tenants that seem to have a block: their evidence is recorded and held.
    - `warnings`: what was passed over, and probably not meant so.
    - `reports`: what was found in each tenant's data.
    - `files`: what was read beside the tenants' own files (secrets, certificates), as it was then.

    Tenants are named by their `tenant_key`.
    """

    integrations: Mapping[str, Integration] = field(factory=dict)
    without: tuple[str, ...] = ()
    broken: Mapping[str, tuple[Problem, ...]] = field(factory=dict)
    problems: tuple[Problem, ...] = ()
    names: Mapping[str, str | None] = field(factory=dict)
    held: Collection[str] = ()
    warnings: tuple[Problem, ...] = ()
    reports: Mapping[str, Report] = field(factory=dict, repr=False)
    files: Stamps = field(factory=dict, repr=False)

    @property
    def named(self) -> Set[str]:
        """All tenants, whatever is configured for them."""
        return {*self.integrations, *self.without, *self.broken}

    def lines(self, tenant: str) -> Mapping[str, int | None]:
        """The line of each key in a tenant's block, as ``retry.max_attempts``."""
        return self.reports[tenant].lines_in_block() if tenant in self.reports else {}


def load_folder(
    path: str | os.PathLike[str],
    *,
    providers: Providers,
    secrets: Secrets | None,
    block: str = DEFAULT_BLOCK,
    cache: ReportCache | None = None,
) -> Loaded:
    """Load each ``*.yaml``, ``*.yml`` and ``*.json`` directly in a folder: one tenant a file.

    Args:
        path: the folder; its files are loaded in the order of their names.
        providers: the providers that a block can name.
        secrets: resolves the references. None: they are not resolved, and what depends on them is
            not checked.
        block: the dotted path of the block in each file.
        cache: of earlier loads of this folder; a file that has not changed is not read again.

    Returns:
        The valid integrations, and what is wrong in the files.

    Raises:
        ConfigError: the folder cannot be read, or `block` is not a path.
    """
    folder, keys = os.fspath(path), _block_path(block)
    reader = BlockReader(providers, References(secrets))
    names, passed_over = _files(folder)
    cache = cache or ReportCache()
    cache.begin(keys, providers)
    files = [(name, os.path.join(folder, name)) for name in names]
    reports = [
        cache.find(file, reader.references) or _from_file(folder, name, file, keys, reader)
        for name, file in files
    ]
    refuse_shown_secrets(reports)
    loaded = _sorted_out(reports, [*passed_over, *_warnings_of_all(folder, keys, reports)])
    by_file = {file: one for (_, file), one in zip(files, reports, strict=True)}
    cache.keep(by_file, providers)
    beside = [reader.references.files, *(one.files for one in reports if one.files)]
    return evolve(loaded, files=dict(ChainMap(*beside)))


def load_mapping(
    tenants: Mapping[str, Mapping[str, object]],
    *,
    providers: Providers,
    secrets: Secrets | None,
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
            report = Report(key, keys, top=printable(key))
            reader.read(read_mapping(tenant, keys), report)
        else:
            report = Report("", keys)
            report.note((), "a tenant id among the keys is not text")
        found.append(report)
    refuse_shown_secrets(found)
    given_path = block != DEFAULT_BLOCK and bool(found)
    return _sorted_out(found, _warnings_of_all("", keys, found) if given_path else ())


def _from_file(
    folder: str, name: str, file: str, block: tuple[str, ...], reader: BlockReader
) -> Report:
    stem = os.path.splitext(name)[0]
    report = Report(stem, block, file=printable(file), folder=folder)
    content = b""
    try:
        content, report.stamp = _content(file)
        text = _text(content)
        root = read_json(text) if name.endswith(".json") else read_yaml(text)
        line = None if root is None else cut_off_at(text, block[:-1])
        if root is None or line is not None:
            report.has_block = True
            where = "" if root is None else " after its last key"
            instead = "what it should hold (`integrations: {}` if the tenant has no integration)"
            message = f"holds nothing{where}: write {instead}, or remove it"
            raise Unreadable(message, line)
    except Unreadable as error:
        report.note((), error.message, line=error.line)
        seen = content.decode("utf-8", "replace")
        guess = _TENANT_LINE.search(seen)
        report.fallback = guess[1] if guess else stem
        # What cannot be opened, or is no text, may hold anything.
        report.has_block |= not content or b"\0" in content or block_is_seen(seen, block)
    else:
        reader.read(root, report)
        note_what_is_passed_over(root, report)
        if (line := cut_off_at(text, block[-1:])) is not None:
            report.warn(_NO_VALUE.format(block[-1]), line)
    report.lines = reader.shared(report.lines, tuple(report.lines.items()))
    return report


def _sorted_out(tenants: list[Report], warnings: Sequence[Problem]) -> Loaded:
    """The result, now that it is known which ids were given twice."""
    by_id: dict[str, list[Report]] = {}
    for tenant in tenants:
        if tenant.tenant_id is not None:
            by_id.setdefault(tenant_key(tenant.tenant_id), []).append(tenant)
    for id_, same in by_id.items():
        for tenant in same if len(same) > 1 else ():
            others = (one.file or one.top or "another tenant" for one in same if one is not tenant)
            message = f"the tenant {id_} is also in {' and in '.join(others)}: keep one of them"
            tenant.note(("tenant",), message)
    integrations: dict[str, Integration] = {}
    without: list[str] = []
    broken: dict[str, tuple[Problem, ...]] = {}
    problems: list[Problem] = []
    held: set[str] = set()
    for tenant in tenants:
        found = tenant.problems()
        problems.extend(found)
        key = tenant_key(tenant.fallback if tenant.tenant_id is None else tenant.tenant_id)
        held |= {key} if found and tenant.has_block else set()
        if found:
            if tenant.tenant_id is not None or key not in by_id:
                broken[key] = (*broken.get(key, ()), *found)
        elif tenant.integration is not None:
            integrations[key] = tenant.integration
        else:
            without.append(key)
    names = {id_: next((one.name for one in same if one.name), None) for id_, same in by_id.items()}
    noted = [*warnings, *(warning for tenant in tenants for warning in tenant.warnings)]
    loaded = Loaded(integrations, tuple(without), broken, tuple(problems), names)
    reports = {id_: same[0] for id_, same in by_id.items()}
    return evolve(loaded, held=held & broken.keys(), warnings=tuple(noted), reports=reports)


NO_TENANT_FILE = "holds no tenant file"
"""What a courier is warned of: its tenants may come later."""


def _block_path(block: str) -> tuple[str, ...]:
    keys = tuple(block.split(".")) if isinstance(block, str) else ("",)
    if not all(key.strip() for key in keys):
        message = "the path of the block must be keys with dots between them"
        raise ConfigError((Problem(f"{message}, such as {DEFAULT_BLOCK}"),))
    return keys


def _files(folder: str) -> tuple[list[str], list[Problem]]:
    """The files to read in their order, and what looks like one and is not read."""
    names, passed_over = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if is_tenant_file(entry.name) and not is_folder(entry):
                    names.append(entry.name)
                elif why := why_not_read(entry):
                    passed_over.append(Problem(why, file=printable(entry.path)))
        return names, passed_over
    except (OSError, ValueError) as error:
        unknown = f"cannot be read as a folder ({type(error).__name__})"
        message = _NO_FOLDER.get(type(error), unknown)
    raise ConfigError((Problem(message, file=printable(folder)),))


def _warnings_of_all(
    folder: str, block: tuple[str, ...], reports: Sequence[Report]
) -> Sequence[Problem]:
    """What is odd about all tenants together."""
    if not reports:
        return [Problem(NO_TENANT_FILE, file=printable(folder))]
    if any(report.block_exists or report.notes for report in reports):
        return ()
    message = f"no tenant has the block `{'.'.join(block)}`, so nothing will be sent for any"
    return [Problem(message, file=printable(folder) or None)]


def _content(file: str) -> tuple[bytes, Stamp | None]:
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise Unreadable("is not a regular file")
        with open(file, "rb") as stream:
            found = os.fstat(stream.fileno())
            stamp = stamp_of(found, settled=True)
            return stream.read(min(max(found.st_size, _USUAL_SIZE), MAX_FILE_SIZE) + 1), stamp
    except FileNotFoundError:
        raise Unreadable("is a link to a file that does not exist") from None
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or type(error).__name__}") from None


def _text(content: bytes) -> str:
    if len(content) > MAX_FILE_SIZE:
        raise Unreadable("is larger than 1 MiB, which no tenant file should be")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Unreadable("is not UTF-8 text: save it in that encoding", line) from None
