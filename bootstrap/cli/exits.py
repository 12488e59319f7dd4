"""How a command ends: its exit code, and an error as a line that says what to do."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

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
        sys.exit(USAGE)
    except KeyboardInterrupt:
        end("interrupted", SIGNALLED + signal.SIGINT)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        end(str(error), USAGE)
    except StoreError as error:
        end(str(error), STORE)
    except CourierError as error:
        end(str(error), USAGE)


def end(message: str, code: int) -> NoReturn:
    """Print a message under the program's name and exit."""
    say(f"evidence-courier: {message}")
    sys.exit(code)
