"""How a command ends: its exit code, and an error as a line that says what to do."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click
from click.core import ParameterSource

from ...domain.errors import ConfigError, CourierError, RecordError, StoreError
from .saying import say
from .signals import SIGNALLED

UNDELIVERED, USAGE, STORE = 1, 2, 3
_FILES = (".yaml", ".yml", ".json", ".jsonl", ".csv")
EXTRAS = ("graphql", "typst")
"""Modules that an extra brings; the error of the code that misses one names the extra."""


@contextmanager
def errors_as_exits() -> Iterator[None]:
    """Turn the package's errors into words on standard error and an exit code."""
    try:
        yield
    except (ConfigError, RecordError) as error:
        for problem in error.problems:
            # What is wrong in a file begins with its place, as a compiler says it.
            in_a_file = problem.line or problem.path or (problem.file or "").endswith(_FILES)
            say(f"{'' if in_a_file else 'evidence-courier: '}{problem}")
        _name_variables(error)
        sys.exit(USAGE)
    except KeyboardInterrupt:
        end("interrupted", SIGNALLED + signal.SIGINT)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        end(str(error), USAGE)
    except CourierError as error:
        say(f"evidence-courier: {error}")
        _name_variables(error)
        sys.exit(STORE if isinstance(error, StoreError) else USAGE)


def _name_variables(error: CourierError) -> None:
    """Say of each value that an error is about, if it was not typed, which variable has it."""
    context, text = click.get_current_context(silent=True), str(error)
    for param in context.command.params if context is not None else ():
        name = param.name or ""
        assert context is not None
        if context.get_parameter_source(name) is ParameterSource.ENVIRONMENT:
            called = param.opts[0] if isinstance(param, click.Option) else "DIR"
            is_store = name == "database" and isinstance(error, StoreError)
            words = (called, str(context.params[name]))
            if is_store or text.startswith(name) or any(one in text for one in words):
                say(f"note: {called} is set by {param.envvar}")


def end(message: str, code: int) -> NoReturn:
    """Print a message under the program's name and exit."""
    say(f"evidence-courier: {message}")
    sys.exit(code)
