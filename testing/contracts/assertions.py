"""How a kit judges: each rule is a method `test_...` of a plain class, and an AssertionError says
in words what does not hold.

So pytest and unittest both run a kit, and `broken_rules` runs it without either.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TypeVar

E = TypeVar("E", bound=BaseException)
T = TypeVar("T")


def must(holds: object, otherwise: str) -> None:
    """Raise AssertionError with those words unless something holds. Unlike `assert`, it is never
    compiled away."""
    __tracebackhide__ = True  # pytest shows the rule, not this line
    if not holds:
        raise AssertionError(otherwise)


def raises(kind: type[E], call: Callable[[], object], otherwise: str) -> E:
    """The error of that kind that a call raises.

    Raises:
        AssertionError: The call raises no error, or another one.
    """
    __tracebackhide__ = True
    try:
        call()
    except kind as error:
        return error
    except Exception as error:
        raise AssertionError(f"{otherwise}; it raised {type(error).__name__}: {error}") from error
    raise AssertionError(f"{otherwise}; it raised nothing")


def rules_of(kit: type) -> tuple[str, ...]:
    """The names of a kit's rules."""
    return tuple(
        sorted(
            name for name in dir(kit) if name.startswith("test_") and callable(getattr(kit, name))
        )
    )


def broken_rules(kit: type, rules: Collection[str] | None = None) -> dict[str, str]:
    """Run a kit without a test runner, each rule on an instance of its own.

    Args:
        kit: A subclass of a kit.
        rules: The names of the rules to run. None runs all.

    Returns:
        The broken rules by name, each with its message.
    """
    broken = {}
    for rule in rules_of(kit) if rules is None else sorted(rules):
        try:
            getattr(kit(), rule)()
        except Exception as error:
            broken[rule] = str(error) if isinstance(error, AssertionError) else repr(error)
    return broken


def same(got: object, wanted: object, what: str = "the answer") -> None:
    """Raise AssertionError unless two things are equal, and show both."""
    __tracebackhide__ = True
    if got != wanted:
        raise AssertionError(f"{what} is {got!r}, not {wanted!r}")


def a(kind: type[T], thing: object) -> T:
    """The thing, which must be of that kind."""
    __tracebackhide__ = True
    if not isinstance(thing, kind):
        raise AssertionError(f"that is no {kind.__name__}: {thing!r}")
    return thing


def some(thing: T | None) -> T:
    """The thing, which must not be None."""
    __tracebackhide__ = True
    if thing is None:
        raise AssertionError("it is missing")
    return thing
