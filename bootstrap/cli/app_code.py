"""The host's own code, as `--app` names it: found, called, and blamed for what it raises."""

# pyright: reportPrivateUsage=false

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from inspect import iscoroutine, signature
from typing import TYPE_CHECKING, Any

from ...domain.errors import CourierError, MisuseError
from ...domain.secrets.redaction import words_of
from .signals import Signalled

if TYPE_CHECKING:
    from ..records import AnyCourier

TRACEBACK = "EVIDENCE_COURIER_TRACEBACK"
"""The variable of the environment with which the whole traceback of such an error is printed, with
the secrets that its lines and messages hold."""


def made_by(app: str) -> AnyCourier:
    """The courier that ``module:attribute`` is, or that it makes when it is called.

    The module is found as Python finds it, and in the current folder. MisuseError, with the line of
    the host's code, if that raises anything but an error of this package.
    """
    from ..blocking_courier import BlockingCourier
    from ..courier import AsyncCourier
    from ..sync_courier import Courier

    module, colon, attribute = app.partition(":")
    if not (module and colon and attribute):
        raise MisuseError(f"--app is MODULE:ATTRIBUTE, as shop.evidence:courier, not {app!r}")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    with _blamed(app):
        made = _found(app, module, attribute)
        kinds = (AsyncCourier, Courier, BlockingCourier)
        if callable(made) and not isinstance(made, kinds):
            _require_no_arguments(app, made)
            made = made()
    if iscoroutine(made):
        made.close()  # or Python says that it was never awaited
        raise MisuseError(
            f"--app {app} is an async function: name one that returns a courier without `await`, "
            "and that may use asyncio.run for what must be awaited before"
        )
    if not isinstance(made, kinds):
        raise MisuseError(
            f"--app {app} gives a {type(made).__name__}, not a courier: name an AsyncCourier, a "
            "Courier or a BlockingCourier, or a function without arguments that returns one"
        )
    return made._courier if isinstance(made, Courier) else made


def _found(app: str, module: str, attribute: str) -> Any:
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # a module that it imports
        raise MisuseError(
            f"--app {app}: there is no module {error.name!r} here or among what is installed; go "
            "to the folder that it is in, or set PYTHONPATH"
        ) from error
    for name in attribute.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            close = get_close_matches(name, dir(found), n=1)
            near = f"; did you mean {close[0]!r}?" if close else ""
            raise MisuseError(f"--app {app}: {module} has no {name!r}{near}") from error
    return found


def _require_no_arguments(app: str, made: Any) -> None:
    try:
        signature(made).bind()
    except TypeError as error:
        raise MisuseError(
            f"--app {app} needs arguments: name a courier, or a function that takes none and "
            "returns one"
        ) from error
    except ValueError:  # a function that does not say what it takes
        pass


@contextmanager
def _blamed(app: str) -> Iterator[None]:
    """Say of what the host's code raises what it is and at which line of that code. The line itself
    may hold a secret."""
    try:
        yield
    except (CourierError, Signalled):
        raise
    except (Exception, SystemExit) as error:
        if os.environ.get(TRACEBACK):
            traceback.print_exception(error)
        raise MisuseError(
            f"--app {app}: its own code raised {words_of(error)}{_line_of(error)}; mend that, or "
            f"set {TRACEBACK}=1 to see its traceback"
        ) from error


def _line_of(error: BaseException) -> str:
    """The last line of the host's code that it passed, and not of a library."""
    if isinstance(error, SyntaxError) and error.filename:
        return f", at {_shown(error.filename)}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    hosts = [one for one in frames if _is_hosts(one.filename)]
    if not hosts:
        return ""
    last = hosts[-1]
    return f", at {_shown(last.filename)}:{last.lineno}"


def _shown(file: str) -> str:
    near = os.path.relpath(file)
    return file if near.startswith("..") else near


def _is_hosts(file: str) -> bool:
    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    paths = sysconfig.get_paths()
    others = (ours, *(paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")))
    in_others = any(os.path.abspath(file).startswith(f"{one}{os.sep}") for one in others)
    return not file.startswith("<") and not in_others
