"""What commands are declared with: kinds of values, and the options that several have.

Like `app`, this module imports no library but click.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from typing import Any

import click

from .examples import GROUPS, epilog
from .saying import say

_WHOLE = 200
"""The characters of a sentence that is not cut."""


class Usage(click.UsageError):
    """A mistake in what was typed, in lines that end between words."""

    def show(self, file: object = None) -> None:
        """Print it on standard error."""
        if self.ctx is not None:
            say(self.ctx.get_usage())
            say(f"Try '{self.ctx.command_path} --help' for help.\n")
        say(f"Error: {self.format_message()}")


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        if isinstance(error, Usage) or type(error).__name__ == "NoArgsIsHelpError":
            raise
        raise Usage(error.format_message(), error.ctx) from error


class Grouped(click.Group):
    """Commands that help lists by what they are for."""

    def make_context(self, *args: Any, **settings: Any) -> click.Context:
        """As ever; what is wrong is said in words."""
        with _in_words():
            return super().make_context(*args, **settings)

    def invoke(self, ctx: click.Context) -> Any:
        """As ever; what is wrong is said in words."""
        with _in_words():
            return super().invoke(ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each group; what is in none comes last."""
        left = dict(self.commands)
        for heading, names in (*GROUPS.items(), ("More", (*self.commands,))):
            found = [(name, left.pop(name)) for name in names if name in left]
            if found:
                with formatter.section(heading):
                    formatter.write_dl(
                        [(name, one.get_short_help_str(_WHOLE)) for name, one in found]
                    )


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic since 8.4
    """A date or a moment in ISO 8601."""

    name = "moment"

    def __init__(self, *, zone: bool) -> None:
        self._zone = zone
        self._example = "2026-02-21T10:00:00Z" if zone else "2026-02-21 or 2026-02-21T10:00:00Z"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Parse a text; without a time zone it is in UTC, or refused if one is required."""
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no moment: write it as {self._example}", param, ctx)
        if moment.tzinfo is None and self._zone:
            self.fail(f"{value!r} has no time zone: write it as {self._example}", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Age(click.ParamType):  # type: ignore[type-arg]  # as above
    """A duration, as in a tenant file."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """Parse a text."""
        from ...domain.written import parse_duration

        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


def _command(
    name: str, does: str, help: str, *params: click.Parameter, **fixed: object
) -> click.Command:
    """A command that calls a function, named as ``module.function``, with its parameters and the
    `fixed` ones."""
    call = partial(_call, does, fixed)
    return click.Command(name, callback=call, help=help, params=list(params), epilog=epilog(name))


def _call(does: str, fixed: Mapping[str, object], **given: object) -> None:
    from .exits import errors_as_exits
    from .variables import unknown_among

    module, function = does.split(".")
    for sentence in unknown_among(os.environ) if module != "run" else ():  # it logs them
        say(f"warning: {sentence}")
    with errors_as_exits():
        _require_whole(given)
        if "app" in given:
            from .place import place_of

            place = place_of(given)
            given = {name: one for name, one in given.items() if name not in OF_A_PLACE}
            given["place"] = place
        getattr(import_module(f".{module}", __package__), function)(**fixed, **given)


def _require_whole(given: Mapping[str, object]) -> None:
    """MisuseError if a text was typed in another encoding than the one of this terminal. A path may
    be."""
    from ...domain.arguments import is_whole
    from ...domain.errors import MisuseError

    for param in click.get_current_context().command.params:
        value = given.get(param.name or "")
        is_path = isinstance(param.type, click.Path)
        if isinstance(value, str) and not (is_path or is_whole(value)):
            raise MisuseError(
                f"{param.opts[0]} holds letters that the locale cannot read: type it in UTF-8, and "
                "set LANG to a locale in UTF-8, as C.UTF-8"
            )


def _complete(what: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    def complete(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
        from . import completing

        found: Iterable[str] = getattr(completing, what)(context.params)
        return sorted(one for one in found if one.startswith(begun))

    return complete


_COMPLETED = {"--tenant": "tenants", "--provider": "providers", "--kind": "kinds"}
"""The options whose values a shell completes, and the functions of `completing.py` that know
them."""
_VALUES = {
    "--tenant": "TENANT",
    "--provider": "PROVIDER",
    "--kind": "KIND",
    "--by": "NAME",
    "--every": "SECONDS",
    "--limit": "NUMBER",
}
"""How help names the values of options that several commands have, or that are numbers."""


def _argument(*names: str, **settings: Any) -> click.Argument:
    """An argument of a command. One that is a tenant can be completed."""
    if names == ("tenant_id",):
        settings["shell_complete"] = _complete("tenants")
    return click.Argument(names, **settings)


def _option(names: str, help: str, **settings: Any) -> click.Option:
    """An option of a command, with its help."""
    if (name := names.split()[0]) in _COMPLETED:
        settings["shell_complete"] = _complete(_COMPLETED[name])
    if name in _VALUES and "is_flag" not in settings:
        settings.setdefault("metavar", _VALUES[name])
    default, environment = bool(settings.get("default")), "envvar" in settings
    shown = {"show_default": default, "show_envvar": environment}
    return click.Option(names.split(), help=help, **shown, **settings)


_PATH = click.Path()
_PLACE = click.Path(readable=False)
"""Of a database or a tenant folder; what opens it says whether it may be read."""
_DIR = _argument(
    "folder", metavar="[DIR]", type=_PLACE, required=False, envvar="EVIDENCE_COURIER_CONFIG"
)
_CONFIG = _option(
    "--config folder",
    "The folder of tenant files.",
    type=_PLACE,
    metavar="DIR",
    envvar="EVIDENCE_COURIER_CONFIG",
)
_BLOCK = _option(
    "--block", "Where the block stands in a tenant file.", default="integrations.compliance"
)
_FONTS = _option(
    "--fonts",
    "A folder of fonts for training records; may be repeated.",
    type=_PATH,
    metavar="DIR",
    multiple=True,
)
_SECRETS = _option(
    "--secret-folder secret_folders",
    "A folder whose files may be secrets (${file:/run/secrets/x}); may be repeated.",
    default=["/run/secrets"],
    multiple=True,
    type=_PATH,
    metavar="DIR",
)
_APP = _option(
    "--app",
    "The host's own courier, or a function that makes one, in place of a folder and a database.",
    metavar="MODULE:ATTRIBUTE",
    envvar="EVIDENCE_COURIER_APP",
)


def _db(more: str = "") -> click.Option:
    """The option for the database."""
    return _option(
        "--db database",
        f"The courier's database: a path, or a PostgreSQL's URL{more}.",
        type=_PLACE,
        metavar="DATABASE",
        envvar="EVIDENCE_COURIER_DB",
    )


_RECORDS = (_db(), _APP)
_RETENTION = _option(
    "--retention",
    "How long each part is kept, as 'attempts: 400d, personal: 90d after success, "
    "failed_documents: 90d'; a tenant's own `retention` wins. By default nothing is removed.",
    metavar="RULES",
    envvar="EVIDENCE_COURIER_RETENTION",
)
OF_A_PLACE = ("app", "folder", "database", "block", "secret_folders", "retention")
"""The parameters that say where tenants and records are: a function is given a `Place` for them."""
_JSON = _option("--json as_json", "Print JSON.", is_flag=True)
_SINCE = Moment(zone=False)
_BY = _option("--by", "Who you are; it is recorded.", required=True)
_REASON = _option("--reason", "Why; it is recorded.", required=True)
_YES = _option("--yes", "Do not ask.", is_flag=True)
