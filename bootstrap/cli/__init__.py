"""The command line, `evidence-courier`. Needs the extra `cli`; without it, it says so."""

from __future__ import annotations

import sys


def main() -> None:
    """The entry point of the `evidence-courier` command."""
    from .streams import run

    try:
        from .app import app
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"evidence-courier: the command line needs {error.name}: "
            'pip install "evidence-courier[cli]"\n'
        )
        sys.exit(2)
    run(app)
