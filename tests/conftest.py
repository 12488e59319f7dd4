"""How Hypothesis behaves: no example is too slow, and a commit draws the same ones on every
build server. `make test-fresh` draws new ones there too.

No example is kept for the next run, so a run never depends on the run before; a failure prints the
decorator that repeats it.
"""

import gc
import os
import signal

from hypothesis import HealthCheck, settings

# A shell has what it starts in the background ignore SIGINT, and nohup SIGHUP; tests of a Ctrl-C
# would wait for ever.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Neither an example nor the making of examples has a limit of time: a busy machine is no fault.
settings.register_profile(
    "here",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    database=None,
    derandomize=False,
)
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_collection_finish() -> None:
    """Take the thousands of tests, which last as long as the run, out of what the collector of
    garbage looks through each time: an eighth of the processor's time."""
    gc.collect()
    gc.freeze()
