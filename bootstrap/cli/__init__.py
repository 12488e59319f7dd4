"""The command line, `evidence-courier`. Needs the extra `cli`; without it, it says so."""

from __future__ import annotations

import signal
import sys


def main() -> None:
    """The entry point of the `evidence-courier` command."""
    from .signals import SIGNALLED, take_from_the_start

    take_from_the_start(sys.argv[1] if len(sys.argv) > 1 else None)
    try:
        from .app import app
        from .streams import run
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"evidence-courier: the command line needs {error.name}: "
            'pip install "evidence-courier[cli]"\n'
        )
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(SIGNALLED + signal.SIGINT)
    run(app)
