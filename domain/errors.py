"""The exceptions that a host can meet, split by who must act.

::

    CourierError
     +-- ConfigError        an administrator must correct a tenant file
     +-- MisuseError        the host's programmer must correct a call
     |    +-- RecordError   ... or the training record that was submitted
     +-- StoreError         an operator must look at the database's disk

What goes wrong at a provider is no exception but a value, a `Failure`, in the upload's record.
"""

from __future__ import annotations

from attrs import frozen


@frozen
class Problem:
    """One mistake in a file or a record, and its place.

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
        return ": ".join([part for part in (prefix, self.path) if part] + [self.text])

    @property
    def text(self) -> str:
        """The message with the suggestion, without the place."""
        meant = f" (did you mean {self.suggestion}?)" if self.suggestion else ""
        return f"{self.message}{meant}"


def _listing(problems: tuple[Problem, ...]) -> str:
    head = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return "\n".join([head + ":", *(f"  {problem}" for problem in problems)])


class CourierError(Exception):
    """The base of every exception that this package raises on purpose."""


class ConfigError(CourierError):
    """The configuration is invalid; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__(f"the configuration has {_listing(problems)}")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled with the problems, so that it may cross to another process."""
        return type(self), (self.problems,)


class MisuseError(CourierError):
    """A call that can never be right; the message says what to call instead."""


class RecordError(MisuseError):
    """An invalid training record; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        super().__init__(f"the training record has {_listing(problems)}")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled with the problems, so that it may cross to another process."""
        return type(self), (self.problems,)


class StoreError(CourierError):
    """The database failed; the message names it and what was not written.

    `passing`: the same may succeed later, as when the disk is full or another process is writing.
    """

    def __init__(self, message: str, passing: bool = False) -> None:
        self.passing = passing
        super().__init__(message)
