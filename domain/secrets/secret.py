"""A credential, wrapped when it is read and unwrapped only where a provider builds a request."""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """Text that appears in no repr, str, format, comparison message or pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself, for the code that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a Secret is not pickled: pass the reference to it and resolve it where it is used"
        )
