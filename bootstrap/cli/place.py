"""Where a command finds tenants and records: in a folder and a database, or at a courier that the
host's own code makes, its app."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from shlex import quote
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ...domain.errors import MisuseError
from ...domain.retention import Retention
from ...ports.logger import LogEvent, Logger
from .app_code import made_by

if TYPE_CHECKING:
    from ...adapters.config import Loaded
    from ...ports.notices import Sink
    from ..courier import AsyncCourier
    from ..records import Records
    from ..tenants import Providers


class Silent:
    """A `Logger` for a command that prints itself what it does."""

    def log(self, event: LogEvent) -> None:
        """Nothing."""


_SILENT = Silent()
_NO_PASSWORD = (
    "note: the password is left out of --db here. A command that is copied takes it from "
    "PGPASSWORD or ~/.pgpass; or set EVIDENCE_COURIER_DB to the whole URL, and leave --db out"
)


class Place(ABC):
    """Where a command finds tenants and records. MisuseError, with what to give, if that was not
    said."""

    folder: str | None
    """The folder of tenant files, if they are in one."""
    has_database: bool
    has_tenants: bool
    """Whether the command was told of a database, and of tenants."""

    @property
    @abstractmethod
    def database(self) -> str:
        """The path or the URL of the database."""

    @property
    def name(self) -> str:
        """How messages call the database."""
        from ...adapters.stores.databases import name_of

        return name_of(self.database)

    @property
    @abstractmethod
    def option(self) -> str:
        """The option that says it, as a shell is given it: without a password."""

    @property
    def note(self) -> str | None:
        """What a person must know to run a command that was printed with `option`."""
        return None

    @property
    @abstractmethod
    def run_command(self) -> str | None:
        """The command that delivers here, as a shell is given it; None if no command can."""

    @property
    @abstractmethod
    def doctor_command(self) -> str:
        """The command that asks the providers, as a shell is given it."""

    @abstractmethod
    def records(self, logger: Logger = _SILENT) -> Records:
        """The records, opened."""

    @abstractmethod
    def courier(self, **options: Any) -> AsyncCourier:
        """A courier that has not been started; of an app only its logger can be another."""

    @abstractmethod
    def tenants(self, *, without_secrets: bool = False) -> tuple[Loaded, Providers]:
        """The tenants, and the providers that they may name. `without_secrets`: no reference is
        looked up, and what depends on it is not checked."""

    @property
    @abstractmethod
    def retention(self) -> Retention:
        """How long is kept what of tenants that say nothing."""

    @property
    @abstractmethod
    def sinks(self) -> Sequence[Sink]:
        """What a courier here tells its notices; MisuseError if the environment is wrong."""


class Files(Place):
    """A folder of tenant files and a database, each if it was given."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.folder = given.get("folder")
        self._database: str | None = given.get("database")
        self.has_database, self.has_tenants = self._database is not None, self.folder is not None
        names = ("block", "secret_folders")
        self._how: Any = {name: given[name] for name in names if given.get(name)}
        self._retention = Retention.parse(given.get("retention") or {})

    @property
    def database(self) -> str:
        return _given(self._database, "records", "--db DATABASE")

    @property
    def option(self) -> str:
        return f"--db {quote(self._typed[0])}"

    @property
    def note(self) -> str | None:
        return _NO_PASSWORD if self._typed[1] else None

    @property
    def run_command(self) -> str:
        return self._command("run", "--config ")

    @property
    def doctor_command(self) -> str:
        return self._command("doctor")

    def _command(self, verb: str, before: str = "") -> str:
        is_set = self.folder is None and os.environ.get("EVIDENCE_COURIER_CONFIG")
        folder = "" if is_set else f" {before}{quote(self.folder or 'DIR')}"
        return f"evidence-courier {verb}{folder} {self.option}"

    @property
    def _typed(self) -> tuple[str, bool]:
        from ...adapters.stores.databases import typed

        return typed(self.database)

    def records(self, logger: Logger = _SILENT) -> Records:
        from ..records import Records

        return Records.open(self.database, logger=logger)

    def courier(self, **options: Any) -> AsyncCourier:
        from ..courier import AsyncCourier

        folder = _given(self.folder, "tenants", "--config DIR")
        options = {**self._how, "retention": self._retention, **options}
        return AsyncCourier.from_config(folder, self.database, **options)

    @property
    def retention(self) -> Retention:
        return self._retention

    @property
    def sinks(self) -> Sequence[Sink]:
        from ..notices import options_in
        from ..wiring import sinks_in

        return sinks_in(options_in(os.environ).get("notices", ()))

    def tenants(self, *, without_secrets: bool = False) -> tuple[Loaded, Providers]:
        from ...adapters.config import DEFAULT_BLOCK, load_folder
        from ...adapters.plugins import discover_providers
        from ..tenants import secrets_of

        folder, providers = _given(self.folder, "tenants", "DIR"), discover_providers()
        secrets = None if without_secrets else secrets_of(self._how)
        block = self._how.get("block", DEFAULT_BLOCK)
        return load_folder(folder, providers=providers, secrets=secrets, block=block), providers


class App(Place):
    """A courier of the host's own: `app` is ``module:attribute``, where it is or is made."""

    has_tenants = True

    def __init__(self, app: str) -> None:
        self._app = app
        self._made = made_by(app)
        self.has_database = self._made._wiring.database is not None
        self.folder = self._made._tenants.folder

    @property
    def database(self) -> str:
        database = self._made._wiring.database
        if database is None:
            raise MisuseError(f"the courier of {self._app} has a store of its own, no database")
        return database

    @property
    def name(self) -> str:
        return f"the store of {self._app}" if self._made._wiring.store else super().name

    @property
    def option(self) -> str:
        return f"--app {quote(self._app)}"

    @property
    def run_command(self) -> str | None:
        from ..courier import AsyncCourier

        is_run = isinstance(self._made, AsyncCourier)
        return f"evidence-courier run {self.option}" if is_run else None

    @property
    def doctor_command(self) -> str:
        return f"evidence-courier doctor {self.option}"

    def records(self, logger: Logger = _SILENT) -> Records:
        from ..records import records_of

        return records_of(self._made, logger)

    def courier(self, **options: Any) -> AsyncCourier:
        from ..courier import AsyncCourier

        made = self._made
        if not isinstance(made, AsyncCourier):
            raise MisuseError(
                f"{self._app} gives a {type(made).__name__}, which works only while it is called: "
                "give an AsyncCourier or a Courier"
            )
        made._wiring.background = True  # this command is what delivers
        made._wiring.logger = options.get("logger") or made._wiring.logger
        return made

    @property
    def retention(self) -> Retention:
        return self._made._wiring.retention

    @property
    def sinks(self) -> Sequence[Sink]:
        return self._made._wiring.sinks

    def tenants(self, *, without_secrets: bool = False) -> tuple[Loaded, Providers]:
        if without_secrets:
            raise MisuseError("--app has looked its secrets up: give --without-secrets a DIR")
        tenants = self._made._tenants
        return tenants.loaded, tenants.providers


def place_of(given: Mapping[str, Any]) -> Place:
    """The place that a command's parameters say. What is typed counts more than what is set in the
    environment; MisuseError if both an app and another place are typed, or both are set."""
    context = click.get_current_context()

    def source(name: str) -> ParameterSource | None:
        return context.get_parameter_source(name) if given.get(name) is not None else None

    app, others = source("app"), [one for one in ("folder", "database") if source(one)]
    typed = [
        one
        for one in (*others, "block", "secret_folders", "retention")
        if source(one) is ParameterSource.COMMANDLINE
    ]
    is_set = app is ParameterSource.ENVIRONMENT
    if app is None or (is_set and typed and others):
        return Files(given)
    if is_set and source("retention") is ParameterSource.ENVIRONMENT:
        others.append("retention")
    rivals = others if is_set and others else typed
    if rivals:
        parameters = {one.name: one for one in context.command.params}
        called = [_called(parameters[one], source(one)) for one in ("app", *rivals)]
        raise MisuseError(
            f"{called[0]} and {called[1]} are both given, and a courier of an app has tenants, a "
            "database and rules of its own: give one of them"
        )
    return App(given["app"])


def _called(parameter: click.Parameter, source: ParameterSource | None) -> str:
    if source is ParameterSource.ENVIRONMENT:
        return str(parameter.envvar)
    return parameter.opts[0] if isinstance(parameter, click.Option) else "DIR"


def _given(value: str | None, what: str, option: str) -> str:
    if value is None:
        variable = {"records": "EVIDENCE_COURIER_DB", "tenants": "EVIDENCE_COURIER_CONFIG"}[what]
        raise MisuseError(
            f"say where the {what} are: give {option}, or --app MODULE:ATTRIBUTE; or set "
            f"{variable} or EVIDENCE_COURIER_APP"
        )
    return value
