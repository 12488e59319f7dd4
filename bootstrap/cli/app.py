"""The group of commands, and what an error becomes: a line that says what to do, and an exit code.

0: done. 1: an upload that `submit` waited for failed or is held, an action applied to nothing, or
`doctor` or `invariants` found something. 2: usage or configuration. 3: the database.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import click

from ...domain.errors import ConfigError, CourierError, RecordError, StoreError

UNDELIVERED, USAGE, STORE = 1, 2, 3
EXTRAS = ("graphql", "typst")
"""Modules that an extra brings; the error of the code that misses one names the extra."""

P = ParamSpec("P")
R = TypeVar("R")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="evidence-courier", prog_name="evidence-courier")
def app() -> None:
    """Delivers compliance evidence to the GRC platform that each tenant has configured."""


def command(function: Callable[P, R]) -> Callable[P, R]:
    """A command whose errors are told in words, without a traceback."""

    @wraps(function)
    def told(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (ConfigError, RecordError) as error:
            for problem in error.problems:
                click.echo(str(problem), err=True)
            sys.exit(USAGE)
        except ModuleNotFoundError as error:
            if error.name not in EXTRAS:
                raise
            click.echo(f"evidence-courier: {error}", err=True)
            sys.exit(USAGE)
        except StoreError as error:
            click.echo(f"evidence-courier: {error}", err=True)
            sys.exit(STORE)
        except CourierError as error:
            click.echo(f"evidence-courier: {error}", err=True)
            sys.exit(USAGE)

    return told


# Each module adds its commands to `app`.
from . import act, check, demo, doctor, invariants, sandbox, see, submit  # noqa: E402, F401
