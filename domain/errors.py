"""The errors a host can meet, split by who has to act.

::

    CourierError
     +-- ConfigError        an administrator must mend a tenant file
     +-- MisuseError        the host's programmer must mend a call
     |    +-- RecordError   ... or the training record that was handed over
     +-- StoreError         an operator must look at the database's disk

What goes wrong at a provider is never an exception: it is a value, a `Failure`, kept in the
upload's record.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class Problem:
    """One thing that is wrong with something that a person wrote, and where it stands.

    `path` is the place inside the data (``integrations.compliance.api_key``, ``modules[0].title``),
    `line` counts from 1.
    """

    message: str
    path: str = ""
    file: str | None = None
    line: int | None = None
    suggestion: str | None = None

    def __str__(self) -> str:
        place = [self.file] if self.file else []
        place += [str(self.line)] if self.line is not None else []
        prefix = ":".join(place)
        parts = [part for part in (prefix, self.path) if part]
        text = ": ".join([*parts, self.message])
        return f"{text} (did you mean {self.suggestion}?)" if self.suggestion else text


def _listing(problems: tuple[Problem, ...]) -> str:
    head = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return "\n".join([head + ":", *(f"  {problem}" for problem in problems)])


class CourierError(Exception):
    """The root of every exception that this package raises on purpose."""


class ConfigError(CourierError):
    """The configuration does not hold; `problems` lists everything that is wrong with it, not
    only the first thing."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__(f"the configuration has {_listing(problems)}")


class MisuseError(CourierError):
    """A call that cannot be right whatever the world does; the message says what to call
    instead."""


class RecordError(MisuseError):
    """A training record that does not hold; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__(f"the training record has {_listing(problems)}")


class StoreError(CourierError):
    """The database did not do what was asked; the message names the database and what was not
    written."""
